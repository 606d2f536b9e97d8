"""Many jobs in flight at once, asked about by the engine's own pacing in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import cast

from overnight.engine.asking import Asking
from overnight.engine.pacing import Pace
from overnight.engine.polls import Polls
from overnight.engine.run import Run
from overnight.lifecycle import State
from overnight.providers import base
from overnight.store.durations import Past
from overnight.store.job import Job
from tests.simulation.loop import VirtualLoop

JOB = Job(
    id=7,
    batch_id=1,
    key="k",
    fingerprint="f",
    provider="runcomfy",
    model="a/model",
    inputs={"steps": 20},
    state=State.QUEUED,
    attempt=1,
    tries=1,
    deferrals=0,
    fence=1,
    request_id="r",
    delivered=False,
    cancel_requested=False,
    updated_at=1000.0,
)


@dataclass
class Waiting:
    """What of a run the asking needs, under a loop whose time is the clock's."""

    pace: Pace
    rng: Random
    past: Sequence[Past] = ()
    _naps: dict[int, asyncio.Future[bool]] = field(default_factory=dict)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def record(self, _operation: object) -> Sequence[Past]:
        return self.past

    async def nap(self, job_id: int, seconds: float) -> bool:
        return await Run.nap(cast(Run, self), job_id, seconds)

    async def rest(self, job_id: int, future: asyncio.Future[bool]) -> bool:
        return await Run.rest(cast(Run, self), job_id, future)

    def rouse(self, job_id: int) -> None:
        Run.rouse(cast(Run, self), job_id)


@dataclass
class Crowd:
    """``jobs`` jobs, ``at_once`` of them in flight, that are accepted ``accepted`` a second and run
    for log-normal times around ``service`` seconds. Of ``known`` more a past is on record."""

    at_once: int
    jobs: int
    per_second: float
    accepted: float
    service: float = 60.0
    spread: float = 0.2
    known: int = 0
    seed: int = 1
    ended: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    """When each was made, whatever its job."""

    def __post_init__(self) -> None:
        rng = Random(self.seed)
        self._times = [self.service * rng.lognormvariate(0, self.spread) for _ in range(self.jobs)]
        past = [self.service * rng.lognormvariate(0, self.spread) for _ in range(self.known)]
        self._run = Waiting(
            Pace(per_second=self.per_second),
            rng,
            [Past(JOB.model, JOB.inputs, each) for each in past],
        )
        self._asking = Asking(cast(Run, self._run))
        self._accepted = 0.0

    @property
    def lag(self) -> float:
        """Seconds from the end of a job to the poll that sees it, on average."""
        return sum(self.lags) / len(self.lags)

    def polls_between(self, first: float, last: float) -> float:
        """Polls a second from ``first`` to ``last``."""
        return len([at for at in self.polls if first <= at < last]) / (last - first)

    def play(self) -> Crowd:
        """Until the end of every job was seen."""
        loop = VirtualLoop()
        try:
            loop.run(self._play())
        finally:
            loop.close()
        assert len(self.lags) == self.jobs
        assert not loop.complaints
        return self

    async def _play(self) -> None:
        await self._asking.remember()
        jobs = iter(enumerate(self._times))

        async def slot() -> None:
            for number, seconds in jobs:
                await self._follow(number, seconds)

        await asyncio.gather(*(slot() for _ in range(self.at_once)))

    async def _follow(self, number: int, seconds: float) -> None:
        now = asyncio.get_running_loop().time
        self._accepted = max(now(), self._accepted + 1 / self.accepted)
        await asyncio.sleep(self._accepted - now())
        job, ended, polls = JOB._replace(id=number, updated_at=now()), now() + seconds, Polls()
        while True:
            await self._asking.until_next(job, polls)
            self.polls.append(now())
            if now() >= ended:
                break
            self._asking.heard(job, base.Running(), now())
        self._asking.heard(job, base.Finished(), now())
        self._asking.forget(number)
        self.ended.append(ended)
        self.lags.append(now() - ended)


def most_in_any_stretch(at: Sequence[float], per_second: float) -> float:
    """By how many seconds' worth of events any stretch of time has more than ``per_second``."""
    assert all(one <= other for one, other in pairwise(at))
    most, least = -math.inf, math.inf
    for number, when in enumerate(at):
        ahead = number / per_second - when
        least = min(least, ahead)
        most = max(most, ahead - least)
    return most
