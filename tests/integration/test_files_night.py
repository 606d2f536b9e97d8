"""A bad night for downloads, cut and expired and killed; and every file is whole."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import Callable
from pathlib import Path

from overnight.emulator import Call, Emulator, Ledger, Settings, Span
from tests.integration.cli_shell import PATIENCE, Shell

JOBS = 12
FAULTS = (
    "media:truncate@20%",
    "media:expired@5%",
    "media:http-503@5%",
    "media:html@5%,as=mp4",
    "media:slow@20%,delay=0.1",
    "submit:bad-clip@2x,after=3,as=short",
)
KILLED_AFTER = (3, 9)
"""Calls for files after which the run is killed."""


class Watch:
    """Looks at every file under its own name, again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: dict[str, str] = {}
        self.changed: list[str] = []

    def look(self) -> None:
        for path in self._folder.glob("[!.]*"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if self.seen.setdefault(path.name, digest) != digest:
                self.changed.append(path.name)

    async def keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.02)


def fetched(calls: int) -> Callable[[Ledger], bool]:
    return lambda ledger: ledger.calls[Call.MEDIA] >= calls


async def test_no_file_is_ever_half_there_and_none_is_lost(tmp_path: Path) -> None:
    settings = Settings(media="clip", slots=4, service=Span(0.02, 0.1), seed=3)
    async with Emulator(settings, faults=FAULTS) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(JOBS, concurrency=4)
        text = (tmp_path / "jobs.yaml").read_text("utf-8")
        asked = text.replace("prompt:", "num_frames: 81, resolution: 480x480 (1:1), prompt:")
        (tmp_path / "jobs.yaml").write_text(asked, "utf-8")
        watch = Watch(tmp_path / "clips")
        watching = asyncio.create_task(watch.keep_looking())
        for calls in KILLED_AFTER:
            process = await shell.start("run", "jobs.yaml", "--yes")
            async with asyncio.timeout(PATIENCE):
                await emulator.until(fetched(calls))
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        done = await shell.run("run", "jobs.yaml", "--yes")
        watching.cancel()
        watch.look()

        assert watch.changed == []
        unknown = (await shell.states()).get("unknown", 0)
        assert done.code == (3 if unknown else 0), done
        jobs = (await shell.run("jobs", "--json")).objects
        home = [job for job in jobs if job["state"] == "succeeded"]
        assert len(home) == JOBS - unknown
        # Nothing else lies about: no part, no second copy.
        files = {Path(path).name for job in home for path in job["files"]}
        assert files == set(watch.seen)
        assert {path.name for path in (tmp_path / "clips").iterdir()} == files | {".provenance"}
        # What is not whole is named, and it is what the provider really sent.
        bad = [job for job in home if job["suspect"]]
        assert {job["suspect"] for job in bad} <= {"40 frames where 81 were asked for"}
        assert len(bad) <= emulator.ledger.faults["submit:bad-clip"] == 2
        assert len(bad) >= 2 - unknown
        end = (await shell.run("verify", "--json")).objects[-1]
        assert (end["whole"], end["suspect"]) == (len(home) - len(bad), len(bad))
        assert end["missing"] == end["changed"] == end["stray"] == 0
        assert emulator.ledger.duplicates == []
        assert emulator.ledger.media_with_token == 0
