"""The queue's face: claims, and every other write that moves a job.

A worker's own writes are guarded steps (:mod:`overnight.store.steps`); people's commands
(:mod:`overnight.store.resting`) never touch a state that a worker is busy with.

All functions run inside the caller's transaction (:class:`~overnight.store.writer.Writer`, or
``Database.writing()``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from sqlalchemy import Connection, bindparam, literal_column, null, select, update

from overnight.lifecycle import Event, State, after
from overnight.store import dialect, faults, leases, tally
from overnight.store.bulk import Bulk
from overnight.store.faults import Place
from overnight.store.job import COLUMNS, Job
from overnight.store.resting import (
    NOBODY,
    by_id,
    cancel,
    cancel_waiting,
    count_possible_duplicate,
    move_resting,
    retry,
)
from overnight.store.steps import Facts, Overtaken, Stored, delivered, move, stored
from overnight.store.tables import IS_CANARY, IS_PENDING, attempts, jobs

__all__ = [
    "NOBODY",
    "Facts",
    "Overtaken",
    "Stored",
    "by_id",
    "cancel",
    "cancel_waiting",
    "claim",
    "count_possible_duplicate",
    "delivered",
    "move",
    "move_resting",
    "retry",
    "stored",
]


def claim(
    connection: Connection,
    *,
    fence: int,
    batch_id: int,
    limit: int,
    now: float,
    canaries_only: bool = False,
    admits: Callable[[Job], bool] | None = None,
) -> list[Job]:
    """Take up to ``limit`` pending jobs of a batch, and make the intent to submit them durable.

    Each gets a new attempt. ``canaries_only``: the rest of the batch is not released yet. With
    ``admits`` twice as many are asked about, and those that it does not admit stay as they are.
    Raises :class:`~overnight.store.errors.LeaseLost` when ``fence`` is not the worker any more.
    """
    leases.require(connection, fence)
    looked_at = limit if admits is None else 2 * limit
    rows = dialect.read(
        connection,
        _CANARIES if canaries_only else _CLAIMABLE,
        {"batch": batch_id, "now": now, "limit": looked_at},
    )
    found = [Job.from_row(row) for row in rows]
    if admits is not None:
        found = [job for job in found if admits(job)][:limit]
    claimed = [_claimed(job, fence, now) for job in found]
    if not claimed:
        return []
    _CLAIM.run(connection, [(job.id, job.state.value, job.attempt, fence, now) for job in claimed])
    _NEW_ATTEMPT.run(
        connection, [(job.id, job.attempt, fence, job.submit_key, now) for job in claimed]
    )
    n = len(claimed)
    tally.shift(connection, batch_id, {State.PENDING: -n, State.SUBMITTING: n})
    faults.reach(Place.CLAIMING)
    return claimed


_IS_CLAIMABLE = (
    select(*COLUMNS)
    .where(
        jobs.c.batch_id == bindparam("batch"),
        IS_PENDING,
        jobs.c.not_before <= bindparam("now"),
    )
    .order_by(jobs.c.priority.desc(), jobs.c.rank, jobs.c.id)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))  # said by SQLAlchemy in any case, and else as a parameter
)
_CLAIMABLE = dialect.printed(_IS_CLAIMABLE)
_CANARIES = dialect.printed(_IS_CLAIMABLE.where(IS_CANARY))

_CLAIM = Bulk(
    {name: jobs.c[name] for name in ("id", "state", "attempt", "fence", "updated_at")},
    lambda given: (
        update(jobs)
        .where(jobs.c.id == given.c.id)
        .values(
            state=given.c.state,
            attempt=given.c.attempt,
            fence=given.c.fence,
            updated_at=given.c.updated_at,
            request_id=null(),
            error=null(),
        )
    ),
)

_OF_ATTEMPT = ("job_id", "number", "worker_id", "submit_key", "intent_at")

_NEW_ATTEMPT = Bulk(
    {name: attempts.c[name] for name in _OF_ATTEMPT},
    lambda given: attempts.insert().from_select(
        _OF_ATTEMPT,
        select(*[given.c[name] for name in _OF_ATTEMPT]).where(given.c.job_id.is_not(None)),
    ),
)


def _claimed(job: Job, fence: int, now: float) -> Job:
    return job._replace(
        submit_key=secrets.token_hex(16),
        state=after(State.PENDING, Event.CLAIMED),
        attempt=job.attempt + 1,
        fence=fence,
        request_id=None,
        updated_at=now,
    )
