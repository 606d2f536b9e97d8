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
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.sql import ColumnElement

from overnight.lifecycle import IN_FLIGHT, TERMINAL, UNCOUNTED, Event, State, after
from overnight.store import faults, history, leases, tally
from overnight.store.faults import Place
from overnight.store.history import Heard
from overnight.store.job import COLUMNS, Job
from overnight.store.tables import (
    IS_CANARY,
    IS_IN_FLIGHT,
    IS_PENDING,
    artifacts,
    attempts,
    batches,
    jobs,
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
    back to ``pending``; ``cost`` is in US dollars; ``heard`` is what calls answered since the
    last one."""

    at: float
    request_id: str | None = None
    error: str | None = None
    not_before: float | None = None
    cost: float | None = None
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a result that is home, whole and durable. ``suspect`` says what is wrong with
    its content, ``probe`` what that is (JSON text); both None when nobody looked."""

    position: int
    path: str
    bytes: int
    sha256: str
    content_type: str | None
    suspect: str | None = None
    probe: str | None = None


# --- the worker's ---------------------------------------------------------------------------------


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
    query = _CLAIMABLE.where(IS_CANARY) if canaries_only else _CLAIMABLE
    looked_at = limit if admits is None else 2 * limit
    rows = connection.execute(query, {"batch": batch_id, "now": now, "limit": looked_at}).all()
    found = [Job.from_row(row) for row in rows]
    if admits is not None:
        found = [job for job in found if admits(job)][:limit]
    claimed = [_claimed(job, fence, now) for job in found]
    if not claimed:
        return []
    connection.execute(
        _CLAIM, [{"i": j.id, "a": j.attempt, "f": fence, "at": now} for j in claimed]
    )
    connection.execute(
        _NEW_ATTEMPT,
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
    .order_by(jobs.c.priority.desc(), jobs.c.rank, jobs.c.id)
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


_NEW_ATTEMPT = attempts.insert()


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
    Raises :class:`~overnight.store.errors.LeaseLost`.
    """
    leases.require(connection, fence)
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

    A job that goes back to ``pending`` although the user wants it cancelled is cancelled at once.
    Raises :class:`~overnight.lifecycle.ImpossibleTransition` where the table has no such move.
    """
    moved = _after(job, event, facts)
    values: dict[str, Any] = {
        "state": moved.state,
        "tries": moved.tries,
        "deferrals": moved.deferrals,
        "request_id": moved.request_id,
        "delivered": moved.delivered,
        "error": facts.error,
        "updated_at": facts.at,
    }
    if facts.not_before is not None:
        values["not_before"] = facts.not_before
    if moved.state in TERMINAL:
        # Only here: the user may have asked for it after this worker read the job.
        values["cancel_requested"] = False
    changed = connection.execute(_UPDATE_HELD, values | _guard(job))
    if changed.rowcount == 0:
        return Overtaken(job.id)
    history.moved(connection, job, moved, event, facts)
    tally.moved(connection, job.batch_id, job.state, moved.state)
    return _unless_unwanted(connection, moved, facts)


def _unless_unwanted(connection: Connection, job: Job, facts: Facts) -> Job:
    """The job; cancelled if it was to be bought again and the user does not want it any more."""
    if job.state is not State.PENDING:
        return job
    if not connection.scalar(_IS_UNWANTED, {"of_job": job.id}):
        return job
    move_resting(connection, job, Event.CANCELLED, facts.at, error=facts.error)
    [cancelled] = by_id(connection, [job.id])
    return cancelled


_IS_UNWANTED = select(jobs.c.cancel_requested).where(jobs.c.id == bindparam("of_job"))


def _after(job: Job, event: Event, facts: Facts) -> Job:
    target = after(job.state, event)
    return replace(
        job,
        state=target,
        tries=job.tries + (event is Event.ACCEPTED),
        deferrals=job.deferrals + 1 if event in UNCOUNTED else 0,
        request_id=facts.request_id or job.request_id,
        delivered=job.delivered and event not in _NOT_DELIVERED,
        cancel_requested=job.cancel_requested and target not in TERMINAL,
        updated_at=facts.at,
    )


_NOT_DELIVERED = frozenset(
    {Event.ATTEMPT_FAILED, Event.ATTEMPTS_EXHAUSTED, Event.GONE, Event.SUSPECT}
)


# Statements of the hot path are built once: building one costs several times what running it does.
# Values to set are given by their column's name when it is executed.
_HELD: tuple[ColumnElement[bool], ...] = (
    jobs.c.id == bindparam("held_id"),
    jobs.c.state == bindparam("held_state"),
    jobs.c.attempt == bindparam("held_attempt"),
    jobs.c.fence == bindparam("held_fence"),
)
_UPDATE_HELD = update(jobs).where(*_HELD)
_IS_HELD = select(jobs.c.id).where(*_HELD)


def _guard(job: Job) -> dict[str, Any]:
    """The parameters of :data:`_HELD`: the job is in the table as the caller believes it to be."""
    return {
        "held_id": job.id,
        "held_state": job.state.value,
        "held_attempt": job.attempt,
        "held_fence": job.fence,
    }


def delivered(
    connection: Connection, job: Job, urls: Sequence[str], cost: float | None, at: float
) -> Job | Overtaken:
    """Record what the provider delivered for a job in ``collecting``: it will not be bought again.

    ``urls`` in the order of the output; a fresh set (signed anew) replaces addresses, never files.
    """
    changed = connection.execute(_UPDATE_HELD, {"delivered": True, "updated_at": at} | _guard(job))
    if changed.rowcount == 0:
        return Overtaken(job.id)
    known = set(connection.scalars(_POSITIONS, history.newest(job)))
    for position, url in enumerate(urls):
        if position in known:
            connection.execute(_UPDATE_ARTIFACT, {"url": url} | _artifact(job, position))
        else:
            connection.execute(
                _NEW_ARTIFACT,
                {"job_id": job.id, "attempt": job.attempt, "position": position, "url": url},
            )
    if cost is not None:
        history.costs(connection, job, cost)
    return replace(job, delivered=True, updated_at=at)


def stored(connection: Connection, job: Job, file: Stored, at: float) -> Job | Overtaken:
    """Record a file that is home, whole and durable."""
    if connection.execute(_IS_HELD, _guard(job)).first() is None:
        return Overtaken(job.id)
    connection.execute(
        _UPDATE_ARTIFACT,
        {
            "path": file.path,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "content_type": file.content_type,
            "suspect": file.suspect,
            "probe": file.probe,
            "stored_at": at,
        }
        | _artifact(job, file.position),
    )
    return job


_OF_ATTEMPT = (
    artifacts.c.job_id == bindparam("of_job"),
    artifacts.c.attempt == bindparam("of_attempt"),
)
_POSITIONS = select(artifacts.c.position).where(*_OF_ATTEMPT)
_NEW_ARTIFACT = artifacts.insert()
_UPDATE_ARTIFACT = update(artifacts).where(
    *_OF_ATTEMPT, artifacts.c.position == bindparam("at_position")
)


def _artifact(job: Job, position: int) -> dict[str, Any]:
    return history.newest(job) | {"at_position": position}


# --- the user's -----------------------------------------------------------------------------------


def cancel(connection: Connection, job_ids: Collection[int], *, now: float) -> Counter[str]:
    """Cancel what was not submitted yet; mark what the provider has, for a worker to cancel there.

    Returns how many were ``cancelled``, ``asked`` (marked), ``coming`` (paid for and on the way
    home: marked, so that they are not bought again) and ``left`` (nothing to cancel: finished, or
    unknown).
    """
    outcome: Counter[str] = Counter()
    for job in by_id(connection, job_ids):
        if job.state is State.PENDING:
            move_resting(connection, job, Event.CANCELLED, now)
            outcome["cancelled"] += 1
        elif job.state in IN_FLIGHT:
            connection.execute(
                update(jobs).where(jobs.c.id == job.id).values(cancel_requested=True)
            )
            outcome["coming" if job.state is State.COLLECTING else "asked"] += 1
        else:
            outcome["left"] += 1
    return outcome


def cancel_waiting(
    connection: Connection, batch_id: int, job_ids: Sequence[int], *, now: float
) -> None:
    """Cancel many pending jobs of a batch at once, in the transaction that found them pending."""
    target = after(State.PENDING, Event.CANCELLED)
    changes: Counter[State] = Counter()
    for start in range(0, len(job_ids), 500):
        some = job_ids[start : start + 500]
        changed = connection.execute(
            update(jobs)
            .where(jobs.c.id.in_(some), jobs.c.batch_id == batch_id, IS_PENDING)
            .values(state=target, fence=NOBODY, cancel_requested=False, updated_at=now)
        ).rowcount
        changes.update({target: changed, State.PENDING: -changed})
    tally.shift(connection, batch_id, changes)


def retry(connection: Connection, job_ids: Collection[int], *, now: float) -> Counter[str]:
    """Give failed and cancelled jobs another run of attempts.

    Returns how many go back to ``collecting`` (delivered, or finished and never read: fetched
    again, nothing is paid), to ``queued`` (given up on for taking too long: looked for again,
    nothing is paid), to ``pending`` (will be bought again) and how many were ``left`` as they are.
    A job that was given up on while ``unknown`` counts as a possible duplicate when it is bought.
    """
    outcome: Counter[str] = Counter()
    for job in by_id(connection, job_ids):
        event = _retried_by(connection, job)
        if event is None:
            outcome["left"] += 1
            continue
        if job.state is State.FAILED and _ended_by(connection, job) == Event.UNCERTAIN:
            count_possible_duplicate(connection, job)
        move_resting(connection, job, event, now)
        outcome[after(job.state, event)] += 1
    return outcome


def _retried_by(connection: Connection, job: Job) -> Event | None:
    """What a retry of the job is; None where there is nothing to retry."""
    if job.state is State.CANCELLED:
        return Event.RETRIED
    if job.state is not State.FAILED:
        return None
    ended_by = _ended_by(connection, job)
    if job.delivered or ended_by == Event.UNCOLLECTABLE:
        return Event.RECOLLECTED
    return Event.RECALLED if ended_by == Event.TIMED_OUT else Event.RETRIED


def count_possible_duplicate(connection: Connection, job: Job) -> None:
    """The job is about to be submitted again although it may have been accepted before."""
    connection.execute(
        update(jobs).where(jobs.c.id == job.id).values(resubmits=jobs.c.resubmits + 1)
    )
    connection.execute(
        update(batches)
        .where(batches.c.id == job.batch_id)
        .values(possible_duplicates=batches.c.possible_duplicates + 1)
    )


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
            # The wish to cancel outlives the doubt whether there was anything to cancel.
            cancel_requested=job.cancel_requested and event is Event.ADOPTED,
            updated_at=now,
        )
    )
    tally.moved(connection, job.batch_id, job.state, target)
