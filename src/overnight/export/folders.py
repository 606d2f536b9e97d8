"""``videofolder`` and ``imagefolder``: clips or pictures in folders, with a ``metadata.jsonl``.

The card names exactly which files belong to a split and what types the columns have: without it
the loaders take every stray file for data and guess types split by split. ``files`` is the same
without tables: only the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from overnight.export import features
from overnight.export.columns import Type
from overnight.export.evenness import Even, look_through
from overnight.export.formats import Contents, Format, config
from overnight.export.tables import json_line
from overnight.export.target import Target

METADATA = "metadata.jsonl"


class _Folder(Format):
    """``train/videos/NAME`` beside ``train/metadata.jsonl``."""

    media: str
    suffixes: frozenset[str]

    @property
    def _folder(self) -> str:
        return f"{self.media}s"

    def place(self, split: str, name: str) -> str | None:
        return f"{split}/{self._folder}/{name}"

    def file_name(self, split: str, name: str) -> str | None:
        return f"{self._folder}/{name}"

    def refusal(self, suffix: str, size: int) -> str | None:
        if suffix in self.suffixes:
            return None
        known = ", ".join(sorted(self.suffixes))
        return f"the {self.media}folder loader knows {known}, not {suffix}"

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        even = look_through(contents, across=True)
        files: dict[str, list[str]] = {}
        for split in contents.splits:
            found: set[str] = set()

            def produce(file: BinaryIO, split: str = split, found: set[str] = found) -> None:
                for suffix, line in _lines(contents, split, even):
                    found.add(suffix)
                    file.write(line)

            target.write(f"{split}/{METADATA}", produce)
            patterns = [f"{split}/{self._folder}/*{suffix}" for suffix in sorted(found)]
            files[split] = [*patterns, f"{split}/{METADATA}"]
        contents.report.as_json_text += sorted(".".join(path) for path in even.as_json)
        return {"configs": [config(self._features(even.types(contents.types)), files)]}

    def _features(self, types: dict[str, Type]) -> list[dict[str, Any]]:
        listed = features.for_card({n: kind for n, kind in types.items() if n != "file_name"})
        return [{"name": self.media, "dtype": self.media}, *listed]


class VideoFolder(_Folder):
    """Clips."""

    media = "video"
    suffixes = features.VIDEO


class ImageFolder(_Folder):
    """Pictures."""

    media = "image"
    suffixes = features.IMAGE


class FilesOnly(Format):
    """The files, in a folder for each split where splits were asked for."""

    carded = False

    def place(self, split: str, name: str) -> str | None:
        return f"{split}/{name}" if self._request.split else name

    def file_name(self, split: str, name: str) -> str | None:
        return self.place(split, name)

    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        return {}


def _lines(contents: Contents, split: str, even: Even) -> Iterator[tuple[str, bytes]]:
    """Each sample's suffix and line: first those from which the columns' types can be seen."""
    first = even.first[split]
    for early in (True, False):
        for number, (entry, row) in enumerate(contents.samples(split)):
            if (number in first) is early:
                named = {"file_name": row["file_name"], **even.row(row)}
                yield f".{entry.name.rpartition('.')[2]}", json_line(named)
