"""One line of an export under way: a sample, or a job that is told of but is none.

Entries are kept in a file while the export works (a *spool*), so that the database is read once,
quickly, and the data set's columns are known before its first row is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(slots=True)
class Entry:
    """``row`` holds the columns, ``file`` the record of the file (None for a job without one).

    ``left_out`` is a reason of :mod:`overnight.export.report`; None makes it a sample. ``given``
    are a failed job's inputs, local files by their absolute paths; once it has been placed, under
    names that a manifest takes. ``split`` and ``name`` (its file's
    name in the data set) are empty until it has been placed.
    """

    job: int
    row: dict[str, Any]
    file: dict[str, Any] | None
    state: str
    error: str | None
    folder: str
    history: list[dict[str, Any]]
    left_out: str | None = None
    given: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    name: str = ""

    @property
    def size(self) -> int:
        """Bytes of its file; 0 without one."""
        return 0 if self.file is None else int(self.file["bytes"] or 0)

    def as_line(self) -> bytes:
        values = [getattr(self, name) for name in Entry.__slots__]
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Entry:
        return cls(*json.loads(line.decode("utf-8", "surrogatepass")))


class Spool:
    """A file of entries: written once, then read as often as needed, one entry at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def add(self, entry: Entry) -> None:
        self._file.write(entry.as_line())

    def __iter__(self) -> Iterator[Entry]:
        self._file.flush()
        with self._path.open("rb") as lines:
            for line in lines:
                yield Entry.from_line(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
