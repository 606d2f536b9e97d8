"""What a run records of its calls, and in which order; and what files are called."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from overnight.artifacts.download import Downloader
from overnight.engine.collect import Collector
from overnight.engine.concurrency import Change
from overnight.engine.drive import Driver
from overnight.engine.polls import Polls, heard_of
from overnight.engine.retry import Decision, Policy
from overnight.engine.run import Run
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import leases, queue
from overnight.store.database import Database
from overnight.store.history import Heard
from overnight.store.job import Job
from overnight.store.queue import Facts
from overnight.store.writer import Writer
from tests.night import Night, night
from tests.unit.test_engine_races import Forgets, Says, a_run

STATUS = base.Call("status", 0.2, 200)


# --- counting calls -------------------------------------------------------------------------------


def test_polls_are_handed_out_once() -> None:
    polls = Polls()
    assert polls.heard() is None
    polls.saw(base.NoAnswer("?", call=base.Call("status", 9.0, 504)))
    polls.saw(base.Running(call=STATUS))
    assert polls.heard() == Heard("status", 200, 0.2, None, calls=2, unanswered=1)
    assert polls.heard() is None
    polls.made(base.NoAnswer("?", call=base.Call("cancel", 1.0, None)))
    assert polls.heard() == Heard("cancel", None, 1.0, None, calls=1, unanswered=1)


def test_only_a_row_of_gone_that_nothing_broke_counts() -> None:
    polls = Polls()
    for between in (base.NoAnswer("?"), base.NotCancellable()):
        polls.saw(base.Gone("no such request"))
        polls.saw(base.Gone("no such request"))
        assert polls.gone == 2
        polls.made(between)
        assert polls.gone == 0


def test_a_call_that_is_not_known_is_counted_all_the_same() -> None:
    polls = Polls()
    polls.saw(base.Running())
    assert polls.heard() == Heard(calls=1)


def test_a_submit_without_a_call_has_nothing_to_tell() -> None:
    assert heard_of(base.Rejected("the inputs are no JSON")) is None
    call = base.Call("submit", 0.4, 422, "422001")
    assert heard_of(base.Rejected("no", call=call)) == Heard("submit", 422, 0.4, "422001")


# --- the order ------------------------------------------------------------------------------------


async def test_a_request_id_is_durable_before_anything_else_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[str] = []

    class Accepts(Says):
        async def submit(self, *_: Any, **__: Any) -> base.Accepted:
            assert driver.submitting == {job.id}
            return base.Accepted("r-1")

    async def transition(_run: Run, job: Job, event: Event, facts: Facts | None = None) -> Job:
        assert facts is not None
        assert driver.submitting == {job.id}, "a drain lets it say what became of it"
        order.append(f"{event} {facts.request_id}")
        return job

    async def keep_change(_run: Run, change: Change | None) -> None:
        assert driver.submitting == set(), "by now, the job may be on its way once more"
        order.append("change kept")

    async with night(tmp_path, 1) as n:
        [job] = _named(n.database, None)
    monkeypatch.setattr(Run, "transition", transition)
    monkeypatch.setattr(Run, "keep_change", keep_change)
    monkeypatch.setattr(Run, "policy", lambda *_: Policy())
    run = a_run(Forgets(), Accepts())
    driver = Driver(run, Collector(run, Downloader.__new__(Downloader)))
    await driver._submit(job)
    assert order == ["accepted r-1", "change kept"]


async def test_a_refusal_closes_the_gate_before_it_is_durable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # While the refusal is being written, nobody else may submit into it.
    async def transition(_run: Run, job: Job, event: Event, facts: Facts | None = None) -> Job:
        assert run.gate.allowance(0.0, 0) == 0
        return job

    monkeypatch.setattr(Run, "transition", transition)
    run = a_run(Forgets())
    job: Any = None
    driver = Driver(run, Collector(run, Downloader.__new__(Downloader)))
    await driver._record_submit(job, Decision(Event.REFUSED, "no balance"), None)
    assert run.gate.refusal == "no balance"


# --- what files are called ------------------------------------------------------------------------


def _named(database: Database, *names: str | None) -> list[Job]:
    """The night's jobs, claimed; the manifest gives them these names."""
    with database.writing() as connection:
        for number, name in enumerate(names, 1):
            connection.exec_driver_sql("UPDATE jobs SET file_name = ? WHERE id = ?", (name, number))
        fence = leases.take(connection, leases.Identity.of_this_process(), 1.0)
        return queue.claim(connection, fence=fence, batch_id=1, limit=9, now=1.0)


class _Collecting:
    """A collector over a real table."""

    def __init__(self, n: Night) -> None:
        self.writer = Writer(n.database)
        self.writer.start()
        recorder: Any = self.writer
        run = a_run(recorder)
        run.batches[1] = n.batch
        self.collector = Collector(run, Downloader.__new__(Downloader))
        self._out = Path(n.batch.output_dir)

    async def name(self, job: Job, of: int = 1) -> str:
        folder, name = await self.collector._name(job, of)
        return str((folder / name).relative_to(self._out))


async def test_a_name_from_the_manifest_may_have_folders(tmp_path: Path) -> None:
    async with night(tmp_path, 4) as n:
        jobs = _named(n.database, "Anna/take 1", "../../etc/x", "a//./b", None)
        its = _Collecting(n)
        try:
            assert await its.name(jobs[0]) == "Anna/take 1"
            assert await its.name(jobs[1]) == "etc/x"
            assert await its.name(jobs[2]) == "a/b"
            assert await its.name(jobs[3]) == jobs[3].key
        finally:
            await its.writer.stop()


async def test_two_jobs_that_want_one_name_get_two(tmp_path: Path) -> None:
    async with night(tmp_path, 3) as n:
        first, second, third = _named(n.database, "same", "same", "same")
        its = _Collecting(n)
        try:
            assert await its.name(first) == "same"
            assert await its.name(second) == f"same~{second.fingerprint[:8]}"
            # The same again, also when the first is home and its name is only in the table.
            assert await its.name(first) == "same"
            path = str(Path(n.batch.output_dir) / "same.mp4")
            await its.writer.record(partial(_bring_home, job=first, path=path))
            its.collector._let_go(Path(n.batch.output_dir) / "same", first)
            assert await its.name(third) == f"same~{third.fingerprint[:8]}"
            # Several files are numbered, so they are in nobody's way.
            assert await its.name(third, of=2) == "same"
            its.collector._let_go(Path(n.batch.output_dir) / "same", third)
            assert await its.name(first) == "same"
        finally:
            await its.writer.stop()


def _bring_home(connection: Any, job: Job, path: str) -> None:
    job = _moved(connection, job, Event.ACCEPTED, request_id="r")
    job = _moved(connection, job, Event.FINISHED)
    queue.delivered(connection, job, ["u"], None, 4.0)
    queue.stored(connection, job, queue.Stored(0, path, 1, "aa", None), 4.0)


def _moved(connection: Any, job: Job, event: Event, **facts: Any) -> Job:
    moved = queue.move(connection, job, event, Facts(3.0, **facts))
    assert isinstance(moved, Job)
    return moved
