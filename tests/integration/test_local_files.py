"""Local files as inputs, end to end: a real S3 server, the emulator fetching what it is sent."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from overnight.artifacts.publish import ObjectStorePublisher, Source
from overnight.cli.load import load_manifest
from overnight.cli.output import Output
from overnight.cli.wanted import read
from overnight.emulator import Emulator, Settings
from overnight.engine import publish
from overnight.engine.report import Ending
from overnight.lifecycle import State
from overnight.manifest.localfiles import LARGEST_DATA_URI, LARGEST_TO_SCALE
from overnight.store import faults, loading, queue, views
from overnight.store.database import open_database
from overnight.store.faults import Place
from tests.integration.cli_shell import Shell
from tests.night import Night
from tests.s3 import KEY_ID, S3, SECRET, s3_server
from tests.unit.test_manifest_localfiles import picture, refer

SECRETS = ("X-Amz-Signature", "X-Amz-Credential", SECRET, KEY_ID)


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


class Publishing(ObjectStorePublisher):
    """The real one; it keeps the addresses that it gave."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        super().__init__(environ, lambda: home)
        self.addresses: list[str] = []

    async def address(self, source: Source, settings: Mapping[str, Any]) -> str:
        self.addresses.append(await super().address(source, settings))
        return self.addresses[-1]


class Desk:
    """A folder with a manifest and a picture, a database, and the two servers."""

    def __init__(self, folder: Path, night: Night, emulator: Emulator, s3: S3) -> None:
        self.folder = folder
        self.night = night
        self.emulator = emulator
        self.s3 = s3
        self.publisher = Publishing(s3.environ, folder)

    def load(
        self, jobs: int, image: str = "anna.png", more: str = "store: s3://night/in, presign: 1h"
    ) -> None:
        path = self.folder / "jobs.yaml"
        path.write_text(
            "version: 1\nname: night\nmodel: community/wan-2-1/fusionx/image-to-video\n"
            f"inputs: {{prompt: A boat, image: {image}}}\n"
            f"matrix: {{seed: {list(range(1, jobs + 1))}}}\n"
            f"assets: {{{more}}}\noutput: {{dir: out}}\n"
        )
        wanted = read(path, lambda _: {}, max_jobs=None, schema_files=())
        load_manifest(self.night.database, wanted, Output(as_json=True))

    async def run(self) -> Ending:
        report = await self.night.run(self.emulator, publisher=self.publisher)
        assert report.broken == ()
        return report.ending

    def errors(self) -> set[str | None]:
        return {job.error for job in self.night.jobs()}

    def retry(self) -> None:
        with self.night.database.writing() as connection:
            ids = [job.id for job in self.night.jobs() if job.state is State.FAILED]
            queue.retry(connection, ids, now=0.0)


@pytest.fixture
async def desk(tmp_path: Path, s3: S3) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path, s3) as found:
        yield found


@asynccontextmanager
async def desk_in(folder: Path, s3: S3, *rules: str) -> AsyncIterator[Desk]:
    (folder / "anna.png").write_bytes(picture())
    with open_database(str(folder / "overnight.db"), create=True) as database:
        async with Emulator(Settings(fetch_inputs=True, slots=8), faults=rules) as emulator:
            yield Desk(folder, Night(folder, database), emulator, s3)


def require_no_secret(folder: Path, *texts: str) -> None:
    """Nothing that was written, and none of ``texts``, holds a key or a signature."""
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for content in [*written, *(text.encode() for text in texts)]:
        for secret in SECRETS:
            assert secret.encode() not in content


async def test_two_hundred_jobs_send_one_file_and_upload_it_once(
    desk: Desk, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.load(200)
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 200}
    name = refer(picture()).removeprefix("asset:")
    assert desk.s3.uploads() == [f"/night/in/{name}"]
    assert [method for method, _ in desk.s3.calls].count("HEAD") == 1
    sent = [entry.inputs["608_image"] for entry in desk.emulator.ledger.accepted]
    assert len(sent) == 200
    assert all("X-Amz-Expires=3600" in str(address) for address in sent)
    with desk.night.database.reading() as connection:
        kept = views.assets(connection, [name])[name]
    assert kept.store_key == f"s3://night/in/{name}"
    assert kept.uploaded_at is not None
    said = [notice.text for notice in desk.night.notices]
    require_no_secret(desk.folder, caplog.text, *said, *capsys.readouterr())


async def test_the_next_run_finds_it_in_the_store(desk: Desk) -> None:
    desk.load(2)
    assert await desk.run() is Ending.DONE
    (desk.folder / "anna.png").rename(desk.folder / "moved.png")
    desk.load(4, "moved.png")  # two of them are there
    desk.publisher = Publishing(desk.s3.environ, desk.folder)
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 4}
    assert len(desk.s3.uploads()) == 1


async def test_an_edited_file_is_never_sent_in_place_of_the_one_that_was_meant(desk: Desk) -> None:
    desk.load(3)
    (desk.folder / "anna.png").write_bytes(picture("blue"))
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.FAILED: 3}
    [error] = desk.errors()
    assert error is not None
    assert "anna.png was edited after the manifest was loaded" in error
    assert (desk.s3.uploads(), desk.emulator.ledger.accepted) == ([], [])
    desk.load(3)
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.FAILED: 3, State.SUCCEEDED: 3}


async def test_a_missing_file_fails_its_jobs_and_can_be_put_back(
    desk: Desk,
) -> None:
    desk.load(2)
    (desk.folder / "anna.png").unlink()
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.FAILED: 2}
    assert all("is not there any more" in str(error) for error in desk.errors())
    (desk.folder / "anna.png").write_bytes(picture())
    desk.retry()
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 2}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "turned the upload away"),
        (400, "whether the AWS credentials have expired"),
        (301, "the bucket's region"),
    ],
)
async def test_a_store_that_turns_the_user_away_ends_the_run_and_fails_nothing(
    desk: Desk, status: int, words: str
) -> None:
    desk.load(5)
    desk.s3.refuses = status
    report = await desk.night.run(desk.emulator, publisher=desk.publisher)
    assert report.ending is Ending.REFUSED
    assert words in str(report.reason)
    assert desk.night.states == {State.PENDING: 5}
    assert desk.emulator.ledger.accepted == []
    desk.s3.refuses = None
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 5}


async def test_a_store_that_is_away_puts_jobs_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "AGAIN", 0.2)
    desk.load(2)
    desk.s3.refuses = 503
    async with desk.night.worker(desk.emulator, publisher=desk.publisher) as worker:
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while not any("could not be reached" in n.text for n in desk.night.notices):
                await asyncio.sleep(0.02)
        assert desk.emulator.ledger.accepted == []
        desk.s3.refuses = None
        report = await asyncio.wait_for(running, 60)
    assert report.ending is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 2}


async def test_every_attempt_is_signed_by_itself_and_uploads_nothing_again(
    tmp_path: Path, s3: S3
) -> None:
    async with desk_in(tmp_path, s3, "submit:job-fails@1x") as desk:
        desk.load(1)
        assert await desk.run() is Ending.DONE
        assert desk.night.states == {State.SUCCEEDED: 1}
        assert len(desk.publisher.addresses) == len(desk.emulator.ledger.accepted) == 2
        assert len(s3.uploads()) == 1


async def test_an_address_that_the_provider_quotes_is_not_kept(desk: Desk) -> None:
    desk.load(1)

    class Forgetful(Publishing):
        """Its object is gone from the store when the provider asks for it."""

        async def address(self, source: Source, settings: Mapping[str, Any]) -> str:
            address = await super().address(source, settings)
            return address.replace("/in/", "/gone/")

    desk.publisher = Forgetful(desk.s3.environ, desk.folder)
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.FAILED: 1}
    [error] = desk.errors()
    assert "could not be fetched" in str(error)
    assert "?…" in str(error)
    require_no_secret(desk.folder, *(notice.text for notice in desk.night.notices))


async def test_inside_the_request(desk: Desk) -> None:
    desk.load(3, more="data_uri: true")
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 3}
    assert desk.s3.calls == []
    sent = {str(entry.inputs["608_image"]) for entry in desk.emulator.ledger.accepted}
    assert len(sent) == 1
    assert sent.pop().startswith("data:image/png;base64,")


async def test_scaled_on_the_way(desk: Desk) -> None:
    (desk.folder / "anna.png").write_bytes(picture(side=400))
    desk.load(2, more="store: s3://night/in, fit: {max_side: 100}")
    assert await desk.run() is Ending.DONE
    assert desk.night.states == {State.SUCCEEDED: 2}
    [path] = desk.s3.uploads()
    assert path.endswith("@100.png")


async def test_jobs_whose_manifest_has_no_assets_any_more_fail_plainly(desk: Desk) -> None:
    desk.load(1)
    with desk.night.database.writing() as connection:
        header = loading.Header("night", "x", "0" * 64, {}, str(desk.folder / "out"))
        loading.load(connection, header, [], now=1.0)
    assert await desk.run() is Ending.DONE
    assert all("no assets any more" in str(error) for error in desk.errors())


async def test_two_files_wait_for_each_other_no_longer_than_they_must(desk: Desk) -> None:
    """The upload of one never stops; jobs of the other go all the same."""
    (desk.folder / "boris.png").write_bytes(picture("blue"))
    stuck = refer(picture())

    class Slow(Publishing):
        async def publish(self, source: Source, settings: Mapping[str, Any]) -> str | None:
            if str(source.reference) == stuck:
                await asyncio.Event().wait()
            return await super().publish(source, settings)

    desk.load(2)
    desk.load(6, "boris.png")
    desk.publisher = Slow(desk.s3.environ, desk.folder)
    report = await desk.night.run_until(
        desk.emulator, lambda e: len(e.ledger.accepted) == 6, publisher=desk.publisher
    )
    assert report.ending is Ending.INTERRUPTED
    waiting = [job for job in desk.night.jobs() if job.inputs["608_image"] == stuck]
    assert [job.state for job in waiting] == [State.PENDING] * 2
    assert all(job.attempts == 0 for job in waiting)


# --- real processes -------------------------------------------------------------------------------


@asynccontextmanager
async def shell_in(folder: Path, s3: S3) -> AsyncIterator[Shell]:
    (folder / "anna.png").write_bytes(picture())
    async with Emulator(Settings(fetch_inputs=True)) as emulator:
        shell = Shell(folder, emulator)
        shell.manifest(6)
        text = (folder / "jobs.yaml").read_text()
        text = text.replace("RunComfy_examples_1235_1.png", "anna.png")
        (folder / "jobs.yaml").write_text(f"{text}\nassets: {{store: s3://night/in}}\n")
        shell.environ.update(s3.environ)
        yield shell


async def killed(shell: Shell, place: Place) -> None:
    """Run until the place is reached, which kills it."""
    shell.environ[faults.VARIABLE] = str(place)
    process = await shell.start("run", "jobs.yaml", "--yes")
    assert (await shell.end(process)).code == -9
    del shell.environ[faults.VARIABLE]


async def test_killed_after_the_upload_every_job_is_still_pending(tmp_path: Path, s3: S3) -> None:
    async with shell_in(tmp_path, s3) as shell:
        await killed(shell, Place.PUBLISHED)
        assert await shell.states() == {"pending": 6}
        assert shell.emulator.ledger.accepted == []
        done = await shell.run("run", "jobs.yaml", "--yes")
        assert done.code == 0, done
        assert await shell.states() == {"succeeded": 6}
        assert len(s3.uploads()) == 1
        shown = await shell.run("show", "1")
        assert refer(picture()) in shown.out
        assert str(tmp_path / "anna.png") in shown.out
        require_no_secret(tmp_path, done.out, done.err, shown.out)
        sidecars = list((tmp_path / "clips" / ".provenance").glob("*.json"))
        assert len(sidecars) == 6
        assert all('"anna.png"' in path.read_text() for path in sidecars)


async def test_killed_between_the_claim_and_the_submit_nothing_is_bought_twice(
    tmp_path: Path, s3: S3
) -> None:
    async with shell_in(tmp_path, s3) as shell:
        await killed(shell, Place.BEFORE_SUBMIT)
        done = await shell.run("run", "jobs.yaml", "--yes")
        assert done.code == 3, done
        states = await shell.states()
        assert states["unknown"] + states["succeeded"] == 6
        assert shell.emulator.ledger.duplicates == []
        assert len(s3.uploads()) == 1


async def test_without_obstore_the_run_says_what_to_install(tmp_path: Path, s3: S3) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'obstore' else find(name, *a)\n"
    )
    async with shell_in(tmp_path, s3) as shell:
        shell.environ["PYTHONPATH"] = os.pathsep.join([str(blocked), *sys.path])
        # A Python of its own, because only a new one looks there.
        done = await shell.end(await shell.start("run", "jobs.yaml", "--yes"))
        assert done.code == 4, done
        assert 'pip install "overnight[s3]"' in done.out
        assert await shell.states() == {"pending": 6}


# --- the page -------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text("utf-8")


async def test_what_the_page_shows_runs(tmp_path: Path, s3: S3) -> None:
    [manifest] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    [typed] = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line.removeprefix("$ ")) for line in typed.splitlines()]
    assert lines[0] == ["overnight", "emulator", "--fetch-inputs"]
    async with shell_in(tmp_path, s3) as shell:
        (tmp_path / "jobs.yaml").write_text(manifest.replace("my-bucket", "night"))
        done = await shell.run(*lines[2][1:])
        assert done.code == 0, done
        assert len(list((tmp_path / "clips").glob("*.mp4"))) == 3
        assert s3.uploads() == [f"/night/inputs/{refer(picture()).removeprefix('asset:')}"]


def test_the_figures_of_the_page_are_the_code_s() -> None:
    assert f"files up to {LARGEST_DATA_URI // 2**20} MB" in PAGE
    assert f"a file may have {LARGEST_TO_SCALE // 2**20} MB" in PAGE
    assert publish.BELIEVED == 3600.0
