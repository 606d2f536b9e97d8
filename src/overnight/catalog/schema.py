"""A model's input schema as typed objects.

Schemas come from the provider's catalogue. They are nearly JSON Schema, with words of their own:
the type ``float``, formats such as ``image_uri`` and ``video_uris``, and ``validations`` that
limit files. Reading keeps all of it; :func:`standard` makes the part that JSON Schema knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class SchemaError(Exception):
    """A schema that can't be used. The text is a sentence for people."""


class Kind(StrEnum):
    """The JSON type of an input, in JSON Schema's own words."""

    TEXT = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "array"
    OBJECT = "object"
    ANY = "any"
    """The schema does not say, or says a word nobody knows: every value passes."""


class Media(StrEnum):
    """What kind of file an input names."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a model. ``name`` is the raw name, as the provider is sent it."""

    name: str
    kind: Kind
    title: str
    description: str
    enum: tuple[Any, ...]
    """The only values allowed; empty when any value may do."""
    minimum: float | int | None
    maximum: float | int | None
    has_default: bool
    default: Any
    """What the server uses when the input is left out; None when ``has_default`` is False."""
    required: bool
    format: str | None
    validations: tuple[Mapping[str, Any], ...]
    """Limits on files, as the catalogue writes them; nothing here reads the files."""
    media: Media | None
    rules: Mapping[str, Any]
    """The same rules as standard JSON Schema."""


_TYPE_WORDS = {kind.value: kind for kind in Kind} | {
    "str": Kind.TEXT,
    "text": Kind.TEXT,
    "int": Kind.INTEGER,
    "float": Kind.NUMBER,
    "double": Kind.NUMBER,
    "bool": Kind.BOOLEAN,
    "list": Kind.LIST,
    "dict": Kind.OBJECT,
}
_MEDIA_WORDS = {
    "image": Media.IMAGE,
    "images": Media.IMAGE,
    "img": Media.IMAGE,
    "imgs": Media.IMAGE,
    "video": Media.VIDEO,
    "videos": Media.VIDEO,
    "audio": Media.AUDIO,
    "audios": Media.AUDIO,
}
_ADDRESS_WORDS = frozenset({"url", "urls", "uri", "uris", "file", "files"})
_NOT_STANDARD = frozenset({"validations", "format", "nullable"})


def read_input(name: str, schema: object, *, required: bool) -> InputSpec:
    """One property of an input schema. Raises :class:`SchemaError` when it is not an object."""
    if not isinstance(schema, Mapping):
        raise SchemaError(f"The schema of the input {name} is not an object.")
    rules = standard(schema)
    enum = schema.get("enum")
    title = schema.get("title")
    description = schema.get("description")
    wanted = schema.get("format")
    validations = schema.get("validations")
    return InputSpec(
        name=name,
        kind=_kind(schema.get("type")),
        title=title if isinstance(title, str) else "",
        description=description if isinstance(description, str) else "",
        enum=tuple(enum) if isinstance(enum, list) else (),
        minimum=_bound(rules.get("minimum")),
        maximum=_bound(rules.get("maximum")),
        has_default="default" in schema,
        default=schema.get("default"),
        required=required,
        format=wanted if isinstance(wanted, str) else None,
        validations=tuple(validations) if isinstance(validations, list) else (),
        media=_media(name, schema),
        rules=rules,
    )


def standard(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a schema that JSON Schema knows, with its words for types.

    Keywords set to null are dropped, and so is a ``required`` that is not a list (some catalogues
    mark a single property that way).
    """
    rules: dict[str, Any] = {}
    for keyword, value in schema.items():
        if value is None or keyword in _NOT_STANDARD:
            continue
        if keyword == "type":
            rules.update(_types(value, nullable=bool(schema.get("nullable"))))
        elif keyword in ("items", "additionalProperties") and isinstance(value, Mapping):
            rules[keyword] = standard(value)
        elif keyword == "properties" and isinstance(value, Mapping):
            rules[keyword] = {k: standard(v) for k, v in value.items() if isinstance(v, Mapping)}
        elif keyword in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            rules[keyword] = [standard(v) for v in value if isinstance(v, Mapping)]
        elif keyword != "required" or isinstance(value, list):
            rules[keyword] = value
    return rules


def _types(word: object, *, nullable: bool) -> dict[str, Any]:
    words = word if isinstance(word, list) else [word]
    kinds = [w if w == "null" else str(_kind(w)) for w in words]
    if str(Kind.ANY) in kinds:
        return {}
    if nullable and "null" not in kinds:
        kinds.append("null")
    return {"type": kinds[0] if len(kinds) == 1 else kinds}


def _kind(word: object) -> Kind:
    if isinstance(word, list):
        word = next((w for w in word if w != "null"), None)
    if not isinstance(word, str):
        return Kind.ANY
    return _TYPE_WORDS.get(word, Kind.ANY)


def _bound(value: object) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _media(name: str, schema: Mapping[str, Any]) -> Media | None:
    """What kind of file an input names: by its format, or else by the words of its names.

    Community models leave the format out, so a free text whose name or title ends in a word such
    as "image", "image url" or "video 2" is taken for a file.
    """
    wanted = schema.get("format")
    if isinstance(wanted, str):
        found = _MEDIA_WORDS.get(wanted.removesuffix("_uris").removesuffix("_uri"))
        if found is not None:
            return found
    items = schema.get("items")
    if _kind(schema.get("type")) is Kind.LIST and isinstance(items, Mapping):
        return _media(name, items)
    if _kind(schema.get("type")) is not Kind.TEXT or schema.get("enum"):
        return None
    return _media_by_words(name) or _media_by_words(str(schema.get("title") or ""))


def _media_by_words(text: str) -> Media | None:
    words = re.findall(r"[a-z]+", text.lower())
    while len(words) > 1 and words[-1] in _ADDRESS_WORDS:
        words.pop()
    return _MEDIA_WORDS.get(words[-1]) if words else None
