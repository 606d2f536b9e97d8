"""One model as a catalogue describes it: names, price, schema, and where all that is from.

Catalogues are the provider's own and may say anything, so reading one is forgiving: what is
missing or of the wrong kind is left out, and only an entry without a model id is no entry at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from overnight.catalog.schema import SchemaError

_LONGEST_ID = 300
_DEEPEST = 64
"""Levels of a schema; one that is nested deeper is meant to do harm, and counts as left out."""
_MOST = 1e6
"""US dollars that no unit costs: what is above, or is no number, is no price."""


class Origin(StrEnum):
    """Where an entry is from."""

    BUNDLED = "bundled"
    """It travels with the program."""
    FETCHED = "fetched"
    """The provider's catalogue said so, on the date that stands beside it."""
    FILE = "file"
    """A file that the user named."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a catalogue asks for one ``unit`` of a model's work.

    ``amount`` is in US dollars, 0 or more; ``as_of`` is the ISO date on which the catalogue said
    so, None where nobody knows; ``source`` is the catalogue's address or the file's path.
    """

    amount: float
    unit: str
    note: str = ""
    as_of: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model's line in a catalogue. ``input_schema`` is None where the catalogue leaves it out;
    ``as_of`` and ``place`` are as in :class:`Price`."""

    model_id: str
    input_schema: Mapping[str, Any] | None = None
    display_name: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    kind: str = ""
    price: Price | None = None
    origin: Origin = Origin.BUNDLED
    as_of: str | None = None
    place: str = ""


def read_entry(
    value: object, *, origin: Origin, as_of: str | None = None, place: str = ""
) -> Entry:
    """An entry from the JSON of the provider's catalogue call.

    Raises :class:`SchemaError` when it is no object or names no model.
    """
    if not isinstance(value, Mapping):
        raise SchemaError("A catalogue entry must be a JSON object.")
    model_id = value.get("model_id")
    if not is_model_id(model_id):
        raise SchemaError("A catalogue entry names no model_id.")
    schema = value.get("input_schema")
    categories = value.get("categories")
    return Entry(
        model_id=str(model_id),
        input_schema=schema if isinstance(schema, Mapping) and _is_shallow(schema) else None,
        display_name=_text(value.get("display_name")),
        description=_text(value.get("description")),
        categories=tuple(c for c in categories if isinstance(c, str))
        if isinstance(categories, list)
        else (),
        kind=_text(value.get("kind")),
        price=_price(value, as_of, place),
        origin=origin,
        as_of=as_of,
        place=place,
    )


def as_catalogue_json(entry: Entry) -> dict[str, Any]:
    """The entry in the catalogue's own words, as :func:`read_entry` reads it."""
    price = entry.price
    return {
        "model_id": entry.model_id,
        "display_name": entry.display_name,
        "description": entry.description,
        "categories": list(entry.categories),
        "kind": entry.kind,
        "base_price_usd": price.amount if price else None,
        "price_unit": price.unit if price else None,
        "pricing_note": price.note if price else "",
        "input_schema": entry.input_schema,
    }


def is_model_id(value: object) -> bool:
    """Whether ``value`` can be a model's id: printable text in segments between slashes."""
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST_ID
        and value.isprintable()
        and not any(c.isspace() for c in value)
        and all(part not in ("", ".", "..") for part in value.split("/"))
    )


def _is_shallow(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is nested no deeper than :data:`_DEEPEST`, found out without recursion."""
    level: list[Any] = [schema]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        if not inner:
            return True
        level = inner
    return False


def _price(value: Mapping[str, Any], as_of: str | None, place: str) -> Price | None:
    amount = value.get("base_price_usd")
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    if not 0 <= amount < _MOST:
        return None
    unit = _text(value.get("price_unit")).strip().lower()
    return Price(float(amount), unit, _text(value.get("pricing_note")), as_of, place)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
