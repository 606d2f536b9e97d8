"""Who takes part: overnight, calls of which nothing is kept, and durable queues with the same work.

The peers need an environment of their own (``bench/peers/requirements.txt``); without its Python
only the rest takes part. Each contender is a module that is run with ORIGIN, JOBS and IN_FLIGHT.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.harness import ROOT, ChildError, Figures, child


@dataclass(frozen=True, slots=True)
class Contender:
    """One of them. ``share`` of the jobs is what it gets, because slow ones would take all night;
    ``options`` come before the origin."""

    module: str
    options: tuple[str, ...] = ()
    share: float = 1.0
    python: str = sys.executable

    def slow(self, in_flight: int) -> bool:
        """Whether one run takes so long that a single one must do."""
        return self.share < 1 / 2 and in_flight > 100

    def measured(self, origin: str, jobs: int, in_flight: int) -> Figures:
        """One run, every job of which is done. As many jobs as are in flight at least."""
        own = max(in_flight, round(self.share * jobs))
        return child(self.module, *self.options, origin, own, in_flight, python=self.python)


CALLS = partial(Contender, "bench.calls")

OURS = "overnight"
LIMIT = "aiohttp, nothing kept"
PUBLISHED = "httpx over httpx-aiohttp, nothing kept"
OWN = {
    OURS: Contender("bench.throughput_ours"),
    "own transport, nothing kept": CALLS(("transport",)),
    "httpx, nothing kept": CALLS(("httpx",), 1 / 8),
    LIMIT: CALLS(("aiohttp",)),
}

BY_HAND_AIOHTTP = "by hand: asyncio + aiohttp + sqlite3"
PEERS = {
    "by hand: asyncio + httpx + sqlite3": Contender("bench.peers.by_hand", share=1 / 8),
    "DBOS on SQLite": Contender("bench.peers.dbos_sqlite", share=1 / 8),
    "Huey on SQLite": Contender("bench.peers.huey_sqlite"),
    "procrastinate on PostgreSQL": Contender("bench.peers.procrastinate_postgres", share=1 / 2),
    "Celery on SQLite": Contender("bench.peers.celery_sqlite", share=1 / 8),
}
"""Durable queues that people would use instead: those that the aim is about."""
BESIDE = {
    PUBLISHED: CALLS(("httpx-aiohttp",)),
    BY_HAND_AIOHTTP: Contender("bench.peers.by_hand_aiohttp"),
}
"""What needs the peers' packages too, or is beside the aim."""


def chosen(python: Path | None, only: Collection[str] = ()) -> dict[str, Contender]:
    """Those that take part: without the peers' ``python`` our own, else overnight, the limit and
    the peers, of these ``only`` some modules (their last names) if any are named."""
    if python is None:
        return dict(OWN)
    peers = {
        name: replace(each, python=str(python))
        for name, each in {**BESIDE, **PEERS}.items()
        if name == PUBLISHED or not only or each.module.rpartition(".")[2] in only
    }
    return {OURS: OWN[OURS], LIMIT: OWN[LIMIT], **peers}


def versions(python: Path) -> str:
    """Which peers these are. Raises :class:`ChildError`."""
    told = subprocess.run(  # noqa: S603 - our own module
        [str(python), "-m", "bench.peers.versions"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise ChildError(told.stderr.strip()[-800:])
    return told.stdout.strip()


def short_names() -> list[str]:
    """What ``only`` may name."""
    return [each.module.rpartition(".")[2] for each in (*PEERS.values(), BESIDE[BY_HAND_AIOHTTP])]
