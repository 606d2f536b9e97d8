"""Bringing a finished job home: read the verdict, record what was delivered, fetch the files.

Everything here is free and repeated until it works or the job's own limit is reached. An address
that expired is asked for again before anything is given up. What can't be fetched in the end
leaves the job ``failed`` with its delivery on record, so that ``retry`` fetches and never buys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from overnight.artifacts import download, naming, poster
from overnight.artifacts.bucket import BucketError
from overnight.artifacts.place import Place as FilePlace
from overnight.artifacts.place import Places
from overnight.artifacts.probe import Prober
from overnight.engine import provenance
from overnight.engine.polls import Polls
from overnight.engine.run import Run
from overnight.engine.second_try import bought_again_for
from overnight.engine.settle import (
    GONE_CONFIRMATIONS,
    REFUSAL_CONFIRMATIONS,
    StrandedError,
    fail,
    request_of,
)
from overnight.lifecycle import Event, State
from overnight.providers import base
from overnight.store import faults, files, names, standing, steps
from overnight.store.faults import Place
from overnight.store.job import Job
from overnight.store.rows import ArtifactRow
from overnight.store.steps import Facts, Overtaken

USELESS_ANSWERS = 8
"""Answers in a row that are no file (a web page, an empty body, an address that has expired once
more) before the file counts as one that can't be fetched."""


class StorageError(Exception):
    """Our own disk can't take a file. The run ends; the message is for the user."""


class UncollectableError(Exception):
    """Delivered, but it can't be fetched. The message says why."""


class Collector:
    """The handler of ``collecting``. ``prober`` looks into each file before it gets its name;
    with ``sidecars`` it is written down beside the files where they are from. ``places`` knows
    where files go; without it, only folders of this machine do."""

    def __init__(
        self,
        run: Run,
        downloader: download.Downloader,
        prober: Prober | None = None,
        *,
        sidecars: bool = False,
        places: Places | None = None,
    ) -> None:
        self._run = run
        self._downloader = downloader
        self._prober = prober
        self._sidecars = sidecars
        self._places = places or Places()
        self._turns: dict[int, asyncio.Semaphore] = {}
        """How many more files of each batch may be fetched now."""
        self._named: dict[Path, int] = {}
        """Names that manifests gave, without suffixes, each with the job that has it now."""

    async def finished(self, job: Job, polls: Polls) -> Job:
        """From the provider's word that it is done with ``job`` to wherever that leads.

        Its slot there is empty, so another job may be submitted from now on. The table learns of
        it with the first answer about the verdict, a free call later; who dies before that asks
        again.
        """
        run, at = self._run, self._run.now()
        run.budget.release(job.id)
        run.wake.set()
        told = await run.provider.result(request_of(job))
        if isinstance(told, base.Delivered):
            polls.saw(told)
            facts = Facts(at, heard=polls.heard(), urls=told.urls, cost=told.cost)
            job, rows = await self._record_delivery(job, told, facts)
            return await self.collect(job, rows=rows) if rows else job
        job = await run.transition(job, Event.FINISHED, Facts(at, heard=polls.heard()))
        faults.reach(Place.FINISHED)
        return await self.collect(job, told) if job.state is State.COLLECTING else job

    async def collect(
        self,
        job: Job,
        told: base.ResultOutcome | None = None,
        rows: Mapping[int, ArtifactRow] | None = None,
    ) -> Job:
        """From ``collecting`` to wherever it leads; the job as the table has it then.

        ``told`` is what was heard of the verdict already, ``rows`` what is on record of the files;
        without them, both are found out.
        """
        try:
            return await self._bring_in(job, told, rows)
        finally:
            if job.file_name is not None:
                self._let_go(self._place(job).desk / naming.place(job.file_name), job)

    async def _bring_in(
        self,
        job: Job,
        told: base.ResultOutcome | None,
        rows: Mapping[int, ArtifactRow] | None,
    ) -> Job:
        run, polls = self._run, Polls()
        # The limit is for trying, and nothing was tried while no worker ran.
        job = job._replace(updated_at=run.now())
        if rows is None and job.delivered:
            rows = await self._recorded(job)
        if not rows:
            verdict = await self._read_verdict(job, polls, told)
            if isinstance(verdict, Job):
                return verdict
            job, rows = await self._record_delivery(job, verdict)
            if not job.delivered:
                return job
        if not rows:
            error = "The provider says it worked, but names no file."
            return await self._record(job, Event.UNCOLLECTABLE, polls, error)
        try:
            for row in rows.values():
                if not await self._bring_home(job, row, len(rows)):
                    return await run.reread(job)
        except UncollectableError as error:
            return await self._record(job, Event.UNCOLLECTABLE, polls, str(error))
        faults.reach(Place.BEFORE_COLLECTED)
        if self._sidecars:
            await self._keep_provenance(job)
        async with run.deciding:
            if (why := await bought_again_for(run, job)) is not None:
                return await self._record(job, Event.SUSPECT, polls, why)
        collected = await self._record(job, Event.COLLECTED, polls)
        faults.reach(Place.COLLECTED)
        return collected

    async def _record(self, job: Job, event: Event, polls: Polls, error: str | None = None) -> Job:
        facts = Facts(self._run.now(), error=error, heard=polls.heard())
        return await self._run.transition(job, event, facts)

    async def _recorded(self, job: Job) -> Mapping[int, ArtifactRow]:
        return await self._run.record(partial(standing.stored_files, job=job))

    # --- the verdict ----------------------------------------------------------------------------

    async def _read_verdict(
        self, job: Job, polls: Polls, told: base.ResultOutcome | None
    ) -> Job | base.Delivered:
        """Ask until there is a verdict: the delivery, or the job once anything else is recorded.
        ``told`` is the first answer, where there was one."""
        run = self._run
        while True:
            outcome = told or await run.provider.result(request_of(job))
            told = None
            polls.saw(outcome)
            match outcome:
                case base.Delivered():
                    return outcome
                case base.Failed():
                    return await fail(run, job, outcome, polls)
                case base.Cancelled():
                    return await self._record(job, Event.CANCELLED, polls)
                case base.Gone(reason) if polls.gone >= GONE_CONFIRMATIONS:
                    return await self._record(job, Event.GONE, polls, reason)
                case base.Refused(reason) if self._is_refused(polls):
                    run.gate.record(Event.REFUSED, reason)
                    raise StrandedError(reason)
                case _:
                    # No answer, or a state from before the end: ask again.
                    pass
            if self._overdue(job):
                error = "The result could not be read in time; `overnight retry` reads it again."
                return await self._record(job, Event.UNCOLLECTABLE, polls, error)
            await run.nap(job.id, run.pace.next_try(polls.failures, run.rng, polls.retry_after))

    def _is_refused(self, polls: Polls) -> bool:
        return polls.refused >= REFUSAL_CONFIRMATIONS and not self._run.wait_for_account

    async def _record_delivery(
        self, job: Job, delivery: base.Delivered, finished: Facts | None = None
    ) -> tuple[Job, Mapping[int, ArtifactRow]]:
        """Record it; the job as the table has it then, and its files, none of them home where
        nothing was delivered before. ``finished`` is the provider's end with the delivery in it,
        where that is not on record yet."""
        run, urls = self._run, delivery.urls
        recorded: Job | Overtaken
        faults.reach(Place.DELIVERY_READ)
        if finished is not None:
            recorded = await run.transition(job, Event.FINISHED, finished)
        else:
            recorded = await run.record(steps.Delivery(job, urls, delivery.cost, run.now()))
        faults.reach(Place.DELIVERY_RECORDED)
        if isinstance(recorded, Overtaken):
            recorded = await run.reread(job)
            return recorded, await self._recorded(recorded)
        return recorded, _not_home(recorded, urls) if recorded.delivered else {}

    # --- the files ------------------------------------------------------------------------------

    async def _bring_home(self, job: Job, row: ArtifactRow, of: int) -> bool:
        """Fetch one file and record it; False when the job is not what it was any more."""
        run, place = self._run, self._place(job)
        fetched = await self._fetch(job, row, of)
        if run.batch_of(job).output.get("poster") and self._prober is not None:
            await poster.add(place, fetched, self._prober)
        faults.reach(Place.FILE_NAMED)
        file = _stored(row, fetched)
        kept = await run.record(steps.Keep(job, file, run.now()))
        faults.reach(Place.FILE_RECORDED)
        await place.settle(self._downloader, fetched)
        return not isinstance(kept, Overtaken)

    async def _fetch(self, job: Job, row: ArtifactRow, of: int) -> download.Fetched:
        """Try until the file is home. Raises :class:`UncollectableError`, :class:`StorageError`."""
        run, url = self._run, row.url
        folder, name = await self._name(job, of)
        failures = useless = 0
        retry_after: float | None
        while True:
            outcome = await self._fetch_once(
                job, row, url, partial(_target, folder, name, row, url, of)
            )
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
        self, job: Job, row: ArtifactRow, url: str, target: download.Target
    ) -> download.FetchOutcome:
        counted = 0

        def progress(received: int, _total: int | None) -> None:
            nonlocal counted
            self._run.bytes += received - counted
            counted = received

        place = self._place(job)
        async with self._turn(job):
            return await place.fetch(
                self._downloader,
                url,
                target,
                recorded=_recorded(place, row),
                progress=progress,
                examine=None if self._prober is None else self._prober.examiner(job.inputs),
            )

    async def _keep_provenance(self, job: Job) -> None:
        """Raises :class:`StorageError`."""
        of = await self._run.record(partial(files.provenance, job_id=job.id))
        failures = 0
        while True:
            try:
                await asyncio.to_thread(provenance.keep, of, self._place(job))
            except OSError as error:
                raise StorageError(
                    f"{error.filename or of.output_dir}: {error.strerror}. Files can't be written "
                    "there: put that right, then run this again."
                ) from error
            except BucketError as error:
                failures += 1
                if not error.passes or self._overdue(job):
                    raise StorageError(str(error)) from error
                await self._run.nap(job.id, self._run.pace.next_try(failures, self._run.rng, None))
            else:
                return

    def _place(self, job: Job) -> FilePlace:
        """Where the job's files go. Raises :class:`StorageError`."""
        try:
            return self._places.of(self._run.output_dir(job))
        except BucketError as error:
            raise StorageError(str(error)) from error

    def _turn(self, job: Job) -> asyncio.Semaphore:
        if job.batch_id not in self._turns:
            self._turns[job.batch_id] = asyncio.Semaphore(self._run.downloads_of(job))
        return self._turns[job.batch_id]

    async def _name(self, job: Job, of: int) -> tuple[Path, str]:
        """The folder that the job's files are made in, and what they are called, without what tells
        them from each other and suffixes.

        A key belongs to one job. A name from the manifest may be wanted by several: the first that
        comes home has it, and the others add the beginning of their fingerprint.
        """
        place = self._place(job)
        folder = place.desk
        if job.file_name is None:
            return folder, job.key
        wanted = folder / naming.place(job.file_name)
        if self._named.setdefault(wanted, job.id) == job.id:
            first = place.location(wanted) + ("" if of == 1 else "-1")
            if not await self._run.record(partial(names.is_taken, path=first, job_id=job.id)):
                return wanted.parent, wanted.name
        return wanted.parent, f"{wanted.name}~{job.fingerprint[:8]}"

    def _let_go(self, wanted: Path, job: Job) -> None:
        if self._named.get(wanted) == job.id:
            del self._named[wanted]

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


def _target(
    folder: Path, name: str, row: ArtifactRow, url: str, of: int, content_type: str | None
) -> Path:
    n = row.position + 1
    return folder / naming.file_name(name, n, of, url=url, content_type=content_type)


def _recorded(place: FilePlace, row: ArtifactRow) -> download.Fetched | None:
    if row.path is None or row.bytes is None or row.sha256 is None:
        return None
    made = place.on_desk(row.path)
    address = None if str(made) == row.path else row.path
    return download.Fetched(made, row.bytes, row.sha256, row.content_type, address=address)


def _not_home(job: Job, urls: Sequence[str]) -> dict[int, ArtifactRow]:
    """What is on record of files of which nothing but their addresses is."""
    return {
        position: ArtifactRow(job.attempt, position, url, None, None, None, None)
        for position, url in enumerate(urls)
    }


def _stored(row: ArtifactRow, fetched: download.Fetched) -> steps.Stored:
    """What to record of a file; one that was on record already keeps what was found in it."""
    found = fetched.opinion
    return steps.Stored(
        row.position,
        fetched.location,
        fetched.bytes,
        fetched.sha256,
        fetched.content_type,
        suspect=row.suspect if found is None else found.suspect,
        probe=row.probe if found is None else json.dumps(dict(found.probe)),
    )
