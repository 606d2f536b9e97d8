"""Why jobs failed: as much of them as a summary needs, so that it may read thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from overnight.store.driver import Reader
from overnight.store.reading import rows


class Failure(NamedTuple):
    """A failed job: its error, and what in the error's words may be the job's own."""

    id: int
    key: str
    request_id: str | None
    error: str | None
    urls: Sequence[str] = ()


def of_batches(connection: Reader, batch_ids: Iterable[int], limit: int) -> Iterator[Failure]:
    """The first ``limit`` failed jobs of these batches, batch by batch, by id. ``urls`` are those
    of the newest attempt, where the error names any."""
    left = limit
    for batch_id in batch_ids:
        failed = rows(connection, "failed", batch=batch_id, most=left)
        if not failed:
            continue
        urls: dict[int, list[str]] = {}
        last = failed[-1][0]
        for job_id, url in rows(connection, "urls_of_failed", batch=batch_id, last=last):
            urls.setdefault(job_id, []).append(url)
        for job_id, key, request_id, error in failed:
            yield Failure(job_id, key, request_id, error, urls.get(job_id, ()))
        left -= len(failed)
