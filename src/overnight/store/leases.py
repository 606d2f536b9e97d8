"""Which worker may write: one row a worker, with a heartbeat and a fence number.

The row's id is the fence. It only grows, every claimed job carries it, and every transition is
guarded by it, so a worker that lost its lease has each of its writes refused by the database
itself, whatever it believes.

Who is alive says :mod:`overnight.store.holding`: a process that was killed is replaced at once, and
one that was frozen is replaced when its lease runs out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, bindparam, select, update

from overnight import __version__
from overnight.store import dialect, faults, holding
from overnight.store.errors import AnotherWorker, LeaseLost
from overnight.store.faults import Place
from overnight.store.tables import IS_IN_FLIGHT, jobs, workers

T = TypeVar("T")

LEASE = holding.LEASE
"""Seconds after its last heartbeat at which a worker may be replaced."""

HEARTBEAT = LEASE / 6
"""Seconds between two heartbeats."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, so that nobody mistakes another one for it."""

    host: str
    pid: int
    process_started: float

    @classmethod
    def of_this_process(cls) -> Identity:
        import psutil

        process = psutil.Process()
        return cls(socket.gethostname(), os.getpid(), process.create_time())


def take(
    connection: Connection,
    identity: Identity,
    now: float,
    admit: Callable[[Connection], None] = lambda _: None,
) -> int:
    """Become the database's worker; returns the fence number.

    ``admit`` looks at the table at that very moment: what it raises undoes the taking. Raises
    :class:`AnotherWorker` when one is alive. Run inside a write transaction, so that two can't
    take it at once.
    """
    other = holding.holder(connection, now)
    if other is not None:
        raise AnotherWorker(
            f"Another worker (process {other.pid} on {other.host}) is working on this database. "
            "Wait for it, or stop it with Ctrl-C first."
        )
    admit(connection)
    connection.execute(
        update(workers)
        .where(workers.c.ended_at.is_(None))
        .values(ended_at=now, ended_by="taken over")
    )
    _let_go(connection)
    inserted = connection.execute(
        workers.insert().values(
            host=identity.host,
            pid=identity.pid,
            process_started=identity.process_started,
            version=__version__,
            started_at=now,
            heartbeat_at=now,
        )
    )
    assert inserted.inserted_primary_key is not None
    fence: int = inserted.inserted_primary_key[0]
    faults.reach(Place.LEASE_TAKING)
    return fence


def beat(connection: Connection, fence: int, now: float) -> None:
    """Say that the worker lives. Raises :class:`LeaseLost` when it was replaced."""
    beaten = connection.execute(_BEAT, {"fence": fence, "heartbeat_at": now})
    if beaten.rowcount == 0:
        raise LeaseLost(
            "Another worker took over while this one was away (frozen, or asleep too long). "
            "It goes on from here; this one has stopped and changed nothing since."
        )


_BEAT = update(workers).where(workers.c.id == bindparam("fence"), workers.c.ended_at.is_(None))


def _let_go(connection: Connection) -> None:
    """What was held is nobody's from now on, so that its last holder can't move it any more."""
    connection.execute(update(jobs).where(IS_IN_FLIGHT, jobs.c.fence != 0).values(fence=0))


def release(connection: Connection, fence: int, now: float) -> None:
    """Stop being the worker. Does nothing when it was replaced already."""
    ended = connection.execute(
        update(workers)
        .where(workers.c.id == fence, workers.c.ended_at.is_(None))
        .values(ended_at=now, ended_by="stopped")
    )
    if ended.rowcount:
        _let_go(connection)
    faults.reach(Place.LEASE_RELEASING)


_ALIVE = dialect.printed(
    select(workers.c.id).where(workers.c.id == bindparam("fence"), workers.c.ended_at.is_(None))
)


def require(connection: Connection, fence: int) -> None:
    """Raise :class:`LeaseLost` unless ``fence`` is the worker still."""
    if not dialect.read(connection, _ALIVE, {"fence": fence}):
        raise LeaseLost("Another worker took over; this one has stopped and changed nothing since.")


def held(connection: Connection, fence: int, operation: Callable[[Connection], T]) -> T:
    """``operation``, if ``fence`` is the worker still: for writes that carry no guard of their
    own. Raises :class:`LeaseLost`."""
    require(connection, fence)
    return operation(connection)
