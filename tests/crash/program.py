"""``overnight`` as processes of their own, quick to start and fit to be killed.

A fork server keeps other people's libraries loaded. What it forks imports our own code afresh and
runs ``python -m overnight`` in its own folder with its own environment, so a test pays for a real
process without paying for the imports each time. This module imports nothing of overnight's: it is
loaded in the process that is about to become it.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

PATIENCE = 60.0
"""Seconds after which a program that should have ended is stuck."""

KILLED = -signal.SIGKILL
"""The exit code of a process that was killed."""

_LIBRARIES = [
    *("aiohttp", "alembic.command", "apscheduler.executors.asyncio"),
    *("apscheduler.schedulers.asyncio", "apscheduler.triggers.interval", "click", "httptools"),
    *("httpx", "jinja2.meta", "jinja2.sandbox", "jsonschema_rs", "platformdirs.unix", "psutil"),
    # pydantic loads these when they are asked for.
    *("pydantic.fields", "pydantic.functional_validators", "pydantic.json_schema", "pydantic.main"),
    "pydantic.types",
    *("pytest", "rich.live", "sqlalchemy.dialects.sqlite", "sqlite3", "statistics", "yaml"),
]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(_LIBRARIES)
_NUMBERS = count(1)


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """One running ``overnight``."""

    process: BaseProcess
    out: Path
    err: Path

    def send(self, which: signal.Signals) -> None:
        """Send a signal; a program that has ended already takes none."""
        if self.process.is_alive():
            assert self.process.pid is not None
            os.kill(self.process.pid, which)

    def put_away(self) -> None:
        """End it, in whatever state it is."""
        self.process.kill()
        self.process.join()

    async def stopped(self) -> None:
        """Wait until it has been frozen."""
        process = psutil.Process(self.process.pid)
        async with asyncio.timeout(PATIENCE):
            while process.status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.01)

    async def end(self) -> Done:
        """Wait for its end; a program that is stuck is killed, and the test fails."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.process.sentinel, ended.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
        except TimeoutError:
            self.process.kill()
            raise
        finally:
            loop.remove_reader(self.process.sentinel)
        self.process.join()
        assert self.process.exitcode is not None
        return Done(self.process.exitcode, self.out.read_text(), self.err.read_text())


def start(
    folder: Path,
    environ: Mapping[str, str],
    arguments: Sequence[str],
    *,
    outputs: Path | None = None,
) -> Program:
    """Start ``overnight ARGUMENTS`` in ``folder``, with nothing but ``environ`` around it. What it
    prints goes into two files in ``outputs``, which is the folder itself if left out."""
    number, kept = next(_NUMBERS), outputs or folder
    out, err = kept / f"{number}.out", kept / f"{number}.err"
    for path in (out, err):
        path.touch()  # also where it is killed before its first line
    process = _SERVER.Process(
        target=_become_overnight,
        args=(str(folder), dict(environ), list(arguments), (str(out), str(err))),
        daemon=True,
    )
    process.start()
    return Program(process, out, err)


def _become_overnight(
    folder: str, environ: dict[str, str], arguments: list[str], outputs: tuple[str, str]
) -> None:
    assert not any(name.split(".")[0] == "overnight" for name in sys.modules)
    # What the server has loaded is nobody's garbage, and looking at it would copy its pages.
    gc.freeze()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for stream, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    sys.argv = ["overnight", *arguments]
    runpy.run_module("overnight", run_name="__main__", alter_sys=True)
