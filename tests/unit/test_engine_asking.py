"""What a run knows of its jobs' times when it begins, and what it learns from answers."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar, cast

import pytest

from overnight.engine.asking import Asking
from overnight.engine.pacing import Pace
from overnight.engine.polls import Polls
from overnight.engine.run import Run
from overnight.lifecycle import State
from overnight.providers import base
from overnight.store.durations import Past
from overnight.store.job import Job
from tests.simulation.loop import VirtualLoop
from tests.unit.engine_crowd import JOB, Waiting

T = TypeVar("T")


@dataclass
class Shared:
    """What of a run the asking needs: a clock, waits that are only noted, and a past."""

    past: list[Past]
    at: float = 1000.0
    anyone: bool = False
    """Whether jobs other than :data:`JOB` nap."""

    def __post_init__(self) -> None:
        self.pace, self.rng = Pace(), Random(1)
        self.naps: list[float] = []
        self.turns = 0
        """Naps after which a poll had to wait for its turn besides."""

    def now(self) -> float:
        return self.at

    async def nap(self, job_id: int, seconds: float) -> bool:
        assert job_id == JOB.id or self.anyone
        self.naps.append(seconds)
        return False

    async def rest(self, _job_id: int, _turn: asyncio.Future[bool]) -> bool:
        self.turns += 1
        return False

    async def record(self, _operation: object) -> list[Past]:
        return self.past


def scene(*seconds: float) -> tuple[Asking, Shared]:
    shared = Shared([Past(JOB.model, JOB.inputs, each) for each in seconds])
    return Asking(cast(Run, shared)), shared


async def first_wait(asking: Asking, shared: Shared, job: Job = JOB) -> float:
    shared.naps.clear()
    await asking.until_next(job, Polls())
    [wait] = shared.naps
    return wait


def play_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    loop = VirtualLoop()
    try:
        return loop.run(coroutine)
    finally:
        loop.close()


async def test_what_earlier_runs_saw_says_when_the_first_poll_is_due() -> None:
    waits = []
    for seconds in (10.0, 100.0, 1000.0):
        asking, shared = scene(*(seconds * each for each in (0.9, 1.0, 1.1) * 10))
        await asking.remember()
        waits.append(await first_wait(asking, shared))
    assert waits == sorted(waits)
    assert waits[-1] > 20 * waits[0]


async def test_jobs_taken_up_are_asked_about_at_once_however_little_room_there_is() -> None:
    asking, shared = scene()
    shared.pace = Pace(per_second=0.01)
    asking.take_up([JOB], {})
    assert await first_wait(asking, shared) == Pace().shortest
    assert not shared.turns
    asking.heard(JOB, base.Running(), 1001.0)
    shared.at = 1001.0
    await asking.until_next(JOB, Polls())
    assert shared.turns, "from then on it is one of many"


async def test_a_job_taken_up_is_as_old_as_its_submit() -> None:
    waits = []
    for accepted in ({JOB.id: 1000.0}, {}):
        asking, shared = scene(*[100.0, 101.0, 99.0] * 10)
        await asking.remember()
        running = JOB._replace(state=State.RUNNING, updated_at=1080.0)
        asking.take_up([running], accepted)
        asking.heard(running, base.Running(), 1095.0)
        shared.at = 1095.0
        waits.append(await first_wait(asking, shared, running))
    known, unknown = waits
    assert known < 1.0, "it may be done any moment"
    assert unknown > 10.0, "it seems to have been accepted when it was first seen running"


async def test_an_answer_that_says_done_teaches_how_long_such_jobs_take() -> None:
    asking, shared = scene()
    for _ in range(12):
        await first_wait(asking, shared)
        asking.heard(JOB, base.Running(), 1049.0)
        shared.at = 1051.0
        asking.heard(JOB, base.Finished(), 1050.5)
        asking.forget(JOB.id)
        shared.at = 1000.0
    # Half of what is expected to be in reach of one long wait is not asked about before.
    assert 5.0 < await first_wait(asking, shared) < 55.0


async def test_what_tells_nothing_of_a_job_teaches_nothing() -> None:
    asking, shared = scene()
    before = await first_wait(asking, shared)
    told: list[base.StatusOutcome] = [
        base.NoAnswer("x"),
        base.Gone("x"),
        base.Refused("x"),
        base.Failed("x"),
        base.Cancelled(),
    ]
    for outcome in told:
        asking.heard(JOB, outcome, 2000.0)
    shared.rng = Random(1)
    assert await first_wait(asking, shared) == before


async def test_after_a_call_without_answer_the_wait_is_that_of_a_repetition() -> None:
    asking, shared = scene()
    polls = Polls()
    polls.saw(base.NoAnswer("x", retry_after=30.0))
    await asking.until_next(JOB, polls)
    assert 30.0 < shared.naps[0] <= 30.0 + Pace().first_try


async def test_more_polls_than_the_rate_wait_for_their_turn() -> None:
    asking, shared = scene()
    shared.pace = Pace(per_second=0.001)
    for _ in range(4):
        await asking.until_next(JOB, Polls())
    assert shared.turns == 3


def test_a_job_that_is_roused_is_the_next_of_all_that_wait() -> None:
    async def play() -> list[int]:
        run, went = Waiting(Pace(per_second=1.0), Random(1)), list[int]()
        asking, tired = Asking(cast(Run, run)), Polls()
        tired.saw(base.NoAnswer("x", retry_after=1000.0))

        async def ask(number: int, polls: Polls) -> None:
            await asking.until_next(JOB._replace(id=number), polls)
            went.append(number)

        asks = [ask(0, tired), *(ask(number, Polls()) for number in range(1, 20))]
        tasks = [asyncio.create_task(each) for each in asks]
        await asyncio.sleep(5.0)
        before = len(went)
        run.rouse(0)
        await asyncio.gather(*tasks)
        return went[before:]

    assert play_in_virtual_time(play())[0] == 0


async def test_jobs_that_are_being_brought_home_are_no_crowd() -> None:
    asking, shared = scene(*[100.0, 101.0, 99.0] * 10)
    await asking.remember()
    shared.anyone = True
    for job_id in range(100, 300):
        home = JOB._replace(id=job_id)
        asking.take_up([home], {})
        asking.heard(home, base.Running(), 1100.0)
        shared.at = 1100.0
        await asking.until_next(home, Polls())
        asking.heard(home, base.Finished(), 1101.0)
    assert asking._foresight.rate == pytest.approx(0.0, abs=1e-6)


def test_a_job_that_was_never_waited_for_is_forgotten_without_a_word() -> None:
    asking, _ = scene()
    asking.heard(JOB, base.Finished(), 1.0)
    asking.forget(JOB.id)
