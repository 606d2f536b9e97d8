"""What people's commands do to jobs: cancel, try again, and move what no worker is busy with.

They never touch a state that a worker is busy with; they leave a mark or move what rests. All
functions run inside the caller's write transaction, which is their guard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, select, update

from overnight.lifecycle import IN_FLIGHT, Event, State, after
from overnight.store import tally
from overnight.store.job import COLUMNS, Job
from overnight.store.tables import IS_PENDING, attempts, batches, jobs

NOBODY = 0
"""The fence of a job that no worker holds."""


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
    tally.moved(connection, [(job.batch_id, job.state, target)])
