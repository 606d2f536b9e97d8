"""The types of a data set's columns, found in the values and then kept in every row.

Loaders guess a column's type from the first rows they see and fail on the first that differs. So
all values are looked at before anything is written: whole numbers next to decimals become
decimals, a field that some jobs lack is null there, and a column whose values can't agree (a
number here, a text there) is written as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_LARGEST_INT = 2**63 - 1
_EXACT_IN_FLOAT = 2**53
"""Whole numbers above this would change when they become decimals."""


class Kind(StrEnum):
    """What a column holds."""

    NOTHING = "nothing"
    """Only nulls were seen."""
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    TEXT = "text"
    LIST = "list"
    STRUCT = "struct"
    JSON = "json"
    """Values of different kinds, each as JSON text."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type; ``item`` belongs to a list and ``fields`` to a struct. ``inexact`` marks whole
    numbers of which one is too large to become a decimal."""

    kind: Kind
    item: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()
    inexact: bool = False


NOTHING = Type(Kind.NOTHING)
BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
FLOAT = Type(Kind.FLOAT)
TEXT = Type(Kind.TEXT)
JSON = Type(Kind.JSON)
TEXTS = Type(Kind.LIST, item=TEXT)


class MixedError(Exception):
    """Values that no type but JSON can hold together."""


def type_of(value: Any) -> Type:
    """The type of one value as JSON has it. Raises :class:`MixedError`."""
    match value:
        case None:
            return NOTHING
        case bool():
            return BOOL
        case int():
            if abs(value) > _LARGEST_INT:
                raise MixedError
            return Type(Kind.INT, inexact=abs(value) > _EXACT_IN_FLOAT)
        case float():
            return FLOAT
        case str():
            return TEXT
        case Mapping():
            fields = tuple((str(name), type_of(one)) for name, one in value.items())
            if not fields:
                raise MixedError  # a struct without fields is no column anywhere
            return Type(Kind.STRUCT, fields=fields)
        case list() | tuple():
            item = NOTHING
            for one in value:
                item = joined(item, type_of(one))
            return Type(Kind.LIST, item=item)
        case _:
            raise MixedError


def joined(one: Type, other: Type) -> Type:
    """The type that holds the values of both. Raises :class:`MixedError`."""
    if one == other or other.kind is Kind.NOTHING:
        return one
    if one.kind is Kind.NOTHING:
        return other
    if one.kind is not other.kind:
        return _decimal(one, other)
    match one.kind:
        case Kind.INT:
            return Type(Kind.INT, inexact=True)
        case Kind.LIST:
            assert one.item is not None
            assert other.item is not None
            return Type(Kind.LIST, item=joined(one.item, other.item))
        case Kind.STRUCT:
            fields = dict(one.fields)
            for name, kind in other.fields:
                fields[name] = joined(fields.get(name, NOTHING), kind)
            return Type(Kind.STRUCT, fields=tuple(fields.items()))
        case _:
            return one


def _decimal(one: Type, other: Type) -> Type:
    if {one.kind, other.kind} == {Kind.INT, Kind.FLOAT} and not (one.inexact or other.inexact):
        return FLOAT
    raise MixedError


def conform(value: Any, kind: Type) -> Any:
    """``value`` as its column's type has it: every field there, decimals as floats."""
    if value is None:
        return None
    match kind.kind:
        case Kind.JSON:
            return as_text(value)
        case Kind.FLOAT:
            return float(value)
        case Kind.LIST:
            assert kind.item is not None
            return [conform(one, kind.item) for one in value]
        case Kind.STRUCT:
            return {name: conform(value.get(name), inner) for name, inner in kind.fields}
        case _:
            return value


def as_text(value: Any) -> str:
    """A value as JSON text, the same for equal values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


GROUPS = ("inputs", "variables", "probe")
"""Columns whose fields are columns of their own: each finds its own type."""


class Columns:
    """The columns of a data set. ``fixed`` are known before; the fields of :data:`GROUPS` are
    found by :meth:`see`."""

    def __init__(self, fixed: Mapping[str, Type]) -> None:
        self._fixed = dict(fixed)
        self._found: dict[str, dict[str, Type]] = {group: {} for group in GROUPS}

    def see(self, row: Mapping[str, Any]) -> None:
        """Take the row's values into account."""
        for group, found in self._found.items():
            for name, value in (row.get(group) or {}).items():
                known = found.get(name, NOTHING)
                if known.kind is Kind.JSON:
                    continue
                try:
                    found[name] = joined(known, type_of(value))
                except MixedError:
                    found[name] = JSON

    def types(self) -> dict[str, Type]:
        """Every column in its order. A group without fields is no column."""
        types: dict[str, Type] = {}
        for name, kind in self._fixed.items():
            if name not in GROUPS:
                types[name] = kind
            elif self._found[name]:
                fields = tuple(sorted(self._found[name].items()))
                types[name] = Type(Kind.STRUCT, fields=fields)
        return types

    def as_json(self) -> list[str]:
        """The columns that are JSON text because their values differ in kind: ``inputs.steps``."""
        return [
            f"{group}.{name}"
            for group, found in self._found.items()
            for name, kind in sorted(found.items())
            if kind.kind is Kind.JSON
        ]


def conformed(row: Mapping[str, Any], types: Mapping[str, Type]) -> dict[str, Any]:
    """A row with exactly the columns of ``types``, in their order and of their types."""
    return {
        name: conform((row.get(name) or {}) if name in GROUPS else row.get(name), kind)
        for name, kind in types.items()
    }


def flat(types: Mapping[str, Type], joint: str) -> Iterator[tuple[tuple[str, ...], str, Type]]:
    """Columns for tables that know no structs: the fields of the groups stand alone.

    Each comes with its path in a row and its name, such as ``inputs.seed`` for a ``joint`` of
    ``.``.
    """
    for name, kind in types.items():
        if name in GROUPS:
            for field, inner in kind.fields:
                yield (name, field), f"{name}{joint}{field}", inner
        else:
            yield (name,), name, kind


def at(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value of a row at a path of :func:`flat`."""
    value: Any = row
    for name in path:
        value = None if value is None else value.get(name)
    return value
