"""Decisions that are not the provider's: a person's about unknown jobs, a rule's about a batch.

Each is kept as an event with its reason. All functions run inside the caller's transaction, and
each may be repeated: what is settled already is left as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from enum import StrEnum

from sqlalchemy import Connection, func, or_, select, update

from overnight.lifecycle import TERMINAL, Event, State
from overnight.store import leases, queue, spending, views
from overnight.store.errors import NotFound, readable
from overnight.store.job import COLUMNS, Job
from overnight.store.rows import Kind
from overnight.store.tables import IS_CANARY, attempts, batches, events, jobs


class Resolution(StrEnum):
    """What is done about a job that may have been submitted."""

    RESUBMIT = "resubmit"
    """Submit it again; it may be charged twice."""
    ADOPT = "adopt"
    """It was accepted, under this request id."""
    GIVE_UP = "give-up"
    """Write it off."""
    NEVER_ACCEPTED = "never-accepted"
    """The provider has proved that it was not accepted: submit it, at no risk."""


def note(
    connection: Connection,
    kind: Kind,
    text: str,
    *,
    at: float,
    worker_id: int | None = None,
    batch_id: int | None = None,
    job_id: int | None = None,
) -> None:
    """Keep an event."""
    connection.execute(
        events.insert().values(
            at=at, worker_id=worker_id, batch_id=batch_id, job_id=job_id, kind=kind, text=text
        )
    )


# --- unknown jobs ----------------------------------------------------------------------------

_EVENTS = {
    Resolution.RESUBMIT: Event.RESUBMITTED,
    Resolution.NEVER_ACCEPTED: Event.RESUBMITTED,
    Resolution.GIVE_UP: Event.GIVEN_UP,
    Resolution.ADOPT: Event.ADOPTED,
}


def resolve(
    connection: Connection,
    job_ids: Collection[int],
    how: Resolution,
    *,
    now: float,
    request_id: str | None = None,
    by: str = "by hand",
) -> Counter[str]:
    """Settle unknown jobs; returns how many were ``resolved`` and how many ``left`` (not unknown).

    ``request_id`` is for :attr:`Resolution.ADOPT`, which takes one job. Raises :class:`NotFound`
    when another job has that request already.
    """
    if how is Resolution.ADOPT:
        assert request_id is not None and len(job_ids) == 1
        _require_free(connection, request_id, *job_ids)
    outcome: Counter[str] = Counter()
    for job in queue.by_id(connection, job_ids):
        if job.state is not State.UNKNOWN:
            outcome["left"] += 1
            continue
        _resolve_one(connection, job, how, now, request_id)
        text = f"{how} {request_id or ''}".strip() + f", {by}"
        note(connection, Kind.RESOLVED, text, at=now, batch_id=job.batch_id, job_id=job.id)
        outcome["resolved"] += 1
    return outcome


def _resolve_one(
    connection: Connection, job: Job, how: Resolution, now: float, request_id: str | None
) -> None:
    error = "Given up: it may have been submitted, and nobody can tell."
    queue.move_resting(
        connection,
        job,
        _EVENTS[how],
        now,
        request_id=request_id,
        error=error if how is Resolution.GIVE_UP else None,
    )
    if how is Resolution.RESUBMIT:
        queue.count_possible_duplicate(connection, job)
    if how is Resolution.NEVER_ACCEPTED and job.cancel_requested:
        [pending] = queue.by_id(connection, [job.id])
        queue.move_resting(connection, pending, Event.CANCELLED, now)
    if how is Resolution.ADOPT:
        # The attempt goes on: what it ends with is still to come.
        connection.execute(
            update(attempts)
            .where(attempts.c.job_id == job.id, attempts.c.number == job.attempt)
            .values(request_id=request_id, accepted_at=now, ended_at=None, outcome=None)
        )


def _require_free(connection: Connection, request_id: str, job_id: int) -> None:
    # Earlier attempts too: their requests were paid for by what they are the history of.
    other = connection.scalar(
        select(attempts.c.job_id)
        .join_from(attempts, jobs)
        .where(
            attempts.c.request_id == request_id,
            or_(jobs.c.id != job_id, attempts.c.number != jobs.c.attempt),
        )
    )
    if other is not None and other == job_id:
        raise NotFound(f"Request {request_id} was an earlier attempt of job {job_id} itself.")
    if other is not None:
        raise NotFound(
            f"Request {request_id} belongs to job {other} already, so job {job_id} can't have it. "
            "`overnight show` tells which is which."
        )


def resubmit_unknown(
    connection: Connection,
    batch_id: int,
    *,
    now: float,
    for_good: Collection[int] | None = None,
    cost: float | None = None,
    limit: int = 500,
) -> int:
    """Resubmit the unknown jobs of a batch whose manifest says so, each once; how many it were.

    ``for_good`` as in :func:`judge_canaries`: what may settle by itself is waited for. ``cost`` is
    the manifest's ``limits.cost`` in US dollars: what does not fit into it stays unknown.
    """
    query = (
        select(jobs.c.id, jobs.c.price)
        .where(
            jobs.c.batch_id == batch_id,
            jobs.c.state == State.UNKNOWN.value,
            jobs.c.resubmits == 0,
            # Nobody wants it any more: that it may have been submitted is bad enough.
            jobs.c.cancel_requested.is_(False),
        )
        .order_by(jobs.c.id)
        .limit(limit)
    )
    rows = connection.execute(query if for_good is None else query.where(jobs.c.id.in_(for_good)))
    prices = {row.id: row.price for row in rows}
    job_ids = list(prices)
    if prices and cost is not None:
        job_ids = _within(spending.room(connection, batch_id, cost), prices)
    by = "because the manifest says on_unknown: resubmit"
    return resolve(connection, job_ids, Resolution.RESUBMIT, now=now, by=by)["resolved"]


def _within(room: float, prices: Mapping[int, float | None]) -> list[int]:
    """The first of these jobs that come to ``room`` US dollars at most."""
    chosen = []
    for job_id, price in prices.items():
        if price is None or (room := round(room - price, 6)) < 0:
            break
        chosen.append(job_id)
    return chosen


def recoverable(
    connection: Connection, batch_ids: Collection[int], *, after: int = 0, limit: int = 500
) -> list[Job]:
    """Unknown jobs with the key that each was submitted under, for a provider that can tell what
    became of a submit: a page of those behind the id ``after``."""
    rows = connection.execute(
        select(*COLUMNS, attempts.c.submit_key)
        .join_from(
            jobs,
            attempts,
            (attempts.c.job_id == jobs.c.id) & (attempts.c.number == jobs.c.attempt),
        )
        .where(
            jobs.c.batch_id.in_(batch_ids),
            jobs.c.state == State.UNKNOWN.value,
            jobs.c.id > after,
        )
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return [Job.from_row(row[:-1], submit_key=row[-1]) for row in rows]


def recover(
    connection: Connection,
    job: Job,
    how: Resolution,
    *,
    fence: int,
    now: float,
    request_id: str | None = None,
) -> bool:
    """Settle an unknown job as its provider says; False when it is not that job's newest attempt
    any more that is in doubt, because somebody was there first.

    Raises :class:`~overnight.store.errors.LeaseLost`, and :class:`NotFound` when another job has
    the request.
    """
    leases.beat(connection, fence, now)
    [real] = queue.by_id(connection, [job.id])
    if (real.state, real.attempt) != (State.UNKNOWN, job.attempt):
        return False
    resolve(connection, [job.id], how, now=now, request_id=request_id, by="as the provider says")
    return True


def _may_settle(connection: Connection, batch_id: int, for_good: Collection[int] | None) -> bool:
    """Whether a canary of the batch is unknown, but not for good."""
    if for_good is None:
        return False
    query = select(jobs.c.id).where(
        jobs.c.batch_id == batch_id,
        IS_CANARY,
        jobs.c.state == State.UNKNOWN.value,
        jobs.c.id.not_in(for_good),
    )
    return connection.execute(query.limit(1)).first() is not None


# --- batches ---------------------------------------------------------------------------------


def halt(connection: Connection, batch_id: int, reason: str, kind: Kind, *, now: float) -> bool:
    """Stop submitting a batch; False when it was halted already."""
    changed = connection.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.halted_at.is_(None))
        .values(halted_at=now, halt_reason=reason)
    )
    if changed.rowcount == 0:
        return False
    note(connection, kind, reason, at=now, batch_id=batch_id)
    return True


def go_on(connection: Connection, batch_id: int, *, now: float) -> bool:
    """Submit a halted batch again, on the user's word: what failed so far is forgiven, and
    canaries are not waited for. False when it was not halted."""
    [batch] = [b for b in views.all_batches(connection) if b.id == batch_id]
    if batch.halted is None:
        return False
    connection.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(
            halted_at=None,
            halt_reason=None,
            forgiven=json.dumps({"settled": batch.settled, "failed": batch.failed}),
            canary_passed_at=func.coalesce(batches.c.canary_passed_at, now),
        )
    )
    note(connection, Kind.HALT, "gone on, by hand", at=now, batch_id=batch_id)
    return True


def judge_canaries(
    connection: Connection, batch_id: int, *, now: float, for_good: Collection[int] | None = None
) -> str | None:
    """See whether the batch's canaries are through; what came of it, or None while they are not.

    The rest is released when all succeeded; the batch is halted when one has ended badly and none
    is left open. ``for_good`` are the unknown jobs that only a person can settle; None for all.
    """
    rows = connection.execute(
        select(jobs.c.state, func.count())
        .where(jobs.c.batch_id == batch_id, IS_CANARY)
        .group_by(jobs.c.state)
    ).all()
    with readable("a canary's state"):
        counted = {State(state): n for state, n in rows}
    total, fine = sum(counted.values()), counted.get(State.SUCCEEDED, 0)
    if fine == total:
        connection.execute(
            update(batches).where(batches.c.id == batch_id).values(canary_passed_at=now)
        )
        text = f"all {total} canary jobs succeeded; the rest is released"
        note(connection, Kind.CANARY, text, at=now, batch_id=batch_id)
        return text
    still_open = sum(n for state, n in counted.items() if state not in TERMINAL | {State.UNKNOWN})
    if still_open or _may_settle(connection, batch_id, for_good):
        return None
    reason = f"{total - fine} of {total} canary jobs did not succeed"
    halt(connection, batch_id, reason, Kind.CANARY, now=now)
    return reason
