"""Settling unknown jobs without a person, where the provider can tell what became of a submit.

A provider says of itself how it can be asked (:class:`~overnight.providers.base.Recovery`); one
that can't be asked is left alone, and its unknown jobs wait for a decision. What it answers is
recorded as if somebody had resolved the job by hand: accepted, then the job adopts the request;
never accepted, then it is submitted again, and that is no possible duplicate. While it can't tell,
it is asked again, less and less often, and after :data:`TRIES` answers that told nothing the job
is given up on for this run.

Two cautions. "Never accepted" is believed only once the submit can't be on its way any more
(``Traits.lag``). And where asking is the POST itself, it is a submit as far as the budget, the rate
and the gate are concerned: if the first one was lost on its way, this one is accepted and paid.

Nothing here needs to survive a crash. Until the answer is recorded the job is unknown under the
same key, and the next run asks with that key again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from overnight.assets.reference import references
from overnight.engine.report import Notice
from overnight.engine.run import Run
from overnight.lifecycle import State
from overnight.providers import base
from overnight.store import decisions
from overnight.store.decisions import Resolution
from overnight.store.errors import NotFound, StoreError
from overnight.store.job import Job

TRIES = 30
"""Answers that told nothing after which a job is given up on for this run: about half an hour."""

AT_ONCE = 16
"""Jobs that are asked about at the same time."""


@dataclass(slots=True)
class _Case:
    """One doubt: which attempt it is about, how often it was asked about, and when to ask next."""

    attempt: int
    asked: int = 0
    due: float = 0.0
    booked: bool = False
    """The job holds a slot and counts among the submits under way, because it is asked about."""


class Recoverer:
    """Settles unknown jobs of one run. ``submitting`` is the driver's set of jobs on their way;
    ``look_after`` takes up what was settled."""

    def __init__(
        self, run: Run, submitting: set[int], look_after: Callable[[], Awaitable[None]]
    ) -> None:
        self._run = run
        self._submitting = submitting
        self._look_after = look_after
        self._cases: dict[int, _Case] = {}

    @property
    def open(self) -> int:
        """Unknown jobs that may settle by themselves in this run. A batch that is halted buys
        nothing, so it doesn't ask by a POST either."""
        run, posts = self._run, self._run.provider.traits.recovery.posts
        return sum(run.unsettled(b) for b in run.batches if not (posts and b in run.halted))

    @property
    def for_good(self) -> frozenset[int] | None:
        """Unknown jobs that won't settle by themselves; None for all of them."""
        return frozenset(self._run.hopeless) if self._run.recovers else None

    async def take_stock(self) -> list[Job]:
        """The unknown jobs as the table has them now, and what is known here set right by it."""
        run = self._run
        jobs: list[Job] = []
        if run.recovers and any(tally[State.UNKNOWN] for tally in run.tallies.values()):
            page = await self._page(after=0)
            while page:
                jobs += page
                page = await self._page(after=page[-1].id)
        self._know(jobs)
        return jobs

    async def _page(self, *, after: int) -> list[Job]:
        batch_ids = list(self._run.batches)
        return await self._run.record(
            partial(decisions.recoverable, batch_ids=batch_ids, after=after)
        )

    def _know(self, jobs: list[Job]) -> None:
        known, self._cases = self._cases, {}
        for job in jobs:
            case = known.get(job.id)
            fresh = case is None or case.attempt != job.attempt
            self._cases[job.id] = _Case(job.attempt) if case is None or fresh else case
            if fresh:
                self._run.hopeless.pop(job.id, None)
        for job_id in self._run.hopeless.keys() - self._cases.keys():
            del self._run.hopeless[job_id]

    # --- asking ---------------------------------------------------------------------------------

    async def ask(self) -> None:
        """Ask about every unknown job whose time has come, and record what comes of it.

        Raises :class:`~overnight.store.errors.StoreError` when that can't be recorded.
        """
        run = self._run
        if run.draining:
            return
        jobs = [job for job in await self.take_stock() if self._is_due(job)]
        jobs.sort(key=lambda job: self._cases[job.id].due)
        asked = jobs[:AT_ONCE]
        ends = await asyncio.gather(*map(self._ask_about, asked), return_exceptions=True)
        for job, end in zip(asked, ends, strict=True):
            if isinstance(end, StoreError):
                raise end
            if isinstance(end, BaseException):
                # A bug of ours in the provider must not end everybody else's night.
                await self._give_up(job, f"a bug in overnight: {end!r}")

    def _is_due(self, job: Job) -> bool:
        run = self._run
        if job.id in run.hopeless or self._cases[job.id].due > run.now():
            return False
        return not (run.provider.traits.recovery.posts and job.batch_id in run.halted)

    async def _ask_about(self, job: Job) -> None:
        run = self._run
        if run.provider.traits.recovery.posts and references(job.inputs):
            await self._give_up(job, "its local files were sent under addresses that are not kept")
            return
        case = self._cases[job.id]
        if run.provider.traits.recovery.posts and not await self._book(job, case):
            return
        try:
            await run.ensure_lease()
            outcome = await run.provider.recover(job.model, job.inputs, key=job.submit_key)
            await self._heard(job, case, outcome)
        finally:
            self._give_back(job, case, adopted=False)

    async def _book(self, job: Job, case: _Case) -> bool:
        """Get all that a submit needs; False when there is no room for one now."""
        run = self._run
        async with run.booking:
            now, under_way = run.now(), len(self._submitting)
            allowed, places = run.gate.allowance(now, under_way), run.rates.room(now)
            if run.budget.free(job.batch_id, run.concurrency.limit) == 0 or allowed == 0:
                return False
            # Those on their way may not have reserved their place yet.
            if places is not None and places <= under_way:
                return False
            run.rates.reserve(now)
            run.budget.hold(job.id, job.batch_id)
            self._submitting.add(job.id)
            case.booked = True
            return True

    def _give_back(self, job: Job, case: _Case, *, adopted: bool) -> None:
        """It is not being asked about any more; does no harm twice. An adopted job keeps its slot:
        the provider has it."""
        if case.booked:
            case.booked = False
            self._submitting.discard(job.id)
            if not adopted:
                self._run.budget.release(job.id)
        self._run.wake.set()

    # --- what was heard -------------------------------------------------------------------------

    async def _heard(self, job: Job, case: _Case, outcome: base.RecoverOutcome) -> None:
        """Record an answer."""
        run = self._run
        match outcome:
            case base.Accepted(request_id):
                await self._adopt(job, case, request_id)
            case base.NeverAccepted(reason):
                believed = job.updated_at + run.provider.traits.lag
                if run.now() < believed:
                    case.due = believed
                elif await self._settle(job, case, Resolution.NEVER_ACCEPTED):
                    run.notify(Notice(f"{job.key}: was never accepted, goes again: {reason}"))
            case base.Unknown(reason):
                case.asked += 1
                case.due = run.now() + run.pace.next_try(case.asked, run.rng)
                if case.asked >= TRIES:
                    await self._give_up(job, reason)

    async def _adopt(self, job: Job, case: _Case, request_id: str) -> None:
        run = self._run
        try:
            adopted = await self._settle(job, case, Resolution.ADOPT, request_id)
        except NotFound as error:
            await self._give_up(job, str(error))
            return
        if adopted:
            run.notify(Notice(f"{job.key}: the provider has it, as request {request_id}"))
        else:
            text = f"{job.key}: was resolved otherwise, and the provider has it as {request_id}"
            run.notify(Notice(text, "warning"))

    async def _settle(
        self, job: Job, case: _Case, how: Resolution, request_id: str | None = None
    ) -> bool:
        """Record it and go on with the job; False when somebody else has settled it already."""
        run = self._run
        settled = await run.record(
            partial(
                decisions.recover,
                job=job,
                how=how,
                fence=run.fence,
                now=run.now(),
                request_id=request_id,
            )
        )
        # Before anything else is waited for: a job that goes again may be claimed by then, and its
        # slot and its place among the submits are those of that claim.
        self._give_back(job, case, adopted=settled and how is Resolution.ADOPT)
        await self._look_after()
        return settled

    async def _give_up(self, job: Job, reason: str) -> None:
        run = self._run
        run.hopeless[job.id] = job.batch_id
        text = f"{job.key}: stays unknown, the provider can't tell what became of it: {reason}"
        run.notify(Notice(text, "warning"))
        await run.halt_if_due(job.batch_id)
        run.wake.set()
