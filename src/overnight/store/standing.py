"""How things stand, as a worker asks while it works. Nothing here writes; what people ask is in
:mod:`overnight.store.views`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from overnight.lifecycle import State
from overnight.store.job import COLUMNS, Job
from overnight.store.rows import ArtifactRow
from overnight.store.tables import IS_PENDING, IS_TO_CANCEL, artifacts, attempts, jobs


def current(connection: Connection, job_id: int) -> Job:
    """The job as the table has it now."""
    return Job.from_row(connection.execute(_CURRENT, {"of_job": job_id}).one())


_CURRENT = select(*COLUMNS).where(jobs.c.id == bindparam("of_job"))


def to_cancel(connection: Connection, fence: int) -> list[int]:
    """The ids of this worker's jobs that the user wants cancelled, and that are with the provider
    or on their way there. The wish to cancel an unknown job waits for what becomes of the doubt."""
    return list(connection.scalars(_TO_CANCEL, {"holder": fence}))


_TO_CANCEL = select(jobs.c.id).where(
    IS_TO_CANCEL,
    jobs.c.fence == bindparam("holder"),
    jobs.c.state != State.COLLECTING.value,
    jobs.c.state != State.UNKNOWN.value,
)


def submits_since(connection: Connection, since: float, now: float) -> list[float]:
    """When the paid calls of attempts left at the latest, as far as that is after ``since``, in
    order: what a submit rate has used up.

    A call leaves some time after its intent is durable. The first that is on record after it is its
    answer, or that nobody heard one; a call without either may leave until ``now``.
    """
    left = func.coalesce(attempts.c.accepted_at, attempts.c.ended_at, now)
    return list(connection.scalars(select(left).where(left > since).order_by(left)))


def next_due(connection: Connection, batch_ids: Sequence[int]) -> float | None:
    """When the earliest pending job of these batches may be submitted; None without any."""
    due: float | None = connection.scalar(
        select(func.min(jobs.c.not_before)).where(IS_PENDING, jobs.c.batch_id.in_(batch_ids))
    )
    return due


def stored_files(connection: Connection, job: Job) -> dict[int, ArtifactRow]:
    """What is recorded of the files of a job's newest attempt, by position."""
    rows = connection.execute(_FILES, {"of_job": job.id, "of_attempt": job.attempt})
    return {row.position: ArtifactRow(*row) for row in rows}


_FILES = select(*[artifacts.c[name] for name in ArtifactRow.__slots__]).where(
    artifacts.c.job_id == bindparam("of_job"), artifacts.c.attempt == bindparam("of_attempt")
)
