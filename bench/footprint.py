"""What one job takes in the database, on its way to the disk and on the wire.

    python -m bench.footprint [--jobs 2000]

The database is measured when the jobs have been loaded, and again when each has been submitted,
polled once, and collected with one file; ``rows`` are those of all its tables. ``written`` is what
the process gave to the disk meanwhile, the write-ahead log and every rewrite of a page included
(Linux tells); it alone drifts, with how many jobs happen to share a commit. ``sent`` and
``received`` are bytes of HTTP for its three calls; the server's answers are short, and files are
not counted.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

from bench import loopback, ours
from bench.harness import Figures, Report, alternate, child, parser, tell

COLUMNS = ("database", "rows", "written", "sent", "received")
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def in_the_database(path: Path) -> tuple[int, int]:
    """Bytes and rows, all of the write-ahead log brought home first."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        tables = [name for (name,) in connection.execute(TABLES)]
        counts = [
            connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for name in tables
        ]
    return path.stat().st_size, sum(counts)


def loaded(jobs: int) -> Figures:
    """A job that waits."""
    with tempfile.TemporaryDirectory(prefix="bench-footprint-") as folder:
        few, many = Path(folder) / "few.db", Path(folder) / "many.db"
        ours.load(few, 1, 1)
        ours.load(many, jobs + 1, 1)
        (size, rows), (more, more_rows) = in_the_database(few), in_the_database(many)
    return {"database": (more - size) / jobs, "rows": (more_rows - rows) / jobs}


def done(jobs: int, in_flight: int) -> Figures:
    """A job that has gone through all its states."""
    with tempfile.TemporaryDirectory(prefix="bench-footprint-") as folder:
        with loopback.running() as server:
            given = (server.origin, jobs, in_flight, "--folder", folder)
            written = child("bench.throughput_ours", *given).get("written")
            seen = server.stats()
        ours.load(few := Path(folder) / "few.db", 1, 1)
        (size, rows), (more, more_rows) = (
            in_the_database(each) for each in (few, Path(folder) / "bench.db")
        )
    figures = {
        "database": (more - size) / jobs,
        "rows": (more_rows - rows) / jobs,
        "sent": seen["received"] / jobs,
        "received": seen["sent"] / jobs,
    }
    return figures if written is None else {**figures, "written": written / jobs}


def measure(asked: argparse.Namespace) -> Report:
    """A job before, and after, at each width."""
    report = Report("footprint", {"jobs": asked.jobs, "rounds": asked.rounds}, COLUMNS)
    kinds = {"loaded": partial(loaded, asked.jobs)}
    for in_flight in asked.in_flight:
        kinds[f"done, {in_flight} in flight"] = partial(done, asked.jobs, in_flight)
    report.taken = alternate(kinds, asked.rounds, tell)
    report.notes = ["all in bytes a job, but for rows"]
    return report


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=2000)
    made.add_argument("--in-flight", type=int, nargs="+", default=[32, 500])
    asked = made.parse_args()
    return measure(asked).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
