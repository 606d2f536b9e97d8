"""What one run shares: the table's writer, the clock, the figures, and the one way to move a job.

Every transition of the engine goes through :meth:`Run.transition`, so that the table, the budget,
the figures and what people are told can't drift apart.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TypeVar

from overnight.engine.budget import Budget
from overnight.engine.concurrency import Change, Concurrency
from overnight.engine.gate import Gate
from overnight.engine.halt import Halt
from overnight.engine.pacing import Pace
from overnight.engine.publish import Publishing
from overnight.engine.rate import Rates
from overnight.engine.report import JobNotice, Notice
from overnight.engine.retry import Decision, Policy
from overnight.lifecycle import HELD, IN_BUDGET, IN_FLIGHT, Event, State
from overnight.providers.base import Provider, Recovery
from overnight.providers.redaction import unsigned
from overnight.store import decisions, leases, standing, steps
from overnight.store.errors import LeaseLost
from overnight.store.job import Job
from overnight.store.rows import Batch, Kind
from overnight.store.steps import Facts, Overtaken
from overnight.store.writer import Operation, Recorder

T = TypeVar("T")

LEASE_LOST = "Another worker took over this database; this one has stopped."


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a job may take, in seconds, before it is given up on. They are generous, because
    giving up on a paid job loses the money; a job that was given up on is never bought again by
    itself, and ``overnight retry`` looks for it again."""

    queue: float = 24 * 3600.0
    run: float = 6 * 3600.0
    collect: float = 24 * 3600.0


@dataclass(slots=True)
class Run:
    """``now`` gives seconds since 1970; ``fence`` is 0 until the lease is taken."""

    recorder: Recorder
    provider: Provider
    batches: dict[int, Batch]
    budget: Budget
    concurrency: Concurrency
    notify: Callable[[Notice], None]
    now: Callable[[], float]
    rng: Random
    others: dict[int, Batch] = field(default_factory=dict)
    """Batches that are not this run's own, but have jobs in flight that it looks after."""
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    gate: Gate = field(default_factory=Gate)
    fence: int = 0
    beaten: float = 0.0
    """When the lease was renewed last."""
    draining: bool = False
    tallies: dict[int, Counter[State]] = field(default_factory=dict)
    """How many jobs of each own batch are in each state, counted along."""
    halted: dict[int, str] = field(default_factory=dict)
    """Own batches that are not submitted any more, and why."""
    rates: Rates = field(default_factory=Rates)
    wait_for_account: bool = False
    publishing: Publishing | None = None
    """Sends local files along; None where no batch has any."""
    settled: int = 0
    bytes: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the claiming loop may have something to do."""
    due: float = 0.0
    """When the earliest pending job may be claimed, as far as is known."""
    booking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while free slots are counted and filled, so that no slot is given away twice."""
    deciding: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held until it is recorded whether a job is bought again, so that no two spend what is left
    of a limit."""
    hopeless: dict[int, int] = field(default_factory=dict)
    """Unknown jobs that the provider was asked about in vain, each with its batch."""
    to_cancel: set[int] = field(default_factory=set)
    """Jobs that the user wants cancelled at the provider."""
    _naps: dict[int, asyncio.Future[bool]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    # --- the lease ----------------------------------------------------------------------------

    async def beat(self) -> None:
        """Renew the lease. Raises :class:`LeaseLost`."""
        at = self.now()
        await self.record(partial(leases.beat, fence=self.fence, now=at))
        self.beaten = at

    async def ensure_lease(self) -> None:
        """Renew the lease if it may be old: a process that was frozen learns here, before it
        pays for anything, that another one has taken over. Raises :class:`LeaseLost`."""
        # Again after a beat that took long: it may have been frozen before it heard of it.
        while abs(self.now() - self.beaten) > leases.LEASE / 2:
            await self.beat()

    # --- the table ----------------------------------------------------------------------------

    def record(self, operation: Operation[T]) -> Awaitable[T]:
        """Run one operation on the table; its value, once it is durable."""
        return self.recorder.record(operation)

    async def transition(self, job: Job, event: Event, facts: Facts | None = None) -> Job:
        """Move a job, durably; returns it as the table has it afterwards.

        When somebody else was there first, the job comes back as it really is. Raises
        :class:`LeaseLost` when another worker holds it.
        """
        facts = facts or Facts(self.now())
        if facts.error is not None:
            # Whoever fetches an input in vain may quote its address, which is a secret.
            facts = facts._replace(error=unsigned(facts.error))
        moved = await self.record(steps.Move(job, event, facts))
        if isinstance(moved, Overtaken):
            return await self.reread(job)
        self._account_for(job, moved, event, facts)
        await self.halt_if_due(moved.batch_id)
        return moved

    async def reread(self, job: Job) -> Job:
        """The job as the table has it now. Raises :class:`LeaseLost` when it isn't ours."""
        real = await self.record(partial(standing.current, job_id=job.id))
        if real.fence != self.fence:
            raise LeaseLost(LEASE_LOST)
        return real

    def _account_for(self, job: Job, moved: Job, event: Event, facts: Facts) -> None:
        if (tally := self.tallies.get(job.batch_id)) is not None:
            tally[job.state] -= 1
            tally[moved.state] += 1
        if moved.state not in IN_BUDGET:
            self.budget.release(moved.id)
            self.wake.set()
        if moved.state is State.PENDING:
            self.due = min(self.due, facts.not_before or facts.at)
        if moved.state not in IN_FLIGHT:
            # A wish is for the attempt that it was made for: the user may ask for the job again.
            self.to_cancel.discard(moved.id)
        if moved.state in HELD:
            self.settled += 1
        if moved.state in HELD or event in (Event.ATTEMPT_FAILED, Event.SUSPECT):
            self._tell_of(moved, event, facts.error)

    async def halt_if_due(self, batch_id: int) -> None:
        """Stop submitting a batch whose failures have reached what its manifest allows."""
        batch = self.batches.get(batch_id)
        rule = None if batch is None else Halt.of(batch.run)
        if batch is None or rule is None or batch_id in self.halted:
            return
        tally = self.tallies[batch_id]
        unsettled = self.unsettled(batch_id)
        failed = tally[State.FAILED] + tally[State.UNKNOWN] - unsettled
        failed -= batch.forgiven.get("failed", 0)
        settled = sum(tally[s] for s in HELD) - unsettled - batch.forgiven.get("settled", 0)
        if (reason := rule.reason(failed, settled)) is None:
            return
        self.halted[batch_id] = reason
        await self._record_as_worker(
            partial(
                decisions.halt, batch_id=batch_id, reason=reason, kind=Kind.HALT, now=self.now()
            )
        )
        self.notify(Notice(f"{batch.name}: {reason}; nothing more is submitted", "warning"))

    @property
    def recovers(self) -> bool:
        """Whether the provider can tell what became of a submit whose answer was lost."""
        return self.provider.traits.recovery is not Recovery.NONE

    def unsettled(self, batch_id: int) -> int:
        """Unknown jobs of an own batch that the provider may still settle by itself."""
        if not self.recovers:
            return 0
        hopeless = sum(1 for other in self.hopeless.values() if other == batch_id)
        return max(0, self.tallies[batch_id][State.UNKNOWN] - hopeless)

    async def keep(
        self, kind: Kind, text: str, *, warning: bool = False, aloud: bool = True
    ) -> None:
        """Keep an event in the table, and tell it."""
        if aloud:
            self.notify(Notice(text, "warning" if warning else "info"))
        await self._record_as_worker(
            partial(decisions.note, kind=kind, text=text, at=self.now(), worker_id=self.fence)
        )

    async def _record_as_worker(self, operation: Operation[T]) -> T:
        """Record what no job's guard covers. Raises :class:`LeaseLost`."""
        return await self.record(partial(leases.held, fence=self.fence, operation=operation))

    @property
    def states(self) -> Counter[State]:
        """The run's own batches together."""
        together: Counter[State] = Counter(dict.fromkeys(State, 0))
        for tally in self.tallies.values():
            together.update(tally)
        return together

    # --- how submitting goes ------------------------------------------------------------------

    def note_submit(self, decision: Decision) -> Change | None:
        """Let the gate and the limit learn at once from how a submit ended; a change of the limit
        is returned, for :meth:`keep_change` once the submit itself is recorded."""
        now = self.now()
        self.gate.record(decision.event, decision.error, hold_until=now + decision.hold)
        return self.concurrency.record(
            decision.event, now=now, held=self.budget.held, retry_after=decision.hold
        )

    async def keep_change(self, change: Change | None) -> None:
        """Keep and tell a change of the limit, where there is one."""
        if change is not None:
            text = f"At most {change.after} at once, after {change.before}: {change.reason}."
            # Growth is many small steps: kept, but told only by what is shown all the time.
            await self.keep(Kind.LIMIT, text, aloud=change.after < change.before)

    # --- waiting ------------------------------------------------------------------------------

    async def nap(self, job_id: int, seconds: float) -> bool:
        """Wait, or be woken earlier by :meth:`rouse`; returns whether it was so."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        alarm = loop.call_later(seconds, _ring, future, False)
        try:
            return await self.rest(job_id, future)
        finally:
            alarm.cancel()

    async def rest(self, job_id: int, future: asyncio.Future[bool]) -> bool:
        """Wait for ``future``, which :meth:`rouse` may make True earlier; returns its result."""
        self._naps[job_id] = future
        try:
            return await future
        finally:
            self._naps.pop(job_id, None)

    def rouse(self, job_id: int) -> None:
        """End a job's nap, if it takes one."""
        if (future := self._naps.get(job_id)) is not None:
            _ring(future, True)

    # --- what people are told -----------------------------------------------------------------

    def tell_once(self, text: str) -> None:
        """A warning that is worth saying once a run, however often it comes up."""
        if text not in self._told:
            self._told.add(text)
            self.notify(Notice(text, "warning"))

    def _tell_of(self, job: Job, event: Event, error: str | None) -> None:
        text = f"{job.key}: {job.state}" + (f": {error}" if error else "")
        fine = job.state in (State.SUCCEEDED, State.CANCELLED)
        notice = JobNotice(job.id, job.batch_id, job.key, job.state, event, error)
        self.notify(Notice(text, "info" if fine else "warning", notice))

    # --- a batch's own settings -----------------------------------------------------------------

    def batch_of(self, job: Job) -> Batch:
        """The job's batch, this run's own or another."""
        return self.batches.get(job.batch_id) or self.others[job.batch_id]

    def policy(self, job: Job) -> Policy:
        """How often the job may be tried: its batch's ``run.attempts``."""
        attempts = self.batch_of(job).run.get("attempts")
        return Policy() if attempts is None else Policy(attempts=int(attempts))

    def downloads_of(self, job: Job) -> int:
        """How many files may be fetched at once: its batch's ``output.download``."""
        return int(self.batch_of(job).output.get("download") or DEFAULT_DOWNLOADS)

    def limits_of(self, job: Job) -> Limits:
        """How long the job may take: its batch's ``run.timeout``, else this run's own limits."""
        own = self.batch_of(job).run.get("timeout") or {}
        return replace(self.limits, **own) if own else self.limits

    def output_dir(self, job: Job) -> str:
        """Where the job's files go: an absolute folder, or an address."""
        return self.batch_of(job).output_dir


def ceilings(batches: Sequence[Batch]) -> dict[int, int]:
    """How many jobs of each batch the provider may have at once: its ``run.concurrency``."""
    return {batch.id: int(batch.run.get("concurrency", DEFAULT_CONCURRENCY)) for batch in batches}


DEFAULT_CONCURRENCY = 4

DEFAULT_DOWNLOADS = 4
"""Files fetched at once, where the manifest does not say."""


def _ring(future: asyncio.Future[bool], roused: bool) -> None:
    if not future.done():
        future.set_result(roused)
