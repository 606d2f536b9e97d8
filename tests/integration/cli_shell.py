"""The program as another program sees it: real processes in a folder, beside an emulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from overnight.emulator import Emulator, Ledger
from tests.crash import program

PATIENCE = 60.0
"""Seconds after which a program that should have ended is stuck."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """stdout as JSON Lines; anything else there is an error."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """A folder with a manifest, and a program to run in it."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.clips: Path | str = "clips"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": ":".join(sys.path),
            "RUNCOMFY_MODEL_API_BASE": f"{emulator.base_url}/v1",
            "RUNCOMFY_API_TOKEN": emulator.settings.token,
        }

    def manifest(self, seeds: int, **run: Any) -> None:
        lines = [
            *("version: 1", "name: night", "model: community/wan-2-1/fusionx/image-to-video"),
            "inputs: {image: RunComfy_examples_1235_1.png, prompt: Ein Käfig im Nebel 🌙}",
            f"matrix: {{seed: {list(range(1, seeds + 1))}}}",
            f"run: {json.dumps({'concurrency': 2, **run})}",
            f"output: {{dir: {self.clips}}}",
        ]
        (self.folder / "jobs.yaml").write_text("\n".join(lines), encoding="utf-8")

    async def start(
        self, *arguments: str, stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "overnight", *arguments),
            cwd=self.folder,
            env=self.environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process) -> Done:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        assert process.returncode is not None
        return self._looked_at(Done(process.returncode, (out or b"").decode(), err.decode()))

    async def run(self, *arguments: str) -> Done:
        """A whole run of the program, forked where other people's libraries are loaded already:
        what a test does at any time between start and end needs :meth:`start`."""
        with TemporaryDirectory() as outputs:
            started = program.start(self.folder, self.environ, arguments, outputs=Path(outputs))
            ended = await started.end()
        return self._looked_at(Done(ended.code, ended.out, ended.err))

    def _looked_at(self, done: Done) -> Done:
        assert "Traceback" not in done.err
        assert self.emulator.settings.token not in done.out + done.err
        return done

    async def states(self) -> dict[str, int]:
        [batch] = (await self.run("status", "--json")).objects
        return {state: n for state, n in batch["states"].items() if n}

    async def signalled(
        self, process: asyncio.subprocess.Process, number: signal.Signals, accepted: int
    ) -> Done:
        """Send a signal once so many submits were accepted and one of them was polled."""

        def under_way(ledger: Ledger) -> bool:
            polled = any(call.value == "status" and n for call, n in ledger.calls.items())
            return len(ledger.accepted) >= accepted and polled

        async with asyncio.timeout(PATIENCE):
            await self.emulator.until(under_way)
        process.send_signal(number)
        return await self.end(process)
