"""Opening a database through SQLAlchemy, for whoever writes, and for most of those who read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from overnight.store import dialect, driver, opening
from overnight.store.opening import SCHEMA_HEAD


@dataclass(frozen=True)
class Database:
    """An open database: short transactions for people's commands, and engines for the worker."""

    url: URL
    engine: Engine

    @property
    def path(self) -> Path:
        return Path(self.url.database or "")

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the data; never blocks the writer."""
        with self._plainly(), self.engine.connect() as connection:
            connection = connection.execution_options(reading=True)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One short write transaction, for commands; the worker writes through its Writer."""
        with self._plainly(), self.engine.begin() as connection:
            yield connection

    def writer_engine(self) -> Engine:
        """An engine whose single connection writes and checkpoints; the caller disposes of it."""
        engine = create_engine(self.url, poolclass=NullPool, connect_args=_ANY_THREAD)
        dialect.prepare(engine, owns_checkpoints=True)
        return engine

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise driver.plainly(error, str(self.path)) from error


_ANY_THREAD = {"check_same_thread": False}


def connect(named: str, *, create: bool = False) -> Database:
    """The database that ``named`` points at, whatever its schema; see :func:`open_database`.

    ``create``: a missing file is made, empty. Raises :class:`DatabaseMissing` otherwise.
    """
    driver.require_new_enough()
    path = opening.locate(named)
    opening.require_there(path, create=create)
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args=_ANY_THREAD)
    dialect.prepare(engine, owns_checkpoints=False)
    return Database(url, engine)


def open_database(named: str, *, create: bool = False) -> Database:
    """A database whose schema is the one this program knows.

    ``create``: a missing or empty one is made and brought to the newest schema. Raises
    :class:`DatabaseOutdated`, :class:`DatabaseTooNew` or :class:`DatabaseUnusable`.
    """
    database = connect(named, create=create)
    try:
        revision = revision_of(database)
        if revision is None and create:
            upgrade(database)
        else:
            require_head(database, revision)
    except BaseException:
        database.close()
        raise
    return database


def revision_of(database: Database) -> str | None:
    """The schema revision of ``database``, as :func:`overnight.store.opening.revision` reads it."""
    with database.reading() as connection:
        return opening.revision(connection, str(database))


def require_head(database: Database, revision: str | None) -> None:
    """Raise unless ``revision`` is the one that this program reads and writes."""
    opening.require_head(revision, str(database))


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring ``database`` to the newest schema, in one transaction; from and to are returned.

    Raises :class:`DatabaseTooNew` for a schema that this program does not know.
    """
    # Imported late: Alembic costs more than most commands take.
    from overnight.store import migrations

    before = revision_of(database)
    if before is not None:
        opening.require_known(before, str(database))
    with database.writing() as connection:
        migrations.apply(connection)
    return before, SCHEMA_HEAD
