"""How long a person waits for an answer about a million jobs, process start included.

    python -m bench.reading [--jobs 1000000]

The database is made as ``bench.load`` makes it. ``overnight status``, ``jobs`` (its first page, and
the same of a state that no job is in) and ``show`` of a job near the end are run as commands, and
so are ``--version`` and ``--help``; ``python -c pass`` is beside them, because nothing of Python
can be faster. A round runs each once; a figure is the median of the rounds. Then ``-X importtime``
tells which modules the start of ``--help`` spends itself on.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.harness import Aim, Figures, Report, alternate, medians, parser, tell
from bench.load import alone, load, manifest
from overnight.store import views
from overnight.store.database import open_database

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")
COSTLIEST = 12


def run(*arguments: str) -> Figures:
    """Run a Python once; its seconds on the wall and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environ = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, *arguments], capture_output=True, text=True, env=environ, check=False
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "CPU s": cpu}


def near_the_end(database: Path) -> str:
    """The id of one of the last jobs."""
    with open_database(str(database)) as opened, opened.reading() as connection:
        [batch] = views.all_batches(connection)
    return str(sum(batch.states.values()) - 1)


def commands(database: Path) -> dict[str, tuple[str, ...]]:
    """What is run, by its name in the table."""
    ours, db = ("-m", "overnight"), ("--db", str(database))
    return {
        "python -c pass": ("-c", "pass"),
        "--version": (*ours, "--version"),
        "--help": (*ours, "--help"),
        "status": (*ours, "status", *db),
        "jobs, first page": (*ours, "jobs", *db),
        "jobs, first page of the failed": (*ours, "jobs", "--state", "failed", *db),
        "show, near the end": (*ours, "show", near_the_end(database), *db),
    }


AIMS = {
    "--version": 0.15,
    "status": 0.3,
    "jobs, first page": 0.3,
    "show, near the end": 0.3,
}


def import_costs(*arguments: str) -> list[tuple[str, float]]:
    """Modules and the milliseconds of each alone, the costliest first."""
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [(line[4], int(line[1]) / 1000) for line in _IMPORT.finditer(done.stderr)]
    return sorted(found, key=lambda each: -each[1])[:COSTLIEST]


def measure(jobs: int, rounds: int) -> Report:
    """Make the database, then run every command."""
    report = Report("reading", {"jobs": jobs, "rounds": rounds}, ("seconds", "CPU s"))
    with tempfile.TemporaryDirectory(prefix="bench-reading-") as name:
        folder = Path(name)
        database = folder / "bench.db"
        tell(f"loading {jobs:,} jobs")
        alone(load, database, manifest(folder, jobs))
        what = commands(database)
        runs = {title: partial(run, *arguments) for title, arguments in what.items()}
        report.taken = alternate(runs, rounds, tell)
    found = medians(report.taken)
    report.aims = [
        Aim(f"{title}, seconds", found[title]["seconds"], most=most) for title, most in AIMS.items()
    ]
    costs = ", ".join(
        f"{module} {cost:.1f}" for module, cost in import_costs("-m", "overnight", "--help")
    )
    report.notes.append(f"Imports of `--help`, milliseconds each alone: {costs}")
    return report


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=1_000_000)
    asked = made.parse_args()
    return measure(asked.jobs, asked.rounds).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
