"""An export as a SQLite file of its own, laid out for people who browse it.

Three tables: ``jobs``, ``attempts`` and ``files``, with foreign keys between them and an index on
what people filter by. The file is written in one transaction and compacted at the end, so the same
rows give the same bytes with the same SQLite library. It has nothing to do with the queue's own
schema, which may change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ATTEMPTS = {
    "number": "INTEGER NOT NULL",
    "request_id": "TEXT",
    "intent_at": "TEXT NOT NULL",
    "accepted_at": "TEXT",
    "running_at": "TEXT",
    "finished_at": "TEXT",
    "ended_at": "TEXT",
    "outcome": "TEXT",
    "error": "TEXT",
    "cost": "REAL",
}
_FILES = {
    "position": "INTEGER NOT NULL",
    "path": "TEXT",
    "bytes": "INTEGER",
    "sha256": "TEXT",
    "content_type": "TEXT",
    "suspect": "TEXT",
    "left_out": "TEXT",
}
_INDEXED = ("state", "model", "block", "batch", "fingerprint", "left_out")


class DatasetFile:
    """A file under way. ``columns`` leads from each column of ``jobs`` to its SQLite type; names
    are taken as they are, and must differ by more than their case."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._columns = {"id": "INTEGER PRIMARY KEY", **columns}
        # The file has no name that anybody reads yet, so nothing is lost with it.
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._run("PRAGMA journal_mode = OFF")
        self._run("PRAGMA synchronous = OFF")
        self._run("PRAGMA foreign_keys = ON")
        self._run("BEGIN")
        self._create()
        self._insert_job = _insert("jobs", list(self._columns))
        self._insert_attempt = _insert("attempts", ["job_id", *_ATTEMPTS])
        self._insert_file = _insert("files", ["job_id", *_FILES])

    def add_job(self, number: int, values: Mapping[str, Any]) -> None:
        """A row of ``jobs``; columns that ``values`` lacks are NULL."""
        row = [number, *[values.get(name) for name in list(self._columns)[1:]]]
        self._run(self._insert_job, row)

    def add_attempt(self, job: int, values: Mapping[str, Any]) -> None:
        """A try of the job with that number."""
        self._run(self._insert_attempt, [job, *[values.get(name) for name in _ATTEMPTS]])

    def add_file(self, job: int, values: Mapping[str, Any]) -> None:
        """A file of the job with that number."""
        self._run(self._insert_file, [job, *[values.get(name) for name in _FILES]])

    def finish(self) -> None:
        """Make the indexes, commit and compact."""
        for name in _INDEXED:
            if name in self._columns:
                self._run(f"CREATE INDEX {_quoted('jobs_' + name)} ON jobs ({_quoted(name)})")
        self._run("CREATE INDEX files_sha256 ON files (sha256)")
        self._run("COMMIT")
        self._run("VACUUM")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _create(self) -> None:
        self._run(_table("jobs", self._columns))
        for name, columns, number in (
            ("attempts", _ATTEMPTS, "number"),
            ("files", _FILES, "position"),
        ):
            owned = {"job_id": "INTEGER NOT NULL REFERENCES jobs (id)", **columns}
            self._run(_table(name, owned, f", PRIMARY KEY (job_id, {number})"))

    def _run(self, statement: str, values: Sequence[Any] = ()) -> None:
        with closing(self._connection.execute(statement, values)):
            return


def _table(name: str, columns: Mapping[str, str], key: str = "") -> str:
    listed = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns.items())
    return f"CREATE TABLE {name} ({listed}{key})"


def _insert(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(_quoted(column) for column in columns)
    marks = ", ".join("?" * len(columns))
    # Every name is quoted by SQLite's own rule, and every value is a parameter.
    return f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
