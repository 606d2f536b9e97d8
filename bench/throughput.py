"""How many jobs a second go through submit, poll and result when the provider takes no time.

    python -m bench.throughput [--jobs 2000] [--in-flight 32 500] [--peers PYTHON] [--killed FILE]

``overnight`` makes every transition durable (``synchronous=FULL``). Beside it stand the same calls
of which nothing is kept: over overnight's own transport, over httpx with its own pool and over bare
aiohttp (the limit). With ``--peers``, the Python of an environment with the packages of
``bench/peers/requirements.txt``, there are instead the limit, httpx over ``httpx-aiohttp``, and
durable queues that do the same work, one module each in ``bench/peers/``. Every contender is a
process of its own against a server in another one; jobs are enqueued before the clock starts. Slow
contenders get a share of the jobs, and with more than 100 in flight, where each must have as many
jobs as that, a single round. A peer that fails is out, and said to be.

What counts as durable is measured, not claimed: ``--killed`` names what ``bench.killed`` found, and
a queue that lost a job there is in the table, but not what overnight is held against. Without that
file all are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from bench import loopback
from bench.contenders import (
    BY_HAND_AIOHTTP,
    LIMIT,
    OURS,
    PEERS,
    PUBLISHED,
    chosen,
    short_names,
    versions,
)
from bench.harness import (
    Aim,
    ChildError,
    Figures,
    Report,
    Rounds,
    alternate,
    parser,
    ratio,
    tell,
)
from bench.killed import collects_all

Contenders = dict[str, Callable[[], Figures]]


def contenders(asked: argparse.Namespace, origin: str, in_flight: int) -> Contenders:
    """What is measured, by its name in the table."""
    return {
        name: partial(each.measured, origin, asked.jobs, in_flight)
        for name, each in chosen(asked.peers, asked.only).items()
    }


def durable_peers(killed: Path | None) -> set[str]:
    """The peers that overnight is held against."""
    if killed is None or not killed.exists():
        return set(PEERS)
    return collects_all(json.loads(killed.read_text())["figures"]) & set(PEERS)


def aims(taken: dict[int, Rounds], durable: Collection[str]) -> list[Aim]:
    """How overnight stands to each kind of contender, from what was measured at each width."""
    found = []
    for in_flight, rounds in taken.items():
        at = f"at {in_flight} in flight"
        rate = partial(ratio, rounds, OURS, figure="jobs/s")
        found.append(Aim(f"overnight to aiohttp that keeps nothing, {at}", rate(LIMIT), least=0.5))
        if PUBLISHED in rounds:
            measure = f"overnight to httpx over httpx-aiohttp that keeps nothing, {at}"
            found.append(Aim(measure, rate(PUBLISHED), least=1.0))
        there = [name for name in PEERS if name in rounds and name in durable]
        if there:
            value, best = min((rate(name), name) for name in there)
            found.append(
                Aim(f"overnight to the best durable peer ({best}), {at}", value, least=4.0)
            )
    if len(taken) > 1:
        few, many = min(taken), max(taken)
        both = {"few": taken[few][OURS], "many": taken[many][OURS]}
        value = ratio(both, "many", "few", "jobs/s")
        found.append(Aim(f"overnight at {many} in flight to {few}", value, least=0.9))
    return found


def beside(taken: dict[int, Rounds], durable: Collection[str]) -> list[str]:
    """How overnight stands to those that no aim is about: queues that lose jobs, and the script of
    whoever knows aiohttp."""
    return [
        f"overnight to {name}, at {in_flight} in flight: {ratio(rounds, OURS, name, 'jobs/s'):.3g}"
        for in_flight, rounds in taken.items()
        for name in (*PEERS, BY_HAND_AIOHTTP)
        if name in rounds and name not in durable
    ]


def measure(asked: argparse.Namespace) -> Report:
    """Everything, at each width."""
    taken: dict[int, Rounds] = {}
    notes: list[str] = []
    with loopback.running() as server:
        for in_flight in asked.in_flight:
            tell(f"{in_flight} in flight")
            found = contenders(asked, server.origin, in_flight)
            dropped: dict[str, str] = {}
            slow = [
                name
                for name, each in chosen(asked.peers, asked.only).items()
                if each.slow(in_flight)
            ]
            taken[in_flight] = alternate(found, asked.rounds, tell, dropped, once=slow)
            if OURS in dropped or LIMIT in dropped:
                raise ChildError("; ".join(dropped.values()))
            notes += [f"{name}, {in_flight} in flight, failed" for name in dropped]
    durable = durable_peers(asked.killed)
    notes += beside(taken, durable)
    together = {
        f"{name}, {in_flight} in flight": figures
        for in_flight, rounds in taken.items()
        for name, figures in rounds.items()
    }
    settings: dict[str, object] = {"jobs": asked.jobs, "rounds": asked.rounds}
    if asked.peers is not None:
        settings["peers"] = versions(asked.peers)
    columns = ("jobs/s", "CPU ms/job", "peak MB")
    name = "throughput" if asked.peers is None else "peers"
    return Report(name, settings, columns, together, aims(taken, durable), notes)


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=2000)
    made.add_argument("--in-flight", type=int, nargs="+", default=[32, 500])
    made.add_argument("--peers", type=Path, help="Python of the environment with the peers")
    made.add_argument("--only", nargs="+", default=(), choices=short_names(), help="these alone")
    made.add_argument("--killed", type=Path, help="what bench.killed has found, as JSON")
    asked = made.parse_args()
    return measure(asked).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
