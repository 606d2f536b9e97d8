"""One job through its states: one handler a state, whatever state it is found in.

A job that was just claimed and one that a dead worker left behind go through the same handlers.
A handler does one thing, records it, and returns the job as the table now has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from overnight.engine.asking import Asking
from overnight.engine.collect import Collector
from overnight.engine.concurrency import Change
from overnight.engine.polls import Polls, heard_of
from overnight.engine.publish import Unsent
from overnight.engine.report import Notice
from overnight.engine.retry import Decision, after_submit
from overnight.engine.run import Run
from overnight.engine.settle import (
    GONE_CONFIRMATIONS,
    REFUSAL_CONFIRMATIONS,
    StrandedError,
    fail,
    request_of,
)
from overnight.lifecycle import IN_FLIGHT, Event, State
from overnight.providers import base
from overnight.store import faults
from overnight.store.faults import Place
from overnight.store.history import Heard
from overnight.store.job import Job
from overnight.store.queue import Facts


class Driver:
    """Takes jobs through their states until they rest."""

    def __init__(self, run: Run, collector: Collector) -> None:
        self._run = run
        self._collector = collector
        self._polls: dict[int, Polls] = {}
        self.asking = Asking(run)
        self.submitting: set[int] = set()
        """Jobs whose paid POST may be on its way: these must not be cut short."""
        self._handlers: dict[State, Callable[[Job], Awaitable[Job]]] = {
            State.SUBMITTING: self._submit,
            State.QUEUED: self._follow,
            State.RUNNING: self._follow,
            State.COLLECTING: self._collect,
        }

    async def drive(self, job: Job) -> None:
        """Go on with a job from where the table has it, until it rests or the run drains."""
        try:
            while job.state in IN_FLIGHT:
                if self._run.draining and job.state is not State.SUBMITTING:
                    return
                job = await self._handlers[job.state](job)
        except StrandedError:
            return
        finally:
            self._polls.pop(job.id, None)
            self.asking.forget(job.id)

    # --- submitting: paid -----------------------------------------------------------------------

    async def _submit(self, job: Job) -> Job:
        run = self._run
        if run.draining or run.gate.refusal is not None:
            # Claimed, but nothing was sent: it goes back as if nothing had happened.
            self.submitting.discard(job.id)
            return await run.transition(job, Event.NOT_SENT)
        self.submitting.add(job.id)
        try:
            inputs = job.inputs if run.publishing is None else await run.publishing.inputs(job)
            if isinstance(inputs, Unsent):
                return await self._unsent(job, inputs)
            await self._take_place()
            faults.reach(Place.BEFORE_SUBMIT)
            outcome = await run.provider.submit(job.model, inputs, key=job.submit_key)
            faults.reach(Place.SUBMIT_ANSWERED)
            decision = after_submit(outcome, job.deferrals, run.policy(job), run.rng)
            recorded, change = await self._record_submit(job, decision, heard_of(outcome))
        finally:
            # Before anything else is waited for: a job that was turned away may be claimed again
            # by then, and what is on its way is that submit.
            self.submitting.discard(job.id)
            run.wake.set()
        await run.keep_change(change)
        faults.reach(Place.SUBMIT_RECORDED)
        return recorded

    async def _unsent(self, job: Job, why: Unsent) -> Job:
        """A local file stands in the way. The provider has no part in it, so neither the gate nor
        the limit learns from it, unless it is the user whom the object store turns away."""
        run, now = self._run, self._run.now()
        decision = after_submit(why, job.deferrals, run.policy(job), run.rng)
        if decision.event is Event.REFUSED:
            run.gate.refuse_store(decision.error)
        elif decision.event is not Event.REJECTED:
            run.tell_once(why.reason)
        facts = Facts(now, error=decision.error, not_before=now + decision.wait)
        return await run.transition(job, decision.event, facts)

    async def _take_place(self) -> None:
        """The last step before the POST: the lease is sure, and the submit rate has a place. It is
        taken at the moment of the POST, since a place that was taken earlier is free earlier too.
        """
        run = self._run
        while True:
            await run.ensure_lease()
            now = run.now()
            if (wait := run.rates.next_place(now) - now) <= 0:
                run.rates.reserve(now)
                return
            await asyncio.sleep(wait)

    async def _record_submit(
        self, job: Job, decision: Decision, heard: Heard | None
    ) -> tuple[Job, Change | None]:
        """What came of the POST, and what of the limit. Nothing is waited for before that is
        durable: who dies now has a request id on record, or a job that is unknown."""
        run, now = self._run, self._run.now()
        change = run.note_submit(decision)
        facts = Facts(
            now,
            request_id=decision.request_id,
            error=decision.error,
            not_before=now + decision.wait,
            heard=heard,
        )
        return await run.transition(job, decision.event, facts), change

    # --- with the provider: free ----------------------------------------------------------------

    async def _follow(self, job: Job) -> Job:
        """One poll: wait for its time, ask, record what changed."""
        run = self._run
        polls = self._polls.setdefault(job.id, Polls())
        if polls.cancels or not self._to_cancel(job, polls):
            await self.asking.until_next(job, polls)
        if self._to_cancel(job, polls):
            polls.cancels += 1
            job = await self._cancel(job, polls)
            if job.state not in (State.QUEUED, State.RUNNING):
                return job
        asked = run.now()
        outcome = await run.provider.status(request_of(job))
        self.asking.heard(job, outcome, asked)
        seen = await self._seen(job, outcome, polls)
        # Asked first: a job that was left for days while nothing ran here may be long done.
        return await self._give_up(job, polls) if seen is job and self._overdue(job) else seen

    def _to_cancel(self, job: Job, polls: Polls) -> bool:
        wanted = job.id in self._run.to_cancel or job.cancel_requested
        return wanted and not polls.uncancellable

    async def _seen(self, job: Job, outcome: base.StatusOutcome, polls: Polls) -> Job:
        """Record what a poll saw. Seeing the same state again writes nothing."""
        run = self._run
        polls.saw(outcome)
        match outcome:
            case base.Queued():
                if job.state is State.QUEUED:
                    return job
                polls.uncancellable = False
                return await self._record(job, Event.SEEN_QUEUED, polls)
            case base.Running(word):
                if word is not None:
                    run.tell_once(
                        f"The provider says {word!r} of a job, a word that is not known here. "
                        "It counts as unfinished and is asked about again."
                    )
                if job.state is State.RUNNING:
                    return job
                return await self._record(job, Event.SEEN_RUNNING, polls)
            case base.Finished():
                return await self._collector.finished(job, polls)
            case base.Failed():
                return await fail(run, job, outcome, polls)
            case base.Cancelled():
                return await self._record(job, Event.CANCELLED, polls)
            case base.Gone(reason):
                return await self._maybe_gone(job, polls, reason)
            case base.NoAnswer():
                return job
            case base.Refused(reason):
                return self._refused(job, polls, reason)

    async def _record(self, job: Job, event: Event, polls: Polls, error: str | None = None) -> Job:
        facts = Facts(self._run.now(), error=error, heard=polls.heard())
        return await self._run.transition(job, event, facts)

    async def _maybe_gone(self, job: Job, polls: Polls, reason: str) -> Job:
        if polls.gone < GONE_CONFIRMATIONS:
            return job
        return await self._record(job, Event.GONE, polls, reason)

    def _refused(self, job: Job, polls: Polls, reason: str) -> Job:
        if polls.refused < REFUSAL_CONFIRMATIONS or self._run.wait_for_account:
            return job
        self._run.gate.record(Event.REFUSED, reason)
        self._run.wake.set()
        raise StrandedError(reason)

    # --- ending it early ------------------------------------------------------------------------

    async def _cancel(self, job: Job, polls: Polls) -> Job:
        """Ask the provider to cancel, as the user wished."""
        run = self._run
        outcome = await run.provider.cancel(request_of(job))
        polls.made(outcome)
        if isinstance(outcome, base.Cancelled):
            run.to_cancel.discard(job.id)
            return await self._record(job, Event.CANCELLED, polls)
        if isinstance(outcome, base.NotCancellable):
            # The wish stays on the job: should this attempt fail, no other one is bought.
            polls.uncancellable = True
            run.notify(Notice(f"{job.key}: runs already and can't be cancelled; it goes on"))
            return job
        # Gone, refused or no answer: the poll that follows finds out more, and the wish stays.
        return job

    def _overdue(self, job: Job) -> bool:
        limits = self._run.limits_of(job)
        limit = limits.queue if job.state is State.QUEUED else limits.run
        return self._run.now() - job.updated_at > limit

    async def _give_up(self, job: Job, polls: Polls) -> Job:
        """Stop waiting for a job that takes too long; cancel what can be cancelled."""
        run = self._run
        outcome = await run.provider.cancel(request_of(job))
        polls.made(outcome)
        if isinstance(outcome, base.Cancelled):
            return await self._record(job, Event.CANCELLED, polls)
        hours = (run.now() - job.updated_at) / 3600
        error = (
            f"{job.state} for {hours:.1f} hours, which is longer than the limit. It may have been "
            "charged; `overnight retry` looks for it again without paying."
        )
        return await self._record(job, Event.TIMED_OUT, polls, error)

    # --- the provider is done -------------------------------------------------------------------

    async def _collect(self, job: Job) -> Job:
        return await self._collector.collect(job)
