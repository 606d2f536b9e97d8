"""When to ask next, over real sockets: the engine with its own pacing, and with fixed intervals.

    python -m bench.pacing_sockets [--jobs 256] [--in-flight 64] [--service 20] [--spread 0.1]

Each contender works through the same jobs, which a server on loopback finishes after a log-normal
time around ``--service`` seconds. The database is new each time, so nothing is known of the jobs
when a run begins. ``bench.pacing`` has the thousands of jobs; this shows that what it finds is true
of the whole engine too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench import loopback, ours
from bench.harness import Figures, Report, alternate, child, parser, tell
from bench.stopwatch import Stopwatch, hand_over, on_loop
from overnight.engine.pacing import Pace
from overnight.store.database import open_database

INTERVALS = (0.2, 0.5, 1.0, 2.0)


async def night(path: Path, origin: str, jobs: int, interval: float) -> Figures:
    """One run over all jobs; an ``interval`` of 0 is overnight's own pacing."""
    pace = Pace(shortest=interval, longest=interval) if interval else None
    with open_database(str(path)) as database:
        async with ours.worker(database, origin, pace=pace) as worker:
            watch = Stopwatch()
            await worker.run()
            figures = watch.figures(jobs)
        ours.require_done(database, jobs)
    return figures


def measured(asked: argparse.Namespace, interval: float) -> Figures:
    """One run in a process of its own, with what the server saw of it."""
    with loopback.running(service=asked.service, spread=asked.spread) as server:
        figures = child(
            "bench.pacing_sockets",
            *("--night", server.origin, interval),
            *("--jobs", asked.jobs, "--in-flight", asked.in_flight),
        )
        seen = server.stats()
    return {
        **figures,
        "lag s": seen["lag_mean"],
        "lag p99 s": seen["lag_p99"],
        "polls/job": seen["polls"] / asked.jobs,
    }


def measure(asked: argparse.Namespace) -> Report:
    """Every pacing, round after round."""
    settings = {
        name: getattr(asked, name) for name in ("jobs", "in_flight", "service", "spread", "rounds")
    }
    columns = ("lag s", "lag p99 s", "polls/job", "seconds", "CPU ms/job")
    report = Report("pacing_sockets", settings, columns)
    contenders = {
        "overnight": partial(measured, asked, 0.0),
        **{f"every {each:g} s": partial(measured, asked, each) for each in INTERVALS},
    }
    report.taken = alternate(contenders, asked.rounds, tell)
    return report


def main() -> int:
    """Measure and print."""
    made = parser(__doc__, rounds=1)
    made.add_argument("--jobs", type=int, default=256)
    made.add_argument("--in-flight", type=int, default=64)
    made.add_argument("--service", type=float, default=20.0, help="seconds, the median")
    made.add_argument("--spread", type=float, default=0.1, help="sigma of the logarithm")
    made.add_argument("--night", nargs=2, metavar=("ORIGIN", "INTERVAL"), help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.night is None:
        return measure(asked).publish(asked.results)
    origin, interval = asked.night[0], float(asked.night[1])
    with tempfile.TemporaryDirectory(prefix="bench-pacing-") as folder:
        path = Path(folder) / "bench.db"
        ours.load(path, asked.jobs, asked.in_flight)
        hand_over(on_loop(night(path, origin, asked.jobs, interval)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
