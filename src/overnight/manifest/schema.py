"""Read the shape of a manifest, and tell its mistakes in sentences of ours.

The shape itself is in :mod:`overnight.manifest.shapes`.
"""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from overnight.catalog import nearest
from overnight.catalog.wording import listed, shown
from overnight.manifest.problems import Problem
from overnight.manifest.shape_parts import AssetsShape, FitShape, Shape
from overnight.manifest.shapes import (
    AXIS_SHAPES,
    TAGS,
    BlockShape,
    HaltShape,
    LimitsShape,
    ManifestShape,
    OutputShape,
    RowsShape,
    RuleShape,
    RunShape,
    SampleShape,
    TimeoutShape,
)
from overnight.manifest.yaml12 import Document, Span, Trail

__all__ = ["ManifestShape", "read_shape"]


def read_shape(document: Document) -> tuple[ManifestShape | None, list[Problem]]:
    """A document's shape, and everything that is wrong with it.

    With problems, the shape is what is left when the parts in question are taken away, so that
    the rest can be checked in the same run; None when nothing useful is left.
    """
    try:
        return ManifestShape.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [_problem(document, detail) for detail in details if not _misspelt(detail, details)]
    if not isinstance(document.data, dict):
        return None, problems
    rest = copy.deepcopy(document.data)
    for detail in details:
        _take_away(rest, _dependent(_trail(detail)))
    try:
        return ManifestShape.model_validate({**rest, "version": 1}), problems
    except ValidationError:
        return None, problems


def _trail(detail: ErrorDetails) -> Trail:
    """The way to a value in the document; pydantic names the form of an axis on it as well."""
    return tuple(step for step in detail["loc"] if step not in TAGS)


def _dependent(trail: Trail) -> Trail:
    """The smallest part that makes sense without the one in question: half of a rule is no rule."""
    if trail[:1] == ("run",):
        return trail[:1]
    start = 2 if len(trail) > 2 and trail[0] == "jobs" else 0
    part = trail[start] if len(trail) > start else None
    if part in ("inputs", "matrix"):
        return trail[: start + 2]
    return trail[: start + 1] if part in _WHOLE else trail


_WHOLE = frozenset({"assets", "rows", "zip", "rules", "exclude", "include", "sample", "tags"})
"""Keys that are read as one."""


def _misspelt(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a key of a rule is only missing because it was written wrongly beside it."""
    rule = detail["loc"][:-1]
    return (
        detail["type"] == "missing"
        and rule != ()
        and any(d["type"] == "extra_forbidden" and d["loc"][:-1] == rule for d in details)
    )


def _take_away(data: Any, trail: Trail) -> None:
    """Remove what a trail leads to; an entry of a list becomes an empty mapping, so that its
    neighbours keep their places."""
    for step in trail[:-1]:
        if isinstance(data, dict) and step not in data:
            return
        data = data[step]
    if isinstance(data, dict):
        data.pop(trail[-1], None)
    elif isinstance(data, list) and isinstance(trail[-1], int):
        data[trail[-1]] = {}


def _problem(document: Document, details: ErrorDetails) -> Problem:
    trail = _trail(details)
    kind = details["type"]
    if kind == "extra_forbidden":
        message = f'there is no key "{trail[-1]}" here'
        return document.problem(document.keys[trail], message, _other_key(document, details))
    if kind == "missing":
        return _missing(document, trail)
    return document.problem(document.values[trail], *_sentence(trail, details))


def _other_key(document: Document, details: ErrorDetails) -> str:
    """What may have been meant by a key that there is not."""
    trail = _trail(details)
    name, shape = str(trail[-1]), _shape_at(tuple(details["loc"][:-1]))
    known = _keys(shape)
    close = nearest(name, (key for key in known if (*trail[:-1], key) not in document.keys))
    if close is not None:
        return f'did you mean "{close}"?'
    if shape is BlockShape and name in _keys(ManifestShape):
        return f"{name} is for the whole manifest; write it at the top level"
    return f"known keys: {', '.join(known)}"


def _missing(document: Document, trail: Trail) -> Problem:
    message = f'"{trail[-1]}" is missing'
    if trail == ("version",):
        return document.problem(_top(document), message, "write version: 1 in the first line")
    place = document.keys.get(trail[:-1]) or document.values[trail[:-1]]
    return document.problem(place, message, _NEEDED[str(trail[-1])])


_RANGE = "a range is written {from: 8, to: 14, step: 2}"
_NEEDED = {
    "failures": "write failures: 20 or failures: 10%, whichever is to stop the batch",
    "file": "write file: and the table's path, such as file: shots.csv",
    "from": _RANGE,
    "to": _RANGE,
    "when": "write when: and a condition, such as when: {style: Anime}",
    "set": "write set: and what to set, such as set: {steps: 14}",
    "max_side": "write max_side: and a number of pixels, such as max_side: 2048",
    "n": "write n: and how many combinations to take, such as n: 500",
}
"""Keys that their part can't do without."""


def _top(document: Document) -> Span:
    """The first key of the file, or the file's one value where it is no mapping."""
    first = next(iter(document.data), None) if isinstance(document.data, dict) else None
    return document.values[()] if first is None else document.keys[(first,)]


_SHAPES: dict[str, type[Shape]] = {
    **AXIS_SHAPES,
    "run": RunShape,
    "timeout": TimeoutShape,
    "halt": HaltShape,
    "limits": LimitsShape,
    "output": OutputShape,
    "assets": AssetsShape,
    "fit": FitShape,
    "rows": RowsShape,
    "sample": SampleShape,
    "rules": RuleShape,
    "jobs": BlockShape,
}
"""The shape of what stands under a key, or in a list under it."""


def _shape_at(loc: tuple[int | str, ...]) -> type[Shape]:
    words = [step for step in loc if isinstance(step, str)]
    return _SHAPES[words[-1]] if words else ManifestShape


def _keys(shape: type[Shape]) -> list[str]:
    return [part.alias or name for name, part in shape.model_fields.items()]


_WANTED = {
    "model_type": "a mapping of keys and values",
    "dict_type": "a mapping of names and values",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
}


_CHOICES: dict[str, tuple[tuple[str | int, ...], str]] = {
    "version": ((1,), "this is the first version of the grammar"),
    "validate": (("on", "off"), "off sends what is written without checking it"),
    "on_unknown": (
        ("hold", "resubmit"),
        "hold leaves such a job to you; resubmit submits it once more, which may be charged twice",
    ),
    "on_suspect": (
        ("keep", "retry"),
        "keep leaves the file to you; retry buys the job again, as one more attempt",
    ),
    "order": (
        ("given", "shuffle", "longest-first"),
        "given is the order of the file; the last axis changes fastest",
    ),
    "prompt_syntax": (
        ("plain", "dynamic"),
        "dynamic gives {a|b} and __wildcard__ in prompts a meaning",
    ),
}
"""The words of a key that has few, and what helps somebody who wrote another."""
_PATTERNS = {
    "assets.store": "a bucket, such as s3://bucket/prefix",
    "assets.public_base": "an https address without a query, such as https://files.example.com/in",
}
"""What a text must look like."""
_PATTERN_HINT = {
    "assets.store": "letters, digits and - _ . are allowed in the prefix",
    "assets.public_base": "it is the address under which everybody can read what is in the store",
}
_EXAMPLES = {
    "timeout": "{run: 2h}",
    "halt": "{failures: 10%}",
    "limits": "{cost: 20}",
    "assets": "{store: s3://bucket/prefix}",
    "fit": "{max_side: 2048}",
    "rows": "{file: shots.csv}",
    "sample": "{n: 500, seed: 7}",
}
"""Mappings that people may take for a single value."""
_LISTS = {
    "zip": "[{prompt: [Rain, Snow], seed: [7, 42]}]",
    "jobs": "[{name: first}, {name: second}]",
    "rules": "[{when: {style: Anime}, set: {steps: 14}}]",
    "exclude": "[{style: Anime, steps: 6}]",
    "include": "[{style: Anime, steps: 20}]",
}
"""Lists of mappings that people may take for a single mapping."""


def _sentence(trail: Trail, details: ErrorDetails) -> tuple[str, str | None]:
    name = _name(trail)
    kind, value = details["type"], details["input"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        hint = "leave the key out to do without" if name == "canary" and value == 0 else None
        return f"{name} is {value}, but it must be {words} {details['ctx'][bound]:.15g}", hint
    if kind == "literal_error":
        return _not_listed(name, value)
    if kind in ("too_short", "string_too_short"):
        return f"{name} is empty", "give it something, or leave the key out"
    if kind in ("too_long", "string_too_long"):
        most = details["ctx"]["max_length"]
        return f"{name} is too long; {most} are allowed", "leave some out"
    if kind == "union_tag_not_found":
        return _no_form(trail, name, value)
    wanted = details["ctx"]["wanted"] if kind == "amount" else _WANTED.get(kind, "something else")
    if kind == "string_pattern_mismatch":
        return f"{name} is {shown(value)}, but it must be {_PATTERNS[name]}", _PATTERN_HINT[name]
    if not trail:
        return f"{name} must be {wanted}", "begin it with version: 1"
    if value is None:
        return f"{name} is empty, but it must be {wanted}", "leave the key out if it has nothing"
    if kind == "amount":
        return f"{name} is {shown(value)}, but it must be {wanted}", details["ctx"]["hint"]
    return f"{name} must be {wanted}", _type_hint(name, kind, value)


def _no_form(trail: Trail, name: str, value: object) -> tuple[str, str | None]:
    """An axis or a condition that is written in none of the ways there are."""
    if trail[-1] == "when" or "exclude" in trail:
        hint = 'write {style: Anime}, or an expression: "steps > 8"'
        return f"{name} must be a mapping of names and values, or an expression", hint
    if value is None:
        return f"{name} is empty, but it must be a list", "leave the key out if it has nothing"
    return f"{name} must be a list", _as_list(name, value)


def _not_listed(name: str, value: object) -> tuple[str, str]:
    options, hint = _CHOICES[name]
    if isinstance(value, str) and (close := nearest(value, map(str, options))):
        # version: "1" is near the 1 that it must be, but what is wrong with it are the quotes.
        hint = f"did you mean {close}?" if close in options else hint
    if isinstance(value, bool) and name == "validate":
        hint = "write on or off"
    written = "empty" if value is None else shown(value)
    return f"{name} is {written}, but it must be {listed(options)}", hint


def _type_hint(name: str, kind: str, value: object) -> str | None:
    if kind == "list_type":
        return _as_list(name, value)
    if isinstance(value, list | dict):
        return None
    if kind == "model_type" and name in _EXAMPLES:
        return f"write it as {name}: {_EXAMPLES[name]}"
    return f'write it in quotes: "{value}"' if kind == "string_type" else None


_PLAIN_PARENTS = frozenset({"run", "output", "inputs", "matrix"})


def _name(trail: Trail) -> str:
    last = trail[-1] if trail else "the manifest"
    if isinstance(last, int):
        return f"entry {last + 1} of {trail[-2]}"
    parent = trail[-2] if len(trail) > 1 else None
    return f"{parent}.{last}" if isinstance(parent, str) and parent not in _PLAIN_PARENTS else last


def _as_list(name: str, value: object) -> str:
    if name in _LISTS:
        return f"write a dash before each entry, or {name}: {_LISTS[name]}"
    if isinstance(value, dict):
        return "write its values as [first, second], or one on each line after a dash"
    return f"write it as a list: [{value}]"
