"""``overnight verify`` and what comes before it: real clips, a real worker, an emulator.

All of it runs in this process, because starting a program costs more than most tests here take;
``test_outputs_page.py`` does the same with programs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from overnight.artifacts import probe, pyav
from overnight.cli import options, session
from overnight.cli.main import run
from overnight.cli.output import Output
from overnight.cli.verify import check
from overnight.cli.verify_words import Tally
from overnight.emulator import Call, Emulator, Settings
from overnight.engine import provenance, repair
from overnight.engine.report import Ending, Notice
from overnight.providers.credentials import Account, CredentialsError
from overnight.providers.redaction import Secret
from overnight.store import queue, views
from overnight.store.database import open_database
from tests.integration.cli_shell import Shell
from tests.night import MODEL, QUICK

Capture = pytest.CaptureFixture[str]


@dataclass
class Clips:
    """A folder whose manifest asks for small, short clips, and an account to have them from."""

    folder: Path
    emulator: Emulator
    capture: Capture
    notices: list[Notice] = field(default_factory=list)
    run: str = "{concurrency: 4, attempts: 2}"

    def manifest(self, seeds: int, **output: Any) -> None:
        lines = [
            *("version: 1", "name: night", f"model: {MODEL}"),
            "inputs: {image: RunComfy_examples_1235_1.png, prompt: Fog, num_frames: 81,",
            "  resolution: 480x480 (1:1)}",
            f"matrix: {{seed: {list(range(1, seeds + 1))}}}",
            f"run: {self.run}",
            f"output: {json.dumps({'dir': 'clips', **output})}",
        ]
        (self.folder / "jobs.yaml").write_text("\n".join(lines))

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "clips").glob("[!.]*"))

    @property
    def accepted(self) -> int:
        return len(self.emulator.ledger.accepted)

    async def night(self, seeds: int, *faults: str, **output: Any) -> None:
        """Load and work on a manifest of so many jobs, to its end."""
        for fault in faults:
            self.emulator.faults.add(fault)
        self.manifest(seeds, **output)
        assert run(["load", "jobs.yaml"]) == 0
        with open_database("overnight.db") as database:
            with database.reading() as connection:
                scope = views.all_batches(connection)
            token = Secret(self.emulator.settings.token)
            account = Account(self.emulator.base_url, token, "the test")
            terms, notify = session.Terms(), self.notices.append
            opened = session.opened(database, scope, account, terms, notify, lambda _: None)
            async with opened as worker, asyncio.timeout(60):
                assert (await worker.run()).ending is Ending.DONE
        self.emulator.faults.clear()
        self.capture.readouterr()

    def say(self, *arguments: str) -> str:
        """What a reading command prints."""
        assert run(list(arguments)) == 0
        return self.capture.readouterr().out

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.say(*arguments, "--json").splitlines()]

    async def verify(self, **how: bool) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
        """Exit code, what was found, and the end. ``how`` are the words of the options."""
        code = await self._verify(Output(as_json=True), **how)
        *found, end = [json.loads(text) for text in self.capture.readouterr().out.splitlines()]
        assert (end["event"], end["exit"]) == ("end", code)
        return code, found, end

    async def told(self) -> str:
        """What a person is told of it."""
        await self._verify(Output())
        return self.capture.readouterr().out

    async def _verify(self, output: Output, **how: bool) -> int:
        tally = await self.tally(output, **how)
        return tally.end("overnight verify --repair")

    async def tally(self, output: Output, **how: bool) -> Tally:
        """What a check found, before it is said."""
        tally = Tally(output, "")
        with open_database("overnight.db") as database:
            with database.reading() as connection:
                scope = views.all_batches(connection)
            await check(database, scope, tally, **how)
        return tally

    def records(self) -> list[tuple[Any, ...]]:
        """What is on record of every file's content."""
        with closing(sqlite3.connect(self.folder / "overnight.db")) as raw:
            return raw.execute("SELECT sha256, suspect, json(probe) FROM artifacts").fetchall()

    def change(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.folder / "overnight.db")) as raw, raw:
            raw.execute(statement, values)

    def sidecar(self, key: str) -> dict[str, Any]:
        text = (self.folder / "clips" / ".provenance" / f"{key}.json").read_text("utf-8")
        said: dict[str, Any] = json.loads(text)
        return said


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(media="clip", balance=100)) as running:
        yield running


@pytest.fixture
def clips(
    tmp_path: Path, emulator: Emulator, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> Clips:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(options.DB_VARIABLE, "overnight.db")
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", f"{emulator.base_url}/v1")
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", emulator.settings.token)
    return Clips(tmp_path, emulator, capsys)


def plainly(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["finding"], Path(one["path"]).name) for one in found if one["path"]]


# --- what a run leaves ----------------------------------------------------------------------------


async def test_a_night_s_files_are_whole_probed_and_traced(clips: Clips) -> None:
    await clips.night(2, "media:truncate@2x", "media:html@1x,as=mp4")
    code, found, end = await clips.verify()
    assert (code, found, end["whole"], end["unprobed"]) == (0, [], 2, 0)
    assert len(clips.files) == 2
    hidden = {path.name for path in (clips.folder / "clips").glob(".*")}
    assert hidden == {".provenance"}
    for job in clips.listed("jobs"):
        assert job["suspect"] is None
        [detail] = clips.listed("show", job["key"])
        [artifact] = detail["artifacts"]
        assert (artifact["probe"]["frames"], artifact["probe"]["width"]) == (81, 480)
        said = clips.sidecar(job["key"])
        assert said["inputs"] == job["inputs"]
        assert (said["batch"], said["fingerprint"]) == ("night", job["fingerprint"])
        manifest = (clips.folder / "jobs.yaml").read_bytes()
        assert said["manifest"]["sha256"] == hashlib.sha256(manifest).hexdigest()
        assert said["request_id"] == job["request_id"]
        [file] = said["files"]
        content = (clips.folder / "clips" / file["path"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["source"].startswith(clips.emulator.base_url)
        # A signature is a key until it expires.
        assert "sig=" not in json.dumps(said)
        assert file["probe"] == artifact["probe"]


async def test_bad_clips_are_home_counted_and_named(clips: Clips) -> None:
    bad = {
        "short": "40 frames where 81 were asked for",
        "small": "240 × 240 pixels where 480 × 480 were asked for",
        "black": "it is black from beginning to end",
        "frozen": "nothing moves in it",
    }
    await clips.night(5, *(f"submit:bad-clip@1x,as={how}" for how in bad))
    [batch] = clips.listed("status")
    assert (batch["states"]["succeeded"], batch["suspect"]) == (5, 4)
    assert "4 jobs have a suspect file" in clips.say("status")
    jobs = clips.listed("jobs", "--suspect")
    assert sorted(job["suspect"] for job in jobs) == sorted(bad.values())
    assert all(len(job["files"]) == 1 for job in jobs)
    assert jobs[0]["suspect"] in clips.say("show", jobs[0]["key"])
    assert jobs[0]["suspect"] in clips.say("jobs", "--suspect")
    assert clips.accepted == 5


async def test_half_a_file_that_calls_itself_whole_is_fetched_once_more(clips: Clips) -> None:
    await clips.night(1, "media:short@1x")
    assert (await clips.verify())[2]["whole"] == 1
    assert clips.emulator.ledger.calls[Call.MEDIA] == 2


async def test_half_a_file_for_good_is_suspect(clips: Clips) -> None:
    await clips.night(1, "media:short")
    code, [found], end = await clips.verify()
    assert (code, found["finding"], end["suspect"]) == (3, "suspect", 1)
    assert "it is damaged" in found["why"]


async def test_a_suspect_is_bought_again_where_the_manifest_says_so(clips: Clips) -> None:
    await clips.night(2, "submit:bad-clip@1x,as=frozen", on_suspect="retry")
    assert clips.accepted == 3
    assert clips.listed("jobs", "--suspect") == []
    [tried] = [job for job in clips.listed("jobs") if job["attempts"] == 2]
    [detail] = clips.listed("show", tried["key"])
    assert [one["outcome"] for one in detail["history"]] == ["suspect", "collected"]
    # Both files are kept; the one that was replaced is no trouble any more, and no stray either.
    assert len(clips.files) == 3
    code, found, end = await clips.verify()
    assert (code, found, end["whole"]) == (0, [], 2)
    Path(detail["artifacts"][0]["path"]).unlink()
    code, found, end = await clips.verify(repair=True)
    assert (code, found, end["repaired"]) == (0, [], 0)


async def test_no_suspect_is_bought_again_for_more_than_the_batch_may_cost(clips: Clips) -> None:
    """Six jobs at 5 cents, all of them bad, and 40 cents: two of them are tried once more."""
    clips.run = "{concurrency: 4, attempts: 3, price: 0.05, limits: {cost: 0.4}}"
    await clips.night(6, "submit:bad-clip,as=short", on_suspect="retry")
    assert clips.accepted == 8
    assert [job["state"] for job in clips.listed("jobs", "--suspect")] == ["succeeded"] * 6
    said = [notice.text for notice in clips.notices if "; kept, because" in notice.text]
    assert len([text for text in said if "exceed limits.cost" in text]) == 4
    assert len([text for text in said if "very same bytes" in text]) == 2


async def test_no_suspect_is_bought_again_once_a_try_brought_the_same_bytes(clips: Clips) -> None:
    clips.run = "{concurrency: 4, attempts: 5}"
    await clips.night(1, "submit:bad-clip,as=black", on_suspect="retry")
    assert clips.accepted == 2
    [job] = clips.listed("jobs", "--suspect")
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    [said] = [notice.text for notice in clips.notices if "; kept, because" in notice.text]
    assert "an earlier try brought the very same bytes" in said
    # Both attempts have the one file, which is told once.
    [path] = clips.files
    shown = clips.say("show", "1")
    assert shown.count(str(path)) == 1
    assert "; the same from attempts 1 and 2" in shown
    [detail] = clips.listed("show", "1")
    assert [one["path"] for one in detail["artifacts"]] == [str(path)] * 2


async def test_a_suspect_of_other_bytes_is_bought_again_while_attempts_last(clips: Clips) -> None:
    clips.run = "{concurrency: 4, attempts: 5}"
    kinds = ("submit:bad-clip@1x,as=black", "submit:bad-clip@1x,as=short")
    await clips.night(1, *kinds, on_suspect="retry")
    assert clips.accepted == 3
    assert clips.listed("jobs", "--suspect") == []
    assert "the same from" not in clips.say("show", "1")


async def test_a_suspect_that_nobody_wants_any_more_is_not_bought_again(clips: Clips) -> None:
    """The user cancels while the file is on its way."""

    async def cancelled() -> None:
        await clips.emulator.until(lambda ledger: ledger.calls[Call.MEDIA] > 0)
        with open_database("overnight.db") as database, database.writing() as connection:
            assert queue.cancel(connection, [1], now=1.0) == {"coming": 1}

    cancelling = asyncio.create_task(cancelled())
    await clips.night(1, "submit:bad-clip,as=black", "media:slow,delay=0.5", on_suspect="retry")
    await cancelling
    assert clips.accepted == 1
    [job] = clips.listed("jobs", "--suspect")
    assert (job["state"], job["cancel_requested"]) == ("succeeded", False)


async def test_the_last_attempt_is_kept_whatever_it_is(clips: Clips) -> None:
    await clips.night(1, "submit:bad-clip,as=black", on_suspect="retry")
    assert clips.accepted == 2
    [job] = clips.listed("jobs", "--suspect")
    assert (job["state"], job["attempts"]) == ("succeeded", 2)


# --- what verify finds ----------------------------------------------------------------------------


async def test_every_kind_of_trouble_is_found_and_named(clips: Clips) -> None:
    await clips.night(5)
    gone, short, other, odd, lost = clips.files
    gone.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    other.write_bytes(other.read_bytes()[:-1] + b"?")
    (clips.folder / "clips" / "notes.txt").write_text("mine")
    (clips.folder / "clips" / "deep").mkdir()
    (clips.folder / "clips" / "deep" / "clip.mp4").write_text("mine")
    (clips.folder / "clips" / ".hidden").write_text("not looked at")
    clips.change("UPDATE artifacts SET suspect = 'odd' WHERE path = ?", str(odd))
    clips.change("DELETE FROM artifacts WHERE path = ?", str(lost))

    code, found, end = await clips.verify()
    assert code == 3
    assert sorted(plainly(found)) == sorted(
        [
            ("missing", gone.name),
            ("changed", short.name),
            ("changed", other.name),
            ("suspect", odd.name),
            ("stray", lost.name),
            ("stray", "notes.txt"),
            ("stray", "clip.mp4"),
        ]
    )
    [without] = [one for one in found if one["path"] is None]
    assert without["finding"] == "without-files"
    assert (end["missing"], end["changed"], end["suspect"]) == (1, 2, 1)
    assert (end["without_files"], end["stray"], end["whole"]) == (1, 3, 0)

    told = await clips.told()
    for name in (gone.name, short.name, "notes.txt", without["key"]):
        assert name in told
    assert "overnight verify --repair" in told
    # Size alone does not tell a changed byte.
    _, _, fast = await clips.verify(fast=True)
    assert (fast["missing"], fast["changed"]) == (1, 1)


async def test_an_export_inside_the_folder_is_not_stray(clips: Clips) -> None:
    await clips.night(2)
    clips.say("export", "--to", "clips/sets/night", "--format", "videofolder")
    (clips.folder / "clips" / "sets" / "notes.txt").write_text("mine")
    code, [found], _ = await clips.verify()
    assert (code, found["finding"]) == (3, "stray")
    assert found["path"] == str(clips.folder / "clips" / "sets" / "notes.txt")


async def test_what_nobody_has_looked_into_is_looked_into(clips: Clips) -> None:
    await clips.night(1, "submit:bad-clip,as=frozen")
    clips.change("UPDATE artifacts SET suspect = NULL, probe = NULL")
    assert (await clips.verify(fast=True))[0] == 0
    code, [found], _ = await clips.verify()
    assert (code, found["finding"], found["why"]) == (3, "suspect", "nothing moves in it")
    assert len(clips.listed("jobs", "--suspect")) == 1


async def test_without_pyav_it_says_so_and_later_makes_up_for_it(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(pyav, "is_installed", lambda: False)
        await clips.night(1, "submit:bad-clip,as=black")
        code, found, end = await clips.verify()
        assert (code, found, end["unprobed"]) == (0, [], 1)
        assert pyav.HOW_TO_GET in await clips.told()
        assert pyav.HOW_TO_GET in clips.say("status")
        [job] = clips.listed("jobs")
        assert "not decoded" in clips.say("show", job["key"])
    assert pyav.HOW_TO_GET not in clips.say("status")
    code, [found_now], end = await clips.verify()
    assert (code, found_now["finding"], end["unprobed"]) == (3, "suspect", 0)


# --- a second look --------------------------------------------------------------------------------


async def test_a_second_look_finds_what_is_on_record(clips: Clips) -> None:
    await clips.night(3, "submit:bad-clip@1x,as=black")
    before = clips.records()
    code, [found], end = await clips.verify(decode=True)
    assert (code, found["finding"], end["whole"], end["differs"]) == (3, "suspect", 2, 0)
    assert clips.records() == before


async def test_a_second_look_names_what_differs_and_puts_it_right(clips: Clips) -> None:
    await clips.night(1)
    before = clips.records()
    clips.change("UPDATE artifacts SET probe = json_set(probe, '$.frames', 40, '$.codec', 'av1')")
    assert (await clips.verify())[0] == 0
    code, [found], end = await clips.verify(decode=True)
    assert (code, found["finding"], end["differs"]) == (3, "differs", 1)
    assert found["why"] == "codec: h264, and av1 on record; frames: 81, and 40 on record"
    assert clips.records() == before
    assert (await clips.verify(decode=True))[0] == 0


async def test_a_decoder_that_gives_up_this_time_takes_nothing_away(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clips.night(1)
    before = clips.records()

    async def hangs(*_: object, **__: object) -> dict[str, Any]:
        return {"beyond": "it took too long to decode"}

    monkeypatch.setattr(probe.Prober, "_ask", hangs)
    code, [found], _ = await clips.verify(decode=True)
    assert (code, found["finding"]) == (3, "differs")
    assert found["why"] == ("it was decoded before, and can't be now: it took too long to decode")
    assert clips.records() == before


async def test_a_second_look_needs_a_decoder_and_sense(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["verify", "--decode", "--fast"]) == 2
    assert "leave one out" in clips.capture.readouterr().err
    monkeypatch.setattr(pyav, "is_installed", lambda: False)
    assert run(["verify", "--decode"]) == 2
    assert 'pip install "overnight[probe]"' in clips.capture.readouterr().err


# --- sidecars, folders ----------------------------------------------------------------------------


async def test_a_sidecar_that_has_gone_is_written_again_the_same(clips: Clips) -> None:
    await clips.night(2)
    folder = clips.folder / "clips" / ".provenance"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    code, _, end = await clips.verify()
    assert (code, end["sidecars"]) == (0, 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (await clips.verify())[2]["sidecars"] == 0


async def test_a_folder_that_is_gone_or_closed_is_left_alone(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clips.night(1)
    shutil.rmtree(clips.folder / "clips" / ".provenance")

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "clips/.provenance")

    with monkeypatch.context() as patched:
        patched.setattr(provenance, "keep", closed)
        assert (await clips.verify())[0] == 0
        assert "clips/.provenance: Permission denied" in await clips.told()
    # It may be on a disk that is not there at the moment.
    shutil.rmtree(clips.folder / "clips")
    code, [found], _ = await clips.verify()
    assert (code, found["finding"]) == (3, "missing")
    assert not (clips.folder / "clips").exists()


# --- repairing ------------------------------------------------------------------------------------


async def test_what_is_missing_or_changed_comes_back_for_nothing(clips: Clips) -> None:
    await clips.night(3)
    before = {path: path.read_bytes() for path in clips.files}
    gone, changed, _ = clips.files
    gone.unlink()
    changed.write_text("my own work")
    code, found, end = await clips.verify(repair=True)
    assert (code, end["repaired"], end["whole"]) == (0, 2, 1)
    assert {path: path.read_bytes() for path in clips.files} == before
    # What was there is kept.
    [repaired] = [one for one in found if one["was"] == "changed"]
    assert Path(repaired["aside"]).read_text() == "my own work"
    assert Path(repaired["aside"]).parent == clips.folder / "clips" / ".changed"
    assert clips.accepted == 3
    assert clips.emulator.ledger.media_with_token == 0
    assert (await clips.verify())[0] == 0


async def test_an_expired_address_is_asked_for_anew(clips: Clips) -> None:
    await clips.night(1)
    [path] = clips.files
    path.unlink()
    clips.emulator.faults.add("media:expired@1x")
    clips.emulator.faults.add("media:truncate@1x")
    assert (await clips.verify(repair=True))[0] == 0
    assert clips.accepted == 1
    # The address that worked is on record now: it serves again without another question.
    calls = clips.emulator.ledger.calls[Call.RESULT]
    path.unlink()
    assert (await clips.verify(repair=True))[0] == 0
    assert clips.emulator.ledger.calls[Call.RESULT] == calls


async def test_a_token_is_wanted_only_for_a_fresh_address(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clips.night(1)
    monkeypatch.delenv("RUNCOMFY_API_TOKEN")
    [path] = clips.files
    path.unlink()
    assert (await clips.verify())[0] == 3
    assert (await clips.verify(repair=True))[0] == 0
    path.write_text("changed")
    clips.emulator.faults.add("media:expired@1x")
    tally = await clips.tally(Output(), repair=True)
    with pytest.raises(CredentialsError, match="No API token found"):
        raise tally.stopped or AssertionError
    assert tally.counts == {"changed": 1}
    # Nothing better came, so what was there is there again.
    assert path.read_text() == "changed"


async def test_where_repairing_can_not_go_on_the_list_comes_before_the_reason(clips: Clips) -> None:
    await clips.night(3)
    changed, _, other = clips.files
    for path in (changed, other):
        path.write_text("changed")
    # Nothing can be put aside: as in a folder that is closed to us, and also for the superuser.
    (clips.folder / "clips" / ".changed").write_text("no folder")
    shell = Shell(clips.folder, clips.emulator)
    done = await shell.run("verify", "--repair")
    assert done.code == 1
    for path in (changed, other):
        assert f"{path}: it has 7 bytes where" in done.out
        assert path.read_text() == "changed"
    assert "1 file whole, 2 changed." in done.out
    assert ".changed: File exists. Put that right, then type the same command again." in done.err
    done = await shell.run("verify", "--repair", "--json")
    *found, end = done.objects
    assert [one["finding"] for one in found] == ["changed"] * 2
    assert (done.code, end["exit"], end["changed"]) == (1, 1, 2)


async def test_what_can_t_be_had_is_said_and_left_as_it_was(clips: Clips) -> None:
    await clips.night(1)
    [path] = clips.files
    path.write_text("changed")
    clips.emulator.reset()  # which forgets the request
    code, [found], end = await clips.verify(repair=True)
    assert (code, end["changed"], end["repaired"]) == (3, 1, 0)
    assert "it can't be fetched" in found["why"]
    assert path.read_text() == "changed"
    assert [one.name for one in (clips.folder / "clips" / ".changed").iterdir()] == []


async def test_where_nobody_answers_the_patience_is_for_the_first_few(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clips.night(6)
    for path in clips.files:
        path.unlink()
    monkeypatch.setattr(repair, "_AT_ONCE", 1)
    monkeypatch.setattr(repair, "Pace", lambda: QUICK)
    clips.emulator.faults.add("media:http-503")
    before = clips.emulator.ledger.calls[Call.MEDIA]
    code, _, end = await clips.verify(repair=True)
    assert (code, end["missing"]) == (3, 6)
    calls = clips.emulator.ledger.calls[Call.MEDIA] - before
    assert calls == repair.PATIENCE * repair.TRIES + (6 - repair.PATIENCE)


async def test_other_bytes_than_on_record_are_kept_and_said(clips: Clips) -> None:
    await clips.night(1)
    [path] = clips.files
    path.unlink()
    clips.change("UPDATE artifacts SET sha256 = ?", "0" * 64)
    code, [repaired], _ = await clips.verify(repair=True)
    assert (code, repaired["other_bytes"]) == (0, True)
    assert (await clips.verify())[0] == 0


# --- posters --------------------------------------------------------------------------------------


def posters(clips: Clips) -> set[str]:
    return {path.name for path in clips.files if path.name.endswith(".poster.jpg")}


async def test_posters_can_be_asked_for_afterwards(clips: Clips) -> None:
    await clips.night(3, name="{{ seed }}")
    clips.manifest(3, name="{{ seed }}", poster=True)
    assert run(["load", "jobs.yaml"]) == 0
    clips.capture.readouterr()
    assert posters(clips) == set()
    code, found, end = await clips.verify(repair=True)
    assert (code, found, end["posters"]) == (0, [], 3)
    assert posters(clips) == {"1.poster.jpg", "2.poster.jpg", "3.poster.jpg"}
    made = (clips.folder / "clips" / "1.poster.jpg").stat()
    (clips.folder / "clips" / "2.poster.jpg").write_text("mine")
    (clips.folder / "clips" / "3.poster.jpg").unlink()
    assert (await clips.verify(repair=True))[2]["posters"] == 1
    # What is there stays, whoever made it.
    assert (clips.folder / "clips" / "1.poster.jpg").stat().st_ino == made.st_ino
    assert (clips.folder / "clips" / "2.poster.jpg").read_text() == "mine"
    assert clips.accepted == 3


async def test_nobody_gets_a_poster_who_asked_for_none(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clips.night(1, name="{{ seed }}")
    assert (await clips.verify(repair=True))[2]["posters"] == 0
    clips.manifest(1, name="{{ seed }}", poster=True)
    assert run(["load", "jobs.yaml"]) == 0
    clips.capture.readouterr()
    assert (await clips.verify())[2]["posters"] == 0
    monkeypatch.setattr(pyav, "is_installed", lambda: False)
    assert (await clips.verify(repair=True))[2]["posters"] == 0
    assert posters(clips) == set()


async def test_a_clip_that_is_repaired_has_its_own_poster(clips: Clips) -> None:
    await clips.night(2, name="{{ seed }}", poster=True)
    folder = clips.folder / "clips"
    for path in clips.files:
        path.unlink()
    code, _, end = await clips.verify(repair=True)
    assert (code, end["repaired"], end["posters"]) == (0, 2, 2)
    assert posters(clips) == {"1.poster.jpg", "2.poster.jpg"}
    # Other bytes than before: the old picture is not of this clip.
    (folder / "1.mp4").unlink()
    (folder / "1.poster.jpg").write_text("of another clip")
    clips.change("UPDATE artifacts SET sha256 = ? WHERE path LIKE '%/1.mp4'", "0" * 64)
    code, _, end = await clips.verify(repair=True)
    assert (code, end["repaired"], end["posters"]) == (0, 1, 1)
    assert (folder / "1.poster.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert (folder / ".changed" / "1.poster.jpg").read_text() == "of another clip"
