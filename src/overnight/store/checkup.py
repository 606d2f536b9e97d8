"""Looking a database over while others use it, and copying it whole: for ``doctor``, ``status``
and ``db backup``.

Nothing here writes to the database that is looked at. What is SQLite's own in it (its checks of
itself, its way of copying a database that is in use) has no meaning for another database and would
be another module there.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, func, select, table
from sqlalchemy import column as sql_column
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from overnight.lifecycle import State
from overnight.store import driver, holding, tally, views
from overnight.store.database import Database, revision_of
from overnight.store.errors import StoreError
from overnight.store.tables import attempts, batches, events, jobs, workers

COMPLAINTS = 5
"""Complaints of SQLite's own check that are read; one is enough to act."""

STEP = 2_000
"""Pages copied at a time by a backup: the copying stays interruptible between two steps."""


# --- SQLite itself --------------------------------------------------------------------------------


def sqlite_version() -> tuple[int, ...]:
    """The version of the SQLite library in use."""
    return sqlite3.sqlite_version_info


def has_wal_bug(version: tuple[int, ...]) -> bool:
    """Whether this SQLite can damage a WAL that two connections write and checkpoint at one
    instant: repaired in 3.51.3, and in 3.50.7 and 3.44.6 for their own lines."""
    for line, repaired in (((3, 44), (3, 44, 6)), ((3, 50), (3, 50, 7))):
        if version[:2] == line:
            return version < repaired
    return version < (3, 51, 3)


def complaints(connection: Connection, *, quick: bool = False) -> list[str]:
    """What SQLite's own check finds wrong, at most :data:`COMPLAINTS`; nothing in a sound file.

    ``quick`` leaves out whether the indexes agree with their tables: several times as fast.
    """
    pragma = "quick_check" if quick else "integrity_check"
    rows = connection.exec_driver_sql(f"PRAGMA {pragma}({COMPLAINTS})")
    # One complaint may be many lines; the first says what it is about.
    return [line for (text,) in rows for line in str(text).splitlines()[:2] if line != "ok"]


def wal_bytes(database: Database) -> int:
    """How large the write-ahead log beside the database is; 0 without one."""
    try:
        return database.path.with_name(database.path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


# --- whether the rows agree with each other -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Miscount:
    """A kept figure that is not what counting gives."""

    batch: str
    state: State
    kept: int
    counted: int


def miscounts(connection: Connection) -> list[Miscount]:
    """Where the kept figures differ from a count of the rows. Slow: every row is counted."""
    found = []
    for batch in views.all_batches(connection):
        counted = tally.recount(connection, batch.id)
        found += [
            Miscount(batch.name, state, batch.states[state], counted[state])
            for state in State
            if batch.states[state] != counted[state]
        ]
    return found


def newest_moment(connection: Connection) -> float | None:
    """The latest time that anything in the database says something happened at."""
    happened = (
        jobs.c.updated_at,
        batches.c.loaded_at,
        attempts.c.intent_at,
        workers.c.heartbeat_at,
        events.c.at,
    )
    moments = [connection.scalar(select(func.max(column))) for column in happened]
    return max((moment for moment in moments if moment is not None), default=None)


# --- workers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stale:
    """A worker that ended without saying so. ``heartbeat_at`` is its last sign of life."""

    host: str
    pid: int
    heartbeat_at: float


def stale_workers(connection: Connection, now: float) -> list[Stale]:
    """Workers that never said that they stopped, and hold nothing any more."""
    alive = holding.holder(connection, now)
    rows = connection.execute(
        select(workers).where(workers.c.ended_at.is_(None)).order_by(workers.c.id)
    )
    return [
        Stale(row.host, row.pid, row.heartbeat_at)
        for row in rows
        if alive is None or row.id != alive.fence
    ]


# --- a copy ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and proven whole."""

    path: Path
    bytes: int
    revision: str
    batches: int
    jobs: int


_VERSION = table("alembic_version", sql_column("version_num"))


def backup(database: Database, target: Path) -> Backup:
    """Copy ``database`` to the new file ``target``, as it is at one moment.

    Others go on reading and writing meanwhile. The copy is checked before it gets its name, so
    that a file of that name is a whole backup. Raises :class:`StoreError` for a name that is taken,
    :class:`~overnight.store.errors.DatabaseUnusable` for trouble with either database, and
    :class:`OSError`.
    """
    target = target.absolute()
    _require_place(target)
    if revision_of(database) is None:
        raise StoreError(f"{database} is empty; there is nothing to back up.")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        revision = _copy(database, part)
        made = _proven(part, target, revision)
        _sync(part)
        _give_name(part, target)
        _sync(target.parent)
    except (sqlite3.Error, DatabaseError) as error:
        raise driver.plainly(error, _at_fault(error, database, target)) from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)
    return made


def _require_place(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise StoreError(
            f"{target} is there already, and a backup never overwrites anything. Name a new file."
        )
    if not target.parent.is_dir():
        raise StoreError(f"The folder {target.parent} does not exist. Make it first.")


def _copy(database: Database, part: Path) -> str:
    """Copy everything as it is at one moment; returns the schema revision of that moment."""
    with database.reading() as connection, closing(sqlite3.connect(part)) as copy:
        # The first read fixes the moment. Without it, every write of another process would make
        # the copying start again, and beside a busy worker it would never end.
        revision = str(connection.scalar(select(_VERSION.c.version_num)))
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy, pages=STEP)
        # One file and nothing beside it, so that it can be moved about; it goes back to WAL when
        # it is opened as a database.
        copy.execute("PRAGMA journal_mode = DELETE")
    return revision


def _proven(part: Path, target: Path, revision: str) -> Backup:
    engine = create_engine(URL.create("sqlite", database=str(part)), poolclass=NullPool)
    with engine.connect() as connection:
        wrong = complaints(connection)
        there = connection.scalar(select(_VERSION.c.version_num))
        if wrong or there != revision:
            what = "; ".join(wrong) or f"schema {there} in place of {revision}"
            raise StoreError(
                f"The copy is not sound ({what}), so no backup was made. "
                "`overnight doctor` tells whether the database itself is."
            )
        return Backup(
            target,
            part.stat().st_size,
            revision,
            connection.scalar(select(func.count()).select_from(batches)) or 0,
            connection.scalar(select(func.count()).select_from(jobs)) or 0,
        )


def _sync(path: Path) -> None:
    """Make a file, or a folder's list of names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems can't for folders.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def _give_name(part: Path, target: Path) -> None:
    """Name the copy ``target``, without ever replacing what may have come there meanwhile."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        _require_place(target)
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
            raise
        # No hard links on this file system: look again, then rename.
        _require_place(target)
        part.rename(target)


def _at_fault(error: Exception, database: Database, target: Path) -> str:
    """Which file an error of the copying is about: damage is the source's, room is the target's."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", None) or ""
    return str(database if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) else target)
