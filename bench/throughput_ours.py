"""The contender ``overnight``: N jobs through the engine, every transition durable.

    python -m bench.throughput_ours ORIGIN JOBS IN_FLIGHT

The jobs are loaded before the clock starts; polls follow each other at once, and the whole budget
is open from the start. With ``--profile
FILE`` cProfile watches the event loop (it slows everything: for reading, not for figures).
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
from pathlib import Path

from bench import ours
from bench.stopwatch import Stopwatch, hand_over, more_files, on_loop
from overnight.engine.report import Ending
from overnight.store.database import open_database


async def _run(path: Path, origin: str, jobs: int, profile: Path | None) -> dict[str, float]:
    with open_database(str(path)) as database:
        async with ours.worker(database, origin, pace=ours.AT_ONCE) as worker:
            watcher = cProfile.Profile()
            if profile is not None:
                watcher.enable()
            watch = Stopwatch()
            report = await worker.run()
            figures = watch.figures(jobs)
            if profile is not None:
                watcher.disable()
                watcher.dump_stats(str(profile))
        if report.ending is not Ending.DONE:
            raise RuntimeError(f"the run ended with {report}")
        ours.require_done(database, jobs)
    return figures


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description="Time overnight's engine.")
    parser.add_argument("origin")
    parser.add_argument("jobs", type=int)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("--profile", type=Path)
    asked = parser.parse_args()
    more_files()
    with tempfile.TemporaryDirectory(prefix="bench-ours-") as folder:
        path = Path(folder) / "bench.db"
        ours.load(path, asked.jobs, asked.in_flight)
        hand_over(on_loop(_run(path, asked.origin, asked.jobs, asked.profile)))


if __name__ == "__main__":
    main()
