"""How long a person waits for an answer about a million jobs, process start included.

    python -m bench.reading [--jobs 1000000] [--database FILE]

The database is loaded as ``bench.load`` does it, and then brought to where a night leaves it: most
jobs succeeded, each with an attempt and a file, some failed, a few unknown, and some files suspect.
``--database`` keeps it in a file, or reads the one that is there.

``status``, ``jobs`` (first and last page, those in a state that few jobs are in or none, suspect
ones), ``show`` (by id, by key) and the summary at the end of a run (of ``work``, with nothing left
to do) are run as commands, and so are ``--version`` and ``--help``; ``python -c pass`` is beside
them, because nothing of Python can be faster. Modules are compiled beforehand, as pip does when it
installs them. A round runs each once; a figure is the median of the rounds. Then ``-X importtime``
tells which modules the start of ``--help`` and of ``status`` spends itself on.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.harness import Aim, Figures, Report, alternate, medians, parser, tell
from bench.load import alone, load, manifest

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")
COSTLIEST = 12


def compiled(folder: Path) -> dict[str, str]:
    """An environment in which Python keeps the modules that it has compiled, in ``folder``."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "NO_COLOR": "1", "PYTHONPYCACHEPREFIX": str(folder)}


def run(environ: Mapping[str, str], *arguments: str) -> Figures:
    """Run a Python once; its seconds on the wall and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, *arguments], capture_output=True, text=True, env=environ, check=False
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "CPU s": cpu}


# --- the database ---------------------------------------------------------------------------------

FAILED, UNKNOWN, SUSPECT = 50, 20_000, 2_000
"""One job in so many."""

_THE_NIGHT = f"""
INSERT INTO workers (id, host, pid, process_started, version, started_at, heartbeat_at, ended_at)
VALUES (1, 'bench', 1, 0, '0', 0, 0, 1);
UPDATE jobs SET attempt = 1, tries = 1, fence = 1, request_id = 'req-' || id, state = CASE
    WHEN id % {UNKNOWN} = 1 THEN 'unknown' WHEN id % {FAILED} = 0 THEN 'failed'
    ELSE 'succeeded' END;
UPDATE jobs SET error = 'the model said no to request req-' || id WHERE state = 'failed';
INSERT INTO attempts (job_id, number, worker_id, submit_key, request_id, intent_at, accepted_at,
    finished_at, ended_at, outcome, cost, calls)
SELECT id, 1, 1, hex(randomblob(16)), request_id, id, id + 1, id + 60, id + 61,
    CASE state WHEN 'succeeded' THEN 'collected' ELSE 'rejected' END, 0.06, 5 FROM jobs;
INSERT INTO artifacts (job_id, attempt, position, url, path, bytes, sha256, content_type,
    stored_at, suspect)
SELECT id, 1, 0, 'https://files.example/' || request_id || '.mp4', '/out/' || key || '.mp4',
    1000000, fingerprint, 'video/mp4', id + 61, CASE id % {SUSPECT} WHEN 3 THEN 'black' END
FROM jobs WHERE state = 'succeeded';
DELETE FROM tallies;
INSERT INTO tallies SELECT batch_id, state, count(*) FROM jobs GROUP BY batch_id, state;
"""  # noqa: S608 - our own figures


def make(database: Path, jobs: int) -> None:
    """A database of a night that is over, at a place where nothing is."""
    tell(f"loading {jobs:,} jobs")
    alone(load, database, manifest(database.parent, jobs))
    tell("bringing them to the end of a night")
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(f"BEGIN; {_THE_NIGHT} COMMIT;")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def near_the_end(database: Path) -> tuple[int, str]:
    """The id and the key of one of the last jobs."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute("SELECT id, key FROM jobs ORDER BY id DESC LIMIT 1 OFFSET 1")
        job_id, key = row.fetchone()
    return int(job_id), str(key)


# --- what is run ----------------------------------------------------------------------------------


def commands(database: Path) -> dict[str, tuple[str, ...]]:
    """What is run, by its name in the table."""
    ours, db = ("-m", "overnight"), ("--db", str(database))
    job_id, key = near_the_end(database)
    return {
        "python -c pass": ("-c", "pass"),
        "--version": (*ours, "--version"),
        "--help": (*ours, "--help"),
        "status": (*ours, "status", *db),
        "jobs, first page": (*ours, "jobs", *db),
        "jobs, last page": (*ours, "jobs", "--after", str(job_id - 49), *db),
        "jobs, unknown": (*ours, "jobs", "--state", "unknown", *db),
        "jobs, pending (none)": (*ours, "jobs", "--state", "pending", *db),
        "jobs, suspect": (*ours, "jobs", "--suspect", *db),
        "show by id": (*ours, "show", str(job_id), *db),
        "show by key": (*ours, "show", key, *db),
        "summary of a run": (*ours, "work", *db),
    }


MOST = 0.3
AIMS = {
    "--version": 0.15,
    "--help": 0.15,
    "status": MOST,
    "jobs, first page": MOST,
    "jobs, last page": MOST,
    "show by id": MOST,
    "show by key": MOST,
    "summary of a run": MOST,
}


def import_costs(environ: Mapping[str, str], *arguments: str) -> list[tuple[str, float]]:
    """Modules and the milliseconds of each alone, the costliest first."""
    done = subprocess.run(  # noqa: S603 - our own commands
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    found = [(line[4], int(line[1]) / 1000) for line in _IMPORT.finditer(done.stderr)]
    return sorted(found, key=lambda each: -each[1])


def told(costs: list[tuple[str, float]]) -> str:
    """The costliest imports, and how many there are."""
    first = ", ".join(f"{module} {cost:.1f}" for module, cost in costs[:COSTLIEST])
    return f"{len(costs)} in {sum(cost for _, cost in costs):.0f} ms; of these {first}"


def measure(jobs: int, rounds: int, database: Path | None) -> Report:
    """Make the database, then run every command."""
    report = Report("reading", {"jobs": jobs, "rounds": rounds}, ("seconds", "CPU s"))
    with tempfile.TemporaryDirectory(prefix="bench-reading-") as name:
        folder = Path(name)
        database = database or folder / "bench.db"
        if not database.exists():
            make(database, jobs)
        environ = compiled(folder / "compiled")
        what = commands(database)
        for arguments in what.values():
            run(environ, *arguments)
        runs = {title: partial(run, environ, *arguments) for title, arguments in what.items()}
        report.taken = alternate(runs, rounds, tell)
        for title in ("--help", "status"):
            costs = import_costs(environ, *what[title])
            report.notes.append(f"Imports of `{title}`, by what each takes alone: {told(costs)}")
    found = medians(report.taken)
    report.aims = [
        Aim(f"{title}, seconds", found[title]["seconds"], most=most) for title, most in AIMS.items()
    ]
    return report


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=1_000_000)
    made.add_argument("--database", type=Path, help="made if it is not there, and kept")
    asked = made.parse_args()
    return measure(asked.jobs, asked.rounds, asked.database).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
