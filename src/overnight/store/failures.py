"""Why jobs failed: as much of them as a summary needs, so that it may read thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from overnight.lifecycle import State
from overnight.store.tables import artifacts, jobs


class Failure(NamedTuple):
    """A failed job: its error, and what in the error's words may be the job's own."""

    id: int
    key: str
    request_id: str | None
    error: str | None
    urls: Sequence[str] = ()


def of_batches(connection: Connection, batch_ids: Iterable[int], limit: int) -> Iterator[Failure]:
    """The first ``limit`` failed jobs of these batches, batch by batch, by id. ``urls`` are those
    of the newest attempt, where the error names any."""
    left = limit
    for batch_id in batch_ids:
        rows = connection.execute(_FAILED, {"of_batch": batch_id, "most": left}).all()
        if not rows:
            continue
        urls: dict[int, list[str]] = {}
        for job_id, url in connection.execute(_URLS, {"of_batch": batch_id, "last": rows[-1].id}):
            urls.setdefault(job_id, []).append(url)
        yield from (Failure(*row, urls.get(row.id, ())) for row in rows)
        left -= len(rows)


_OF_BATCH = (jobs.c.batch_id == bindparam("of_batch"), jobs.c.state == State.FAILED.value)
_FAILED = (
    select(jobs.c.id, jobs.c.key, jobs.c.request_id, jobs.c.error)
    .where(*_OF_BATCH)
    .order_by(jobs.c.id)
    .limit(bindparam("most"))
)
_URLS = (
    select(artifacts.c.job_id, artifacts.c.url)
    .join_from(jobs, artifacts)
    .where(
        *_OF_BATCH,
        jobs.c.id <= bindparam("last"),
        # The others' URLs can't be among their words.
        jobs.c.error.contains("://"),
        artifacts.c.attempt == jobs.c.attempt,
    )
    .order_by(jobs.c.id, artifacts.c.position)
)
