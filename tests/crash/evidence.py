"""What a database and a folder look like after a kill, read without any of overnight's own code.

The files of the database are copied first, so that whoever runs next finds them exactly as the
kill left them and has to recover them itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """The database at one moment. ``requests`` is the job of each request id that is recorded;
    ``files`` are the recorded ones with their size and SHA-256."""

    states: dict[int, str] = field(default_factory=dict)
    inputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Everything there is, by table: two moments are the same when these are."""

    def job_of(self, inputs: dict[str, Any]) -> int:
        """The job that has these inputs; each has its own."""
        [job] = [job for job, own in self.inputs.items() if own == inputs]
        return job

    def count(self, state: str) -> int:
        return sum(own == state for own in self.states.values())


def read(database: Path) -> Table:
    """The database as the next program will find it; checks that it is sound.

    Empty when a kill came before there was a schema.
    """
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            part = database.with_name(database.name + suffix)
            if part.exists():
                shutil.copy(part, folder)
        copy = Path(folder) / database.name
        if not copy.exists():
            return Table()
        with closing(sqlite3.connect(copy)) as connection:
            return _read(connection)


def _read(connection: sqlite3.Connection) -> Table:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
    ]
    if "jobs" not in names:
        return Table()
    _require_true_tallies(connection)
    requests = connection.execute(
        "SELECT request_id, job_id FROM attempts WHERE request_id IS NOT NULL"
    ).fetchall()
    assert len(dict(requests)) == len(requests), "a request belongs to two attempts"
    files = connection.execute(
        "SELECT path, bytes, sha256 FROM artifacts WHERE path IS NOT NULL"
    ).fetchall()
    assert len({path for path, _, _ in files}) == len(files), "two results share a file"
    inputs = connection.execute("SELECT id, inputs FROM jobs").fetchall()
    return Table(
        states=dict(connection.execute("SELECT id, state FROM jobs").fetchall()),
        inputs={job: json.loads(text) for job, text in inputs},
        requests=dict(requests),
        files={path: (size, digest) for path, size, digest in files},
        rows={name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names},
    )


def _require_true_tallies(connection: sqlite3.Connection) -> None:
    counted = connection.execute("SELECT batch_id, state, count(*) FROM jobs GROUP BY 1, 2")
    kept = connection.execute("SELECT batch_id, state, jobs FROM tallies WHERE jobs != 0")
    assert Counter(counted.fetchall()) == Counter(kept.fetchall())


def is_locked(database: Path) -> bool:
    """Whether somebody holds SQLite's write lock at this moment."""
    with closing(sqlite3.connect(database, timeout=0.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def require_whole(files: dict[str, tuple[int, str]]) -> None:
    """Every recorded file is on disk and is exactly what the record says."""
    for path, (size, digest) in files.items():
        content = Path(path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), path
