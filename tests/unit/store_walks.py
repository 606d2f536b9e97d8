"""What the store's unit tests share: a database in use, and ways to lead a job somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from overnight.lifecycle import Event
from overnight.store import leases, loading, tally, views
from overnight.store.database import Database
from overnight.store.job import Job
from tests.unit.test_store_queue import HEADER, ME, Spec, claim, load, moved

DONE = [Event.ACCEPTED, Event.SEEN_RUNNING, Event.FINISHED]


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """One write transaction over six pending jobs, with a worker's lease in it."""
    load(database, 6)
    with database.writing() as connection:
        assert leases.take(connection, ME, now=1.0) == 1
        yield connection
        for batch in views.all_batches(connection):
            assert tally.recount(connection, batch.id) == batch.states


def walk(connection: Connection, job: Job, *events: Event) -> Job:
    for event in events:
        request = f"r-{job.id}-{job.attempt}" if event is Event.ACCEPTED else None
        job = moved(connection, job, event, request_id=request)
    return job


def duplicates(connection: Connection) -> int:
    [batch] = views.all_batches(connection)
    return batch.possible_duplicates


def unknown(connection: Connection) -> Job:
    [job] = claim(connection)
    return moved(connection, job, Event.UNCERTAIN, error="?")


class InBlock(Spec):
    """A job of a named block."""

    def __init__(self, n: int, block: str) -> None:
        super().__init__(n)
        self.block = block


def load_canaries(connection: Connection, each: int, numbers: dict[str, list[int]]) -> None:
    run: dict[str, Any] = {"canary": each} if each else {}
    header = replace(HEADER, name="canaries", run=run)
    specs = [InBlock(n, block) for block, ns in numbers.items() for n in ns]
    loading.load(connection, header, specs, now=1.0)
