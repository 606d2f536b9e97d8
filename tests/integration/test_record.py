"""What a night leaves on record of its calls, and what its files are called, end to end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from overnight.artifacts.download import Fetched
from overnight.emulator import Emulator, Rule, Settings
from overnight.engine.collect import Collector
from overnight.lifecycle import State
from overnight.providers.runcomfy import Timeouts
from overnight.store import views
from overnight.store.rows import ArtifactRow, AttemptRow
from tests.night import Night, night
from tests.unit.test_engine_races import Forgets, a_run


def attempts(n: Night, job_id: int = 1) -> list[AttemptRow]:
    with n.database.reading() as connection:
        return list(views.detail(connection, job_id).attempts)


def name(n: Night, **files: str) -> None:
    """Give jobs (``job1=…``) the name that a manifest would."""
    with n.database.writing() as connection:
        for job, wanted in files.items():
            connection.exec_driver_sql(
                "UPDATE jobs SET file_name = ? WHERE id = ?", (wanted, int(job[3:]))
            )


async def test_each_attempt_tells_how_its_calls_went(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        emulator.faults.add(Rule.parse("submit:http-503@1x"))
        emulator.faults.add(Rule.parse("status:html-504@1x"))
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 1}
        refused, fine = attempts(n)
    assert (refused.outcome, refused.submit_status) == ("unavailable", 503)
    assert (refused.last_call, refused.calls) == ("submit", 0)
    assert (fine.outcome, fine.submit_status) == ("collected", 200)
    assert fine.answered_at == fine.accepted_at
    assert fine.submit_seconds is not None
    assert fine.submit_seconds >= 0.0
    assert (fine.last_call, fine.last_status, fine.error_code) == ("result", 200, None)
    # The 504, at least one poll that told something, and the result.
    assert fine.calls >= 3
    assert fine.unanswered == 1


async def test_a_submit_that_hangs_is_told_with_how_long_it_did(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        emulator.faults.add(Rule.parse("submit:hang@1x"))
        await n.run(emulator, timeouts=Timeouts(submit=0.3))
        assert n.states == {State.UNKNOWN: 1}
        [attempt] = attempts(n)
    assert (attempt.outcome, attempt.submit_status) == ("uncertain", None)
    assert attempt.submit_seconds is not None
    assert attempt.submit_seconds >= 0.3
    assert attempt.answered_at == attempt.ended_at


async def test_a_failed_verdict_is_told_with_the_call_that_brought_it(tmp_path: Path) -> None:
    async with night(tmp_path, 1, attempts=1) as n, Emulator(Settings()) as emulator:
        emulator.faults.add(Rule.parse("submit:completed-but-failed"))
        await n.run(emulator)
        assert n.states == {State.FAILED: 1}
        [attempt] = attempts(n)
    assert (attempt.submit_status, attempt.last_call, attempt.last_status) == (200, "result", 200)
    assert attempt.outcome == "attempts_exhausted"


async def test_files_are_called_what_the_manifest_says(tmp_path: Path) -> None:
    async with night(tmp_path, 4, concurrency=1) as n, Emulator(Settings()) as emulator:
        name(n, job1="Anna/take 1", job2="same", job3="same")
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 4}
        jobs = {job.id: job for job in n.jobs()}
        out = tmp_path / "out"
        found = {
            job.id: [str(Path(path).relative_to(out)) for path in job.files] for job in n.jobs()
        }
    assert found[1] == ["Anna/take 1.mp4"]
    both = sorted([found[2][0], found[3][0]])
    marks = [f"same~{jobs[number].fingerprint[:8]}.mp4" for number in (2, 3)]
    assert "same.mp4" in both
    assert (set(both) - {"same.mp4"}) <= set(marks)
    assert len(set(both)) == 2
    assert found[4] == [f"{jobs[4].key}.mp4"]
    assert all((out / path).stat().st_size > 0 for [path] in found.values())


async def test_a_batch_fetches_as_many_files_at_once_as_it_says(tmp_path: Path) -> None:
    class Counts:
        """A downloader whose files come when the test says so."""

        def __init__(self) -> None:
            self.running = self.most = self.asked = 0
            self.go = asyncio.Event()

        async def fetch(self, *_: Any, **__: Any) -> Fetched:
            self.asked += 1
            self.running += 1
            self.most = max(self.most, self.running)
            await self.go.wait()
            self.running -= 1
            return Fetched(Path("/x"), 1, "aa")

    async with night(tmp_path, 1) as n:
        own = {}
        for number, output in ((1, {"download": 2}), (2, {})):
            with n.database.writing() as connection:
                connection.exec_driver_sql("UPDATE batches SET output = ?", (json.dumps(output),))
            own[number] = n.batch
    counted: Any = Counts()
    run = a_run(Forgets())
    run.batches.update(own)
    collector = Collector(run, counted)
    row = ArtifactRow(1, 0, "u", None, None, None, None)

    async def fetch(batch_id: int) -> None:
        job: Any = type("AJob", (), {"id": 1, "batch_id": batch_id, "inputs": {}})
        await collector._fetch_once(job, row, "u", Path("/x"))

    for batch_id, at_once in ((1, 2), (2, 4)):
        counted.go.clear()
        counted.most = 0
        tasks = [asyncio.create_task(fetch(batch_id)) for _ in range(9)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert counted.running == at_once
        counted.go.set()
        await asyncio.gather(*tasks)
        assert counted.most == at_once
