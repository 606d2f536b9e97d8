"""``sqlite``: one small file to browse, ``jobs.db``, with the jobs, their attempts and their files.

It holds the samples and, beside them, the jobs that failed or are unknown: the column ``left_out``
says why a job is not in the data set. Each input and each axis is a typed column of its own. The
media stay where they are; ``files`` says where that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, groupby
from pathlib import Path
from typing import Any

from overnight.export.columns import Kind, Type, as_text, at, conformed, flat
from overnight.export.entry import Entry
from overnight.export.formats import Contents, Format
from overnight.export.target import Target
from overnight.store.exporting_sqlite import DatasetFile

FILE = "jobs.db"

_OF_FILES = ("file_name", "position", "sha256", "bytes", "content_type", "suspect", "probe")
_TYPES = {Kind.BOOL: "INTEGER", Kind.INT: "INTEGER", Kind.FLOAT: "REAL"}
_MOST_COLUMNS = 500
"""Columns of ``jobs``; SQLite takes 2,000. What is over stays in ``inputs`` and ``variables``."""


class Sqlite(Format):
    """A file for SQLite."""

    needs_file = False

    def place(self, split: str, name: str) -> str | None:
        return None

    def file_name(self, split: str, name: str) -> str | None:
        return None

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        columns = _columns(contents.types)

        def make(path: Path) -> None:
            with DatasetFile(path, _declared(columns)) as file:
                for number, entries in groupby(contents.entries(), lambda one: one.job):
                    _add(file, number, list(entries), contents, columns)
                file.finish()

        target.claim(FILE)
        part = target.scratch()
        make(part)
        target.settle(FILE, part)
        return {}

    def usage(self, contents: Contents) -> list[str]:
        return [
            "import sqlite3",
            "",
            f'jobs = sqlite3.connect("{FILE}")',
            'jobs.execute("SELECT key, state, left_out FROM jobs").fetchall()',
        ]


Columns = list[tuple[tuple[str, ...], str, Type]]


def _columns(types: Mapping[str, Type]) -> Columns:
    """Paths in a row, names and types, no two names alike but for their case."""
    found: Columns = []
    taken = {"id", "split", "error", "left_out", "inputs", "variables"}
    for path, name, kind in flat(types, "_"):
        if path[0] in _OF_FILES or len(found) >= _MOST_COLUMNS:
            continue
        free = next(one for one in _variants(name) if one.casefold() not in taken)
        taken.add(free.casefold())
        found.append((path, free, kind))
    return found


def _variants(name: str) -> Iterator[str]:
    """``seed``, ``seed_2``, ``seed_3``, …"""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _declared(columns: Columns) -> dict[str, str]:
    declared = {name: _TYPES.get(kind.kind, "TEXT") for _, name, kind in columns}
    return declared | dict.fromkeys(("split", "error", "left_out", "inputs", "variables"), "TEXT")


def _add(
    file: DatasetFile, number: int, entries: list[Entry], contents: Contents, columns: Columns
) -> None:
    first = entries[0]
    row = conformed(first.row, contents.types)
    values = {name: _stored(at(row, path), kind) for path, name, kind in columns}
    whole = all(entry.left_out is not None for entry in entries)
    values |= {
        "split": first.split,
        "error": first.error,
        "left_out": first.left_out if whole else None,
        "inputs": as_text(first.row["inputs"]),
        "variables": as_text(first.row["variables"]),
    }
    file.add_job(number, values)
    for attempt in first.history:
        file.add_attempt(number, attempt)
    for entry in entries:
        if entry.file is not None:
            file.add_file(number, {**entry.file, "left_out": entry.left_out})


def _stored(value: Any, kind: Type) -> Any:
    if value is None or kind.kind in (Kind.TEXT, Kind.JSON):
        return value
    return value if kind.kind in _TYPES else as_text(value)
