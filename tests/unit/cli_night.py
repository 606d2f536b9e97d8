"""A database as a night leaves it, without a worker or a provider: for tests of the verbs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from overnight.lifecycle import Event
from overnight.store import leases, loading, queue, views
from overnight.store.database import Database
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken, Stored

Capture = pytest.CaptureFixture[str]


class Spec:
    """A job as a manifest would give it."""

    priority, rank, repeat = 0, 0, 1
    tags: tuple[str, ...] = ()
    name: str | None = None
    price: float | None = None

    def __init__(self, n: int) -> None:
        self.fingerprint = hashlib.sha256(f"cli {n}".encode()).hexdigest()
        self.block, self.provider, self.model = "", "runcomfy", "a/model"
        self.inputs: dict[str, Any] = {"598_seed": n, "600_prompt": "Käfig 日本 🌙\n\x1b[31mred"}
        self.variables: dict[str, Any] = {"seed": n}
        self.key = f"seed{n}"


def fill(database: Database, name: str = "night", jobs: int = 4, **settings: Any) -> None:
    """Load a batch; ``settings`` are of its manifest's ``run`` block."""
    run = {"concurrency": 3, **settings}
    header = loading.Header(name, f"/m/{name}.yaml", "0" * 64, run, f"/out/{name}")
    with database.writing() as connection:
        loading.load(connection, header, [Spec(n) for n in range(jobs)], now=1_000.0)


class Night:
    """A worker's moves, without a worker."""

    def __init__(self, database: Database, now: float = 2_000.0) -> None:
        self._database = database
        with database.writing() as connection:
            me = leases.Identity.of_this_process()
            self.fence = leases.take(connection, me, now)

    def claim(self, batch_id: int, limit: int) -> list[Job]:
        with self._database.writing() as connection:
            return queue.claim(
                connection, fence=self.fence, batch_id=batch_id, limit=limit, now=2_000.0
            )

    def move(self, job: Job, event: Event, **facts: Any) -> Job:
        return self.write(partial(queue.move, job=job, event=event, facts=Facts(2_001.0, **facts)))

    def write(self, operation: Callable[..., Job | Overtaken]) -> Job:
        with self._database.writing() as connection:
            done = operation(connection)
        assert isinstance(done, Job)
        return done

    def succeed(self, job: Job, request_id: str) -> Job:
        job = self.move(job, Event.ACCEPTED, request_id=request_id)
        job = self.move(self.move(job, Event.SEEN_RUNNING), Event.FINISHED)
        urls = ["https://cdn/x.mp4"]
        job = self.write(partial(queue.delivered, job=job, urls=urls, cost=0.05, at=2_002.0))
        file = Stored(0, "/out/night/x.mp4", 1234, "ab" * 32, "video/mp4")
        job = self.write(partial(queue.stored, job=job, file=file, at=2_003.0))
        return self.move(job, Event.COLLECTED)

    def end(self) -> None:
        with self._database.writing() as connection:
            leases.release(connection, self.fence, 3_000.0)


def lines(capture: Capture) -> list[dict[str, Any]]:
    """What was printed with --json: every line must be an object, and stderr empty."""
    captured = capture.readouterr()
    assert captured.err == ""
    return [json.loads(text) for text in captured.out.splitlines()]


def states(database: Database, name: str = "night") -> dict[str, int]:
    with database.reading() as connection:
        [batch] = views.named_batches(connection, [name])
    return {state.value: n for state, n in batch.states.items() if n}
