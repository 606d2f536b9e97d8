"""Jobs that came home with a file that can't be what was asked for: whether another try is worth
its money, and the money is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from overnight.store import spending
from overnight.store.job import Job
from overnight.store.tables import artifacts, jobs


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
