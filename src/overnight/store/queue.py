"""Claims and transitions: every write that moves a job, each one guarded.

A worker's transition is ``UPDATE … WHERE id AND state AND attempt AND fence``. When no row
answers, somebody else was there first, and the caller gets :class:`Overtaken` instead of a job: it
reads the row again, or learns that its lease is lost. People's commands (:func:`cancel`,
:func:`retry`) never touch a state that a worker is busy with; they leave a mark or move what rests.

All functions run inside the caller's transaction (:class:`~overnight.store.writer.Writer`, or
``Database.writing()``).
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.sql import ColumnElement

from overnight.lifecycle import IN_FLIGHT, UNCOUNTED, Event, State, after
from overnight.store import faults, tally
from overnight.store.errors import LeaseLost
from overnight.store.faults import Place
from overnight.store.job import COLUMNS, Job
from overnight.store.tables import (
    IS_CANARY,
    IS_IN_FLIGHT,
    IS_PENDING,
    artifacts,
    attempts,
    jobs,
    workers,
)

NOBODY = 0
"""The fence of a job that no worker holds."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The guard found no row: the job is not what the caller believed it to be."""

    job_id: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is written beside a transition. ``at`` is now; ``not_before`` is for a job that goes
    back to ``pending``; ``cost`` is in US dollars."""

    at: float
    request_id: str | None = None
    error: str | None = None
    not_before: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a result that is home, whole and durable."""

    position: int
    path: str
    bytes: int
    sha256: str
    content_type: str | None


# --- the worker's ---------------------------------------------------------------------------------


def claim(
    connection: Connection,
    *,
    fence: int,
    batch_id: int,
    limit: int,
    now: float,
    canaries_only: bool = False,
) -> list[Job]:
    """Take up to ``limit`` pending jobs of a batch, and make the intent to submit them durable.

    Each gets a new attempt. ``canaries_only``: the rest of the batch is not released yet. Raises
    :class:`LeaseLost` when ``fence`` is not the worker any more.
    """
    _require_lease(connection, fence)
    query = _CLAIMABLE.where(IS_CANARY) if canaries_only else _CLAIMABLE
    rows = connection.execute(query, {"batch": batch_id, "now": now, "limit": limit}).all()
    claimed = [_claimed(Job.from_row(row), fence, now) for row in rows]
    if not claimed:
        return []
    connection.execute(
        _CLAIM, [{"i": j.id, "a": j.attempt, "f": fence, "at": now} for j in claimed]
    )
    connection.execute(
        attempts.insert(),
        [
            {
                "job_id": job.id,
                "number": job.attempt,
                "worker_id": fence,
                "submit_key": job.submit_key,
                "intent_at": now,
            }
            for job in claimed
        ],
    )
    n = len(claimed)
    tally.shift(connection, batch_id, {State.PENDING: -n, State.SUBMITTING: n})
    faults.reach(Place.CLAIMING)
    return claimed


_CLAIMABLE = (
    select(*COLUMNS)
    .where(
        jobs.c.batch_id == bindparam("batch"),
        IS_PENDING,
        jobs.c.not_before <= bindparam("now"),
    )
    .order_by(jobs.c.priority.desc(), jobs.c.id)
    .limit(bindparam("limit"))
)

_CLAIM = (
    update(jobs)
    .where(jobs.c.id == bindparam("i"))
    .values(
        state=after(State.PENDING, Event.CLAIMED),
        attempt=bindparam("a"),
        fence=bindparam("f"),
        request_id=None,
        error=None,
        updated_at=bindparam("at"),
    )
)


def _claimed(job: Job, fence: int, now: float) -> Job:
    return replace(
        job,
        submit_key=secrets.token_hex(16),
        state=after(State.PENDING, Event.CLAIMED),
        attempt=job.attempt + 1,
        fence=fence,
        request_id=None,
        updated_at=now,
    )


def take_up(connection: Connection, *, fence: int, now: float) -> tuple[list[Job], int]:
    """Become the holder of everything in flight that another worker left, or that nobody holds.

    A job found in ``submitting`` may have been submitted and nobody can tell, so it becomes
    ``unknown`` here and is only counted: the second value. Everything else has a request id and
    goes on where it was.
    Raises :class:`LeaseLost`.
    """
    _require_lease(connection, fence)
    rows = connection.execute(select(*COLUMNS).where(IS_IN_FLIGHT, jobs.c.fence != fence)).all()
    taken: list[Job] = []
    lost = 0
    for row in rows:
        job = Job.from_row(row)
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(fence=fence))
        job = replace(job, fence=fence)
        if job.state is State.SUBMITTING:
            lost += 1
            move(
                connection,
                job,
                Event.UNCERTAIN,
                Facts(now, error="The worker ended between the intent to submit and the answer."),
            )
        else:
            taken.append(job)
        faults.reach(Place.TAKING_UP)
    return taken, lost


def move(connection: Connection, job: Job, event: Event, facts: Facts) -> Job | Overtaken:
    """One guarded transition of the worker that holds ``job``; the job as it is now.

    Raises :class:`~overnight.lifecycle.ImpossibleTransition` where the table has no such move.
    """
    moved = _after(job, event, facts)
    values: dict[str, Any] = {
        "state": moved.state,
        "tries": moved.tries,
        "deferrals": moved.deferrals,
        "request_id": moved.request_id,
        "delivered": moved.delivered,
        "cancel_requested": moved.cancel_requested,
        "error": facts.error,
        "updated_at": facts.at,
    }
    if facts.not_before is not None:
        values["not_before"] = facts.not_before
    changed = connection.execute(update(jobs).where(*_guard(job)).values(values))
    if changed.rowcount == 0:
        return Overtaken(job.id)
    _record_attempt(connection, job, moved, event, facts)
    tally.moved(connection, job.batch_id, job.state, moved.state)
    return moved


def _after(job: Job, event: Event, facts: Facts) -> Job:
    target = after(job.state, event)
    return replace(
        job,
        state=target,
        tries=job.tries + (event is Event.ACCEPTED),
        deferrals=job.deferrals + 1 if event in UNCOUNTED else 0,
        request_id=facts.request_id or job.request_id,
        delivered=job.delivered and event not in _NOT_DELIVERED,
        # A job that ended or went back has nothing left to cancel at the provider.
        cancel_requested=job.cancel_requested and target in IN_FLIGHT,
        updated_at=facts.at,
    )


_NOT_DELIVERED = frozenset({Event.ATTEMPT_FAILED, Event.ATTEMPTS_EXHAUSTED, Event.GONE})


def _guard(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (
        jobs.c.id == job.id,
        jobs.c.state == job.state.value,
        jobs.c.attempt == job.attempt,
        jobs.c.fence == job.fence,
    )


_TIMES = {
    Event.ACCEPTED: "accepted_at",
    Event.SEEN_RUNNING: "running_at",
    Event.FINISHED: "finished_at",
}


def _record_attempt(
    connection: Connection, job: Job, moved: Job, event: Event, facts: Facts
) -> None:
    values: dict[str, Any] = {}
    if event in _TIMES:
        # A requeued job is seen running again; the history keeps when it was seen first.
        first = attempts.c[_TIMES[event]]
        values[first.name] = func.coalesce(first, facts.at)
    if event is Event.ACCEPTED:
        values["request_id"] = facts.request_id
    if facts.cost is not None:
        values["cost"] = facts.cost
    if moved.state not in IN_FLIGHT:
        values |= {"ended_at": facts.at, "outcome": event, "error": facts.error}
    if values:
        connection.execute(
            update(attempts)
            .where(attempts.c.job_id == job.id, attempts.c.number == job.attempt)
            .values(values)
        )


def delivered(
    connection: Connection, job: Job, urls: Sequence[str], cost: float | None, at: float
) -> Job | Overtaken:
    """Record what the provider delivered for a job in ``collecting``: it will not be bought again.

    ``urls`` in the order of the output; a fresh set (signed anew) replaces addresses, never files.
    """
    changed = connection.execute(
        update(jobs).where(*_guard(job)).values(delivered=True, updated_at=at)
    )
    if changed.rowcount == 0:
        return Overtaken(job.id)
    known = set(
        connection.scalars(
            select(artifacts.c.position).where(
                artifacts.c.job_id == job.id, artifacts.c.attempt == job.attempt
            )
        )
    )
    for position, url in enumerate(urls):
        if position in known:
            connection.execute(update(artifacts).where(*_artifact(job, position)).values(url=url))
        else:
            connection.execute(
                artifacts.insert().values(
                    job_id=job.id, attempt=job.attempt, position=position, url=url
                )
            )
    if cost is not None:
        connection.execute(
            update(attempts)
            .where(attempts.c.job_id == job.id, attempts.c.number == job.attempt)
            .values(cost=cost)
        )
    return replace(job, delivered=True, updated_at=at)


def stored(connection: Connection, job: Job, file: Stored, at: float) -> Job | Overtaken:
    """Record a file that is home, whole and durable."""
    held = connection.execute(select(jobs.c.id).where(*_guard(job))).first()
    if held is None:
        return Overtaken(job.id)
    connection.execute(
        update(artifacts)
        .where(*_artifact(job, file.position))
        .values(
            path=file.path,
            bytes=file.bytes,
            sha256=file.sha256,
            content_type=file.content_type,
            stored_at=at,
        )
    )
    return job


def _artifact(job: Job, position: int) -> tuple[ColumnElement[bool], ...]:
    return (
        artifacts.c.job_id == job.id,
        artifacts.c.attempt == job.attempt,
        artifacts.c.position == position,
    )


def not_cancellable(connection: Connection, job: Job) -> Job | Overtaken:
    """The provider won't cancel it (any more): take the user's mark off, it goes on."""
    changed = connection.execute(update(jobs).where(*_guard(job)).values(cancel_requested=False))
    return Overtaken(job.id) if changed.rowcount == 0 else replace(job, cancel_requested=False)


def _require_lease(connection: Connection, fence: int) -> None:
    alive = connection.execute(
        select(workers.c.id).where(workers.c.id == fence, workers.c.ended_at.is_(None))
    ).first()
    if alive is None:
        raise LeaseLost("Another worker took over; this one has stopped and changed nothing since.")


# --- the user's -----------------------------------------------------------------------------------


def cancel(connection: Connection, job_ids: Collection[int], *, now: float) -> Counter[str]:
    """Cancel what was not submitted yet; mark what the provider has, for a worker to cancel there.

    Returns how many were ``cancelled``, ``asked`` (marked) and ``left`` (nothing to cancel:
    finished, or unknown).
    """
    outcome: Counter[str] = Counter()
    for job in by_id(connection, job_ids):
        if job.state is State.PENDING:
            move_resting(connection, job, Event.CANCELLED, now)
            outcome["cancelled"] += 1
        elif job.state in IN_FLIGHT and job.state is not State.COLLECTING:
            connection.execute(
                update(jobs).where(jobs.c.id == job.id).values(cancel_requested=True)
            )
            outcome["asked"] += 1
        else:
            outcome["left"] += 1
    return outcome


def retry(connection: Connection, job_ids: Collection[int], *, now: float) -> Counter[str]:
    """Give failed and cancelled jobs another run of attempts.

    Returns how many go back to ``collecting`` (delivered: fetched again, nothing is paid), to
    ``queued`` (given up on for taking too long: looked for again, nothing is paid), to
    ``pending`` (will be bought again) and how many were ``left`` as they are.
    """
    outcome: Counter[str] = Counter()
    for job in by_id(connection, job_ids):
        if job.state is State.FAILED and job.delivered:
            move_resting(connection, job, Event.RECOLLECTED, now)
            outcome["collecting"] += 1
        elif job.state is State.FAILED and _ended_by(connection, job) == Event.TIMED_OUT:
            move_resting(connection, job, Event.RECALLED, now)
            outcome["queued"] += 1
        elif job.state in (State.FAILED, State.CANCELLED):
            move_resting(connection, job, Event.RETRIED, now)
            outcome["pending"] += 1
        else:
            outcome["left"] += 1
    return outcome


def _ended_by(connection: Connection, job: Job) -> str | None:
    return connection.scalar(
        select(attempts.c.outcome).where(
            attempts.c.job_id == job.id, attempts.c.number == job.attempt
        )
    )


def by_id(connection: Connection, job_ids: Collection[int]) -> Iterator[Job]:
    """The jobs of these ids that there are, by id."""
    ordered = sorted(job_ids)
    for start in range(0, len(ordered), 500):
        some = ordered[start : start + 500]
        query = select(*COLUMNS).where(jobs.c.id.in_(some)).order_by(jobs.c.id)
        for row in connection.execute(query).all():
            yield Job.from_row(row)


def move_resting(
    connection: Connection,
    job: Job,
    event: Event,
    now: float,
    *,
    request_id: str | None = None,
    error: str | None = None,
) -> None:
    """A transition of a job that no worker is busy with; the write transaction is the guard.

    A job that is to be bought again starts afresh; ``request_id`` is that of an adopted one.
    """
    target = after(job.state, event)
    fresh = event is Event.RETRIED
    to_be_bought = target is State.PENDING
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id, jobs.c.state == job.state.value)
        .values(
            state=target,
            fence=NOBODY,
            not_before=0.0,
            tries=0 if fresh else job.tries + (event is Event.ADOPTED),
            deferrals=0,
            request_id=None if to_be_bought else request_id or job.request_id,
            error=error,
            cancel_requested=False,
            updated_at=now,
        )
    )
    tally.moved(connection, job.batch_id, job.state, target)
