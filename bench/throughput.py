"""How many jobs a second go through submit, poll and result when the provider takes no time.

    python -m bench.throughput [--jobs 2000] [--in-flight 32 500] [--peers PYTHON]

``overnight`` makes every transition durable (``synchronous=FULL``). Beside it stand the same calls
of which nothing is kept: over overnight's own transport, over httpx with its own pool, over bare
aiohttp (the limit), and with ``--peers``, the Python of an environment with the packages of
``bench/peers/requirements.txt``, over httpx on ``httpx-aiohttp``; and durable queues that do the
same work, one module each in ``bench/peers/``. Every contender is a process of its own against a
server in another one; jobs are enqueued before the clock starts. The peers and
httpx's own pool are slow and get fewer jobs (``--peer-jobs``). A peer that fails is out, and said
to be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import loopback
from bench.harness import (
    Aim,
    ChildError,
    Figures,
    Report,
    Rounds,
    alternate,
    child,
    parser,
    ratio,
    tell,
)

PEERS = {
    "by hand: asyncio + httpx + sqlite3": "by_hand",
    "DBOS on SQLite": "dbos_sqlite",
    "Huey on SQLite": "huey_sqlite",
    "procrastinate on PostgreSQL": "procrastinate_postgres",
    "Celery on SQLite": "celery_sqlite",
}
OURS = "overnight"
LIMIT = "aiohttp, nothing kept"
PUBLISHED = "httpx over httpx-aiohttp, nothing kept"

Contenders = dict[str, Callable[[], Figures]]


def contenders(asked: argparse.Namespace, origin: str, in_flight: int) -> Contenders:
    """What is measured, by its name in the table."""
    jobs, peer_jobs = asked.jobs, asked.peer_jobs or max(2 * in_flight, asked.jobs // 4)
    calls = partial(child, "bench.calls")
    found: Contenders = {
        OURS: partial(child, "bench.throughput_ours", origin, jobs, in_flight),
        "own transport, nothing kept": partial(calls, "transport", origin, jobs, in_flight),
        "httpx, nothing kept": partial(calls, "httpx", origin, peer_jobs, in_flight),
        LIMIT: partial(calls, "aiohttp", origin, jobs, in_flight),
    }
    if asked.peers is None:
        return found
    python = str(asked.peers)
    found[PUBLISHED] = partial(calls, "httpx-aiohttp", origin, jobs, in_flight, python=python)
    for name, module in PEERS.items():
        if asked.only and module not in asked.only:
            continue
        path = f"bench.peers.{module}"
        found[name] = partial(child, path, origin, peer_jobs, in_flight, python=python)
    return found


def aims(taken: dict[int, Rounds]) -> list[Aim]:
    """How overnight stands to each kind of contender, from what was measured at each width."""
    found = []
    for in_flight, rounds in taken.items():
        at = f"at {in_flight} in flight"
        rate = partial(ratio, rounds, OURS, figure="jobs/s")
        found.append(Aim(f"overnight to aiohttp that keeps nothing, {at}", rate(LIMIT), least=0.5))
        if PUBLISHED in rounds:
            measure = f"overnight to httpx over httpx-aiohttp that keeps nothing, {at}"
            found.append(Aim(measure, rate(PUBLISHED), least=1.0))
        durable = [name for name in PEERS if name in rounds]
        if durable:
            value, best = min((rate(name), name) for name in durable)
            found.append(
                Aim(f"overnight to the best durable peer ({best}), {at}", value, least=4.0)
            )
    if len(taken) > 1:
        few, many = min(taken), max(taken)
        both = {"few": taken[few][OURS], "many": taken[many][OURS]}
        value = ratio(both, "many", "few", "jobs/s")
        found.append(Aim(f"overnight at {many} in flight to {few}", value, least=0.9))
    return found


def measure(asked: argparse.Namespace) -> Report:
    """Everything, at each width."""
    taken: dict[int, Rounds] = {}
    notes: list[str] = []
    with loopback.running() as server:
        for in_flight in asked.in_flight:
            tell(f"{in_flight} in flight")
            found = contenders(asked, server.origin, in_flight)
            dropped: dict[str, str] = {}
            taken[in_flight] = alternate(found, asked.rounds, tell, dropped)
            if OURS in dropped or LIMIT in dropped:
                raise ChildError("; ".join(dropped.values()))
            notes += [f"{name}, {in_flight} in flight, failed" for name in dropped]
    together = {
        f"{name}, {in_flight} in flight": figures
        for in_flight, rounds in taken.items()
        for name, figures in rounds.items()
    }
    settings = {"jobs": asked.jobs, "rounds": asked.rounds}
    columns = ("jobs/s", "CPU ms/job", "peak MB")
    return Report("throughput", settings, columns, together, aims(taken), notes)


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=2000)
    made.add_argument("--peer-jobs", type=int, help="for what is slow; a quarter unless given")
    made.add_argument("--in-flight", type=int, nargs="+", default=[32, 500])
    made.add_argument("--peers", type=Path, help="Python of the environment with the peers")
    made.add_argument("--only", nargs="+", choices=PEERS.values(), help="these peers alone")
    asked = made.parse_args()
    return measure(asked).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
