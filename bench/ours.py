"""overnight's own engine between a database of jobs and a server: what the benchmarks run of it.

Everything is what ``overnight work`` wires together, except that files can be left out: a server
for measuring calls has none, and the peers fetch none either.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.calls import inputs
from overnight.artifacts.download import Downloader, Fetched, FetchOutcome, Progress, Target
from overnight.artifacts.outcomes import Examine
from overnight.engine.collect import Collector
from overnight.engine.garbage import rarely_collected
from overnight.engine.pacing import Pace
from overnight.engine.run import Limits, Run
from overnight.engine.worker import Worker
from overnight.lifecycle import State
from overnight.providers.credentials import find_account
from overnight.providers.retry_after import retry_after
from overnight.providers.runcomfy import RunComfy
from overnight.providers.transport import AiohttpTransport
from overnight.providers.turnstile import Turnstile, free_calls
from overnight.store import loading, views
from overnight.store.database import Database, open_database
from overnight.store.writer import Writer

MODEL = "community/wan-2-1/fusionx/image-to-video"
TOKEN = "bench"  # noqa: S105 - the server asks for none
AT_ONCE = Pace(shortest=0.0, longest=0.0, per_second=math.inf)
"""Ask again at once: with no service time, any wait would be all that is measured."""


class Spec:
    """One job, told apart by its seed."""

    priority, rank, repeat = 0, 0, 1
    tags: tuple[str, ...] = ()
    name: str | None = None
    price: float | None = None

    def __init__(self, seed: int) -> None:
        self.inputs = inputs(seed)
        text = json.dumps(self.inputs, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.key = f"seed{seed}-{self.fingerprint[:8]}"
        self.block, self.provider, self.model = "", "runcomfy", MODEL
        self.variables: dict[str, Any] = {"seed": seed}


def load(path: Path, jobs: int, in_flight: int) -> None:
    """A new database at ``path`` with ``jobs`` pending jobs, ``in_flight`` of them at once."""
    run = {"concurrency": in_flight}
    place = str(path.parent / "out")
    header = loading.Header("bench", str(path.parent / "jobs.yaml"), "0" * 64, run, place)
    specs: Iterator[Spec] = (Spec(seed) for seed in range(jobs))
    with open_database(str(path), create=True) as database, database.writing() as connection:
        loading.load(connection, header, specs, now=time.time())


class NoFiles(Downloader):
    """Says of every file that it is home."""

    async def fetch(
        self,
        url: str,
        target: Target,
        *,
        recorded: Fetched | None = None,
        progress: Progress | None = None,
        examine: Examine | None = None,
    ) -> FetchOutcome:
        path = target if isinstance(target, Path) else target("video/mp4")
        return Fetched(path, 1024, "0" * 64, "video/mp4")

    async def settle(self, fetched: Fetched) -> None:
        """There is nothing to settle."""


@asynccontextmanager
async def worker(
    database: Database,
    origin: str,
    *,
    pace: Pace | None = None,
) -> AsyncIterator[Worker]:
    """A worker on the one batch of ``database``, without files; ``pace`` replaces its own.

    It may fill the whole budget from the start: the slow start is there to spare a real provider,
    and would be most of what a short benchmark sees.
    """
    with database.reading() as connection:
        scope = views.all_batches(connection)
    account = find_account(
        {"RUNCOMFY_API_TOKEN": TOKEN, "RUNCOMFY_MODEL_API_BASE": origin}, Path.home()
    )
    provider = Turnstile(RunComfy.connect(account, trust_env=False), free_calls())
    downloader = NoFiles(AiohttpTransport(), retry_after=retry_after)

    def collector(run: Run) -> Collector:
        if pace is not None:
            run.pace = pace
        run.concurrency.limit = run.concurrency.ceiling
        return Collector(run, downloader)

    writer = Writer(database)
    writer.start()
    try:
        with rarely_collected():
            yield Worker(
                recorder=writer,
                provider=provider,
                collector=collector,
                scope=scope,
                limits=Limits(),
            )
    finally:
        await writer.stop()
        await provider.aclose()
        await downloader.aclose()


def states(database: Database) -> Counter[State]:
    """How many jobs of the one batch are in each state."""
    with database.reading() as connection:
        [batch] = views.all_batches(connection)
    return Counter(batch.states)


def require_done(database: Database, jobs: int) -> None:
    """Raises :class:`RuntimeError` unless all ``jobs`` have succeeded: half a job is no figure."""
    there = states(database)
    if there[State.SUCCEEDED] != jobs:
        raise RuntimeError(f"not every job succeeded: {dict(there)}")
