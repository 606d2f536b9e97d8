"""``parquet``: self-contained tables, the files inside them, a shard for every so many bytes.

``data/train-00000-of-00002.parquet`` has a row for each sample and a column ``video``, ``image``,
``audio`` or ``file`` with the file's bytes and name, in the form that loaders decode. Row groups
are kept small, so neither writing nor reading needs a shard in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from overnight.export import features, place
from overnight.export.columns import Type, as_text, conformed
from overnight.export.entry import Entry
from overnight.export.errors import ExportError, LeftOut
from overnight.export.formats import Contents, Format, Survey, config
from overnight.export.request import Request, Shards
from overnight.export.target import Target

GROUP_BYTES = 64 << 20
GROUP_ROWS = 1_000
"""Bounds of a row group."""
LARGEST = 2**31 - 1 - GROUP_BYTES
"""Bytes of the largest file that fits into a row."""


class Parquet(Format):
    """Tables with the files inside."""

    needs_file = False

    def __init__(self, request: Request, survey: Survey) -> None:
        super().__init__(request, survey)
        self._arrow = features.arrow()
        kinds = {features.media_of(suffix) for suffix in survey.suffixes}
        self._media = kinds.pop() if len(kinds) == 1 else None

    @property
    def column(self) -> str:
        """The column of files."""
        return self._media or "file"

    @classmethod
    def require(cls) -> None:
        features.arrow()

    def place(self, split: str, name: str) -> str | None:
        return None

    def file_name(self, split: str, name: str) -> str | None:
        return name

    def refusal(self, suffix: str, size: int) -> str | None:
        return None if size <= LARGEST else "it is too large for a row, which holds 2 GB"

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        schema = self._schema(contents.types)
        files = {}
        for split in contents.splits:
            sizes = [entry.size for entry, _ in contents.samples(split)]
            shards = list(cut(sizes, self._request.shards))
            rows = contents.samples(split)
            for number, length in enumerate(shards):
                name = f"data/{split}-{number:05}-of-{len(shards):05}.parquet"
                entries = [entry for entry, _ in islice(rows, length)]
                self._shard(target, name, entries, schema, contents.types)
            files[split] = [f"data/{split}-*.parquet"]
        return {"configs": [config(None, files)]}

    def _schema(self, types: Mapping[str, Type]) -> Any:
        pa = self._arrow
        fields = [(name, features.arrow_type(kind)) for name, kind in types.items()]
        fields.append((self.column, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
        told = features.for_parquet(types, {self.column: self._media})
        return pa.schema(fields, metadata=told)

    def _shard(
        self,
        target: Target,
        name: str,
        entries: Sequence[Entry],
        schema: Any,
        types: Mapping[str, Type],
    ) -> None:
        pa = self._arrow

        def make(path: Path) -> None:
            with closing(pa.parquet.ParquetWriter(path, schema)) as writer:
                for group in _groups(entries):
                    rows = [{**conformed(one.row, types), self.column: _file(one)} for one in group]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))

        head = (pa.__version__, str(schema.to_string()), self.column)
        lines = (as_text(conformed(one.row, types)) for one in entries)
        recipe = digest_of_lines(chain(head, lines))
        target.keep_or_make(name, recipe, make)


def cut(sizes: Sequence[int], shards: Shards) -> Iterator[int]:
    """How many samples each shard takes, in order, within the bounds."""
    samples = held = 0
    for size in sizes:
        if samples and (held + size > shards.bytes or samples >= shards.samples):
            yield samples
            samples = held = 0
        samples += 1
        held += size
    if samples:
        yield samples


def digest_of_lines(lines: Iterable[str]) -> str:
    """What a packed file is made from, as one digest."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()


@contextmanager
def held(entry: Entry) -> Iterator[place.Reader]:
    """An entry's file to read to its end, proven once more.

    Raises :class:`~overnight.export.errors.ExportError`: it was right a moment ago.
    """
    assert entry.file is not None
    try:
        with place.proven(entry.file) as reader:
            yield reader
    except LeftOut as left:
        raise ExportError(
            f"{entry.file['path']} was changed while it was exported ({left.detail}). Type the "
            "same command again."
        ) from None


def _file(entry: Entry) -> dict[str, Any] | None:
    if entry.file is None:
        return None
    with held(entry) as reader:
        return {"bytes": reader.read(), "path": entry.name}


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    taken = 0
    for length in cut([one.size for one in entries], Shards(GROUP_BYTES, GROUP_ROWS)):
        yield list(entries[taken : taken + length])
        taken += length
