"""When the disk is full, fails, or can't be written to: a sentence, an exit code, nothing lost."""

import asyncio
import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from overnight.cli import rehearsal
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.emulator import Emulator, Ledger, Settings, Span
from tests.integration.cli_shell import PATIENCE, Done, Shell
from tests.integration.small_disk import SmallDisk, small_disk

JOBS = 6
AT_ONCE = 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "2m") as mounted:
        yield mounted


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with Emulator(Settings(slots=AT_ONCE, service=Span(0.1, 0.2))) as emulator:
        yield Shell(tmp_path, emulator)


async def failing_in_mid_run(shell: Shell, db: Path, fail: Callable[[int], None]) -> Done:
    """A run whose storage fails once a few jobs have come home; ``fail`` is given its process."""
    shell.manifest(JOBS, concurrency=AT_ONCE)
    process = await shell.start("run", "jobs.yaml", "--yes", "--json", "--db", str(db))

    def under_way(ledger: Ledger) -> bool:
        return len(ledger.accepted) >= 4

    async with asyncio.timeout(PATIENCE):
        await shell.emulator.until(under_way)
    fail(process.pid)
    done = await shell.end(process)
    assert done.code == Exit.ERROR, done.err
    assert "bug" not in done.err
    return done


async def nothing_is_missing_and_the_same_command_goes_on(
    shell: Shell, db: Path, told: Done
) -> dict[str, int]:
    """What was said to be saved is there; the rest is done without a second submit. Returns how
    many jobs are in each state in the end."""
    said = {one["id"] for one in told.objects if one.get("state") == "succeeded"}
    listed = (await shell.run("jobs", "--json", "--db", str(db))).objects
    kept = {job["id"]: job for job in listed}
    assert len(kept) == JOBS
    for job_id in said:
        assert kept[job_id]["state"] == "succeeded"
        assert [Path(file).stat().st_size > 0 for file in kept[job_id]["files"]] == [True]
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    again = await shell.run("run", "jobs.yaml", "--yes", "--db", str(db))
    [batch] = (await shell.run("status", "--json", "--db", str(db))).objects
    states = {state: n for state, n in batch["states"].items() if n}
    unknown = states.get("unknown", 0)
    assert states == {"succeeded": JOBS - unknown} | ({"unknown": unknown} if unknown else {})
    assert again.code == (Exit.JOBS_FAILED if unknown else Exit.DONE), again.err
    assert unknown <= AT_ONCE
    ledger = shell.emulator.ledger
    assert len(ledger.duplicates) == 0
    assert JOBS - unknown <= len(ledger.accepted) <= JOBS
    assert ledger.max_open <= AT_ONCE
    return states


async def test_a_full_disk_under_the_database(shell: Shell, disk: SmallDisk) -> None:
    db = disk.path / "night.db"
    told = await failing_in_mid_run(shell, db, lambda _: disk.fill())
    assert "the disk is full. Free some space" in told.err
    while_full = await shell.run("load", "jobs.yaml", "--db", str(disk.path / "other.db"))
    assert while_full.code == Exit.ERROR
    assert "disk" in while_full.err
    disk.make_room()
    await nothing_is_missing_and_the_same_command_goes_on(shell, db, told)


async def test_a_full_disk_under_the_results(shell: Shell, disk: SmallDisk, tmp_path: Path) -> None:
    shell.clips = disk.path / "clips"
    db = tmp_path / "night.db"
    told = await failing_in_mid_run(shell, db, lambda _: disk.fill())
    assert "No space left" in told.err or "full" in told.err
    # Not even begun while there is no room, and nothing more is bought.
    bought = len(shell.emulator.ledger.accepted)
    assert (await shell.run("run", "jobs.yaml", "--yes", "--db", str(db))).code == Exit.ERROR
    assert len(shell.emulator.ledger.accepted) <= bought + AT_ONCE
    disk.make_room()
    states = await nothing_is_missing_and_the_same_command_goes_on(shell, db, told)
    # The database could take everything down, so that nothing is in doubt.
    assert states == {"succeeded": JOBS}


async def test_a_disk_that_reports_errors(shell: Shell, tmp_path: Path) -> None:
    def fail(pid: int) -> None:
        # No write beyond the first page of any file succeeds any more.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))

    db = tmp_path / "night.db"
    told = await failing_in_mid_run(shell, db, fail)
    assert "the disk reported an error" in told.err or "File too large" in told.err
    await nothing_is_missing_and_the_same_command_goes_on(shell, db, told)


# --- every command on a database that is no good --------------------------------------------------

COMMANDS = [
    *(["status"], ["jobs"], ["show", "1"], ["cancel", "1"], ["retry", "--all"]),
    *(["resolve", "1", "--give-up"], ["work"], ["load", "jobs.yaml"], ["run", "jobs.yaml", "-y"]),
    *(["db", "current"], ["db", "upgrade"], ["db", "backup", "copy.db"], ["doctor", "--offline"]),
]

each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> Path:
    """A folder with a manifest, and commands that run in it, here; returns the database to be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", shell.emulator.settings.token)
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", shell.emulator.base_url)
    monkeypatch.setattr(rehearsal, "can_ask", lambda: False)
    shell.manifest(200)
    return tmp_path / "night.db"


def refused(command: list[str], db: Path, capsys: pytest.CaptureFixture[str], says: str) -> None:
    capsys.readouterr()
    assert run([*command, "--db", str(db)]) == Exit.ERROR
    captured = capsys.readouterr()
    assert says in captured.err + captured.out
    assert "bug" not in captured.err
    assert "Traceback" not in captured.err


@each_command
def test_a_truncated_database(
    command: list[str], loaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", "jobs.yaml", "--db", str(loaded)]) == Exit.DONE
    os.truncate(loaded, loaded.stat().st_size // 2)
    refused(command, loaded, capsys, "is damaged")


@pytest.mark.parametrize(
    "command",
    [["jobs", "--limit", "200"], ["doctor", "--offline"], ["db", "backup", "copy.db"]],
    ids=" ".join,
)
def test_a_database_with_bits_turned(
    command: list[str], loaded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", "jobs.yaml", "--db", str(loaded)]) == Exit.DONE
    with loaded.open("r+b") as file:
        content = file.read()
        # The first 40 pages hold the schema and the roots: it opens, and is rotten behind them.
        file.seek(40 * 4096)
        file.write(bytes(byte ^ 0x10 for byte in content[40 * 4096 :]))
    capsys.readouterr()
    assert run([*command, "--db", str(loaded)]) == Exit.ERROR
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "damaged" in captured.err + captured.out or "not sound" in captured.err


@each_command
def test_a_read_only_database(
    command: list[str], loaded: Path, disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    db = disk.path / "night.db"
    assert run(["load", "jobs.yaml", "--db", str(db)]) == Exit.DONE
    disk.make_read_only()
    refused(command, db, capsys, "write")


def test_a_log_that_went_missing_takes_only_what_was_in_it(
    loaded: Path, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["load", "jobs.yaml", "--db", str(loaded)]) == Exit.DONE
    copy = loaded.with_name("copy.db")
    with closing(sqlite3.connect(loaded)) as reader:
        # Somebody has it open, so that what comes now stays in the log when the loading ends.
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        shell.manifest(250)
        assert run(["load", "jobs.yaml", "--db", str(loaded)]) == Exit.DONE
        copy.write_bytes(loaded.read_bytes())
    capsys.readouterr()
    assert run(["doctor", "--offline", "--db", str(copy)]) == Exit.DONE
    assert "200 jobs in 1 batch" in capsys.readouterr().out
    assert run(["load", "jobs.yaml", "--db", str(copy)]) == Exit.DONE
    assert "50 new, 200 there already" in capsys.readouterr().err
