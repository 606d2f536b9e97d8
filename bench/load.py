"""How long a load of many jobs takes, beside plain sqlite3 that inserts the very same rows.

    python -m bench.load [--jobs 1000000] [--rounds 5]

Four things are timed, each in a process of its own, on databases in one temporary folder:

``load``
    Everything that ``overnight load`` does for a manifest of N jobs: reading it, expanding it,
    fingerprints and keys, the inserts, and the commit. The database has the newest schema and no
    job.
``again``
    The same once more, on the database that ``load`` has left: nothing is new.
``plain``
    The standard library's ``sqlite3``: one transaction, ``executemany`` with the same columns into
    the same table with the same indexes, WAL and ``synchronous=FULL`` as in ours. The rows are
    those that the first ``load`` has made. They are read beforehand, 50,000 at a time, and only the
    inserts and the commit are timed: nothing is expanded, hashed or encoded here.
``plain, more cache``
    The same with as much memory for pages as a load gives itself: what is left of the difference
    when plain sqlite3 is tuned. No aim, but told beside it.

Every other round runs in the opposite order. Memory is the peak of the whole process; its aim is
held if it is held in each round.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.harness import Aim, Figures, Report, Rounds, parser, ratio
from bench.surroundings import peak_memory
from overnight.store.dialect import LOADING_CACHE_KB

SLICE = 50_000
"""Rows that plain sqlite3 is handed at a time."""

MANIFEST = """\
version: 1
name: bench
model: community/wan-2-1/fusionx/image-to-video
inputs:
  prompt: An old fishing boat drifts through the fog at dawn, the camera low above the water
  image: RunComfy_examples_1235_1.png
matrix:
  seed: [{seeds}]
  steps: [{steps}]
  cfg: [{cfgs}]
"""

COLUMNS = ("seconds", "CPU s", "jobs/s", "peak MB")
PLAIN, ROOMY = "plain", "plain, more cache"


def manifest(folder: Path, jobs: int) -> Path:
    """A manifest of at least ``jobs`` jobs, a product of three axes."""
    steps, cfgs = range(6, 16), [round(0.6 + n / 100, 2) for n in range(100)]
    seeds = range(-(-jobs // (len(steps) * len(cfgs))))
    path = folder / "bench.yaml"
    listed = (", ".join(map(str, axis)) for axis in (seeds, steps, cfgs))
    path.write_text(MANIFEST.format_map(dict(zip(("seeds", "steps", "cfgs"), listed, strict=True))))
    return path


class Watch:
    """Sums up time: on the wall, and of the processor, which other programs disturb less."""

    def __init__(self, *, running: bool = True) -> None:
        self._wall = self._cpu = self._since = self._cpu_since = 0.0
        if running:
            self.start()

    def start(self) -> None:
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self._wall += time.perf_counter() - self._since
        self._cpu += time.process_time() - self._cpu_since

    def figures(self, jobs: int) -> Figures:
        return {
            "seconds": self._wall,
            "CPU s": self._cpu,
            "jobs": jobs,
            "jobs/s": jobs / self._wall,
            "peak MB": peak_memory(),
        }


# --- what is timed, each in its own process -------------------------------------------------------


def load(database: Path, source: Path) -> Figures:
    """What ``overnight load`` does, from the file to the commit."""
    from overnight.manifest import read_manifest
    from overnight.store import loading
    from overnight.store.database import open_database

    with open_database(str(database), create=True) as opened:
        watch = Watch()
        read = read_manifest(source)
        header = loading.Header(
            read.name, str(read.path), read.digest, read.run.as_json(), str(read.output.dir)
        )
        with opened.writing() as connection:
            loaded = loading.load(connection, header, read.specs(), now=time.time())
        watch.stop()
    return watch.figures(loaded.new + loaded.existing)


def plain(database: Path, source: Path, cache_kb: int = 0) -> Figures:
    """The rows of the database ``source``, inserted by the standard library alone."""
    from overnight.store.database import open_database

    open_database(str(database), create=True).close()
    watch, rows = Watch(running=False), 0
    with (
        closing(sqlite3.connect(source)) as given,
        closing(sqlite3.connect(database, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA synchronous = FULL")
        if cache_kb:
            target.execute(f"PRAGMA cache_size = -{cache_kb}")
        batches = given.execute("SELECT * FROM batches").fetchall()
        target.executemany(_insert("batches", len(batches[0])), batches)
        target.execute("BEGIN IMMEDIATE")
        cursor = given.execute("SELECT * FROM jobs ORDER BY id")
        insert = _insert("jobs", len(cursor.description))
        while some := cursor.fetchmany(SLICE):
            watch.start()
            target.executemany(insert, some)
            watch.stop()
            rows += len(some)
        watch.start()
        target.execute("COMMIT")
        watch.stop()
    return watch.figures(rows)


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608  (our own names)


def roomy(database: Path, source: Path) -> Figures:
    """:func:`plain`, with the cache of a load."""
    return plain(database, source, LOADING_CACHE_KB)


def alone(work: Callable[[Path, Path], Figures], database: Path, source: Path) -> Figures:
    """The figures of ``work``, done by a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_plainly, (work, database, source))


def _plainly(work: Callable[[Path, Path], Figures], database: Path, source: Path) -> Figures:
    from overnight.manifest import ManifestError

    try:
        return work(database, source)
    except ManifestError as error:
        # It can't be sent from one process to another.
        raise RuntimeError(str(error)) from None


# --- the whole of it ------------------------------------------------------------------------------


def measure(jobs: int, rounds: int) -> Rounds:
    """Every figure of every round, by what was timed."""
    taken: Rounds = {name: [] for name in ("load", "again", PLAIN, ROOMY)}
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name:
        folder = Path(name)
        source, rows = manifest(folder, jobs), folder / "rows.db"
        for number in range(rounds):
            place = folder / "timed"
            place.mkdir()
            # Plain sqlite3 needs the rows of the first load, which stay.
            turns: list[Callable[[], None]] = [
                partial(_ours, taken, rows if number == 0 else place / "ours.db", source),
                partial(_plain, taken, place, rows),
            ]
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn()
            shutil.rmtree(place)
    return taken


def _ours(taken: Rounds, database: Path, source: Path) -> None:
    for name in ("load", "again"):
        taken[name].append(alone(load, database, source))


def _plain(taken: Rounds, place: Path, rows: Path) -> None:
    for name, work in ((PLAIN, plain), (ROOMY, roomy)):
        taken[name].append(alone(work, place / f"{work.__name__}.db", rows))


def report(taken: Rounds, rounds: int) -> Report:
    """What was found, and whether it is what was aimed at."""
    jobs = round(taken["load"][0]["jobs"])
    made = Report("load", {"jobs": f"{jobs:,}", "rounds": rounds}, COLUMNS, taken)
    memory = max(each["peak MB"] for name in ("load", "again") for each in taken[name])
    to_plain = ratio(taken, "load", PLAIN, "seconds")
    to_first = ratio(taken, "again", "load", "seconds")
    made.aims = [
        Aim("time of a load to that of plain sqlite3", to_plain, most=2.0),
        Aim("time of a load again to that of the first", to_first, most=1.0),
        Aim("MB that a load takes, the most in any round", memory, most=300.0),
    ]
    cpu = ratio(taken, "load", PLAIN, "CPU s")
    tuned = ratio(taken, "load", ROOMY, "seconds")
    made.notes = [
        f"CPU time of a load to that of plain sqlite3: {cpu:.2f}",
        f"time of a load to that of plain sqlite3 with more cache: {tuned:.2f}",
    ]
    return made


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=1_000_000)
    asked = made.parse_args()
    return report(measure(asked.jobs, asked.rounds), asked.rounds).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
