"""What differs between databases, in one place; nothing else may know which one it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Table,
    Text,
    bindparam,
    event,
    exists,
    func,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.selectable import TableValuedAlias

from overnight.store.errors import DatabaseUnusable

BUSY_TIMEOUT_MS = 60_000
"""How long a command waits for another process's write to end before it gives up."""

WORKER_BUSY_TIMEOUT_MS = 15 * 60_000
"""How long the worker waits: a manifest of a million jobs is loaded in one transaction, and a
night's run must outlast that also on a slow disk."""

LOADING_CACHE_KB = 64_000
"""Memory for pages while many rows come in. Fingerprints go into their index at random places, and
a page that had to leave is written once more for each time it comes back."""


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


def prepare(engine: Engine, *, owns_checkpoints: bool) -> None:
    """Give every new connection of ``engine`` our settings.

    ``owns_checkpoints``: only the worker's writing connection checkpoints the WAL. Two
    connections that write and checkpoint at one instant can corrupt it in SQLite versions before
    3.51.3.
    """

    def connected(connection: Any, _record: object) -> None:
        # Transactions are begun by `begun` below, never by the driver.
        connection.isolation_level = None
        cursor = connection.cursor()
        patience = WORKER_BUSY_TIMEOUT_MS if owns_checkpoints else BUSY_TIMEOUT_MS
        cursor.execute(f"PRAGMA busy_timeout = {patience}")
        _read_schema(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        if not owns_checkpoints:
            cursor.execute("PRAGMA wal_autocheckpoint = 0")
        cursor.close()

    def begun(connection: Any) -> None:
        # A deferred BEGIN that writes later fails with "locked" under contention.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _read_schema(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL, which is the first thing that reads the file."""
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except UnicodeDecodeError as error:
        # SQLite quotes what is damaged, and the driver can't decode the quotation.
        damaged = sqlite3.DatabaseError("malformed database schema")
        damaged.sqlite_errorname = "SQLITE_CORRUPT"
        raise damaged from error


def insert_new(table: Table, unique: list[str]) -> Insert:
    """An INSERT that passes over rows whose ``unique`` columns are there already."""
    return sqlite.insert(table).on_conflict_do_nothing(index_elements=unique)


def insert_or_set(table: Table, given: FromClause, unique: list[str], others: list[str]) -> Insert:
    """An INSERT of the rows of ``given`` that sets ``others`` where a row with the same ``unique``
    columns is there already. Both are columns of both; a row without the first one is no row."""
    there = given.c[unique[0]].is_not(None)
    rows = select(*[given.c[name] for name in unique + others]).where(there)
    insert = sqlite.insert(table).from_select(unique + others, rows)
    new = {name: insert.excluded[name] for name in others}
    return insert.on_conflict_do_update(index_elements=unique, set_=new)


def write(connection: Connection, text: str, values: tuple[Any, ...]) -> int:
    """Run a compiled INSERT, UPDATE or DELETE; returns how many rows it wrote.

    Goes straight to the driver, and fails as SQLAlchemy does: what that does around one execution
    costs as much as SQLite does with ten rows.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        return driver.execute(text, values).rowcount
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            text, None, error, sqlite3.Error, dialect=connection.dialect
        ) from error


def texts(name: str) -> TableValuedAlias:
    """A table of one column, ``value``, whose rows are given as a JSON list in ``name``."""
    listed = func.json_each(bindparam(name, type_=Text))
    return listed.table_valued(sql_column("value", Text), name="listed")


def has_one_of(column: ColumnElement[Any], wanted: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column that holds a JSON list, or NULL, has one of the texts ``wanted``."""
    held = func.json_each(column).table_valued(sql_column("value", Text), name="held")
    return exists(select(held.c.value).where(held.c.value.in_(wanted)))


def insert_many(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Insert ``rows``, whose values stand as ``columns`` say, passing over each that breaks a
    unique rule; returns how many were inserted.

    Goes straight to the driver: what SQLAlchemy does for each row costs as much as SQLite does.
    """
    if not rows:
        return 0
    result = connection.exec_driver_sql(_insert_text(table, tuple(columns)), list(rows))
    return result.rowcount


@cache
def _insert_text(table: Table, columns: tuple[str, ...]) -> str:
    statement = sqlite.insert(table).values({name: bindparam(name) for name in columns})
    compiled = statement.on_conflict_do_nothing().compile(dialect=sqlite.dialect())
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup == list(columns), "columns come in the table's own order"
    return str(compiled)


@contextmanager
def room_for_many(connection: Connection) -> Iterator[None]:
    """More memory for pages while many rows come in."""
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = -{LOADING_CACHE_KB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {int(before)}")


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
