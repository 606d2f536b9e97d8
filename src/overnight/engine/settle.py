"""What following and collecting a job have in common: its verdict, and when to believe bad news."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from overnight.engine.polls import Polls
from overnight.engine.retry import Decision, after_failure
from overnight.engine.run import Run
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import suspects
from overnight.store.job import Job
from overnight.store.queue import Facts

GONE_CONFIRMATIONS = 3
"""Answers of "no such request" in a row before it is believed: a request may be visible a moment
later than it was accepted, and a paid job must not be lost to that."""

REFUSAL_CONFIRMATIONS = 3
"""Refused polls in a row before the account itself is taken to be refused."""


class StrandedError(Exception):
    """The job can't go on in this run: the account is refused even for free calls. It stays as it
    is, and the next run picks it up."""


async def fail(run: Run, job: Job, verdict: base.Failed, polls: Polls) -> Job:
    """Record the provider's verdict that the attempt failed: another one, or the end."""
    decision = after_failure(verdict, job.tries, run.policy(job), run.rng)
    if decision.event is not Event.ATTEMPT_FAILED or _cost_limit(run, job) is None:
        return await _record_failure(run, job, decision, polls)
    async with run.deciding:
        if not await affordable(run, job):
            decision = _too_dear(decision)
        return await _record_failure(run, job, decision, polls)


async def affordable(run: Run, job: Job) -> bool:
    """Whether one more try of the job keeps within its batch's ``limits.cost``, where there is one.
    ``run.deciding`` is held until what follows from it is recorded."""
    limit = _cost_limit(run, job)
    if limit is None:
        return True
    return await run.record(partial(suspects.may_be_bought_again, job=job, limit=limit))


def _cost_limit(run: Run, job: Job) -> float | None:
    limit: float | None = run.batch_of(job).run.get("limits", {}).get("cost")
    return limit


def _too_dear(decision: Decision) -> Decision:
    error = f"{decision.error} (not tried again, because that might exceed limits.cost)"
    return replace(decision, event=Event.ATTEMPTS_EXHAUSTED, error=error)


async def _record_failure(run: Run, job: Job, decision: Decision, polls: Polls) -> Job:
    now = run.now()
    facts = Facts(now, error=decision.error, not_before=now + decision.wait, heard=polls.heard())
    return await run.transition(job, decision.event, facts)


def request_of(job: Job) -> base.Request:
    """What the provider knows the job's newest attempt by."""
    assert job.request_id is not None, "a job with the provider has a request id"
    return base.Request(job.model, job.request_id)
