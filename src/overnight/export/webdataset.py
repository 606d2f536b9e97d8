"""``webdataset``: tar files that are read from front to back, a sample's members side by side.

``data/train-000000.tar`` holds ``NAME.mp4`` and ``NAME.json`` for each sample. Everything after a
name's first dot is its suffix there, so names have none. Beside each tar stands a Parquet table of
the same name: its samples, and the failed and unknown jobs that belong between them.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from overnight.export import features
from overnight.export.columns import TEXT, Type, as_text, conformed
from overnight.export.entry import Entry
from overnight.export.formats import Contents, Format, Survey, config
from overnight.export.parquet import GROUP_ROWS, digest_of_lines, held
from overnight.export.place import Reader
from overnight.export.request import Request, Shards
from overnight.export.tables import json_line
from overnight.export.target import Target

_BLOCK = 512
"""A tar's unit: each member is a header of one, and its bytes rounded up."""


@dataclass
class Shard:
    """The entries of one tar, and of its table: ``samples`` are those with a file."""

    entries: list[Entry] = field(default_factory=list)
    samples: int = 0
    bytes: int = 0

    def has_room(self, size: int, bounds: Shards) -> bool:
        """Whether one more sample may go in; the first one always may."""
        fits = self.bytes + size <= bounds.bytes and self.samples < bounds.samples
        return self.samples == 0 or fits

    def add(self, entry: Entry, size: int) -> None:
        self.entries.append(entry)
        if entry.left_out is None:
            self.samples += 1
            self.bytes += size


class WebDataset(Format):
    """Tars and their tables."""

    dots = False

    def __init__(self, request: Request, survey: Survey) -> None:
        super().__init__(request, survey)
        self._arrow = features.arrow()
        # Every sample of a data set has the same suffixes: the most frequent one decides.
        ranked = sorted(survey.suffixes.items(), key=lambda one: (-one[1], one[0]))
        self._suffix = ranked[0][0] if ranked else ".bin"

    @classmethod
    def require(cls) -> None:
        features.arrow()

    def place(self, split: str, name: str) -> str | None:
        return None

    def file_name(self, split: str, name: str) -> str | None:
        return name

    def refusal(self, suffix: str, size: int) -> str | None:
        if suffix == self._suffix:
            return None
        return f"every sample of a tar has the same suffix, here {self._suffix}, not {suffix}"

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        columns = {**contents.types, "error": TEXT, "left_out": TEXT}
        schema = self._arrow.schema(
            [(name, features.arrow_type(kind)) for name, kind in columns.items()]
        )
        files = {}
        for split in contents.splits:
            for number, shard in enumerate(self._shards(contents, split)):
                name = f"data/{split}-{number:06}"
                _pack(target, f"{name}.tar", shard, contents)
                self._table(target, f"{name}.parquet", shard, columns, schema)
            files[split] = [f"data/{split}-*.tar"]
        told = config(None, files)
        return {"configs": [told], "dataset_info": {"features": self._features(contents)}}

    def usage(self, contents: Contents) -> list[str]:
        [first, *_] = contents.splits
        return [
            *super().usage(contents),
            "",
            "# or, as a stream:",
            "import webdataset",
            "",
            f'stream = webdataset.WebDataset("data/{first}-000000.tar", shardshuffle=False)',
        ]

    def _features(self, contents: Contents) -> list[dict[str, Any]]:
        media = self._suffix.removeprefix(".")
        return [
            {"name": "json", "struct": features.for_card(contents.types)},
            {"name": media, "dtype": features.media_of(self._suffix) or "binary"},
            {"name": "__key__", "dtype": "string"},
            {"name": "__url__", "dtype": "string"},
        ]

    def _shards(self, contents: Contents, split: str) -> Iterator[Shard]:
        shard = Shard()
        for entry in contents.entries(split):
            size = 0
            if entry.left_out is None:
                row = json_line(conformed(entry.row, contents.types))
                size = sum(_BLOCK + -(-n // _BLOCK) * _BLOCK for n in (entry.size, len(row)))
                if not shard.has_room(size, self._request.shards):
                    yield shard
                    shard = Shard()
            shard.add(entry, size)
        if shard.samples:
            yield shard

    def _table(
        self, target: Target, name: str, shard: Shard, columns: dict[str, Type], schema: Any
    ) -> None:
        pa = self._arrow

        def make(path: Path) -> None:
            with closing(pa.parquet.ParquetWriter(path, schema)) as writer:
                for start in range(0, len(shard.entries), GROUP_ROWS):
                    group = shard.entries[start : start + GROUP_ROWS]
                    rows = [_indexed(entry, columns) for entry in group]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        lines = (as_text(_indexed(entry, columns)) for entry in shard.entries)
        head = (pa.__version__, str(schema.to_string()))
        target.keep_or_make(name, digest_of_lines(chain(head, lines)), make)


def _indexed(entry: Entry, columns: dict[str, Type]) -> dict[str, Any]:
    """An entry's row in the table beside a tar."""
    row = conformed(entry.row, columns)
    return {**row, "error": entry.error, "left_out": entry.left_out}


def _pack(target: Target, name: str, shard: Shard, contents: Contents) -> None:
    """One tar. Its bytes depend on nothing but the rows and the files."""
    samples = [entry for entry in shard.entries if entry.left_out is None]

    def rows() -> Iterator[dict[str, Any]]:
        return (conformed(entry.row, contents.types) for entry in samples)

    def make(path: Path) -> None:
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for entry, row in zip(samples, rows(), strict=True):
                stem = entry.name.partition(".")[0]
                line = json_line(row)
                _member(tar, f"{stem}.json", len(line), io.BytesIO(line))
                with held(entry) as reader:
                    _member(tar, entry.name, entry.size, reader)

    target.keep_or_make(name, digest_of_lines(as_text(row) for row in rows()), make)


def _member(tar: tarfile.TarFile, name: str, size: int, content: io.BytesIO | Reader) -> None:
    told = tarfile.TarInfo(name)
    told.size = size
    told.mode = 0o644
    told.mtime = 0
    tar.addfile(told, content)
