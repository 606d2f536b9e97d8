"""Jobs that came home with a file that can't be what was asked for: how many, and whether another
try is worth its money, and the money is there.

Suspect files are few, and an index holds them alone, so counting them costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select
from sqlalchemy.sql import ColumnElement

from overnight.lifecycle import State
from overnight.store import spending
from overnight.store.job import Job
from overnight.store.tables import IS_SUSPECT, artifacts, jobs

OF_SUCCESS: tuple[ColumnElement[bool], ...] = (
    artifacts.c.job_id == jobs.c.id,
    artifacts.c.attempt == jobs.c.attempt,
    jobs.c.state == State.SUCCEEDED.value,
)
"""A file is one of those that its job succeeded with."""


def by_batch(connection: Connection) -> dict[int, int]:
    """The number of such jobs in each batch that has any, by the batch's id."""
    return {row[0]: row[1] for row in connection.execute(_BY_BATCH)}


# Grouped by a sum, because SQLite would group by an index that begins with the batch, and read
# every job by it, instead of the few that the index of suspect files names.
_GROUP = jobs.c.batch_id + 0
_BY_BATCH = (
    select(_GROUP, func.count(jobs.c.id.distinct())).where(IS_SUSPECT, *OF_SUCCESS).group_by(_GROUP)
)


def came_before(connection: Connection, job: Job, digests: Mapping[int, str | None]) -> bool:
    """Whether an earlier attempt of ``job`` brought exactly these files; ``digests`` leads from
    their positions to their SHA-256. A model that is given the same seed may well do so."""
    rows = connection.execute(
        select(artifacts.c.attempt, artifacts.c.position, artifacts.c.sha256).where(
            artifacts.c.job_id == job.id, artifacts.c.attempt < job.attempt
        )
    )
    earlier: dict[int, dict[int, str | None]] = {}
    for attempt, position, sha256 in rows:
        earlier.setdefault(attempt, {})[position] = sha256
    return None not in digests.values() and any(one == digests for one in earlier.values())


def may_be_bought_again(connection: Connection, job: Job, limit: float) -> bool:
    """Whether one more try of ``job`` surely keeps its batch within ``limit`` US dollars, counting
    what it may have spent and what still waits. Where a price is unknown, it does not.

    Reads every attempt of the batch.
    """
    price: float | None = connection.scalar(select(jobs.c.price).where(jobs.c.id == job.id))
    return price is not None and price <= spending.room(connection, job.batch_id, limit)
