"""What one measured process took: time on the wall, time of the processor, memory.

Peers run in an environment of their own, so this needs nothing but the standard library and psutil.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import resource
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from bench.surroundings import peak_memory

_T = TypeVar("_T")


def on_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """``asyncio.run``, on uvloop where that is installed: for every contender alike."""
    try:
        loop_factory = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


class Stopwatch:
    """Runs from when it is made. Children that have ended count as this process's own."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _processor_seconds()

    def figures(self, jobs: int, **more: float) -> dict[str, float]:
        """Of ``jobs`` jobs: seconds, jobs/s, CPU milliseconds a job, peak MB of this process."""
        seconds = time.perf_counter() - self._wall
        cpu = _processor_seconds() - self._cpu
        return {
            "seconds": seconds,
            "jobs/s": jobs / seconds,
            "CPU ms/job": 1000 * cpu / jobs,
            "peak MB": peak_memory(),
            **more,
        }


def _processor_seconds() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def bytes_written() -> int | None:
    """What this process has given to the disk so far, if the system tells (Linux does)."""
    try:
        told = Path("/proc/self/io").read_text()
    except OSError:
        return None
    [line] = [line for line in told.splitlines() if line.startswith("write_bytes:")]
    return int(line.split()[1])


def hand_over(figures: dict[str, float]) -> None:
    """Print the figures for the process that measures."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def more_files() -> None:
    """Allow as many open files as the system lets this process have: every connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
