"""Local files on their way to the provider: up before a job is claimed, signed when it is sent.

An upload costs nothing and may take minutes. It comes before the claim, because a claim makes the
intent to submit durable: a worker that dies over an upload must leave a job that is pending, and
not one that nobody can tell was paid for. So the claim passes over jobs whose files are not up
yet (:meth:`Publishing.admission`), and what it has passed over is uploaded meanwhile. What is done
after the claim is to sign an address, for this one submit.

A content is uploaded once a run at most, however many jobs send it, and asked for again when that
was an hour ago: a bucket may have rules of its own for what is old. A file that can't be sent
fails its jobs; a store that can't be reached puts them off, and one that turns the user away ends
the run like an account that is refused. Nothing has been sent to the provider in any of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from overnight.artifacts.publish import FileLost, Source, StoreRefused, StoreTrouble
from overnight.assets.reference import Reference, references, replaced
from overnight.providers import base
from overnight.store import assets, faults, views
from overnight.store.errors import StoreError
from overnight.store.faults import Place
from overnight.store.job import Job

if TYPE_CHECKING:
    from overnight.engine.run import Run

BELIEVED = 3600.0
"""Seconds for which an object that was seen in a store is taken to be there still."""
AGAIN = 10.0
"""Seconds before an upload that failed is tried again for a job that wants it."""

Unsent = base.Rejected | base.Refused | base.Unavailable
"""Why a job could not be sent, in the words for a submit that was surely not accepted."""


class Publisher(Protocol):
    """Puts local files where the provider can fetch them; ``settings`` are a batch's ``assets``."""

    async def publish(self, source: Source, settings: Mapping[str, Any]) -> str | None:
        """Make sure that the content is there; its permanent address, None where it has none.
        Raises :class:`FileLost` and :class:`StoreTrouble`."""
        ...

    async def address(self, source: Source, settings: Mapping[str, Any]) -> str:
        """An address for one submit, which may be a secret. Raises as :meth:`publish` does."""
        ...


_Key = tuple[str, str]
"""The store, and the content's name."""


@dataclass(frozen=True, slots=True)
class _State:
    """What came of the last upload, and until when that counts."""

    until: float
    source: Source | None = None
    unsent: Unsent | None = None


@dataclass(slots=True)
class Admission:
    """Says of jobs, in the writer's thread, whether they may be claimed; keeps the others."""

    ready: Callable[[Job], bool]
    waiting: list[Job] = field(default_factory=list)

    def __call__(self, job: Job) -> bool:
        if self.ready(job):
            return True
        self.waiting.append(job)
        return False


class Publishing:
    """The uploads of one run. ``failed`` is told of an error that ends it."""

    def __init__(
        self, run: Run, publisher: Publisher, failed: Callable[[BaseException], None]
    ) -> None:
        self._run = run
        self._publisher = publisher
        self._failed = failed
        self._known: dict[_Key, _State] = {}
        self._tasks: dict[_Key, asyncio.Task[_State]] = {}

    # --- before the claim -----------------------------------------------------------------------

    def admission(self, batch_id: int) -> Admission | None:
        """Which jobs of a batch may be claimed; None when all may, as without local files."""
        settings = self._run.batches[batch_id].assets
        if not settings:
            return None
        return Admission(partial(self._is_ready, settings, self._run.now()))

    def begin(self, admission: Admission | None) -> None:
        """Start uploading what the jobs that were passed over need."""
        for job in admission.waiting if admission is not None else ():
            settings = self._run.batches[job.batch_id].assets
            for reference in references(job.inputs):
                key = _key(settings, reference)
                if key not in self._tasks and not self._counts(key, self._run.now()):
                    self._start(key, reference, settings)

    def _is_ready(self, settings: Mapping[str, Any], now: float, job: Job) -> bool:
        """Whether everything is known that a submit needs to know, be it that it can't be."""
        return all(self._counts(_key(settings, one), now) for one in references(job.inputs))

    def _counts(self, key: _Key, now: float) -> bool:
        state = self._known.get(key)
        return state is not None and now < state.until

    def _start(self, key: _Key, reference: Reference, settings: Mapping[str, Any]) -> None:
        task = asyncio.create_task(self._upload(reference, settings), name=f"upload {key[1]}")
        self._tasks[key] = task
        task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: _Key, task: asyncio.Task[_State]) -> None:
        del self._tasks[key]
        run = self._run
        if not task.cancelled():
            error = task.exception()
            if error is None:
                self._known[key] = task.result()
            elif isinstance(error, StoreError):
                self._failed(error)
            else:
                reason = f"a bug in overnight, over an upload: {type(error).__name__}"
                self._known[key] = _State(run.now() + AGAIN, unsent=base.Unavailable(reason))
        run.due = 0.0
        run.wake.set()

    async def _upload(self, reference: Reference, settings: Mapping[str, Any]) -> _State:
        run, name = self._run, reference.name
        found = await run.record(partial(views.assets, names=[name]))
        if name not in found:
            text = f"Nothing is known here of the local file {reference}. Load the manifest again."
            return _State(run.now() + AGAIN, unsent=base.Rejected(text))
        row = found[name]
        source = Source(reference, Path(row.path), row.bytes, row.content_type)
        try:
            store_key = await self._publisher.publish(source, settings)
        except (FileLost, StoreTrouble) as error:
            return _State(run.now() + AGAIN, unsent=_unsent(error))
        if store_key is not None:
            await run.record(partial(assets.uploaded, name=name, store_key=store_key, at=run.now()))
        faults.reach(Place.PUBLISHED)
        return _State(run.now() + BELIEVED, source)

    # --- after the claim ------------------------------------------------------------------------

    async def inputs(self, job: Job) -> Mapping[str, Any] | Unsent:
        """What the provider is sent for a job, or why it can't be sent."""
        wanted = references(job.inputs)
        if not wanted:
            return job.inputs
        settings = self._run.batch_of(job).assets
        if not settings:
            return base.Rejected(
                "The job sends a local file, and its manifest has no assets any more. Put "
                "assets: back, load it again, and retry the job."
            )
        addresses: dict[str, str] = {}
        for reference in wanted:
            state = self._known.get(_key(settings, reference))
            if state is None:
                return base.Unavailable("its local file has not been uploaded yet")
            if state.source is None:
                return state.unsent or base.Unavailable("its local file can't be sent")
            try:
                addresses[str(reference)] = await self._publisher.address(state.source, settings)
            except (FileLost, StoreTrouble) as error:
                return _unsent(error)
        return replaced(job.inputs, addresses)

    async def stop(self) -> None:
        """Leave the uploads that are under way."""
        tasks: Iterable[asyncio.Task[_State]] = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(settings: Mapping[str, Any], reference: Reference) -> _Key:
    return str(settings.get("store") or ""), reference.name


def _unsent(error: FileLost | StoreTrouble) -> Unsent:
    if isinstance(error, FileLost):
        return base.Rejected(str(error))
    return (
        base.Refused(str(error))
        if isinstance(error, StoreRefused)
        else base.Unavailable(str(error))
    )
