"""What following and collecting a job have in common: its verdict, and when to believe bad news."""

from __future__ import annotations

from overnight.engine.polls import Polls
from overnight.engine.retry import after_failure
from overnight.engine.run import Run
from overnight.providers import base
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
    now = run.now()
    facts = Facts(now, error=decision.error, not_before=now + decision.wait, heard=polls.heard())
    return await run.transition(job, decision.event, facts)


def request_of(job: Job) -> base.Request:
    """What the provider knows the job's newest attempt by."""
    assert job.request_id is not None, "a job with the provider has a request id"
    return base.Request(job.model, job.request_id)
