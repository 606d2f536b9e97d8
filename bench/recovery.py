"""How soon a killed worker's successor polls again, with thousands of jobs in flight.

    python -m bench.recovery [--jobs 10000]

A worker submits every job to a server on loopback that takes an hour for each. Once each has been
asked about it is killed (SIGKILL), ``overnight work`` is started on the same database, and the time
runs from there, process start included, until the server sees the first poll; and until it
has seen as many polls as there are jobs (the pacing decides that one, and it is only told).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import loopback, ours
from bench.harness import Aim, Figures, Report, alternate, medians, parser, tell
from bench.stopwatch import more_files, on_loop
from overnight.store.database import open_database

LOOK = 0.05
"""Seconds between two looks at the server's counts."""
PATIENCE = 900.0

FIRST = ("bench.recovery", "--work")
"""Fills the whole budget from the start; overnight's slow start would take hours."""
SECOND = ("overnight", "work", "--yes", "--db")


@contextmanager
def working(
    database: Path, origin: str, program: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """``program`` on the database for as long as the block lasts; then it is killed."""
    environ = {
        **os.environ,
        "RUNCOMFY_API_TOKEN": ours.TOKEN,
        "RUNCOMFY_MODEL_API_BASE": origin,
    }
    command = [sys.executable, "-m", *program, str(database)]
    told = database.with_suffix(".log").open("ab")
    with told, subprocess.Popen(command, env=environ, stdout=told, stderr=told) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


async def work(database: Path, origin: str) -> None:
    """Be the worker that is going to be killed."""
    more_files()
    with open_database(str(database)) as opened:
        async with ours.worker(opened, origin) as worker:
            await worker.run()


def until(there: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Look again and again. Raises :class:`RuntimeError` when the worker ends before."""
    patient_until = time.monotonic() + PATIENCE
    while not there():
        if process.poll() is not None or time.monotonic() > patient_until:
            raise RuntimeError(f"the worker got stuck: {log.read_text()[-800:]}")
        time.sleep(LOOK)


def measured(jobs: int) -> Figures:
    """One kill, and what came after it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-recovery-") as folder,
        loopback.running(service=3600.0) as server,
    ):
        database = Path(folder) / "bench.db"
        log = database.with_suffix(".log")
        ours.load(database, jobs, jobs)
        with working(database, server.origin, FIRST) as first:
            # A poll comes only after its request id is durable; so all are known to the table.
            until(lambda: server.stats()["asked_about"] == jobs, first, log)
        server.mark()
        began = time.monotonic()
        with working(database, server.origin, SECOND) as second:
            until(lambda: server.stats()["polls"] > 0, second, log)
            until(lambda: server.stats()["polls"] >= jobs, second, log)
            all_polled = time.monotonic() - began
        seen = server.stats()
    return {
        "first poll s": seen["first_poll"] - began,
        "as many polls as jobs s": all_polled,
        "bought again": float(seen["submits"]),
    }


def measure(asked: argparse.Namespace) -> Report:
    """A kill a round."""
    columns = ("first poll s", "as many polls as jobs s", "bought again")
    report = Report("recovery", {"jobs": asked.jobs, "rounds": asked.rounds}, columns)
    name = f"{asked.jobs:,} in flight"
    report.taken = alternate({name: lambda: measured(asked.jobs)}, asked.rounds, tell)
    found = medians(report.taken)[name]
    bought = max(each["bought again"] for each in report.taken[name])
    report.aims = [
        Aim("seconds from start to polling", found["first poll s"], most=3.0),
        Aim("jobs bought again, in any round", bought, most=0.0),
    ]
    return report


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=10_000)
    made.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.work is None:
        return measure(asked).publish(asked.results)
    on_loop(work(asked.work, os.environ["RUNCOMFY_MODEL_API_BASE"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
