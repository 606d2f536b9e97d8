"""The contender ``overnight``: N jobs through the engine, every transition durable.

    python -m bench.throughput_ours ORIGIN JOBS IN_FLIGHT [--folder FOLDER [--resume]]

The jobs are loaded before the clock starts; polls follow each other at once, and the whole budget
is open from the start. ``--resume`` goes on where an earlier run on the same folder was killed, and
says how many jobs are ``kept`` and how many are ``undecided``: they may have been submitted, and
overnight leaves them to a person. With ``--profile FILE`` cProfile watches the event loop (it slows
everything: for reading, not for figures).
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ours
from bench.stopwatch import Stopwatch, bytes_written, hand_over, more_files, on_loop
from overnight.engine.report import Ending
from overnight.lifecycle import State
from overnight.store.database import open_database


async def _run(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    with open_database(str(path)) as database:
        async with ours.worker(database, asked.origin, pace=ours.AT_ONCE) as worker:
            with _watched(asked.profile):
                watch, before = Stopwatch(), bytes_written()
                report = await worker.run()
                figures = watch.figures(asked.jobs)
                if before is not None:
                    figures["written"] = float((bytes_written() or 0) - before)
        if report.ending is not Ending.DONE:
            raise RuntimeError(f"the run ended with {report}")
        if not asked.resume:
            ours.require_done(database, asked.jobs)
        states = ours.states(database)
    return {**figures, "kept": states[State.SUCCEEDED], "undecided": states[State.UNKNOWN]}


@contextmanager
def _watched(profile: Path | None) -> Iterator[None]:
    """Keep a profile of what is done meanwhile, if one is asked for."""
    if profile is None:
        yield
        return
    with cProfile.Profile() as watcher:
        yield
    watcher.dump_stats(str(profile))


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description="Time overnight's engine.")
    parser.add_argument("origin")
    parser.add_argument("jobs", type=int)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--profile", type=Path)
    asked = parser.parse_args()
    more_files()
    with tempfile.TemporaryDirectory(prefix="bench-ours-") as folder:
        path = (asked.folder or Path(folder)) / "bench.db"
        if not asked.resume:
            ours.load(path, asked.jobs, asked.in_flight)
        hand_over(on_loop(_run(path, asked)))


if __name__ == "__main__":
    main()
