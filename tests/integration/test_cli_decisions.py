"""Halted batches, waiting for the account, unknown jobs, a backup in mid-run: real processes."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from overnight.emulator import Emulator, Settings, Span
from tests.integration.cli_shell import PATIENCE, Shell


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=2, service=Span(0.02, 0.05))) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, emulator: Emulator) -> Shell:
    return Shell(tmp_path, emulator)


async def status(shell: Shell) -> dict[str, Any]:
    [batch] = (await shell.run("status", "--json")).objects
    return batch


async def shown(shell: Shell, field: str) -> dict[str, Any]:
    """``status`` of a run under way, once it tells ``field``."""
    async with asyncio.timeout(PATIENCE):
        # What asks the provider holds the database.
        await shell.emulator.until(lambda ledger: ledger.turned_away.total() > 0)
        while (seen := await status(shell))[field] is None:
            assert seen["worker"] is not None, "the run ended"
    return seen


# --- halted ---------------------------------------------------------------------------------------


async def test_a_halted_batch_submits_nothing_until_it_is_told_to_go_on(shell: Shell) -> None:
    shell.emulator.faults.add("submit:job-fails")
    shell.manifest(6, concurrency=1, attempts=1, halt={"failures": 2, "after": 2})
    done = await shell.run("run", "jobs.yaml", "--yes")
    assert done.code == 3, done.err
    assert "night is halted: 2 of 2 jobs failed" in done.out
    assert "overnight run jobs.yaml --continue" in done.out
    # One more may have been with the provider when the second one failed.
    bought = len(shell.emulator.ledger.accepted)
    assert 2 <= bought <= 3
    assert await shell.states() == {"failed": bought, "pending": 6 - bought}
    assert "2 of 2 jobs failed" in (await status(shell))["halted"]

    shell.emulator.faults.clear()
    # It says why, asks for nothing, and submits nothing, however often.
    for verb in (["run", "jobs.yaml", "--json"], ["work", "--json"]):
        again = await shell.run(*verb)
        assert again.code == 3
        end = again.objects[-1]
        assert (end["ending"], end["batches"][0]["states"]["pending"]) == ("halted", 6 - bought)
        assert "2 of 2 jobs failed" in end["reason"]
        assert end["batches"][0]["halted"] == end["reason"]
    assert len(shell.emulator.ledger.accepted) == bought

    refused = await shell.run("run", "jobs.yaml", "--continue")
    assert refused.code == 2
    assert "--yes" in refused.err
    gone_on = await shell.run("run", "jobs.yaml", "--yes", "--continue")
    assert gone_on.code == 3, gone_on.err
    assert "night goes on. It was halted: 2 of 2 jobs failed" in gone_on.err
    assert await shell.states() == {"failed": bought, "succeeded": 6 - bought}
    assert (await status(shell))["halted"] is None


async def test_canaries_that_fail_halt_the_batch_and_can_be_overruled(shell: Shell) -> None:
    shell.emulator.faults.add("submit:job-fails@1x")
    shell.manifest(4, canary=1, attempts=1)
    done = await shell.run("run", "jobs.yaml", "--yes", "--json")
    assert done.code == 3, done.err
    assert done.objects[-1]["ending"] == "halted"
    assert "canary" in done.objects[-1]["reason"]
    assert await shell.states() == {"failed": 1, "pending": 3}
    assert (await shell.run("work", "--continue")).code == 3
    assert await shell.states() == {"failed": 1, "succeeded": 3}


async def test_the_other_batches_go_on_beside_a_halted_one(shell: Shell) -> None:
    shell.emulator.faults.add("submit:job-fails")
    shell.manifest(3, concurrency=1, attempts=1, halt={"failures": 1, "after": 1})
    assert (await shell.run("run", "jobs.yaml", "--yes")).code == 3
    shell.emulator.faults.clear()
    bought = len(shell.emulator.ledger.accepted)
    text = (shell.folder / "jobs.yaml").read_text(encoding="utf-8")
    (shell.folder / "other.yaml").write_text(text.replace("night", "other"), encoding="utf-8")
    assert (await shell.run("load", "other.yaml")).code == 0
    done = await shell.run("work")
    assert done.code == 3
    assert "3 jobs to submit" in done.err
    assert "night is halted" in done.out
    batches = (await shell.run("status", "--json")).objects
    assert [batch["states"]["succeeded"] for batch in batches] == [0, 3]
    assert len(shell.emulator.ledger.accepted) == bought + 3


# --- unknown --------------------------------------------------------------------------------------


async def test_unknown_jobs_are_settled_as_the_run_says(shell: Shell) -> None:
    shell.emulator.faults.add("submit:drop-after@2x")
    shell.manifest(3)
    done = await shell.run("run", "jobs.yaml", "--yes", "--json")
    assert done.code == 3, done.err
    assert "2 jobs are unknown" in done.err
    assert "overnight resolve --batch night" in done.err
    assert done.objects[-1]["batches"][0]["unknown"] == 2
    listed = (await shell.run("jobs", "--state", "unknown", "--json")).objects
    adopted, repeated = listed
    [lost] = [
        entry.request_id
        for entry in shell.emulator.ledger.accepted
        if entry.inputs == adopted["inputs"]
    ]
    assert (await shell.run("resolve", str(adopted["id"]), "--adopt", lost)).code == 0
    assert (await shell.run("resolve", repeated["key"], "--resubmit")).code == 0
    again = await shell.run("run", "jobs.yaml", "--yes")
    assert again.code == 0, again.err
    assert "1 submit repeated after an uncertain one" in again.out
    assert await shell.states() == {"succeeded": 3}
    ledger = shell.emulator.ledger
    assert (len(ledger.accepted), len(ledger.duplicates)) == (4, 1)
    assert (await status(shell))["possible_duplicates"] == 1


async def test_a_worker_takes_up_what_is_resolved_beside_it(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=1, service=Span(3, 3))) as emulator:
        emulator.faults.add("submit:drop-after@1x")
        shell = Shell(tmp_path, emulator)
        shell.manifest(2, concurrency=2)
        process = await shell.start("run", "jobs.yaml", "--yes")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 2)
            while (await status(shell))["unknown"] == 0:
                pass
        done = await shell.run("resolve", "--all", "--give-up", "--json")
        assert done.objects[0]["resolved"] == 1
        ended = await shell.end(process)
        assert ended.code == 3
        assert await shell.states() == {"failed": 1, "succeeded": 1}


# --- the account, the limit, pauses ---------------------------------------------------------------


async def test_waiting_for_the_account_goes_on_when_it_is_taken_again(shell: Shell) -> None:
    # The free call that asks is refused as well, until it isn't.
    shell.emulator.faults.add("any:bad-token")
    shell.manifest(2)
    process = await shell.start("run", "jobs.yaml", "--yes", "--wait-for-account", "--json")
    seen = await shown(shell, "pause")
    assert seen["pause"]["text"].startswith("Submitting pauses")
    assert "A worker is busy" in (said := (await shell.run("status")).out)
    assert "Submitting pauses" in said
    shell.emulator.faults.clear()
    done = await shell.end(process)
    assert done.code == 0, done.err
    assert await shell.states() == {"succeeded": 2}
    assert [job["attempts"] for job in (await shell.run("jobs", "--json")).objects] == [1, 1]


async def test_status_tells_the_limit_while_a_worker_lives(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=8, service=Span(4, 4))) as emulator:
        emulator.faults.add("submit:throttle@1x")
        shell = Shell(tmp_path, emulator)
        shell.manifest(4, concurrency=4)
        process = await shell.start("run", "jobs.yaml", "--yes")
        seen = await shown(shell, "limit")
        assert re.match(r"At most \d at once, after \d: ", seen["limit"]["text"])
        assert re.search(r"(?m)^At most \d at once, after \d: ", (await shell.run("status")).out)
        assert (await shell.end(process)).code == 0
        assert (await status(shell))["limit"] is None


# --- looking it over while it runs ----------------------------------------------------------------


async def test_doctor_and_backup_beside_a_running_worker(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=1, service=Span(600, 600))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(2)
        process = await shell.start("run", "jobs.yaml", "--yes")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 2)
        looked = await shell.run("doctor", "--json")
        levels = {one["check"]: one["level"] for one in looked.objects}
        assert (looked.code, levels["provider"], levels["workers"]) == (0, "ok", "ok")
        copied = await shell.run("db", "backup", "copy.db", "--json")
        assert (copied.code, copied.objects[0]["jobs"]) == (0, 2)
        assert (await shell.run("db", "upgrade")).code == 11
        process.send_signal(signal.SIGINT)
        assert (await shell.end(process)).code == 130
        # The copy is of the moment, and as good a database as the other.
        assert (await shell.run("doctor", "--offline", "--db", "copy.db")).code == 0
        [old] = (await shell.run("status", "--json", "--db", "copy.db")).objects
        assert old["total"] == 2
        assert old["states"]["succeeded"] == 0


async def test_doctor_says_that_the_account_is_turned_away_or_nobody_answers(shell: Shell) -> None:
    shell.manifest(1)
    assert (await shell.run("load", "jobs.yaml")).code == 0
    shell.emulator.faults.add("any:bad-token")
    looked = await shell.run("doctor", "--json")
    assert looked.code == 1
    assert looked.objects[-1]["level"] == "problem"
    assert "turns the account away" in looked.objects[-1]["text"]
    await shell.emulator.stop()
    looked = await shell.run("doctor", "--json")
    assert looked.code == 1
    assert "No answer" in looked.objects[-1]["text"]
