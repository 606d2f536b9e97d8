"""Asking about the jobs that the provider has: each at its time, and all together not too often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from overnight.engine.durations import NEWEST
from overnight.engine.foresight import Foresight, When
from overnight.engine.polls import Polls
from overnight.engine.run import Run
from overnight.engine.sight import Sight
from overnight.engine.turns import Turns
from overnight.lifecycle import State
from overnight.providers import base
from overnight.store import durations
from overnight.store.job import Job

REMEMBERED = 5 * NEWEST
"""Jobs of earlier runs that are learnt from: the newest, whatever their models."""
LATE = 0.9
"""The share of what an earlier run took a job to last for that it surely did: the rest may be the
time until a poll saw its end."""


@dataclass(slots=True)
class Asking:
    """The poll times of one run."""

    _run: Run
    _foresight: Foresight = field(default_factory=Foresight)
    _turns: Turns = field(default_factory=Turns)
    _sights: dict[int, Sight] = field(default_factory=dict)

    async def remember(self) -> None:
        """Learn from what earlier runs have recorded in this database."""
        past = await self._run.record(partial(durations.newest, most=REMEMBERED))
        for each in past:
            self._foresight.of(each.model).learn(each.inputs, LATE * each.seconds, each.seconds)

    def take_up(self, taken: Sequence[Job], accepted: Mapping[int, float]) -> None:
        """Another worker left ``taken``; when the provider ``accepted`` each is on record. Anything
        may have happened meanwhile, so each is asked about at once, as its turn comes."""
        for job in taken:
            at = accepted.get(job.id, job.updated_at)
            sight = Sight(accepted=at, alive=job.updated_at, strange=True)
            if job.state is State.RUNNING:
                sight.running = job.updated_at
            self._sights[job.id] = sight

    async def until_next(self, job: Job, polls: Polls) -> None:
        """Wait until ``job`` is to be asked about, or is roused."""
        run, clock = self._run, asyncio.get_running_loop().time
        when = self._when(job, polls)
        due = clock() + when.in_crowd
        if await run.nap(job.id, when.alone):
            due = clock()
        turn = self._turns.take(due, run.pace.per_second)
        if not turn.done():
            await run.rest(job.id, turn)

    def _when(self, job: Job, polls: Polls) -> When:
        run = self._run
        if polls.failures:
            wait = run.pace.next_try(polls.failures - 1, run.rng, polls.retry_after)
            return When(wait, wait)
        sight = self._sights.setdefault(job.id, Sight(job.updated_at, job.updated_at))
        return self._foresight.when(
            job.model, job.inputs, sight, now=run.now(), pace=run.pace, rng=run.rng
        )

    def heard(self, job: Job, outcome: base.StatusOutcome, asked: float) -> None:
        """Learn from the answer to a poll that was sent at ``asked``."""
        if (sight := self._sights.get(job.id)) is None:
            return
        match outcome:
            case base.Queued(position):
                self._foresight.seen_queued(job.model, sight, position, asked)
            case base.Running():
                self._foresight.seen_running(job.model, sight, asked)
            case base.Finished():
                self._foresight.seen_done(job.model, job.inputs, sight, self._run.now())
                # Its files may take hours yet, and polls that nobody makes are no crowd.
                self.forget(job.id)

    def forget(self, job_id: int) -> None:
        """The job is not asked about any more."""
        if (sight := self._sights.pop(job_id, None)) is not None:
            self._foresight.forget(sight)
