"""What a night of many jobs takes, and where one file and one process end: from kept figures.

    python -m bench.scale

Nothing is measured here: the tables of ``docs/scale.md`` follow by arithmetic from what the other
benchmarks found and ``docs/figures/`` keeps, and from the assumptions below. ``python -m
bench.page`` writes them into the page, and a test holds the page to them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import OURS
from bench.harness import ROOT, Figures, number
from overnight.engine.pacing import Pace

KEPT = ROOT / "docs" / "figures"
NIGHTS = (1_000, 100_000, 10_000_000)

HOURS = 8.0
"""A night."""
SERVICE = 180.0
"""Seconds that the provider takes for a job: minutes, as for a clip."""
PRICE = 0.06
"""Dollars that the provider asks for a job."""
MACHINE = 0.05
"""Dollars an hour of a rented machine with two cores."""
FILE_MB = 3.0
"""Megabytes that a job brings home."""


class NotMeasured(Exception):
    """Something that a table needs was not measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one job, one poll and one process cost on the machine of the figures."""

    polls: float
    """A job, with minutes of service and many in flight."""
    cpu_ms: float
    """CPU milliseconds a job in the same run, polls and all."""
    memory_mb: float
    """Of the process, with hardly a job in flight."""
    memory_kb: float
    """More for each job in flight."""
    jobs_per_second: float
    """Through submit, poll and result with 500 in flight, when the provider takes no time."""
    waiting_bytes: float
    done_bytes: float
    rows: float
    written_bytes: float
    wire_bytes: float
    """HTTP of the three calls."""
    loads_per_second: float
    status_seconds: float
    """Of ``overnight status`` at a million jobs; counters are kept, so that it hardly depends on
    how many there are."""


def _figures(kept: Path, name: str) -> Mapping[str, Figures]:
    found: Mapping[str, Figures] = json.loads((kept / f"{name}.json").read_text())["figures"]
    return found


def measured(kept: Path = KEPT) -> Measured:
    """What the kept figures say. Raises :class:`FileNotFoundError`, :class:`NotMeasured`."""
    flight = sorted(_widths(_figures(kept, "flight")).items())
    if len(flight) < 2:
        raise NotMeasured("what a job in flight takes shows between two widths of bench.flight")
    (few, low), (many, high) = flight[0], flight[-1]
    memory_kb = 1000 * (high["peak MB"] - low["peak MB"]) / (many - few)
    through = _figures(kept, "throughput")[f"{OURS}, 500 in flight"]
    prints = _figures(kept, "footprint")
    waiting, done = prints["loaded"], prints["done, 500 in flight"]
    return Measured(
        polls=high["polls/job"],
        cpu_ms=high["CPU ms/job"],
        memory_mb=low["peak MB"] - few * memory_kb / 1000,
        memory_kb=memory_kb,
        jobs_per_second=through["jobs/s"],
        waiting_bytes=waiting["database"],
        done_bytes=done["database"],
        rows=done["rows"],
        written_bytes=done["written"],
        wire_bytes=done["sent"] + done["received"],
        loads_per_second=_figures(kept, "load")["load"]["jobs/s"],
        status_seconds=_figures(kept, "reading")["status"]["seconds"],
    )


def _widths(figures: Mapping[str, Figures]) -> dict[int, Figures]:
    """``20,000 in flight`` and the like, by their number."""
    found = {}
    for name, each in figures.items():
        first = name.split()[0].replace(",", "")
        if first.isdecimal() and name.endswith(" in flight"):
            found[int(first)] = each
    return found


def in_flight(jobs: int) -> float:
    """How many there must be for all to be done in a night."""
    return max(1.0, jobs * SERVICE / (HOURS * 3600))


def night(jobs: int, of: Measured) -> dict[str, str]:
    """What a night of so many jobs takes, in words, one row after the other."""
    flying = in_flight(jobs)
    polls = jobs * of.polls
    seconds = HOURS * 3600
    core = jobs * of.cpu_ms / 1000 / seconds
    return {
        "in flight, to be done in the night": number(flying),
        "polls": number(polls),
        "polls a second": number(polls / seconds),
        "rows": number(jobs * of.rows),
        "database, while all wait": amount(jobs * of.waiting_bytes),
        "database, when all are done": amount(jobs * of.done_bytes),
        "written to the disk": amount(jobs * of.written_bytes),
        "network, calls": amount(polls * of.wire_bytes / 3 + 2 * jobs * of.wire_bytes / 3),
        "network and disk, files": amount(jobs * FILE_MB * 1e6),
        "memory": amount(1e6 * of.memory_mb + 1e3 * of.memory_kb * flying),
        "processor, share of one core": f"{core:.2g}",
        "load": span(jobs / of.loads_per_second),
        "`overnight status`": f"{number(of.status_seconds)} s",
        "the provider's bill": f"${number(jobs * PRICE)}",
        "the machine's, for the nights that one core takes": (
            f"${number(HOURS * MACHINE * max(1, math.ceil(core)))}"
        ),
    }


def ends(of: Measured) -> dict[str, tuple[str, str]]:
    """Each limit of one process on this machine: what it is, and the jobs a night it allows."""
    seconds = HOURS * 3600
    ceiling = Pace().per_second
    gigabyte = (1e9 - 1e6 * of.memory_mb) / (1e3 * of.memory_kb)
    return {
        "transitions through the one writer": (
            f"{number(of.jobs_per_second)} jobs a second",
            number(of.jobs_per_second * seconds),
        ),
        "one core, polls included": (
            f"{number(1000 / of.cpu_ms * of.polls)} polls a second",
            number(1000 * seconds / of.cpu_ms),
        ),
        "polls, by overnight's own ceiling": (
            f"{number(ceiling)} a second",
            number(ceiling * seconds / of.polls),
        ),
        "1 GB of memory": (
            f"{number(gigabyte)} in flight",
            number(gigabyte * seconds / SERVICE),
        ),
    }


def amount(size: float) -> str:
    """Bytes, for people."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{number(size / factor)} {unit}"
    return f"{number(size / 1e3)} kB"


def span(seconds: float) -> str:
    """Seconds, for people."""
    if seconds >= 90:
        return f"{number(seconds / 60)} min"
    return f"{number(seconds)} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def nights(of: Measured) -> str:
    """What nights take, as a Markdown table."""
    columns = [night(jobs, of) for jobs in NIGHTS]
    head = ["a night of", *(f"{jobs:,} jobs" for jobs in NIGHTS)]
    return _table(head, [[row, *(column[row] for column in columns)] for row in columns[0]])


def limits(of: Measured) -> str:
    """Where it ends, as a Markdown table."""
    head = ["one process, one file", "ends at", f"jobs in {HOURS:g} hours"]
    return _table(head, [[name, *found] for name, found in ends(of).items()])


TABLES: Mapping[str, Callable[[Measured], str]] = {"nights": nights, "limits": limits}


def main() -> int:
    """Print the tables."""
    try:
        of = measured()
    except (FileNotFoundError, NotMeasured) as error:
        sys.exit(f"Not everything has been measured ({error}). Run `make bench`, then `make page`.")
    sys.stdout.write("\n".join(table(of) for table in TABLES.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
