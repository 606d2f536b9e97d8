"""What is wrong with a value, in a sentence: the schema check's verdict, told to people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from overnight.catalog.nearest import nearest
from overnight.catalog.schema import InputSpec, Kind

if TYPE_CHECKING:
    import jsonschema_rs

_LONGEST = 60
"""Characters of a value that a message shows."""
_FEW = 4
"""Allowed values that fit into the message itself; more of them go into the hint."""
_FIRST = ("type", "enum")
"""The verdicts that explain the others: a text is never also "below the minimum"."""
_WANTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


def explain(
    spec: InputSpec, value: Any, errors: Sequence[jsonschema_rs.ValidationError], name: str
) -> tuple[str, str | None]:
    """The message and the hint for a value that its validator refused.

    One sentence for one input: of several verdicts the most basic is told.
    """
    error = min(errors, key=lambda e: (e.kind.name not in _FIRST, len(e.instance_path)))
    for step in error.instance_path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}"
    value = error.instance if error.instance_path else value
    if error.kind.name == "type":
        return _wrong_type(error.kind.as_dict()["types"], value, name)
    if error.kind.name == "enum":
        return _not_listed(list(error.kind.as_dict()["options"]), value, name)
    top = spec if not error.instance_path else None
    return f"{name} is {shown(value)}, but it must {_rule(top, error.kind)}", None


def representable(value: Any) -> bool:
    """Whether a value can be written as JSON in UTF-8: no half of a surrogate pair in its text."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    if isinstance(value, Mapping):
        return all(representable(k) and representable(v) for k, v in value.items())
    return not isinstance(value, list) or all(representable(item) for item in value)


def shown(value: Any) -> str:
    """A value as people wrote it, cut to a readable length."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def takes(spec: InputSpec) -> str:
    """What an input may be, for people: ``a whole number from 6 to 20``."""
    if spec.media is not None:
        file = f"the https address of {'an' if spec.media[0] in 'aeiou' else 'a'} {spec.media}"
        return f"a list, each entry {file}" if spec.kind is Kind.LIST else file
    if spec.enum:
        return f"{listed(spec.enum)}" if len(spec.enum) < _FEW else f"one of {_comma(spec.enum)}"
    word = _WANTED.get(spec.kind, "anything")
    if spec.minimum is not None and spec.maximum is not None:
        return f"{word} from {shown(spec.minimum)} to {shown(spec.maximum)}"
    if spec.minimum is not None:
        return f"{word}, at least {shown(spec.minimum)}"
    if spec.maximum is not None:
        return f"{word}, at most {shown(spec.maximum)}"
    longest = spec.rules.get("maxLength")
    if spec.kind is Kind.TEXT and isinstance(longest, int):
        return f"{word}, at most {longest:,} characters"
    return word


def _comma(options: Sequence[Any]) -> str:
    return ", ".join(shown(option) for option in options)


def listed(options: Sequence[Any]) -> str:
    """``81 or 141``; ``"a", "b" or "c"``."""
    words = [shown(option) for option in options]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _wrong_type(types: Sequence[str], value: Any, name: str) -> tuple[str, str | None]:
    wanted = " or ".join(_WANTED.get(word, word) for word in types)
    if value is None:
        return f"{name} is empty (null), but it must be {wanted}", "give it a value or leave it out"
    numeric = {Kind.INTEGER, Kind.NUMBER} & set(types)
    if isinstance(value, str) and numeric and _NUMBER.fullmatch(value):
        return (
            f"{name} is the text {shown(value)}, but it must be {wanted}",
            f"write {value.strip()} without quotes",
        )
    if isinstance(value, bool | int | float) and Kind.TEXT in types:
        hint = f'write it in quotes: "{shown(value)}"'
        return f"{name} is {_noun(value)}{shown(value)}, but it must be text", hint
    return f"{name} is {_noun(value)}{shown(value)}, but it must be {wanted}", None


def _noun(value: Any) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return "the number " if math.isfinite(value) else ""
    return "the text " if isinstance(value, str) else ""


def _not_listed(options: list[Any], value: Any, name: str) -> tuple[str, str | None]:
    close = None
    if isinstance(value, str):
        close = nearest(value, [option for option in options if isinstance(option, str)])
    meant = f"did you mean {shown(close)}?" if close else None
    if len(options) <= _FEW:
        return f"{name} is {shown(value)}, but it must be {listed(options)}", meant
    every = f"allowed: {listed(options)}"
    message = f"{name} is {shown(value)}, but it must be one of {len(options)} values"
    return message, f"{meant} {every}" if meant else every


_RULES = {
    "minimum": "be at least {limit}",
    "maximum": "be at most {limit}",
    "exclusiveMinimum": "be more than {limit}",
    "exclusiveMaximum": "be less than {limit}",
    "multipleOf": "be a multiple of {multiple_of}",
    "minLength": "be at least {limit} characters long",
    "maxLength": "be at most {limit} characters long",
    "minItems": "have at least {limit} entries",
    "maxItems": "have at most {limit} entries",
    "pattern": "match the pattern {pattern}",
    "const": "be {expected_value}",
}


def _rule(spec: InputSpec | None, kind: jsonschema_rs.ValidationErrorKind) -> str:
    if (
        kind.name in ("minimum", "maximum")
        and spec is not None
        and spec.minimum is not None
        and spec.maximum is not None
    ):
        return f"be from {shown(spec.minimum)} to {shown(spec.maximum)}"
    template = _RULES.get(kind.name)
    if template is None:
        return f'keep the schema\'s rule "{kind.name}"'
    return template.format(**{k: shown(v) for k, v in kind.as_dict().items() if k != "value"})
