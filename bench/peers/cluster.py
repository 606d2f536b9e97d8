"""A PostgreSQL of its own: a folder, a socket in it, no port, its settings as they come."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

OPTIONS = ("-c", "listen_addresses=", "-c", "max_connections=200")
STARTS = 20
"""After a kill the old server's processes take a moment to leave; until then none can start."""


def binaries() -> Path:
    """Where Debian puts PostgreSQL's programs, the newest first; else where the path leads.

    Raises :class:`RuntimeError`."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    if found := shutil.which("postgres"):
        places.append(Path(found).resolve())
    if not places:
        raise RuntimeError("PostgreSQL is not installed: there is no `postgres`")
    return places[0].parent


def _quiet(*places: Path) -> dict[str, Any]:
    """How its programs are run. It refuses to be root; then it is the user of its package."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() != 0:
        return quiet
    for place in places:
        shutil.chown(place, "postgres", "postgres")
    return {**quiet, "user": "postgres", "group": "postgres", "extra_groups": []}


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """How to connect to the PostgreSQL in ``folder``, new unless one was there, and its first
    process. Raises :class:`RuntimeError`."""
    programs, data = binaries(), folder / "data"
    new = not data.exists()
    data.mkdir(exist_ok=True)
    quiet = _quiet(folder, data)
    if new:
        initdb: list[str | Path] = [programs / "initdb", "-D", data, "-U", "bench", "-A", "trust"]
        subprocess.run(initdb, check=True, cwd=folder, **quiet)  # noqa: S603
    process = _started(programs, folder, quiet)
    try:
        yield f"host={folder} user=bench dbname=postgres", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _started(programs: Path, folder: Path, quiet: dict[str, Any]) -> subprocess.Popen[bytes]:
    server: list[str | Path] = [
        programs / "postgres",
        "-D",
        folder / "data",
        "-k",
        folder,
        *OPTIONS,
    ]
    ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", folder, "-t", "1"]
    for _ in range(STARTS):
        process = subprocess.Popen(server, cwd=folder, **quiet)  # noqa: S603
        while process.poll() is None:
            if subprocess.run(ready, check=False, **quiet).returncode == 0:  # noqa: S603
                return process
        time.sleep(0.5)
    raise RuntimeError("PostgreSQL ended while it was starting")


def spent(process: psutil.Process) -> tuple[float, float]:
    """Seconds of CPU and MB (shared pages shared out) of all of PostgreSQL."""
    seconds = memory = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
            memory += each.memory_full_info().pss / 1e6
    return seconds, memory
