"""Taking up what is in flight and nobody's: how a worker goes on where another one ended.

A handful of statements whatever the number of jobs: thousands may be in flight when a worker is
killed, and its successor is to ask about them again within seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection, bindparam, select, update

from overnight.lifecycle import Event, State, after
from overnight.store import faults, leases, tally
from overnight.store.faults import Place
from overnight.store.job import COLUMNS, Job
from overnight.store.tables import IS_IN_FLIGHT, attempts, jobs

CUT_SHORT = "The worker ended between the intent to submit and the answer."
"""What is kept of an attempt that nobody can tell the end of."""

_HOLDER = bindparam("holder", type_=jobs.c.fence.type)
# A fence only grows, so whatever is not this worker's lies below its own: one range of the index,
# which stays empty, and free to look at, while this worker holds everything.
_LEFT_BEHIND = (IS_IN_FLIGHT, jobs.c.fence < _HOLDER)
_ANY_LEFT = select(jobs.c.id).where(*_LEFT_BEHIND).limit(1)
# Read as they are from now on: under the new fence.
_LEFT = (
    select(*[_HOLDER.label("fence") if c is jobs.c.fence else c for c in COLUMNS])
    .where(*_LEFT_BEHIND)
    .order_by(jobs.c.fence, jobs.c.id)
)
_HOLD = update(jobs).where(*_LEFT_BEHIND).values(fence=_HOLDER)

_DOUBT = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_job"))
    .values(
        state=after(State.SUBMITTING, Event.UNCERTAIN),
        deferrals=0,
        error=CUT_SHORT,
        updated_at=bindparam("at"),
    )
)
_END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.job_id == bindparam("of_job"), attempts.c.number == bindparam("of_attempt"))
    .values(ended_at=bindparam("at"), outcome=Event.UNCERTAIN, error=CUT_SHORT)
)


def is_due(connection: Connection, fence: int) -> bool:
    """Whether something in flight is held by nobody, or by a worker before this one."""
    return connection.execute(_ANY_LEFT, {"holder": fence}).first() is not None


def take_up(connection: Connection, *, fence: int, now: float) -> tuple[list[Job], int]:
    """Become the holder of everything in flight that another worker left, or that nobody holds.

    A job found in ``submitting`` may have been submitted and nobody can tell, so it becomes
    ``unknown`` here and is only counted: the second value. Everything else has a request id and
    goes on where it was.
    Raises :class:`~overnight.store.errors.LeaseLost`.
    """
    found = [Job.from_row(row) for row in connection.execute(_LEFT, {"holder": fence})]
    lost = [job for job in found if job.state is State.SUBMITTING]
    steps: tuple[Callable[[], object], ...] = (
        partial(leases.require, connection, fence),
        partial(connection.execute, _HOLD, {"holder": fence}),
        partial(_doubt, connection, lost, now),
    )
    for step in steps:
        step()
        faults.reach(Place.TAKING_UP)
    return [job for job in found if job.state is not State.SUBMITTING], len(lost)


def _doubt(connection: Connection, lost: Sequence[Job], now: float) -> None:
    """Record of each of these jobs that nobody can tell whether it was submitted."""
    if not lost:
        return
    connection.execute(_DOUBT, [{"of_job": job.id, "at": now} for job in lost])
    connection.execute(
        _END_ATTEMPT, [{"of_job": job.id, "of_attempt": job.attempt, "at": now} for job in lost]
    )
    target = after(State.SUBMITTING, Event.UNCERTAIN)
    for batch_id, n in Counter(job.batch_id for job in lost).items():
        tally.shift(connection, batch_id, {State.SUBMITTING: -n, target: n})
