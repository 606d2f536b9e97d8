"""One worker process of a simulated night: its loop, its writer, its clock's beats, its calls.

The worker inside is the real one. What surrounds it here is what a process has of a machine: when
it is killed nothing of it runs again, and what its writer had not committed is lost; when it is
frozen everything in it stops, its writer too, and goes on later as if no time had passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from overnight.engine.report import Report
from overnight.engine.worker import Worker
from overnight.providers import base
from overnight.store.errors import StoreError
from overnight.store.group import comes_later
from overnight.store.writer import Operation
from tests.simulation.invariants import Judge
from tests.simulation.loop import VirtualLoop
from tests.simulation.picture import Badge
from tests.simulation.plan import Interruption, Moment, Plan
from tests.simulation.remote import Accepted
from tests.simulation.table import Done, Table

T = TypeVar("T")


class DeadError(StoreError):
    """Code of a killed process ran on: whatever it asks for, it doesn't get it."""


class Trace(Protocol):
    """Where lines of the trace go."""

    def __call__(self, who: str, job_id: int, what: str, outcome: str) -> None: ...


@dataclass(slots=True)
class Surroundings:
    """What all processes of a night share."""

    world: VirtualLoop
    table: Table
    judge: Judge
    plan: Plan
    rng: Random
    trace: Trace


class Process:
    """A worker process. ``interruption`` says when something happens to it."""

    def __init__(
        self, number: int, around: Surroundings, badge: Badge, interruption: Interruption | None
    ) -> None:
        self.number = number
        self.badge = badge
        self.loop = VirtualLoop(around.world.clock)
        self.alive = True
        self.frozen = False
        self.struck = False
        """Its interruption is due."""
        self.committed_at = 0.0
        self.run_limit = around.plan.run_limit
        self.interruption = interruption
        self.worker: Worker | None = None
        self.task: asyncio.Task[Report] | None = None
        self._around = around
        self._counted = 0
        self._waiting: list[tuple[Operation[Any], asyncio.Future[Any]]] = []
        self._committing = False

    def begin(self, worker: Worker) -> None:
        """Start the worker's run."""
        self.worker = worker
        self.task = self.loop.create_task(worker.run())

    @property
    def awake(self) -> bool:
        return self.alive and not self.frozen

    def step(self) -> None:
        """One callback of its loop."""
        if self.interruption is not None:
            self.count(Moment.STEP)
        self.loop.step()

    def count(self, moment: Moment) -> None:
        """Note that ``moment`` came by; at the one of its interruption, it is struck."""
        due = self.interruption
        if due is not None and due.moment is moment:
            self._counted += 1
            self.struck |= self._counted == due.at

    def bury(self) -> None:
        """End it as ``kill -9`` does. What is left of its code runs out here, without effect."""
        self.alive = False
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        while self.loop.ready:
            self.loop.step()
        self.loop.close()

    # --- its writer -------------------------------------------------------------------------------

    async def record(self, operation: Operation[T]) -> T:
        """Run ``operation`` in the next transaction; return once it is durable and told of."""
        if not self.alive:
            raise DeadError("dead")
        future: asyncio.Future[T] = self.loop.create_future()
        self._waiting.append((operation, future))
        if not self._committing:
            self._committing = True
            self.loop.call_later(self._around.plan.commit, self._commit)
        return await future

    def _commit(self) -> None:
        around, plan = self._around, self._around.plan
        size = around.rng.randint(1, plan.group)
        group, self._waiting = self._waiting[:size], self._waiting[size:]
        group.sort(key=lambda each: comes_later(each[0]))
        done, changes = around.table.run([operation for operation, _ in group])
        around.judge.committed(self.badge, changes)
        self.committed_at = self.loop.time()
        self.count(Moment.COMMIT)
        self.loop.call_soon(self._tell, group, done)
        if self._waiting:
            self.loop.call_later(plan.commit, self._commit)
        else:
            self._committing = False

    def _tell(
        self, group: list[tuple[Operation[Any], asyncio.Future[Any]]], done: list[Done]
    ) -> None:
        for (_, future), result in zip(group, done, strict=True):
            if future.done():
                continue
            if result.error is not None:
                future.set_exception(result.error)
            else:
                future.set_result(result.value)

    # --- its line to the provider -----------------------------------------------------------------

    async def travel(self, seconds: float) -> None:
        if not self.alive:
            raise DeadError("dead")
        await asyncio.sleep(seconds)

    async def across(self, there: float, back: float, arrive: Callable[[], T]) -> T:
        if not self.alive:
            raise DeadError("dead")
        answer: asyncio.Future[T] = self.loop.create_future()
        world = self._around.world

        def arrived() -> None:
            # What a dead process had sent may still get there.
            if self.alive or self._around.rng.random() < 0.5:
                world.call_later(back, self._deliver, answer, arrive())

        world.call_later(there, arrived)
        return await answer

    def _deliver(self, answer: asyncio.Future[T], value: T) -> None:
        if self.alive:
            self.loop.call_soon(_settle, answer, value)

    def note(self, job_id: int, what: str, outcome: str) -> None:
        self._around.trace(f"w{self.number}", job_id, what, outcome)

    def posted(self, job_id: int, key: str) -> int:
        self.note(job_id, "submit", "POST")
        self.count(Moment.POST)
        return self._around.judge.posted(self.badge, job_id, key)

    def taken(self, request: Accepted) -> None:
        self._around.judge.taken(request)
        self.count(Moment.TAKEN)

    def answered(self, job_id: int, outcome: base.SubmitOutcome) -> None:
        self._around.judge.answered(self.badge, job_id, outcome)

    def asked(self, request: Accepted) -> None:
        self._around.judge.asked(self.badge, request)

    def told(self, request: Accepted, outcome: base.StatusOutcome | base.ResultOutcome) -> None:
        self._around.judge.told(self.badge, request, outcome)

    def welcomed(self) -> None:
        if self._around.plan.patient:
            self.badge.account_refused = False

    def turned_away(self) -> None:
        self.badge.turned_away = True

    def cancelling(self, request: Accepted) -> None:
        self._around.judge.cancelling(self.badge, request)


def _settle(answer: asyncio.Future[T], value: T) -> None:
    if not answer.done():
        answer.set_result(value)


@dataclass(slots=True)
class VirtualCalendar:
    """What recurs, on a process's own loop. ``stretch`` gives another interval for a name."""

    loop: VirtualLoop
    stretch: dict[str, float]
    _actions: list[tuple[float, Callable[[], Awaitable[None]]]] = field(default_factory=list)
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _stopped: bool = False

    def every(self, seconds: float, name: str, action: Callable[[], Awaitable[None]]) -> None:
        self._actions.append((self.stretch.get(name, seconds), action))

    def start(self) -> None:
        for number, (seconds, _) in enumerate(self._actions):
            self.loop.call_later(seconds, self._beat, number)

    def stop(self) -> None:
        self._stopped = True

    def _beat(self, number: int) -> None:
        if self._stopped:
            return
        seconds, action = self._actions[number]
        running = self._tasks.get(number)
        if running is None or running.done():
            self._tasks[number] = self.loop.create_task(_do(action))
        self.loop.call_later(seconds, self._beat, number)


async def _do(action: Callable[[], Awaitable[None]]) -> None:
    await action()
