"""Who holds the database: the living worker, and what it last said.

A worker counts as alive while it is on this machine and its process lives, or while its heartbeat
is younger than :data:`LEASE`. :mod:`overnight.store.leases` is how one comes to hold it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from overnight.store import faults
from overnight.store.driver import Reader
from overnight.store.errors import readable
from overnight.store.reading import rows
from overnight.store.rows import EventRow, Kind

LEASE = faults.lease(os.environ, 60.0)
"""Seconds after its last heartbeat at which a worker may be replaced."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The living worker."""

    fence: int
    host: str
    pid: int


def holder(connection: Reader, now: float) -> Holder | None:
    """The worker that holds the database, or None when nobody does."""
    for fence, host, pid, started, heartbeat in rows(connection, "workers"):
        with readable(f"worker {fence}"):
            if now - heartbeat < LEASE and _may_live(host, pid, started):
                return Holder(fence, host, pid)
    return None


def _may_live(host: str, pid: int, started: float) -> bool:
    """Whether a worker that gave a sign of life just now has not died since, as far as it can be
    told from here."""
    # Imported here: most reads find no worker whose process they would have to look at.
    import socket

    return host != socket.gethostname() or _process_lives(pid, started)


def _process_lives(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) >= 1.0:
            return False
        # Killed, and kept in the process table only because its parent has not asked about it
        # (a container whose first process never does): it will not write any more.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


# --- what it said ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LastWords:
    """The newest event of one worker's limit, and of the pause that it is in, if it is in one."""

    limit: EventRow | None
    pause: EventRow | None


def last_words(connection: Reader, fence: int) -> LastWords:
    """What the worker with this fence number last kept of its limit and of pauses."""
    paused = _newest(connection, fence, Kind.PAUSE, Kind.RESUME)
    if paused is not None and paused.kind == Kind.RESUME:
        paused = None
    return LastWords(_newest(connection, fence, Kind.LIMIT), paused)


def _newest(connection: Reader, fence: int, *kinds: Kind) -> EventRow | None:
    found = [row for kind in kinds for row in rows(connection, "newest_events", kind=kind, most=1)]
    if not found:
        return None
    _, worker_id, *event = max(found, key=lambda row: int(row[0]))
    # The newest of all: when it is not this worker's, this one has kept none.
    return EventRow(*event) if worker_id == fence else None
