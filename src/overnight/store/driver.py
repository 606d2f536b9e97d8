"""What differs between databases once one is open: its settings, how a list is handed to it, and
its errors as sentences. The half of :mod:`overnight.store.dialect` that needs no SQLAlchemy:
``status``, ``jobs`` and ``show`` have answered before that is imported.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from overnight.store.errors import DatabaseUnusable


def _as_it_is(value: None) -> None:
    return value


# The driver asks of every None how it is to be written, finds no answer and raises an error that it
# then swallows, which takes twice as long as all else about that value. This is an answer.
sqlite3.register_adapter(type(None), _as_it_is)


class Reader(Protocol):
    """What a read is given: a connection, SQLAlchemy's or one of :mod:`overnight.store.reading`,
    that runs a text with the values of its parameters, and gives back rows as tuples."""

    def exec_driver_sql(self, statement: str, parameters: Mapping[str, Any], /) -> Iterable[Any]:
        """Run one statement."""


BUSY_TIMEOUT_MS = 60_000
"""How long a command waits for another process's write to end before it gives up."""

WORKER_BUSY_TIMEOUT_MS = 15 * 60_000
"""How long the worker waits: a manifest of a million jobs is loaded in one transaction, and a
night's run must outlast that also on a slow disk."""

OLDEST = (3, 33)
"""The first SQLite that has ``UPDATE … FROM``, which the worker's steps are written with."""


def require_new_enough() -> None:
    """Raise :class:`DatabaseUnusable` where Python came with a SQLite that is too old: a claim
    would fail, and say no more than that there is a syntax error."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise DatabaseUnusable(
            f"SQLite {sqlite3.sqlite_version} is too old: overnight needs "
            f"{'.'.join(map(str, OLDEST))} or newer. Install overnight with a Python that brings "
            "a newer one, such as python.org's or uv's."
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection of one's own, for reading; whoever opens it closes it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        settle(connection, owns_checkpoints=False)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: sqlite3.Connection, *, owns_checkpoints: bool) -> None:
    """Give a new connection our settings.

    ``owns_checkpoints``: only the worker's writing connection checkpoints the WAL. Two
    connections that write and checkpoint at one instant can corrupt it in SQLite versions before
    3.51.3.
    """
    cursor = connection.cursor()
    patience = WORKER_BUSY_TIMEOUT_MS if owns_checkpoints else BUSY_TIMEOUT_MS
    cursor.execute(f"PRAGMA busy_timeout = {patience}")
    _read_schema(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    if not owns_checkpoints:
        cursor.execute("PRAGMA wal_autocheckpoint = 0")
    cursor.close()


def _read_schema(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL, which is the first thing that reads the file."""
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except UnicodeDecodeError as error:
        # SQLite quotes what is damaged, and the driver can't decode the quotation.
        damaged = sqlite3.DatabaseError("malformed database schema")
        damaged.sqlite_errorname = "SQLITE_CORRUPT"
        raise damaged from error


TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
)
"""The names of the tables that somebody made."""


def bound(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a statement is given, in the types of the driver: a list goes as its JSON."""
    return {
        name: json.dumps(value) if isinstance(value, list | tuple) else value
        for name, value in values.items()
    }


def plainly(error: BaseException, where: str) -> DatabaseUnusable:
    """A driver's error as a sentence for the user. ``where`` names the database."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", "") or ""
    said = str(cause)
    for prefix, sentence in _SENTENCES.items():
        if name.startswith(prefix):
            return DatabaseUnusable(sentence.format(where=where, said=said))
    if isinstance(cause, sqlite3.Error):
        return DatabaseUnusable(f"{where}: SQLite says: {said}.")
    return DatabaseUnusable(f"{where}: {said}.")


_SENTENCES = {
    "SQLITE_NOTADB": "{where} is not a SQLite database. Name another file with --db.",
    "SQLITE_CORRUPT": (
        "{where} is damaged ({said}). Stop everything that uses it, keep a copy, and restore a "
        "backup or recover it with `sqlite3 FILE .recover`."
    ),
    "SQLITE_FULL": "{where}: the disk is full. Free some space, then type the same command again.",
    "SQLITE_READONLY": "{where} can't be written to. Change its permissions or name another --db.",
    "SQLITE_CANTOPEN": (
        "{where} can't be opened. Check that the folder exists and that you may write there."
    ),
    "SQLITE_IOERR": (
        "{where}: the disk reported an error ({said}). What was said to be saved is saved; check "
        "the disk before you go on."
    ),
    "SQLITE_BUSY": (
        "{where} has been locked by another program for too long. Find it, then type the same "
        "command again."
    ),
}
