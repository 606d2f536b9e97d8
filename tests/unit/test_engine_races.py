"""Races between what a run does and what happens meanwhile.

The simulation found them, and one a reader.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from overnight.artifacts.download import Downloader
from overnight.engine import settle
from overnight.engine.budget import Budget
from overnight.engine.claim import SUBMITS_AT_ONCE, Claimer
from overnight.engine.collect import Collector
from overnight.engine.concurrency import Concurrency
from overnight.engine.drive import Driver
from overnight.engine.polls import Polls
from overnight.engine.rate import Rate, Rates
from overnight.engine.recover import Recoverer
from overnight.engine.run import Run
from overnight.engine.watch import Watch
from overnight.engine.worker import Worker
from overnight.lifecycle import Event, State
from overnight.providers import base
from overnight.store import leases, queue, views
from overnight.store.database import Database
from overnight.store.errors import LeaseLost
from overnight.store.job import Job
from overnight.store.rows import Batch
from overnight.store.writer import Operation, Recorder
from tests.night import Night, Spec, night
from tests.unit.engine_crowd import JOB

T = TypeVar("T")


class Says:
    """A provider that is only asked whether it is there."""

    traits = base.Traits("fake")

    def __init__(self, probed: Callable[[], None] = lambda: None) -> None:
        self._probed = probed

    async def probe(self) -> base.Refused | base.NoAnswer | None:
        self._probed()
        return None

    async def _never(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("not asked here")

    submit = recover = status = result = cancel = _never

    async def aclose(self) -> None:
        pass


class Forgets:
    """A recorder that runs nothing, and lets a test look at each record."""

    def __init__(self, recorded: Callable[[int], None] = lambda _: None) -> None:
        self.records = 0
        self._recorded = recorded

    async def record(self, operation: Operation[T]) -> T:
        self.records += 1
        self._recorded(self.records)
        nothing: Any = None
        result: T = nothing
        return result


def a_run(
    recorder: Forgets, provider: base.Provider | None = None, now: Callable[[], float] = lambda: 0.0
) -> Run:
    return Run(
        recorder=recorder,
        provider=provider or Says(),
        batches={},
        budget=Budget({1: 4}),
        concurrency=Concurrency(4),
        notify=lambda _: None,
        now=now,
        rng=Random(1),
    )


async def test_a_refusal_stands_when_a_probe_of_an_outage_gets_through() -> None:
    # Jobs may have been left to the next run already: this one must end, and submit nothing.
    def refused_meanwhile() -> None:
        run.gate.record(Event.REFUSED, "no balance")

    async def nothing() -> None:
        pass

    run = a_run(Forgets(), Says(refused_meanwhile))
    run.gate.outage = "no answer"
    await Watch(run, nothing, nothing, _no_failure)._probe()
    assert run.gate.refusal == "no balance"
    assert run.gate.allowance(0.0, 0) == 0


async def test_nothing_is_claimed_while_draining_empties_slots() -> None:
    run = a_run(Forgets())
    claimer = Claimer(run, set())
    assert claimer._room(1, 0) == 4
    run.draining = True
    assert claimer._room(1, 0) == 0


async def test_a_place_of_the_submit_rate_is_taken_when_the_lease_is_sure() -> None:
    # Taken before a renewal of the lease that takes long, it would be free again too early.
    clock = [100.0]

    def slowly(_: int) -> None:
        clock[0] += 7.0

    run = a_run(Forgets(slowly), now=lambda: clock[0])
    run.rates = Rates([Rate(1, 60.0)])
    await Driver(run, Collector(run, Downloader.__new__(Downloader)))._take_place()
    assert clock[0] == 107.0
    assert run.rates.next_place(107.0) == 167.0


async def test_however_many_slots_are_free_few_submits_are_under_way() -> None:
    run = a_run(Forgets())
    run.budget, run.concurrency = Budget({1: 20_000}), Concurrency(20_000)
    run.concurrency.limit = 20_000
    submitting: set[int] = set()
    claimer = Claimer(run, submitting)
    assert claimer._room(1, 0) == SUBMITS_AT_ONCE
    submitting.update(range(SUBMITS_AT_ONCE - 1))
    assert claimer._room(1, 0) == 1
    submitting.update(range(SUBMITS_AT_ONCE + 50))
    assert claimer._room(1, 0) == 0


def _in_flight(n: Night, jobs: int) -> list[Job]:
    """Jobs that a worker has submitted."""
    with n.database.writing() as connection:
        fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
        found = []
        for job in queue.claim(connection, fence=fence, batch_id=1, limit=jobs, now=1.0):
            facts = queue.Facts(2.0, request_id=f"r{job.id}")
            moved = queue.move(connection, job, Event.ACCEPTED, facts)
            assert isinstance(moved, Job)
            found.append(moved)
    return found


async def test_what_is_taken_up_fills_all_its_slots_before_the_first_job_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.engine.worker.AT_A_TIME", 2)
    async with night(tmp_path, 7) as n:
        taken = _in_flight(n, 7)
    worker = _worker(n.batch)
    held: list[tuple[int, int]] = []

    async def drive(_: Job) -> None:
        held.append((worker._run.budget.held, len(worker._own)))
        await asyncio.Event().wait()

    monkeypatch.setattr(worker._driver, "drive", drive)
    await worker._go_on(taken)
    await asyncio.sleep(0)
    assert held == [(7, 7)] * 7
    await worker._stop_tasks()


async def test_a_drain_while_jobs_begin_leaves_the_rest_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.engine.worker.AT_A_TIME", 2)
    async with night(tmp_path, 7) as n:
        taken = _in_flight(n, 7)
    worker = _worker(n.batch)

    async def drive(_: Job) -> None:
        worker.drain()

    monkeypatch.setattr(worker._driver, "drive", drive)
    await worker._go_on(taken)
    assert len(worker._tasks) <= 2
    await worker._stop_tasks()


async def test_a_lease_is_looked_at_again_after_a_beat_that_took_long() -> None:
    at = 1000.0

    def frozen_once(records: int) -> None:
        nonlocal at
        if records == 1:
            at += 10 * leases.LEASE
        else:
            raise LeaseLost("taken over")

    run = a_run(Forgets(frozen_once), now=lambda: at)
    with pytest.raises(LeaseLost):
        await run.ensure_lease()


async def test_a_job_that_is_claimed_again_keeps_its_slot(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n:
        with n.database.writing() as connection:
            fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
            [job] = queue.claim(connection, fence=fence, batch_id=1, limit=1, now=1.0)
    worker = _worker(n.batch)
    never = asyncio.Event()

    async def drive(job: Job) -> None:
        if len(worker._tasks) and not started:
            # It went back to pending, and was claimed before its task was seen to have ended.
            started.append(job)
            worker._start(job)
        else:
            await never.wait()

    started: list[Job] = []
    worker._driver.drive = drive  # type: ignore[method-assign]
    worker._start(job)
    for _ in range(5):
        await asyncio.sleep(0)
    assert started
    assert list(worker._tasks) == [job.id]
    assert worker._run.budget.held == 1
    worker._tasks[job.id].cancel()


def _worker(batch: Batch, recorder: Recorder | None = None) -> Worker:
    def collector(run: Run) -> Collector:
        return Collector(run, Downloader.__new__(Downloader))

    return Worker(
        recorder=recorder or Forgets(), provider=Says(), collector=collector, scope=[batch]
    )


async def test_a_requeued_job_keeps_when_it_was_first_seen_running(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n:
        with n.database.writing() as connection:
            fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
            [job] = queue.claim(connection, fence=fence, batch_id=1, limit=1, now=1.0)
            events = [Event.ACCEPTED, Event.SEEN_RUNNING, Event.SEEN_QUEUED, Event.SEEN_RUNNING]
            for at, event in enumerate(events, 2):
                moved = queue.move(connection, job, event, queue.Facts(float(at), request_id="r"))
                assert isinstance(moved, Job)
                job = moved
        with n.database.reading() as connection:
            [attempt] = views.detail(connection, job.id).attempts
    assert job.state is State.RUNNING
    assert attempt.running_at == 3.0


async def test_an_unanswered_cancel_waits_before_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Says):
        async def silent(self, _: base.Request) -> base.NoAnswer:
            calls.append("call")
            return base.NoAnswer("no answer")

        cancel = status = silent

    async def nap(_run: Run, _job_id: int, seconds: float) -> None:
        assert seconds > 0
        calls.append("nap")

    calls: list[str] = []
    monkeypatch.setattr(Run, "nap", nap)
    async with night(tmp_path, 1) as n:
        with n.database.writing() as connection:
            fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
            [job] = queue.claim(connection, fence=fence, batch_id=1, limit=1, now=1.0)
            facts = queue.Facts(2.0, request_id="r")
            queued = queue.move(connection, job, Event.ACCEPTED, facts)
    assert isinstance(queued, Job)
    run = a_run(Forgets(), Silent(), now=lambda: 3.0)
    run.batches[1] = n.batch
    run.to_cancel.add(job.id)
    driver = Driver(run, Collector(run, Downloader.__new__(Downloader)))
    for _ in range(3):
        assert await driver._follow(queued) is queued
    assert calls == ["call", "call", "nap", "call", "call", "nap", "call", "call"]


async def test_a_wish_to_cancel_ends_with_the_attempt_that_it_was_made_for(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n:
        with n.database.writing() as connection:
            fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
            [job] = queue.claim(connection, fence=fence, batch_id=1, limit=1, now=1.0)
            back = queue.move(connection, job, Event.NOT_SENT, queue.Facts(2.0))
    assert isinstance(back, Job)
    run = a_run(Forgets())
    run.to_cancel.add(job.id)
    run._account_for(job, back, Event.NOT_SENT, queue.Facts(2.0))
    assert run.to_cancel == set()


class Slow:
    """A recorder that lets everybody else go on before it tells what came of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, operation: Operation[T]) -> T:
        with self._database.writing() as connection:
            value = operation(connection)
        for _ in range(5):
            await asyncio.sleep(0)
        return value


async def test_a_rule_and_a_retry_do_not_both_spend_what_is_left_of_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs at 5 cents may have been paid for, and 15 cents are the limit: one of them goes
    again, the one that failed or the one that nobody can tell of."""
    monkeypatch.setattr(Spec, "price", 0.05)
    async with night(tmp_path, 2, on_unknown="resubmit", limits={"cost": 0.15}) as n:
        with n.database.writing() as connection:
            fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
            job, other = queue.claim(connection, fence=fence, batch_id=1, limit=2, now=1.0)
            queued = queue.move(connection, job, Event.ACCEPTED, queue.Facts(2.0, request_id="r"))
            queue.move(connection, other, Event.UNCERTAIN, queue.Facts(2.0))
        assert isinstance(queued, Job)
        worker = _worker(n.batch, Slow(n.database))
        worker._run.fence = fence
        verdict = base.Failed("no luck")
        await asyncio.gather(
            settle.fail(worker._run, queued, verdict, Polls()), worker._look_after()
        )
        assert n.states == {State.PENDING: 1, State.UNKNOWN: 1}


def _no_failure(error: BaseException) -> None:
    raise AssertionError from error


class Doubtful(Says):
    """A provider that is asked about a lost submit by sending it again."""

    traits = base.Traits("fake", recovery=base.Recovery.REPLAY)

    def __init__(self, outcome: base.RecoverOutcome) -> None:
        super().__init__()
        self._outcome = outcome

    async def recover(self, *_: Any, **__: Any) -> base.RecoverOutcome:
        return self._outcome


class Settles(Forgets):
    """A recorder of one unknown job, whose settling ends as it is told."""

    def __init__(self, job: Job, *, settled: bool) -> None:
        super().__init__()
        self._answers: list[Any] = [[job], [], settled]

    async def record(self, operation: Operation[T]) -> T:
        answer: T = self._answers.pop(0)
        return answer


@pytest.mark.parametrize(
    ("outcome", "settled"),
    [(base.NeverAccepted("not there"), True), (base.Accepted("r2"), False)],
    ids=["goes again", "was settled otherwise"],
)
async def test_a_doubt_that_is_settled_takes_nothing_from_the_next_submit(
    outcome: base.RecoverOutcome, settled: bool
) -> None:
    # Once that is durable the job may be claimed again, and its slot is that of the new submit.
    job = JOB._replace(state=State.UNKNOWN)
    run = a_run(Settles(job, settled=settled), Doubtful(outcome), now=lambda: 2000.0)
    run.beaten, run.tallies = 2000.0, {job.batch_id: Counter({State.UNKNOWN: 1})}
    submitting: set[int] = set()
    seen: list[tuple[int, set[int]]] = []

    async def claimed_again() -> None:
        seen.append((run.budget.held, set(submitting)))
        run.budget.hold(job.id, job.batch_id)
        submitting.add(job.id)

    await Recoverer(run, submitting, claimed_again).ask()
    assert seen == [(0, set())]
    assert (run.budget.held, submitting) == (1, {job.id})
