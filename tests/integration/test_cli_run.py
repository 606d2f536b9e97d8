"""The contract of ``overnight run``, as another program sees it: a real process, the emulator."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from overnight.emulator import Emulator, Settings, Span
from tests.integration.cli_shell import PATIENCE, Shell


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=2, service=Span(0.05, 0.1))) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, emulator: Emulator) -> Shell:
    return Shell(tmp_path, emulator)


async def test_a_run_ends_with_files_and_a_second_one_does_nothing(shell: Shell) -> None:
    shell.manifest(3)
    done = await shell.run("run", "jobs.yaml", "--db", "night.db", "--yes", "--json")
    assert done.code == 0, done.err
    kinds = [one["event"] for one in done.objects]
    assert (kinds[0], kinds.count("job"), kinds[-1]) == ("load", 3, "end")
    assert done.objects[-1]["exit"] == 0

    listed = (await shell.run("jobs", "--db", "night.db", "--json")).objects
    accepted = {entry.request_id: entry.inputs for entry in shell.emulator.ledger.accepted}
    for job in listed:
        assert (job["state"], job["attempts"], job["error"]) == ("succeeded", 1, None)
        assert accepted[job["request_id"]] == job["inputs"]
        [file] = job["files"]
        assert Path(file).is_absolute()
        assert Path(file).stat().st_size > 0
        assert len(job["urls"]) == 1

    again = await shell.run("run", "jobs.yaml", "--db", "night.db", "--json")
    assert again.code == 0
    assert again.objects[0]["existing"] == 3
    assert again.objects[-1]["ending"] == "done"
    ledger = shell.emulator.ledger
    assert (len(ledger.accepted), len(ledger.duplicates)) == (3, 0)
    assert ledger.max_open <= 2
    assert ledger.media_with_token == 0


async def test_load_then_work_is_the_same_as_run(shell: Shell) -> None:
    shell.manifest(2)
    assert (await shell.run("load", "jobs.yaml")).code == 0
    assert len(shell.emulator.ledger.accepted) == 0
    done = await shell.run("work", "--concurrency", "1")
    assert done.code == 0
    assert "night: 2 succeeded" in done.out
    assert str(shell.folder / "clips") in done.out
    assert shell.emulator.ledger.max_open == 1


async def test_ctrl_c_stops_in_order_and_the_same_command_goes_on(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=2, service=Span(0.4, 0.6))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(5)
        process = await shell.start("run", "jobs.yaml", "--yes")
        done = await shell.signalled(process, signal.SIGINT, accepted=2)
        assert done.code == 130
        assert "Stopping: no new submits" in done.err
        assert "Go on with: overnight run jobs.yaml" in done.out
        assert len(emulator.ledger.accepted) < 5
        assert "unknown" not in await shell.states()

        assert (await shell.run("run", "jobs.yaml", "--yes")).code == 0
        assert await shell.states() == {"succeeded": 5}
        assert len(emulator.ledger.accepted) == 5
        assert len(emulator.ledger.duplicates) == 0
        assert emulator.ledger.max_open <= 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_the_system_s_signals_stop_it_like_ctrl_c(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with Emulator(Settings(slots=1, service=Span(30, 30))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(1)
        process = await shell.start("run", "jobs.yaml", "--yes", "--json")
        done = await shell.signalled(process, number, accepted=1)
        assert done.code == 130
        assert done.objects[-1]["left_remote"] == 1


async def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    rules = ["submit:hang-after@1x"]
    async with Emulator(Settings(slots=2), faults=rules) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(1)
        process = await shell.start("run", "jobs.yaml", "--yes", "--json")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 1)
            # The submit is on its way and gets no answer, so that an orderly stop has to wait.
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            while b'"stopping"' not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGINT)
        assert (await shell.end(process)).code == 130
        # Nobody can tell what became of that submit, and it is not sent again.
        assert (await shell.run("run", "jobs.yaml", "--yes")).code == 3
        assert await shell.states() == {"unknown": 1}
        assert len(emulator.ledger.accepted) == 1


async def test_failed_jobs_are_code_3_with_their_reason(shell: Shell) -> None:
    shell.emulator.faults.add("submit:job-fails@1x")
    shell.manifest(3, attempts=1)
    done = await shell.run("run", "jobs.yaml", "--yes")
    assert done.code == 3
    assert "night: 2 succeeded, 1 failed" in done.out
    assert "overnight retry --batch night" in done.out

    assert (await shell.run("retry")).code == 0
    assert (await shell.run("run", "jobs.yaml", "--yes")).code == 0
    assert await shell.states() == {"succeeded": 3}


async def test_a_refused_account_is_code_4_and_fails_no_job(shell: Shell) -> None:
    shell.emulator.faults.add("submit:no-balance")
    shell.manifest(3)
    done = await shell.run("run", "jobs.yaml", "--yes", "--json")
    assert done.code == 4, done.err
    assert done.objects[-1]["ending"] == "refused"
    assert await shell.states() == {"pending": 3}
    assert "turned the account away" in done.err


async def test_a_second_worker_is_code_11(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=1, service=Span(30, 30))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(2)
        first = await shell.start("run", "jobs.yaml", "--yes")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 2)
        second = await shell.run("run", "jobs.yaml", "--yes")
        assert second.code == 11
        assert "Another worker" in second.err
        assert (await shell.run("work")).code == 11
        assert (await shell.run("status", "--json")).code == 0
        assert (await shell.signalled(first, signal.SIGINT, accepted=2)).code == 130
        assert len(emulator.ledger.accepted) == 2


async def test_a_cancel_from_another_terminal_reaches_the_provider(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=1, service=Span(5.0, 5.0))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(2)
        running = await shell.start("run", "jobs.yaml", "--yes")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 2)
        waiting = emulator.ledger.accepted[1].request_id
        done = await shell.run("cancel", waiting)
        assert "asks the provider now" in done.out
        assert (await shell.end(running)).code == 0
        assert emulator.ledger.cancelled == [waiting]
        assert await shell.states() == {"succeeded": 1, "cancelled": 1}


async def test_a_batch_that_gets_jobs_while_another_is_worked_on_is_worked_on_too(
    tmp_path: Path,
) -> None:
    async with Emulator(Settings(service=Span(4.0, 4.0))) as emulator:
        shell = Shell(tmp_path, emulator)
        manifest = tmp_path / "jobs.yaml"
        shell.manifest(1)
        assert (await shell.run("load", "jobs.yaml")).code == 0
        assert (await shell.run("cancel", "--all", "--yes")).code == 0
        manifest.write_text(manifest.read_text("utf-8").replace("name: night", "name: other"))
        assert (await shell.run("load", "jobs.yaml")).code == 0
        working = await shell.start("work")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 1)
        done = await shell.run("retry", "--batch", "night", "--state", "cancelled", "--yes")
        assert "works on that batch, it goes on with them by itself" in done.out
        end = await shell.end(working)
        assert end.code == 0
        for name in ("night", "other"):
            assert f"{name}: 1 succeeded, 0 failed, 0 unknown (of 1 job)." in end.out
        assert len(emulator.ledger.accepted) == 2


async def test_a_reader_that_has_had_enough_gets_no_complaint(shell: Shell) -> None:
    shell.manifest(2)
    assert (await shell.run("load", "jobs.yaml")).code == 0
    reading, writing = os.pipe()
    os.close(reading)
    process = await shell.start("jobs", "--json", stdout=writing)
    os.close(writing)
    done = await shell.end(process)
    assert done.err == ""
