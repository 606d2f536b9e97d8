"""A whole night in virtual time: processes that start, die, freeze and start again on one table.

One seed is one night, always the same: :func:`run` plays it and says what did not hold. Everything
that decides anything draws from generators that the seed feeds; nothing reads the real clock.
"""

from __future__ import annotations

import gc
import socket
from collections import Counter
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar
from unittest import mock

from overnight.engine.collect import Collector, StorageError
from overnight.engine.report import Ending, Notice, Report
from overnight.engine.run import Limits, Run
from overnight.engine.worker import Worker
from overnight.lifecycle import HELD, State
from overnight.store import decisions, holding, leases, queue
from overnight.store.decisions import Resolution
from overnight.store.errors import AnotherWorker, LeaseLost
from overnight.store.writer import Operation
from tests.simulation import accounts
from tests.simulation import plan as plans
from tests.simulation.account import Account
from tests.simulation.files import SimulatedDownloader
from tests.simulation.invariants import USER, Judge
from tests.simulation.loop import Clock, VirtualLoop, advance
from tests.simulation.picture import Badge
from tests.simulation.plan import Act, Plan, Wish
from tests.simulation.process import Process, Surroundings, VirtualCalendar
from tests.simulation.remote import Remote
from tests.simulation.table import Table

T = TypeVar("T")

EVENING = 1_000_000_000.0
"""When every night begins, in seconds since 1970."""

Line = tuple[float, str, int, str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one night. ``trace`` holds (seconds, who, job, what, outcome)."""

    plan: Plan
    violations: list[str]
    trace: list[Line]
    states: dict[State, int]
    accepted: int
    rebought: int
    processes: int
    endings: dict[str, int]
    seconds: float
    """Virtual ones."""

    def text(self, job: int | None = None) -> str:
        """The trace for people, and to compare nights by; of one job, or of all."""
        return "\n".join(_readable(line) for line in self.trace if job in (None, line[2]))


def run(seed: int, table: Table, jobs: int = plans.JOBS) -> Outcome:
    """Play the night of ``seed`` on ``table``, which is made empty for it."""
    return play(plans.draw(seed, jobs), table)


def play(plan: Plan, table: Table) -> Outcome:
    """Play a night by a plan of one's own."""
    night = Night(plan, table)
    # Collecting garbage in the middle of it takes an eighth of the time.
    gc.disable()
    try:
        with mock.patch.object(holding, "_process_lives", night.process_lives):
            return night.play()
    finally:
        night.leave()
        gc.enable()


class Night:
    """One night, from the evening until everything is settled."""

    def __init__(self, plan: Plan, table: Table) -> None:
        self._plan = plan
        self._rng = Random(f"night {plan.seed}")
        self._clock = Clock(EVENING)
        self._world = VirtualLoop(self._clock)
        self._trace: list[Line] = []
        self._remote = Remote(self._world, plan, self._rng, self._provider_note)
        self._judge = Judge(plan.batches, self._remote, self._world.time)
        self._around = Surroundings(self._world, table, self._judge, plan, self._rng, self._note)
        self._disk: dict[str, str] = {}
        self._processes: list[Process] = []
        self._living: list[Process] = []
        self._awake: list[Process] = []
        """Those of the living that are not frozen."""
        self._wishes_left = len(plan.wishes)
        self._endings: dict[str, int] = {}
        self._over = False
        self._host = socket.gethostname()

    def play(self) -> Outcome:
        """Until it is over, or something does not hold."""
        plan, world, table = self._plan, self._world, self._around.table
        table.begin(plan.batches, EVENING)
        for wish in plan.wishes:
            world.call_later(wish.at, self._wish, wish)
        world.call_later(plans.MORNING, self._heal)
        self._start()
        while not self._over and not self._judge.violations:
            self._step()
        if not self._judge.violations:
            judge = self._judge
            told = {batch.id: batch.possible_duplicates for batch in table.batches()}
            judge.violations += accounts.close(judge.jobs, self._disk, judge.duplicates, told)
        for process in self._living:
            process.bury()
        world.close()
        return self._outcome()

    def leave(self) -> None:
        """Let asyncio forget the night's loops, also when it broke off."""
        self._world.leave()

    def _outcome(self) -> Outcome:
        states: dict[State, int] = {}
        for job in self._judge.jobs.values():
            states[job.state] = states.get(job.state, 0) + 1
        return Outcome(
            self._plan,
            self._judge.violations,
            self._trace,
            states,
            len(self._remote.requests),
            self._judge.rebought,
            len(self._processes),
            self._endings,
            self._clock.now - EVENING,
        )

    # --- time -------------------------------------------------------------------------------------

    def _step(self) -> None:
        """One callback of the world, a few of one process, or one jump of the clock."""
        world, awake = self._world, self._awake
        if world.ready:
            world.step()
        elif ready := [process for process in awake if process.loop.ready]:
            self._step_of(ready[0] if len(ready) == 1 else self._rng.choice(ready))
        else:
            if self._clock.now - EVENING > plans.NOON:
                self._judge.violations.append("the night never ends")
            advance([world, *(process.loop for process in awake)])
        for process in awake:
            if process.struck and process.alive:
                self._strike(process)

    def _step_of(self, process: Process) -> None:
        """What is ready in one process, until something else has a say in what comes next."""
        task, ready, violations = process.task, process.loop.ready, self._judge.violations
        assert task is not None, "a process begins with its run"
        alone = len(self._living) == 1
        while True:
            process.step()
            if task.done():
                self._ended(process)
                return
            if process.struck or violations or not (alone and ready) or self._world.ready:
                return

    # --- processes --------------------------------------------------------------------------------

    def process_lives(self, pid: int, _started: float) -> bool:
        """What the operating system says of a process id."""
        return self._processes[pid].alive

    def _start(self) -> None:
        if self._awake:
            return
        number, plan = len(self._processes), self._plan
        interruption = None
        if number < len(plan.interruptions) and not self._remote.healed:
            interruption = plan.interruptions[number]
        if self._remote.healed or self._rng.random() < 0.3:
            self._go_on()
        scope = self._around.table.batches()
        own = None
        if self._rng.random() < plan.narrow and not self._remote.healed:
            scope = [self._rng.choice(scope)]
            own = self._rng.choice([None, 1, 5, 20])
        ceilings = {batch.id: own or int(batch.run["concurrency"]) for batch in scope}
        badge = Badge(number, max(ceilings.values()), ceilings, plan.run_limit)
        process = Process(number, self._around, badge, interruption)
        self._processes.append(process)
        self._living.append(process)
        self._look_round()
        rng = Random(f"process {plan.seed} {number}")
        account = Account(process, self._remote, plan, self._rng, self._clock, EVENING)

        def collector(run: Run) -> Collector:
            run.pace = plan.pace
            downloader = SimulatedDownloader(process, self._remote, plan, self._rng, self._disk)
            return Collector(run, downloader)

        self._note(f"w{number}", 0, "starts", f"limit {badge.limit}, {ceilings}")
        process.begin(
            Worker(
                recorder=process,
                provider=account,
                collector=collector,
                scope=scope,
                concurrency=own,
                notify=partial(self._notified, process),
                now=process.loop.time,
                rng=rng,
                calendar=VirtualCalendar(process.loop, {"control": plan.control}),
                wait_for_account=plan.patient,
                limits=Limits(queue=4 * 3600.0, run=plan.run_limit, collect=3600.0),
                identity=leases.Identity(self._host, number, 0.0),
            )
        )

    def _notified(self, process: Process, notice: Notice) -> None:
        if process.alive:
            job_id = notice.job.id if notice.job else 0
            self._note(f"w{process.number}", job_id, "says", notice.text)

    def _strike(self, process: Process) -> None:
        process.struck = False
        interruption = process.interruption
        assert interruption is not None, "only an interruption strikes"
        self._note(f"w{process.number}", 0, interruption.act, interruption.moment)
        match interruption.act:
            case Act.KILL:
                self._bury(process)
                self._again(self._rng.choice([0.1, 5.0, 300.0]))
            case Act.DRAIN:
                if process.worker is not None:
                    process.worker.drain()
            case Act.FREEZE:
                process.frozen = True
                self._look_round()
                self._world.call_later(interruption.seconds, self._thaw, process)
                self._again(self._rng.uniform(1.0, 100.0))

    def _thaw(self, process: Process) -> None:
        self._note(f"w{process.number}", 0, "thaws", "")
        process.frozen = False
        self._look_round()
        process.loop.ring()

    def _bury(self, process: Process) -> None:
        self._living.remove(process)
        self._look_round()
        process.bury()

    def _look_round(self) -> None:
        """Who is awake, now that it may have changed."""
        self._awake = [process for process in self._living if process.awake]

    def _again(self, seconds: float) -> None:
        self._world.call_later(seconds, self._start)

    def _ended(self, process: Process) -> None:
        """A run came to its end; what follows depends on how."""
        assert process.task is not None, "only a run ends"
        task = process.task
        error = task.exception()
        ending = type(error).__name__ if error else str(task.result().ending)
        self._endings[ending] = self._endings.get(ending, 0) + 1
        self._note(f"w{process.number}", 0, "ends", ending)
        self._bury(process)
        self._judge.violations += self._around.table.miscounted()
        if error is None:
            self._reported(process, task.result())
        else:
            self._failed(process, error)
        if self._settled():
            self._over = True
        elif not self._awake:
            self._again(20.0)

    def _reported(self, process: Process, report: Report) -> None:
        violations = self._judge.violations
        violations += [f"w{process.number}: {text}" for text in report.broken]
        if report.ending is Ending.DONE:
            self._judge.settled(
                process.badge.ceilings, process.committed_at - 2 * self._plan.commit - 1e-6
            )
        if report.ending is Ending.REFUSED:
            refused = process.badge.account_refused or process.badge.turned_away
            if self._plan.patient:
                violations.append(f"w{process.number}: did not wait for the account")
            elif not refused:
                violations.append(f"w{process.number}: refused by nobody")

    def _failed(self, process: Process, error: BaseException) -> None:
        holder = self._judge.holder
        match error:
            case LeaseLost():
                fair = process.badge.fence > 0 and holder is not process.badge
            case AnotherWorker():
                fair = holder is not None and any(p.badge is holder for p in self._living)
            case StorageError():
                fair = "media:our-disk" in self._plan.faults
            case _:
                fair = False
        if not fair:
            self._judge.violations.append(f"w{process.number} died of {error!r}")

    def _settled(self) -> bool:
        """Nobody works or will, and nothing is left to do."""
        return (
            not self._living
            and not self._wishes_left
            and all(job.state in HELD for job in self._judge.jobs.values())
        )

    # --- the world --------------------------------------------------------------------------------

    def _heal(self) -> None:
        self._note("world", 0, "morning", "every fault ends")
        self._remote.heal()

    def _wish(self, wish: Wish) -> None:
        """A command of the user's, in a process of its own."""
        self._wishes_left -= 1
        jobs = self._judge.jobs
        named = self._rng.sample(sorted(jobs), int(len(jobs) * wish.share))
        done = self._command(self._commanded(wish.verb, named))
        self._note("user", 0, wish.verb, str(dict(done or {})))
        if self._settled():
            self._over = True

    def _commanded(self, verb: str, named: list[int]) -> Operation[Counter[str]]:
        now = self._clock.now
        match verb:
            case "cancel":
                return partial(queue.cancel, job_ids=named, now=now)
            case "retry":
                return partial(queue.retry, job_ids=named, now=now)
            case "adopt":
                # The user found the request on the provider's own pages.
                jobs = self._judge.jobs
                paid = [n for n in jobs if jobs[n].state is State.UNKNOWN and jobs[n].request]
                if not paid:
                    return lambda _: Counter()
                job_id = self._rng.choice(paid)
                request = jobs[job_id].request
                assert request is not None, "only what was accepted can be found"
                how, one = Resolution.ADOPT, [job_id]
                return partial(
                    decisions.resolve, job_ids=one, how=how, now=now, request_id=request.id
                )
            case _:
                how = Resolution(verb)
                return partial(decisions.resolve, job_ids=named, how=how, now=now)

    def _command(self, operation: Operation[T]) -> T:
        """Carry out a command of the user's, in a process of its own."""
        [done], changes = self._around.table.run([operation])
        if done.error is not None:
            raise done.error
        self._judge.committed(USER, changes)
        value: T = done.value
        return value

    def _go_on(self) -> None:
        """The user starts the next run with ``--continue``."""
        for batch in self._around.table.batches():
            if batch.halted is not None:
                self._command(partial(decisions.go_on, batch_id=batch.id, now=self._clock.now))
                self._judge.go_on(batch.id)
                self._note("user", 0, "continue", f"{batch.name}: {batch.halted}")

    def _note(self, who: str, job_id: int, what: str, outcome: str) -> None:
        self._trace.append((self._clock.now - EVENING, who, job_id, what, outcome))

    def _provider_note(self, job_id: int, what: str, outcome: str) -> None:
        self._note("remote", job_id, what, outcome)


def _readable(line: Line) -> str:
    at, who, job_id, what, outcome = line
    minutes, seconds = divmod(at, 60)
    hours, minutes = divmod(int(minutes), 60)
    job = f"job{job_id}" if job_id else ""
    return f"{hours:02}:{minutes:02}:{seconds:06.3f} {who:<6} {job:<7} {what:<9} {outcome}".rstrip()
