"""Many jobs in flight that take minutes: what does the waiting cost, and does anything stall?

    python -m bench.flight [--in-flight 5000 20000] [--service 180] [--spread 0.3] [--awkward 5000]

As many jobs as may be in flight are submitted to a server on loopback, which finishes each after
a log-normal time around ``--service`` seconds; the engine follows them with its own pacing until
the last is home. A tick of its event loop is due every 50 ms: how late it comes is the loop's lag.
``share of a core`` is CPU time over time from the first submit to the end; ``waiting share`` the
same while all are in flight and none is done. ``drain s`` goes from the last job's end at the
provider to the end of the run; detection lag is what the server saw. ``files`` is the most files
(connections are files) that were open in any second.

With ``--awkward N`` so many are also in flight at the emulator (:mod:`bench.awkward`), which
throttles, stalls and breaks some of its free calls, and knows nothing of lag.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from bench import awkward, loopback, ours
from bench.harness import Aim, Figures, Report, alternate, child, medians, parser, tell
from bench.stopwatch import Stopwatch, hand_over, more_files, on_loop
from overnight.engine.worker import Worker
from overnight.store.database import open_database

TICK = 0.05


async def tick(late: list[float]) -> None:
    """Note how late each tick comes, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK
        await asyncio.sleep(TICK)
        late.append(loop.time() - due)


async def waiting(worker: Worker, jobs: int, shares: list[float], files: list[int]) -> None:
    """Note the CPU share of each second in which every job is in flight, and the files that are
    open in it."""
    process = psutil.Process()
    while True:
        files.append(process.num_fds())
        began, spent = time.perf_counter(), time.process_time()
        full = worker.snapshot().in_budget == jobs
        await asyncio.sleep(1.0)
        if full and worker.snapshot().in_budget == jobs:
            used = time.process_time() - spent
            shares.append(used / (time.perf_counter() - began))


async def fly(path: Path, origin: str, jobs: int) -> Figures:
    """One run over all jobs."""
    late: list[float] = []
    shares: list[float] = []
    files: list[int] = []
    with open_database(str(path)) as database:
        async with ours.worker(database, origin) as worker:
            watch = Stopwatch()
            running = asyncio.create_task(worker.run())
            beside = [
                asyncio.create_task(tick(late)),
                asyncio.create_task(waiting(worker, jobs, shares, files)),
            ]
            try:
                await running
            finally:
                for task in beside:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            figures = watch.figures(jobs)
        ours.require_done(database, jobs)
    late.sort()
    cpu = figures["CPU ms/job"] * jobs / 1000
    return {
        **figures,
        "share of a core": cpu / figures["seconds"],
        # With none, the run was all filling and draining.
        **({"waiting share": sum(shares) / len(shares)} if shares else {}),
        "loop lag p99 ms": 1000 * late[math.ceil(0.99 * len(late)) - 1],
        "loop lag max ms": 1000 * late[-1],
        "files": max(files, default=0),
        "ended": time.monotonic(),
    }


def measured(jobs: int, service: float, spread: float) -> Figures:
    """One run in a process of its own, with what the server saw of it."""
    with loopback.running(service=service, spread=spread) as server:
        figures = child("bench.flight", "--fly", server.origin, jobs)
        seen = server.stats()
    figures["polls/job"] = seen["polls"] / jobs
    figures["polls/s"] = seen["polls"] / figures["seconds"]
    figures["lag s"] = seen["lag_mean"]
    figures["lag p99 s"] = seen["lag_p99"]
    figures["drain s"] = figures.pop("ended") - seen["last_finished"]
    return figures


def measured_awkward(jobs: int, service: float) -> Figures:
    """One run against the emulator, with what its ledger says."""
    with awkward.running(jobs, service / 2, service * 2) as server:
        figures = child("bench.flight", "--fly", server.origin, jobs)
        ledger = server.ledger()
    if ledger["duplicates"] or ledger["accepted"] != jobs:
        raise RuntimeError(f"not every job was bought once: {ledger}")
    polls = ledger["calls"]["status"]
    figures["polls/job"], figures["polls/s"] = polls / jobs, polls / figures["seconds"]
    del figures["ended"]
    return figures


def measure(asked: argparse.Namespace) -> Report:
    """Every width, round after round."""
    settings = {"service": asked.service, "spread": asked.spread, "rounds": asked.rounds}
    columns = (
        *("seconds", "share of a core", "waiting share", "peak MB", "polls/s", "polls/job"),
        *("lag s", "lag p99 s", "loop lag p99 ms", "loop lag max ms", "files", "drain s"),
    )
    report = Report("flight", settings, columns)
    runs = {
        f"{jobs:,} in flight": partial(measured, jobs, asked.service, asked.spread)
        for jobs in asked.in_flight
    }
    runs |= {
        f"{jobs:,} in flight at the emulator": partial(measured_awkward, jobs, asked.service)
        for jobs in asked.awkward
    }
    report.taken = alternate(runs, asked.rounds, tell)
    for name, found in medians(report.taken).items():
        report.aims += [
            Aim(f"{name}, peak MB", found["peak MB"], most=600.0),
            Aim(f"{name}, loop lag p99 in ms", found["loop lag p99 ms"], most=100.0),
            Aim(f"{name}, share of a core", found["share of a core"], most=0.5),
        ]
    return report


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__, rounds=1)
    made.add_argument("--in-flight", type=int, nargs="*", default=[5000, 20_000])
    made.add_argument("--service", type=float, default=180.0, help="seconds, the median")
    made.add_argument("--spread", type=float, default=0.3, help="sigma of the logarithm")
    made.add_argument("--awkward", type=int, nargs="*", default=[], metavar="N")
    made.add_argument("--fly", nargs=2, metavar=("ORIGIN", "JOBS"), help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.fly is None:
        return measure(asked).publish(asked.results)
    origin, jobs = asked.fly[0], int(asked.fly[1])
    more_files()
    with tempfile.TemporaryDirectory(prefix="bench-flight-") as folder:
        path = Path(folder) / "bench.db"
        ours.load(path, jobs, jobs)
        hand_over(on_loop(fly(path, origin, jobs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
