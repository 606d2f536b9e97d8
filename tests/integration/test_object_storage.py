"""``output: {dir: s3://…}``: a real worker, a real S3 server, and what must hold between them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from overnight.artifacts import bucket
from overnight.artifacts.bucket import Address, Bucket, BucketError
from overnight.cli import options, session
from overnight.cli.main import run
from overnight.cli.output import Output
from overnight.cli.verify import check
from overnight.cli.verify_words import Tally
from overnight.emulator import Call, Emulator, Settings
from overnight.engine import repair
from overnight.engine.report import Ending, Notice
from overnight.providers.credentials import Account
from overnight.providers.redaction import Secret
from overnight.store import views
from overnight.store.database import open_database
from tests.integration.cli_shell import Shell
from tests.night import MODEL, QUICK
from tests.object_store import BUCKET, PLACE, ObjectStore, object_store

Capture = pytest.CaptureFixture[str]

JOBS = 3


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with object_store() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


@dataclass
class Objects:
    """A folder with a manifest whose files go to a bucket, and an account to have them from."""

    folder: Path
    emulator: Emulator
    store: ObjectStore
    capture: Capture
    notices: list[Notice] = field(default_factory=list)

    def manifest(self, seeds: int, **output: Any) -> None:
        lines = [
            *("version: 1", "name: night", f"model: {MODEL}"),
            "inputs: {image: RunComfy_examples_1235_1.png, prompt: Fog}",
            f"matrix: {{seed: {list(range(1, seeds + 1))}}}",
            "run: {concurrency: 4, attempts: 2}",
            f"output: {json.dumps({'dir': PLACE, **output})}",
        ]
        (self.folder / "jobs.yaml").write_text("\n".join(lines))

    async def night(self, seeds: int, *, refuse: int = 0, **output: Any) -> None:
        """Load and work on a manifest of so many jobs, to its end; the store refuses the first
        so many writes."""
        self.manifest(seeds, **output)
        assert run(["load", "jobs.yaml"]) == 0
        with open_database("overnight.db") as database:
            with database.reading() as connection:
                scope = views.all_batches(connection)
            token = Secret(self.emulator.settings.token)
            account = Account(self.emulator.base_url, token, "the test")
            session.require_folders(scope)
            self.store.refuse = refuse
            terms, notify = session.Terms(), self.notices.append
            opened = session.opened(database, scope, account, terms, notify, lambda _: None)
            async with opened as worker, asyncio.timeout(60):
                assert (await worker.run()).ending is Ending.DONE
        self.capture.readouterr()

    async def verify(self, *, repairing: bool = False, decode: bool = False) -> dict[str, Any]:
        """The end of a verify with ``--json``."""
        output = Output(as_json=True)
        with open_database("overnight.db") as database:
            with database.reading() as connection:
                scope = views.all_batches(connection)
            tally = Tally(output, options.again("overnight.db"))
            await check(database, scope, tally, repair=repairing, decode=decode)
        tally.end(None)
        said: dict[str, Any] = json.loads(self.capture.readouterr().out.splitlines()[-1])
        return said

    def recorded(self) -> dict[str, tuple[int, str]]:
        with closing(sqlite3.connect(self.folder / "overnight.db")) as connection:
            rows = connection.execute(
                "SELECT path, bytes, sha256 FROM artifacts WHERE path IS NOT NULL"
            )
            return {path: (size, digest) for path, size, digest in rows}

    def require_whole(self) -> None:
        """Every file on record is there, is what the record says, and nothing else is."""
        recorded = self.recorded()
        assert {f"s3://{BUCKET}/{key}" for key in self.store.clips()} == set(recorded)
        for path, (size, digest) in recorded.items():
            address = Address.parse(path)
            assert address is not None
            content = self.store.bucket.read(address.key)
            assert content is not None
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
            found = self.store.bucket.look(address.key)
            assert found == bucket.Found(size, digest)

    def require_empty_desk(self) -> None:
        assert not list(self.folder.glob("*.spool"))


@pytest.fixture
async def objects(
    tmp_path: Path, store: ObjectStore, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Objects]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("overnight.engine.run.Pace", lambda: QUICK)
    monkeypatch.setattr(repair, "Pace", lambda: QUICK)
    async with Emulator(Settings(media="clip", slots=4)) as emulator:
        monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", emulator.base_url)
        yield Objects(tmp_path, emulator, store, capsys)


# --- a night --------------------------------------------------------------------------------------


async def test_files_and_sidecars_go_to_the_bucket_and_nothing_stays_here(objects: Objects) -> None:
    await objects.night(3, name="{{ seed }}/clip")
    assert objects.store.clips() == [f"clips/{seed}/clip.mp4" for seed in (1, 2, 3)]
    objects.require_whole()
    objects.require_empty_desk()
    sidecars = [key for key in objects.store.everything() if "/.provenance/" in key]
    assert len(sidecars) == 3
    said = objects.store.document(sidecars[0])
    assert said["batch"] == "night"
    assert said["files"][0]["path"].endswith("/clip.mp4")
    assert not said["files"][0]["path"].startswith("s3:")
    assert (await objects.verify())["whole"] == 3


async def test_what_is_there_already_is_not_sent_again(objects: Objects) -> None:
    await objects.night(2)
    puts = len(objects.store.puts)
    await objects.night(3)
    # The trial that is taken away again, one clip, one sidecar.
    assert len(objects.store.puts) == puts + 4
    objects.require_whole()


async def test_another_s_object_keeps_its_name(objects: Objects) -> None:
    own = b"somebody else's"
    digest = hashlib.sha256(own).hexdigest()
    assert objects.store.bucket.create("clips/a1.mp4", own, sha256=digest, media_type="video/mp4")
    await objects.night(1, name="a{{ seed }}")
    assert objects.store.clips() == ["clips/a1.mp4", "clips/a1~2.mp4"]
    assert objects.store.bucket.read("clips/a1.mp4") == own
    assert list(objects.recorded()) == [f"{PLACE}/a1~2.mp4"]
    found = await objects.verify()
    assert (found["whole"], found["stray"]) == (1, 1)
    objects.require_empty_desk()


async def test_large_files_go_up_in_parts(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "IN_ONE_CALL", 10)
    await objects.night(1)
    objects.require_whole()
    [key] = objects.store.clips()
    assert not objects.store.bucket.create(key, b"x" * 11, sha256="0" * 64, media_type="video/mp4")


async def test_a_store_in_trouble_is_waited_for(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "RETRIES", 0)
    await objects.night(2, refuse=5)
    objects.require_whole()
    assert objects.store.refuse == 0
    assert len(objects.emulator.ledger.accepted) == 2


async def test_a_store_that_keeps_no_words_about_an_object_gets_each_file_once(
    objects: Objects,
) -> None:
    objects.store.forgets = True
    await objects.night(2, name="{{ seed }}")
    assert objects.store.clips() == ["clips/1.mp4", "clips/2.mp4"]
    assert {path for path in objects.store.puts if path.endswith(".mp4")} == {
        "/night/clips/1.mp4",
        "/night/clips/2.mp4",
    }
    assert (await objects.verify())["whole"] == 2


async def test_a_name_that_is_refused_and_not_taken_is_tried_again(objects: Objects) -> None:
    """S3 answers 409 while another call for the same name is under way."""
    objects.store.refusal = "409 Conflict"
    await objects.night(1, refuse=3, name="{{ seed }}")
    assert objects.store.clips() == ["clips/1.mp4"]
    objects.require_whole()


@pytest.mark.parametrize(
    ("refusal", "passes", "words"),
    [
        ("400 Bad Request", False, "whether AWS_ACCESS_KEY_ID"),
        ("301 Moved Permanently", False, "region"),
        ("409 Conflict", True, "try again later"),
    ],
)
def test_a_refusal_says_what_to_do_about_it(
    store: ObjectStore, refusal: str, passes: bool, words: str
) -> None:
    store.refusal, store.refuse = refusal, 1
    with pytest.raises(BucketError, match=words) as caught:
        store.bucket.replace("a", b"a", "text/plain")
    assert caught.value.passes is passes


# --- verify ---------------------------------------------------------------------------------------


async def test_verify_finds_what_is_missing_or_changed_and_repairs_it(objects: Objects) -> None:
    await objects.night(3, name="{{ seed }}")
    before = objects.recorded()
    objects.store.bucket.remove("clips/1.mp4")
    objects.store.bucket.replace("clips/2.mp4", b"other bytes", "video/mp4")
    found = await objects.verify()
    assert (found["whole"], found["missing"], found["changed"]) == (1, 1, 1)
    mended = await objects.verify(repairing=True)
    assert (mended["whole"], mended["repaired"]) == (1, 2)
    assert objects.recorded() == before
    objects.require_whole()
    assert objects.store.bucket.read("clips/.changed/2.mp4") == b"other bytes"
    assert len(objects.emulator.ledger.accepted) == 3
    objects.require_empty_desk()


async def test_content_is_read_where_nothing_says_what_it_is(objects: Objects) -> None:
    await objects.night(1, name="a{{ seed }}")
    content = objects.store.bucket.read("clips/a1.mp4")
    assert content is not None
    objects.store.bucket.replace("clips/a1.mp4", content, "video/mp4")
    assert (await objects.verify())["whole"] == 1
    objects.store.bucket.replace("clips/a1.mp4", content[:-1] + b"?", "video/mp4")
    assert (await objects.verify())["changed"] == 1


async def test_a_second_look_reads_what_the_store_has(objects: Objects) -> None:
    await objects.night(2)
    with closing(sqlite3.connect(objects.folder / "overnight.db")) as raw, raw:
        raw.execute("UPDATE artifacts SET probe = json_set(probe, '$.width', 8) WHERE id = 1")
    found = await objects.verify(decode=True)
    assert (found["differs"], found["whole"]) == (1, 1)
    assert (await objects.verify(decode=True))["whole"] == 2
    # A store that says of other bytes what it said of the ones that came.
    key = objects.store.clips()[0]
    there = objects.store.bucket.look(key)
    assert there is not None
    assert there.sha256 is not None
    objects.store.bucket.remove(key)
    other = bytes(there.bytes)
    objects.store.bucket.create(key, other, sha256=there.sha256, media_type="video/mp4")
    assert (await objects.verify())["whole"] == 2
    assert (await objects.verify(decode=True))["changed"] == 1
    assert not list(objects.folder.glob("*.spool"))


async def test_a_sidecar_that_is_missing_is_written_again(objects: Objects) -> None:
    await objects.night(1)
    [sidecar] = [key for key in objects.store.everything() if "/.provenance/" in key]
    said = objects.store.document(sidecar)
    objects.store.bucket.remove(sidecar)
    assert (await objects.verify())["sidecars"] == 1
    assert objects.store.document(sidecar)["files"] == said["files"]


async def test_a_repair_in_vain_leaves_the_changed_one_where_it_was(objects: Objects) -> None:
    await objects.night(1, name="a{{ seed }}")
    objects.store.bucket.replace("clips/a1.mp4", b"other bytes", "video/mp4")
    objects.emulator.faults.add("media:http-503@100%")
    found = await objects.verify(repairing=True)
    assert found["changed"] == 1
    assert objects.store.bucket.read("clips/a1.mp4") == b"other bytes"
    assert objects.store.clips() == ["clips/a1.mp4"]


# --- show, export, doctor, posters ----------------------------------------------------------------


async def test_other_commands_know_the_address(objects: Objects, tmp_path: Path) -> None:
    await objects.night(1, name="a{{ seed }}")
    assert run(["show", "1"]) == 0
    assert f"{PLACE}/a1.mp4" in objects.capture.readouterr().out
    assert run(["jobs"]) == 0
    assert f"{PLACE}/a1.mp4" in objects.capture.readouterr().out
    await asyncio.to_thread(run, ["doctor", "--json"])
    said = [json.loads(one) for one in objects.capture.readouterr().out.splitlines()]
    outputs = [one for one in said if one["check"] == "outputs"]
    assert {"check": "outputs", "level": "ok", "text": f"{PLACE} takes files.", "advice": ""} in (
        outputs
    )


@pytest.mark.parametrize("kind", ["files", "parquet", "webdataset"])
async def test_an_export_reads_the_bucket(objects: Objects, kind: str) -> None:
    await objects.night(3, name="{{ seed }}")
    objects.store.bucket.remove("clips/1.mp4")
    objects.store.bucket.replace("clips/2.mp4", b"other bytes", "video/mp4")
    named = {"files": ["--files-only"]}.get(kind, ["--format", kind])
    assert run(["export", "--to", "set", *named, "--json"]) == 3
    said = json.loads(objects.capture.readouterr().out.splitlines()[-1])
    assert said["left_out"] == {"missing": 1, "changed": 1}
    content = objects.store.bucket.read("clips/3.mp4")
    assert content is not None
    files = [path for path in (objects.folder / "set").rglob("*") if path.is_file()]
    exported = [path.read_bytes() for path in files if path.suffix != ".parquet"]
    if kind == "parquet":
        [table] = [path for path in files if path.suffix == ".parquet"]
        media = parquet.read_table(table).column("video").to_pylist()
        exported += [one["bytes"] for one in media]
    assert any(content in one for one in exported)
    assert not any(b"other bytes" in one for one in exported)


async def test_posters_stand_beside_the_clips(objects: Objects) -> None:
    await objects.night(2, name="{{ seed }}", poster=True)
    assert objects.store.clips() == [
        "clips/1.mp4", "clips/1.poster.jpg", "clips/2.mp4", "clips/2.poster.jpg",
    ]  # fmt: skip
    poster = objects.store.bucket.read("clips/1.poster.jpg")
    assert poster is not None
    assert poster.startswith(b"\xff\xd8\xff")
    found = await objects.verify()
    assert (found["whole"], found["stray"]) == (2, 0)
    objects.require_empty_desk()
    objects.store.bucket.remove("clips/1.poster.jpg")
    assert (await objects.verify(repairing=True))["posters"] == 1
    assert objects.store.bucket.read("clips/1.poster.jpg") == poster
    objects.store.bucket.remove("clips/2.poster.jpg")
    objects.store.bucket.remove("clips/2.mp4")
    found = await objects.verify(repairing=True)
    assert (found["repaired"], found["posters"]) == (1, 1)
    assert len(objects.store.clips()) == 4
    assert not list(objects.folder.glob("*.spool"))


# --- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://nowhere/clips", "There is no bucket nowhere"),
        ("az://clips/a", "AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
async def test_a_place_that_takes_nothing_is_told_before_anything_is_paid(
    objects: Objects, address: str, words: str
) -> None:
    objects.manifest(1, dir=address)
    shell = Shell(objects.folder, objects.emulator)
    shell.environ |= objects.store.environ
    done = await shell.run("run", "jobs.yaml", "--yes")
    assert done.code == 1
    assert words in done.err
    assert "Traceback" not in done.err
    assert objects.emulator.ledger.accepted == []


def test_no_answer_passes_and_no_secret_is_shown(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(bucket, "RETRIES", 0)
    closed = Bucket(Address("s3", BUCKET))
    with pytest.raises(BucketError, match="does not answer") as caught:
        closed.look("a")
    assert caught.value.passes
    assert "never-to-be-shown" not in f"{caught.value!r}{closed!r}{vars(closed)!r}"
    assert caught.value.__cause__ is None


def test_without_obstore_it_says_what_to_install(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(BucketError, match=r"pip install 'overnight\[s3\]'"):
        Bucket(Address("s3", BUCKET))


# --- kill -9 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["file-named:1", "file-recorded:2", ""])
async def test_killed_at_any_step_nothing_whole_is_fetched_or_paid_twice(
    objects: Objects, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty ``fault``: in the middle of an upload, while the store takes its time."""
    objects.manifest(JOBS)
    shell = Shell(objects.folder, objects.emulator)
    shell.environ |= objects.store.environ
    if fault:
        shell.environ["OVERNIGHT_FAULT"] = fault
        killed = await shell.run("run", "jobs.yaml", "--yes")
        assert killed.code == -signal.SIGKILL
        del shell.environ["OVERNIGHT_FAULT"]
    else:
        process = await shell.start("run", "jobs.yaml", "--yes")
        objects.store.holds = ".mp4"
        await objects.store.until_held()
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        objects.store.let_go()
    whole = set(objects.recorded())
    done = await shell.run("run", "jobs.yaml", "--yes")
    assert done.code in (0, 3), done
    objects.require_whole()
    objects.require_empty_desk()
    assert whole <= set(objects.recorded())
    assert objects.emulator.ledger.duplicates == []
    # One call for each file, one more to learn that it is here, and one more to go on with a part.
    assert objects.emulator.ledger.calls[Call.MEDIA] <= 3 * JOBS
    assert not any("~" in key for key in objects.store.clips())
    assert "never-to-be-shown" not in done.out + done.err
