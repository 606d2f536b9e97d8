"""Opening a database: where it is, whether it is ours, and whether its schema fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, select, table
from sqlalchemy import column as sql_column
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.pool import NullPool

from overnight.store import dialect
from overnight.store.errors import (
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseTooNew,
    DatabaseUnusable,
)
from overnight.store.tables import SCHEMA_HEAD

DEFAULT = "overnight.db"


def locate(named: str) -> URL:
    """A path or a URL, as given with ``--db``, as a database URL.

    Raises :class:`DatabaseUnusable` for a URL of a kind that is not supported.
    """
    if "://" not in named:
        return URL.create("sqlite", database=str(Path(named).expanduser().absolute()))
    try:
        url = make_url(named)
    except ArgumentError as error:
        raise DatabaseUnusable(
            f"{named!r} is not a database URL. Give a path, or sqlite:///FILE."
        ) from error
    if url.get_backend_name() != "sqlite":
        raise DatabaseUnusable(
            f"{url.get_backend_name()} is not supported yet. Give a path, or sqlite:///FILE."
        )
    if not url.database or url.database == ":memory:":
        raise DatabaseUnusable("A queue must outlive its program: name a file with --db.")
    return url.set(drivername="sqlite", database=str(Path(url.database).absolute()))


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
            raise dialect.plainly(error, str(self.path)) from error


_ANY_THREAD = {"check_same_thread": False}


def connect(named: str, *, create: bool = False) -> Database:
    """The database that ``named`` points at, whatever its schema; see :func:`open_database`.

    ``create``: a missing file is made, empty. Raises :class:`DatabaseMissing` otherwise.
    """
    dialect.require_new_enough()
    url = locate(named)
    path = Path(url.database or "")
    if path.is_dir():
        raise DatabaseUnusable(f"{path} is a folder. Name a file with --db.")
    if not path.exists():
        if not create:
            raise DatabaseMissing(
                f"There is no database at {path}. Load a manifest first "
                "(`overnight load FILE`), or name another one with --db."
            )
        if not path.parent.is_dir():
            raise DatabaseUnusable(f"The folder {path.parent} does not exist. Make it first.")
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
    """The schema revision of ``database``; None for an empty file.

    Raises :class:`DatabaseUnusable` when the file holds somebody else's tables.
    """
    with database.reading() as connection:
        names = inspect(connection).get_table_names()
        if not names:
            return None
        if "alembic_version" not in names or ("jobs" not in names and len(names) > 1):
            raise DatabaseUnusable(
                f"{database} holds tables of another program. Name another file with --db."
            )
        version = table("alembic_version", sql_column("version_num"))
        revision = connection.scalar(select(version.c.version_num))
    return None if revision is None else str(revision)


def require_head(database: Database, revision: str | None) -> None:
    """Raise unless ``revision`` is the one that this program reads and writes."""
    if revision == SCHEMA_HEAD:
        return
    if revision is None:
        raise DatabaseOutdated(
            f"{database} is empty. Load a manifest into it with `overnight load FILE`."
        )
    _require_known(database, revision)
    raise DatabaseOutdated(
        f"{database} has an older schema ({revision}; this overnight uses {SCHEMA_HEAD}). "
        "Run `overnight db upgrade`; it is quick and keeps everything."
    )


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring ``database`` to the newest schema, in one transaction; from and to are returned.

    Raises :class:`DatabaseTooNew` for a schema that this program does not know.
    """
    # Imported late: Alembic costs more than most commands take.
    from overnight.store import migrations

    before = revision_of(database)
    if before is not None:
        _require_known(database, before)
    with database.writing() as connection:
        migrations.apply(connection)
    return before, SCHEMA_HEAD


def _require_known(database: Database, revision: str) -> None:
    # Revisions are numbered in order, so that an old program can tell newer from broken.
    if revision > SCHEMA_HEAD:
        raise DatabaseTooNew(
            f"{database} was written by a newer overnight (schema {revision}; this one knows "
            f"{SCHEMA_HEAD}). Upgrade overnight: pip install --upgrade overnight."
        )
