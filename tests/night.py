"""A small night for tests: a database with jobs, the emulator, and a worker between the two."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overnight.artifacts.download import Downloader
from overnight.emulator import DEFAULT_TOKEN, Emulator
from overnight.engine.collect import Collector
from overnight.engine.pacing import Pace
from overnight.engine.report import Notice, Report
from overnight.engine.run import Limits, Run
from overnight.engine.worker import Worker
from overnight.lifecycle import State
from overnight.providers.credentials import find_account
from overnight.providers.retry_after import retry_after
from overnight.providers.runcomfy import RunComfy, Timeouts
from overnight.providers.transport import AiohttpTransport
from overnight.store import loading, views
from overnight.store.database import Database, open_database
from overnight.store.rows import Batch, JobRow
from overnight.store.writer import Writer

MODEL = "community/wan-2-1/fusionx/image-to-video"

QUICK = Pace(shortest=0.02, longest=0.2, first_try=0.02, longest_without_answer=0.2)
"""A pace for tests: the emulator's jobs last milliseconds."""


class Spec:
    """One job of the seed's model, told apart by its seed."""

    priority, rank, repeat = 0, 0, 1
    tags: tuple[str, ...] = ()
    name: str | None = None
    price: float | None = None

    def __init__(self, seed: int) -> None:
        self.inputs: dict[str, Any] = {
            "600_prompt": "Fog lifts off a harbour at dawn",
            "608_image": "RunComfy_examples_1235_1.png",
            "598_seed": seed,
        }
        text = json.dumps(self.inputs, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.key = f"seed{seed}-{self.fingerprint[:8]}"
        self.block, self.provider, self.model = "", "runcomfy", MODEL
        self.variables: dict[str, Any] = {"seed": seed}


@dataclass
class Night:
    """One database in ``folder`` and whatever runs of it a test asks for."""

    folder: Path
    database: Database
    notices: list[Notice] = field(default_factory=list)

    @property
    def batch(self) -> Batch:
        with self.database.reading() as connection:
            [batch] = views.all_batches(connection)
        return batch

    @property
    def states(self) -> dict[State, int]:
        """How many jobs are in each state that has any."""
        return {state: n for state, n in self.batch.states.items() if n}

    def jobs(self) -> list[JobRow]:
        with self.database.reading() as connection:
            return list(views.every(connection, views.Filter()))

    def files(self) -> list[Path]:
        return sorted((self.folder / "out").glob("*"))

    @asynccontextmanager
    async def worker(
        self,
        emulator: Emulator,
        *,
        limits: Limits | None = None,
        token: str = DEFAULT_TOKEN,
        timeouts: Timeouts | None = None,
        scope: Sequence[Batch] | None = None,
        api: type[RunComfy] = RunComfy,
        **settings: Any,
    ) -> AsyncIterator[Worker]:
        """A worker with everything it needs, real but quick."""
        environ = {"RUNCOMFY_API_TOKEN": token, "RUNCOMFY_MODEL_API_BASE": emulator.base_url}
        account = find_account(environ, self.folder)
        provider = api.connect(account, trust_env=False, timeouts=timeouts)
        downloader = Downloader(
            AiohttpTransport(), retry_after=retry_after, plain_http_hosts=account.plain_http_hosts
        )

        def collector(run: Run) -> Collector:
            run.pace = QUICK
            return Collector(run, downloader)

        writer = Writer(self.database)
        writer.start()
        try:
            yield Worker(
                recorder=writer,
                provider=provider,
                collector=collector,
                scope=[self.batch] if scope is None else scope,
                notify=self.notices.append,
                limits=limits,
                **settings,
            )
        finally:
            await writer.stop()
            await provider.aclose()
            await downloader.aclose()

    async def run(self, emulator: Emulator, **settings: Any) -> Report:
        """One run to its end."""
        async with self.worker(emulator, **settings) as worker:
            return await asyncio.wait_for(worker.run(), 120)

    async def run_until(
        self, emulator: Emulator, when: Callable[[Emulator], bool], **settings: Any
    ) -> Report:
        """One run that is asked to stop as soon as the emulator's ledger says so."""
        async with self.worker(emulator, **settings) as worker:
            running = asyncio.create_task(worker.run())
            await emulator.until(lambda _: when(emulator))
            worker.drain()
            return await asyncio.wait_for(running, 60)


@asynccontextmanager
async def night(
    folder: Path, jobs: int, *, concurrency: int = 4, attempts: int = 3, **run: Any
) -> AsyncIterator[Night]:
    """A database in ``folder`` with a batch of ``jobs`` jobs, loaded and pending."""
    header = loading.Header(
        "night",
        str(folder / "jobs.yaml"),
        "0" * 64,
        {"concurrency": concurrency, "attempts": attempts, **run},
        str(folder / "out"),
    )
    with open_database(str(folder / "overnight.db"), create=True) as database:
        with database.writing() as connection:
            specs = (Spec(seed) for seed in range(jobs))
            loading.load(connection, header, specs, now=time.time())
        yield Night(folder, database)
