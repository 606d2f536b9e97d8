"""Keeping JSON Lines from being read as something else than was written.

The folder loaders compare what they guess from each split's first rows and refuse to load when two
guesses differ: a column that is null throughout a small split is enough. And texts that look like
dates are turned into dates where nothing in the column says otherwise. So columns are looked
through once, and those that would be misread are written as text; rows that show what a column is
come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.export.columns import JSON, Kind, Type, as_text, at, flat
from overnight.export.formats import Contents

_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?")
Path = tuple[str, ...]

_OURS = frozenset({"submitted_at", "finished_at"})
"""Times that we write ourselves, in a form that is not taken for a date: with milliseconds."""


@dataclass
class Even:
    """How rows have to be written. ``as_json`` are columns (paths in a row) that become JSON text,
    ``filled`` texts that are empty where there is none, ``first`` the rows (numbers within their
    split, from 0) that come first."""

    as_json: set[Path] = field(default_factory=set)
    filled: set[Path] = field(default_factory=set)
    first: dict[str, set[int]] = field(default_factory=dict)

    def types(self, types: Mapping[str, Type]) -> dict[str, Type]:
        """The types of the columns as they are written."""
        return {name: _changed(kind, (name,), self.as_json) for name, kind in types.items()}

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A conformed row as it is written."""
        changed = dict(row)
        for path in self.as_json:
            _set(changed, path, as_text(at(row, path)))
        for path in self.filled:
            _set(changed, path, at(row, path) or "")
        return changed


def look_through(contents: Contents, *, across: bool) -> Even:
    """What the rows of all splits need; ``across``: a column has to look alike in each of them."""
    even = Even()
    shown: dict[str, set[Path]] = {}
    dated: set[Path] = set()
    for split in contents.splits:
        seen = shown[split] = set()
        even.first[split] = set()
        for number, (_, row) in enumerate(contents.samples(split)):
            before = len(seen)
            _see(row, contents.types, seen, dated)
            if len(seen) > before:
                even.first[split].add(number)
    everywhere = set[Path]().union(*shown.values()) if across else set[Path]()
    for path, _, kind in flat(contents.types, "."):
        if path[0] in _OURS:
            continue
        inside = [one for one in everywhere | dated if one[: len(path)] == path]
        if all(one in seen for one in inside for seen in shown.values()):
            continue
        if kind.kind in (Kind.TEXT, Kind.JSON) and path not in dated:
            even.filled.add(path)
        else:
            even.as_json.add(path)
    return even


def _see(
    row: Mapping[str, Any], types: Mapping[str, Type], seen: set[Path], dated: set[Path]
) -> None:
    for path, _, kind in flat(types, "."):
        for leaf, value in _leaves(at(row, path), kind, path):
            if isinstance(value, str) and _DATE.fullmatch(value):
                dated.add(leaf)
            else:
                seen.add(leaf)


def _leaves(value: Any, kind: Type, path: Path) -> Iterator[tuple[Path, Any]]:
    """Everything that is not null, with the path of its column; the items of a list share one."""
    if value is None:
        return
    if kind.kind in (Kind.STRUCT, Kind.LIST):
        yield path, None  # that there is one at all shows something too
    if kind.kind is Kind.STRUCT:
        for name, inner in kind.fields:
            yield from _leaves(value[name], inner, (*path, name))
    elif kind.kind is Kind.LIST:
        assert kind.item is not None
        for item in value:
            yield from _leaves(item, kind.item, (*path, "[]"))
    else:
        yield path, value


def _changed(kind: Type, path: Path, as_json: set[Path]) -> Type:
    if path in as_json:
        return JSON
    if kind.kind is not Kind.STRUCT or not any(one[: len(path)] == path for one in as_json):
        return kind
    fields = tuple((name, _changed(inner, (*path, name), as_json)) for name, inner in kind.fields)
    return Type(Kind.STRUCT, fields=fields)


def _set(row: dict[str, Any], path: Path, value: Any) -> None:
    if len(path) == 1:
        row[path[0]] = value
    else:
        row[path[0]] = {**(row[path[0]] or {}), path[1]: value}
