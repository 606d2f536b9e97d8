"""How long a load of many jobs takes, beside plain sqlite3 that inserts the very same rows.

    python -m bench.load [--jobs 1000000] [--rounds 1] [--json FILE]

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
    those that ``load`` has made. They are read beforehand, 50,000 at a time, and only the inserts
    and the commit are timed: nothing is expanded, hashed or encoded here.
``plain, more cache``
    The same with as much memory for pages as a load gives itself: what is left of the difference
    when plain sqlite3 is tuned. No aim, but told beside it.

Later rounds run in the opposite order, and the best of each is taken: what else the machine does
only ever adds time. Memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.surroundings import peak_memory, surroundings
from overnight.store.dialect import LOADING_CACHE_KB

SLICE = 50_000
"""Rows that plain sqlite3 is handed at a time."""

TARGET_RATIO = 2.0
TARGET_MB = 300.0

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

Figures = dict[str, float]


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
            "cpu_seconds": self._cpu,
            "jobs": jobs,
            "memory_mb": peak_memory(),
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


def measure(jobs: int, rounds: int) -> dict[str, list[Figures]]:
    """Every figure of every round, by what was timed."""
    figures: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name:
        folder = Path(name)
        source = manifest(folder, jobs)
        rows = folder / "rows.db"
        alone(load, rows, source)
        for number in range(rounds):
            kinds = (("ours", source), ("plain", rows), ("plain, more cache", rows))
            for kind, given in kinds if number % 2 == 0 else reversed(kinds):
                _measure(figures, kind, folder, given)
    return figures


def _measure(figures: dict[str, list[Figures]], kind: str, folder: Path, given: Path) -> None:
    place = folder / "timed"
    place.mkdir()
    database = place / "timed.db"
    if kind == "ours":
        figures.setdefault("load", []).append(alone(load, database, given))
        figures.setdefault("again", []).append(alone(load, database, given))
    else:
        work = plain if kind == "plain" else roomy
        figures.setdefault(kind, []).append(alone(work, database, given))
    shutil.rmtree(place)


def summary(figures: dict[str, list[Figures]]) -> dict[str, Any]:
    """The best of each, and whether it is what was aimed at."""
    best, cpu = (
        {kind: min(each[what] for each in taken) for kind, taken in figures.items()}
        for what in ("seconds", "cpu_seconds")
    )
    memory = max(each["memory_mb"] for kind in ("load", "again") for each in figures[kind])
    against = best["plain"]
    return {
        "jobs": int(figures["load"][0]["jobs"]),
        "seconds": best,
        "cpu_seconds": cpu,
        "ratio": best["load"] / against,
        "cpu_ratio": cpu["load"] / cpu["plain"],
        "ratio_to_more_cache": best["load"] / best["plain, more cache"],
        "cpu_ratio_to_more_cache": cpu["load"] / cpu["plain, more cache"],
        "again_to_load": best["again"] / best["load"],
        "memory_mb": memory,
        "held": {
            "ratio": best["load"] <= TARGET_RATIO * against,
            "again": best["again"] < best["load"],
            "memory": memory < TARGET_MB,
        },
    }


def table(found: dict[str, Any]) -> str:
    """The summary, for people."""
    jobs, best = found["jobs"], found["seconds"]
    lines = [f"{jobs:,} jobs", f"{'':20} {'seconds':>9} {'of CPU':>9} {'jobs/s':>10}"]
    lines += [
        f"{kind:20} {took:9.2f} {found['cpu_seconds'][kind]:9.2f} {jobs / took:10,.0f}"
        for kind, took in best.items()
    ]
    lines += [
        _beside(found, "ratio", f"plain (aim: {TARGET_RATIO:.0f})"),
        _beside(found, "ratio_to_more_cache", "plain with more cache"),
        f"again is {found['again_to_load']:.2f} times the load (aim: below 1)",
        f"memory {found['memory_mb']:.0f} MB at most (aim: {TARGET_MB:.0f})",
    ]
    return "\n".join(lines)


def _beside(found: dict[str, Any], ratio: str, what: str) -> str:
    return f"load is {found[ratio]:.2f} times {what}, of CPU time {found[f'cpu_{ratio}']:.2f}"


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    parser = argparse.ArgumentParser(description="Time a load beside plain sqlite3.")
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures go, as one JSON object")
    asked = parser.parse_args()
    figures = measure(asked.jobs, asked.rounds)
    found = summary(figures)
    sys.stdout.write(f"{table(found)}\n")
    whole = json.dumps({**found, "rounds": figures, "on": surroundings()}, indent=2)
    if asked.json:
        asked.json.write_text(whole + "\n")
    else:
        sys.stdout.write(whole + "\n")
    return 0 if all(found["held"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
