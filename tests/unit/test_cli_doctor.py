"""``overnight doctor`` on databases that are well and ill, and ``overnight db``."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.cli import doctor, options
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.lifecycle import Event
from overnight.providers.base import NoAnswer, Refused
from overnight.providers.credentials import Account
from overnight.store import checkup, decisions, leases
from overnight.store.database import Database
from overnight.store.rows import Kind
from tests.unit.cli_night import Capture, Night, fill

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
TOKEN = "tok-93b1d2f47c"


@pytest.fixture(autouse=True)
def here(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account that is complete, and a disk with room, whatever this machine has."""
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(database.path.parent))
    monkeypatch.setenv(options.DB_VARIABLE, str(database.path))
    monkeypatch.setenv("RUNCOMFY_TOKEN", TOKEN)
    monkeypatch.chdir(database.path.parent)
    room(monkeypatch, 500 * 10**9)
    yield


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - free, free))


def raw(database: Database, statement: str) -> None:
    connection = sqlite3.connect(database.path)
    with connection:
        connection.execute(statement)
    connection.close()


def examined(capsys: Capture, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and each check's worst level with all its words."""
    code = run(["doctor", "--offline", "--json", *arguments])
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    found: dict[str, tuple[str, str]] = {}
    for text in captured.out.splitlines():
        said = json.loads(text)
        assert set(said) == {"check", "level", "text", "advice"}
        level, words = found.get(said["check"], ("ok", ""))
        worst = max(level, said["level"], key=["ok", "warning", "problem"].index)
        found[said["check"]] = (worst, f"{words} {said['text']} {said['advice']}")
    return code, found


def ill(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {check: level for check, (level, _) in found.items() if level != "ok"}


# --- all well -------------------------------------------------------------------------------------


def test_a_sound_night_has_no_problem_and_no_warning(database: Database, capsys: Capture) -> None:
    fill(database)
    worker = Night(database)
    worker.succeed(worker.claim(1, 1)[0], "req-1")
    worker.end()
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {})
    assert "4 jobs in 1 batch" in found["database"][1]
    assert "Found in RUNCOMFY_TOKEN" in found["token"][1]


def test_a_machine_that_cannot_look_into_clips_is_told_how(
    database: Database, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.artifacts.pyav.is_installed", lambda: False)
    code, found = examined(capsys)
    assert (code, found["clips"][0]) == (Exit.DONE, "warning")
    assert 'pip install "overnight[probe]"' in found["clips"][1]


def test_every_check_is_documented(database: Database, capsys: Capture) -> None:
    fill(database)
    _, found = examined(capsys)
    table = PAGE.split("### When something is wrong")[1].split("It changes nothing")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} == set(found)


def test_people_get_one_line_a_check(database: Database, capsys: Capture) -> None:
    fill(database)
    assert run(["doctor", "--offline"]) == Exit.DONE
    captured = capsys.readouterr()
    for text in captured.out.splitlines():
        assert re.match(r"(ok|warning|problem) +[a-z]+ +\S", text)
    assert captured.err == "No problem found.\n"


def test_it_changes_nothing(database: Database, capsys: Capture) -> None:
    fill(database)
    before = database.path.read_bytes()
    examined(capsys)
    assert database.path.read_bytes() == before
    assert not Path("/out").exists()


@pytest.mark.usefixtures("database")
def test_it_does_not_wait_for_the_engine_to_be_imported() -> None:
    code = (
        "import sys; from overnight.cli.main import run; run(['doctor', '--offline', '--quick'])\n"
        "print([m for m in sys.modules if m.startswith('overnight.engine')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- the database ---------------------------------------------------------------------------------


def test_without_a_database_the_account_is_still_looked_at(capsys: Capture) -> None:
    code, found = examined(capsys, "--db", "elsewhere.db")
    assert code == Exit.ERROR
    assert ill(found) == {"database": "problem"}
    assert "Load a manifest first" in found["database"][1]
    assert {"sqlite", "token"} <= set(found)


def test_an_older_schema_is_a_problem_that_an_upgrade_solves(
    database: Database, capsys: Capture
) -> None:
    raw(database, "UPDATE alembic_version SET version_num = '0001'")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.ERROR, {"database": "problem"})
    assert "overnight db upgrade" in found["database"][1]


@pytest.mark.parametrize("quick", [True, False])
def test_a_damaged_file_is_a_problem_and_the_other_checks_go_on(
    quick: bool, database: Database, capsys: Capture
) -> None:
    fill(database, jobs=400)
    path = database.path
    database.close()
    with path.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 40 * 4096))
    code, found = examined(capsys, *(["--quick"] if quick else []))
    assert code == Exit.ERROR
    assert found["integrity"][0] == "problem"
    assert "restore a backup" in found["integrity"][1]
    assert {"figures", "workers", "room", "token"} <= set(found)


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE tallies SET state = 'pendXng' WHERE state = 'pending'", "figures"),
        ("UPDATE jobs SET updated_at = 'soon' WHERE id = 1", "clock"),
    ],
)
def test_a_row_that_makes_no_sense_is_a_problem(
    statement: str, check: str, database: Database, capsys: Capture
) -> None:
    fill(database)
    Night(database).end()
    raw(database, statement)
    code, found = examined(capsys)
    assert code == Exit.ERROR
    assert found[check][0] == "problem"
    assert "restore a backup" in found[check][1]
    assert found["integrity"][0] == "ok"


def test_figures_that_drifted_are_a_problem(database: Database, capsys: Capture) -> None:
    fill(database)
    raw(database, "UPDATE tallies SET jobs = jobs + 1 WHERE state = 'failed'")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.ERROR, {"figures": "problem"})
    assert "kept: 1 failed; counted: 0" in found["figures"][1]


def test_a_large_log_is_a_warning(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database)
    monkeypatch.setattr(checkup, "wal_bytes", lambda _: 3 * 10**9)
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {"log": "warning"})
    assert "3 GB" in found["log"][1]


@pytest.mark.parametrize(("version", "says"), [((3, 40, 1), "keeps clear"), ((3, 52, 0), "3.52.0")])
def test_the_flaw_of_older_sqlite_is_told_and_no_problem(
    version: tuple[int, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(checkup, "sqlite_version", lambda: version)
    code, found = examined(capsys)
    assert (code, found["sqlite"][0]) == (Exit.DONE, "ok")
    assert says in found["sqlite"][1]


# --- what it holds --------------------------------------------------------------------------------


def test_a_worker_that_vanished_is_a_warning(database: Database, capsys: Capture) -> None:
    fill(database)
    Night(database)
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {"workers": "warning"})
    assert f"Process {os.getpid()}" in found["workers"][1]
    assert "overnight work" in found["workers"][1]


def test_a_worker_that_lives_is_told(database: Database, capsys: Capture) -> None:
    with database.writing() as connection:
        leases.take(connection, leases.Identity.of_this_process(), time.time())
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {})
    assert "is at work" in found["workers"][1]


def test_a_clock_that_is_behind_the_database_is_a_warning(
    database: Database, capsys: Capture
) -> None:
    fill(database)
    raw(database, f"UPDATE jobs SET updated_at = {time.time() + 7200} WHERE id = 1")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {"clock": "warning"})
    assert re.search(r"(1 h 59 min|2 h 0 min) from now", found["clock"][1])


def test_what_waits_for_a_decision_is_a_warning(database: Database, capsys: Capture) -> None:
    fill(database)
    worker = Night(database)
    first, second = worker.claim(1, 2)
    worker.move(first, Event.UNCERTAIN, error="no answer")
    worker.move(second, Event.UNCERTAIN, error="no answer")
    worker.end()
    with database.writing() as connection:
        decisions.halt(connection, 1, "2 of 2 jobs failed", Kind.HALT, now=2_010.0)
        decisions.resolve(connection, [2], decisions.Resolution.RESUBMIT, now=2_020.0)
    code, found = examined(capsys)
    assert code == Exit.DONE
    assert ill(found) == dict.fromkeys(("unknown", "halted", "duplicates"), "warning")
    assert "overnight resolve --batch night" in found["unknown"][1]
    assert "overnight work night --continue" in found["halted"][1]


# --- disks ----------------------------------------------------------------------------------------


def test_a_folder_that_can_not_be_written_to_is_a_problem(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database)
    fill(database, "other", 1)
    (tmp_path / "clips").write_text("in the way")
    raw(database, f"UPDATE batches SET output_dir = '{tmp_path}/clips/a' WHERE id = 1")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.ERROR, {"outputs": "problem"})
    assert f"{tmp_path}/clips" in found["outputs"][1]


def test_a_folder_that_is_there_is_tried(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database)
    raw(database, f"UPDATE batches SET output_dir = '{tmp_path}'")
    assert examined(capsys)[0] == Exit.DONE

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    code, found = examined(capsys)
    assert (code, found["outputs"][0]) == (Exit.ERROR, "problem")
    assert "No space left on device" in found["outputs"][1]


def test_little_room_is_a_warning(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database)
    room(monkeypatch, 900 * 10**6)
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.DONE, {"room": "warning"})
    assert "900 MB free" in found["room"][1]


# --- the account ----------------------------------------------------------------------------------


def test_no_token_is_a_problem(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("RUNCOMFY_TOKEN")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.ERROR, {"token": "problem"})
    assert "provider" not in found


def test_a_bad_address_is_a_problem_beside_a_good_token(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://example.org")
    code, found = examined(capsys)
    assert (code, ill(found)) == (Exit.ERROR, {"address": "problem"})
    assert found["token"][0] == "ok"


@pytest.mark.parametrize(
    ("answer", "level", "says"),
    [
        (None, "ok", "takes the account"),
        (NoAnswer("connection refused"), "problem", "connection refused"),
        (Refused("no balance"), "problem", "no balance"),
    ],
)
def test_the_provider_is_asked_for_free(
    answer: Refused | NoAnswer | None,
    level: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    async def probe(account: Account) -> Refused | NoAnswer | None:
        assert account.token.reveal() == TOKEN
        return answer

    monkeypatch.setattr(doctor, "_probe", probe)
    assert run(["doctor", "--json"]) == (Exit.DONE if level == "ok" else Exit.ERROR)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["check"], said["level"]) == ("provider", level)
    assert says in said["text"]


# --- db -------------------------------------------------------------------------------------------


def test_backup_says_what_is_in_it(database: Database, tmp_path: Path, capsys: Capture) -> None:
    fill(database)
    assert run(["db", "backup", "copy.db"]) == Exit.DONE
    said = capsys.readouterr().out
    assert re.fullmatch(rf"{tmp_path}/copy\.db: \d+ kB, 4 jobs in 1 batch, schema \d+; .*\n", said)
    assert run(["db", "backup", "second.db", "--json"]) == Exit.DONE
    record = json.loads(capsys.readouterr().out)
    assert (record["backup"], record["jobs"], record["batches"]) == (f"{tmp_path}/second.db", 4, 1)
    assert record["bytes"] == (tmp_path / "second.db").stat().st_size
    assert run(["status", "--json", "--db", "second.db"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["total"] == 4


@pytest.mark.usefixtures("database")
def test_backup_of_nothing_and_over_something_are_refused(tmp_path: Path, capsys: Capture) -> None:
    assert run(["db", "backup", "copy.db", "--db", "none.db"]) == Exit.ERROR
    assert "There is no database" in capsys.readouterr().err
    (tmp_path / "copy.db").write_text("precious")
    assert run(["db", "backup", "copy.db"]) == Exit.ERROR
    assert "never overwrites" in capsys.readouterr().err
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_no_upgrade_beside_a_living_worker(database: Database, capsys: Capture) -> None:
    with database.writing() as connection:
        leases.take(connection, leases.Identity.of_this_process(), time.time())
    assert run(["db", "upgrade"]) == Exit.ANOTHER_WORKER
    assert "Wait for it, or stop it" in capsys.readouterr().err
    raw(database, "UPDATE workers SET ended_at = 1")
    assert run(["db", "upgrade"]) == Exit.DONE
