"""``jsonl`` and ``csv``: a table for each split, and its files in a folder beside it.

``train.jsonl`` keeps lists and structs; ``train.csv`` gives each field of a struct a column of its
own (``inputs.seed``) and writes lists as JSON. In a CSV an empty cell is both null and empty text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from overnight.export import features
from overnight.export.columns import FLOAT, TEXT, Kind, Type, as_text, at, flat
from overnight.export.evenness import look_through
from overnight.export.formats import Contents, Format, config
from overnight.export.target import Target


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of JSON, characters as they are."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


class _Table(Format):
    """A table and a folder of files for each split."""

    needs_file = False

    def place(self, split: str, name: str) -> str | None:
        return f"{split}/{name}"

    def file_name(self, split: str, name: str) -> str | None:
        return f"{split}/{name}"


class JsonLines(_Table):
    """One JSON object for each sample, every column in every row."""

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        even = look_through(contents, across=False)
        for split in contents.splits:

            def produce(file: BinaryIO, split: str = split) -> None:
                file.writelines(json_line(even.row(row)) for _, row in contents.samples(split))

            target.write(f"{split}.jsonl", produce)
        contents.report.as_json_text += sorted(".".join(path) for path in even.as_json)
        listed = features.for_card(even.types(contents.types))
        files = {split: [f"{split}.jsonl"] for split in contents.splits}
        return {"configs": [config(listed, files)]}


class Csv(_Table):
    """One line for each sample; structs are spread over columns."""

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        columns = list(flat(contents.types, "."))
        gaps: set[str] = set()
        for split in contents.splits:

            def produce(file: BinaryIO, split: str = split) -> None:
                _write(file, contents, split, columns, gaps)

            target.write(f"{split}.csv", produce)
        typed = {name: _as_read(kind, gap=name in gaps) for _, name, kind in columns}
        files = {split: [f"{split}.csv"] for split in contents.splits}
        told = config(features.for_card(typed), files)
        # Else a prompt such as "None" would be read as no prompt.
        return {"configs": [{**told, "keep_default_na": False, "na_values": [""]}]}


def _write(
    file: BinaryIO,
    contents: Contents,
    split: str,
    columns: list[tuple[tuple[str, ...], str, Type]],
    gaps: set[str],
) -> None:
    text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([name for _, name, _ in columns])
    for _, row in contents.samples(split):
        cells = list(_cells(row, columns))
        gaps.update(name for cell, (_, name, _) in zip(cells, columns, strict=True) if cell == "")
        lines.writerow(cells)
    text.flush()
    text.detach()


def _cells(
    row: Mapping[str, Any], columns: list[tuple[tuple[str, ...], str, Type]]
) -> Iterator[str]:
    for path, _, kind in columns:
        value = at(row, path)
        if value is None:
            yield ""
        elif kind.kind in (Kind.TEXT, Kind.JSON):
            yield value
        else:
            yield as_text(value)


def _as_read(kind: Type, *, gap: bool) -> Type:
    """The type that a reader of CSV can give a column: whole numbers and truth values have no
    empty cells there."""
    if kind.kind is Kind.INT and gap:
        return FLOAT
    if kind.kind in (Kind.LIST, Kind.STRUCT) or (kind.kind is Kind.BOOL and gap):
        return TEXT
    return kind
