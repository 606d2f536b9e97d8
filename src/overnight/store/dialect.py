"""What differs between databases, in one place; nothing else may know which one it is.

What needs no SQLAlchemy is in :mod:`overnight.store.driver`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Integer,
    Select,
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
from sqlalchemy.types import TypeEngine

from overnight.store import driver

LOADING_CACHE_KB = 64_000
"""Memory for pages while many rows come in. Fingerprints go into their index at random places, and
a page that had to leave is written once more for each time it comes back."""


def prepare(engine: Engine, *, owns_checkpoints: bool) -> None:
    """Give every new connection of ``engine`` our settings; ``owns_checkpoints`` as in
    :func:`overnight.store.driver.settle`."""

    def connected(connection: Any, _record: object) -> None:
        # Transactions are begun by `begun` below, never by the driver.
        connection.isolation_level = None
        driver.settle(connection, owns_checkpoints=owns_checkpoints)

    def begun(connection: Any) -> None:
        # A deferred BEGIN that writes later fails with "locked" under contention.
        reading = connection.get_execution_options().get("reading", False)
        write(connection, "BEGIN" if reading else "BEGIN IMMEDIATE", ())

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


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
    try:
        return _raw(connection).execute(text, values).rowcount
    except sqlite3.Error as error:
        raise _as_sqlalchemy_says(error, text, connection) from error


def read(connection: Connection, text: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a :func:`printed` SELECT, as the driver has them; the rest as :func:`write`."""
    try:
        return _raw(connection).execute(text, values).fetchall()
    except sqlite3.Error as error:
        raise _as_sqlalchemy_says(error, text, connection) from error


def _raw(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _as_sqlalchemy_says(error: sqlite3.Error, text: str, connection: Connection) -> BaseException:
    return DBAPIError.instance(text, None, error, sqlite3.Error, dialect=connection.dialect)


def texts(name: str) -> TableValuedAlias:
    """A table of one column, ``value``, whose rows are given as a JSON list in ``name``."""
    return _listed(name, Text())


def numbers(name: str) -> TableValuedAlias:
    """The same of whole numbers."""
    return _listed(name, Integer())


def _listed(name: str, of: TypeEngine[Any]) -> TableValuedAlias:
    listed = func.json_each(bindparam(name, type_=Text))
    return listed.table_valued(sql_column("value", of), name="listed")


def has_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column that holds a JSON list, or NULL, has one of the texts that are given as a
    JSON list in ``name``."""
    held = func.json_each(column).table_valued(sql_column("value", Text), name="held")
    return exists(select(held.c.value).where(held.c.value.in_(select(texts(name).c.value))))


def printed(statement: Select[Any]) -> str:
    """``statement`` as the text that the driver is given, on one line, with its parameters by
    name. All of them have to be given when it is run: a value that stands already belongs into
    the text."""
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    given = {name: value for name, value in compiled.params.items() if value is not None}
    assert not given, f"{given} would have to be printed beside the text"
    return " ".join(str(compiled).split())


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
