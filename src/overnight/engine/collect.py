"""Bringing a finished job home: read the verdict, record what was delivered, fetch the files.

Everything here is free and repeated until it works or the job's own limit is reached. An address
that expired is asked for again before anything is given up. What can't be fetched in the end
leaves the job ``failed`` with its delivery on record, so that ``retry`` fetches and never buys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from overnight.artifacts import download, naming
from overnight.engine.polls import Polls
from overnight.engine.run import Run
from overnight.engine.settle import (
    GONE_CONFIRMATIONS,
    REFUSAL_CONFIRMATIONS,
    StrandedError,
    fail,
    request_of,
)
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import faults, queue, views
from overnight.store.faults import Place
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken

DOWNLOADS = 4
"""Files fetched at once."""

USELESS_ANSWERS = 8
"""Answers in a row that are no file (a web page, an empty body, an address that has expired once
more) before the file counts as one that can't be fetched."""


class StorageError(Exception):
    """Our own disk can't take a file. The run ends; the message is for the user."""


class UncollectableError(Exception):
    """Delivered, but it can't be fetched. The message says why."""


class Collector:
    """The handler of ``collecting``."""

    def __init__(self, run: Run, downloader: download.Downloader, at_once: int = DOWNLOADS) -> None:
        self._run = run
        self._downloader = downloader
        self._turn = asyncio.Semaphore(at_once)

    async def collect(self, job: Job) -> Job:
        """From ``collecting`` to wherever it leads; the job as the table has it then."""
        run = self._run
        # The limit is for trying, and nothing was tried while no worker ran.
        job = replace(job, updated_at=run.now())
        files: Mapping[int, views.ArtifactRow] = {}
        if job.delivered:
            files = await self._recorded(job)
        if not files:
            job = await self._read_verdict(job)
            if not job.delivered:
                return job
            files = await self._recorded(job)
        if not files:
            error = "The provider says it worked, but names no file."
            return await run.transition(job, Event.UNCOLLECTABLE, Facts(run.now(), error=error))
        try:
            for row in files.values():
                if not await self._bring_home(job, row, len(files)):
                    return await run.reread(job)
        except UncollectableError as error:
            return await run.transition(
                job, Event.UNCOLLECTABLE, Facts(run.now(), error=str(error))
            )
        faults.reach(Place.BEFORE_COLLECTED)
        collected = await run.transition(job, Event.COLLECTED)
        faults.reach(Place.COLLECTED)
        return collected

    async def _recorded(self, job: Job) -> Mapping[int, views.ArtifactRow]:
        return await self._run.record(partial(views.stored_files, job=job))

    # --- the verdict ----------------------------------------------------------------------------

    async def _read_verdict(self, job: Job) -> Job:
        """Ask until there is a verdict; record it. ``delivered`` is set when it worked."""
        run, polls = self._run, Polls()
        while True:
            outcome = await run.provider.result(request_of(job))
            polls.saw(outcome)
            match outcome:
                case base.Delivered():
                    return await self._record_delivery(job, outcome)
                case base.Failed():
                    return await fail(run, job, outcome)
                case base.Cancelled():
                    return await run.transition(job, Event.CANCELLED)
                case base.Gone(reason) if polls.gone >= GONE_CONFIRMATIONS:
                    return await run.transition(job, Event.GONE, Facts(run.now(), error=reason))
                case base.Refused(reason) if self._is_refused(polls):
                    run.gate.record(Event.REFUSED, reason)
                    raise StrandedError(reason)
                case _:
                    # No answer, or a state from before the end: ask again.
                    pass
            if self._overdue(job):
                error = "The result could not be read in time; `overnight retry` reads it again."
                return await run.transition(job, Event.UNCOLLECTABLE, Facts(run.now(), error=error))
            await run.nap(job.id, run.pace.next_try(polls.failures, run.rng, polls.retry_after))

    def _is_refused(self, polls: Polls) -> bool:
        return polls.refused >= REFUSAL_CONFIRMATIONS and not self._run.wait_for_account

    async def _record_delivery(self, job: Job, delivery: base.Delivered) -> Job:
        run = self._run
        faults.reach(Place.DELIVERY_READ)
        recorded = await run.record(
            partial(queue.delivered, job=job, urls=delivery.urls, cost=delivery.cost, at=run.now())
        )
        faults.reach(Place.DELIVERY_RECORDED)
        return await run.reread(job) if isinstance(recorded, Overtaken) else recorded

    # --- the files ------------------------------------------------------------------------------

    async def _bring_home(self, job: Job, row: views.ArtifactRow, of: int) -> bool:
        """Fetch one file and record it; False when the job is not what it was any more."""
        run = self._run
        fetched = await self._fetch(job, row, of)
        faults.reach(Place.FILE_NAMED)
        file = queue.Stored(
            row.position, str(fetched.path), fetched.bytes, fetched.sha256, fetched.content_type
        )
        kept = await run.record(partial(queue.stored, job=job, file=file, at=run.now()))
        faults.reach(Place.FILE_RECORDED)
        return not isinstance(kept, Overtaken)

    async def _fetch(self, job: Job, row: views.ArtifactRow, of: int) -> download.Fetched:
        """Try until the file is home. Raises :class:`UncollectableError`, :class:`StorageError`."""
        run, url = self._run, row.url
        failures = useless = 0
        retry_after: float | None
        while True:
            outcome = await self._fetch_once(job, row, url, of)
            retry_after = None
            match outcome:
                case download.Fetched():
                    return outcome
                case download.StorageFault(reason):
                    raise StorageError(reason)
                case download.Unfetchable(reason):
                    raise UncollectableError(reason)
                case download.Expired(reason):
                    useless += 1
                    url = await self._fresh_url(job, row.position) or url
                case download.TryAgain(reason, retry_after):
                    pass
            failures += 1
            if useless >= USELESS_ANSWERS:
                raise UncollectableError(f"{useless} times in a row: {reason}")
            if self._overdue(job):
                raise UncollectableError(f"It could not be fetched in time; at last: {reason}")
            await run.nap(job.id, run.pace.next_try(failures, run.rng, retry_after))

    async def _fetch_once(
        self, job: Job, row: views.ArtifactRow, url: str, of: int
    ) -> download.FetchOutcome:
        counted = 0

        def progress(received: int, _total: int | None) -> None:
            nonlocal counted
            self._run.bytes += received - counted
            counted = received

        async with self._turn:
            return await self._downloader.fetch(
                url,
                partial(self._target, job, row, url, of),
                recorded=_recorded(row),
                progress=progress,
            )

    def _target(
        self, job: Job, row: views.ArtifactRow, url: str, of: int, content_type: str | None
    ) -> Path:
        name = naming.file_name(job.key, row.position + 1, of, url=url, content_type=content_type)
        return self._run.output_dir(job) / name

    async def _fresh_url(self, job: Job, position: int) -> str | None:
        """The file's address as the result call gives it now; None when it gives none."""
        run = self._run
        outcome = await run.provider.result(request_of(job))
        if not isinstance(outcome, base.Delivered) or position >= len(outcome.urls):
            return None
        await self._record_delivery(job, outcome)
        return outcome.urls[position]

    def _overdue(self, job: Job) -> bool:
        return self._run.now() - job.updated_at > self._run.limits_of(job).collect


def _recorded(row: views.ArtifactRow) -> download.Fetched | None:
    if row.path is None or row.bytes is None or row.sha256 is None:
        return None
    return download.Fetched(Path(row.path), row.bytes, row.sha256, row.content_type)
