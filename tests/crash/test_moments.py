"""kill -9 at random moments, from a seed: ``make crash KILLS=500 SEED=7`` for more, or others."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from tests.crash.night import DONE, Night, Report, night
from tests.crash.program import KILLED, Program

KILLS = int(os.environ.get("KILLS") or 100)
SEED = int(os.environ.get("SEED") or 0)
A_NIGHT = 5
"""Kills of one night, after which it is brought to its end."""

STARTING = 0.8
"""Seconds within which a program has started, loaded, taken the lease and submitted something."""

SLOW = ("submit:slow@20%,delay=0.05", "media:slow@20%,delay=0.05")
"""Answers that take a while, so that kills fall into the middle of calls too."""


@pytest.mark.parametrize("number", range(-(-KILLS // A_NIGHT)))
async def test_killed_at_random(number: int, tmp_path: Path, record_property: Report) -> None:
    rng = random.Random(f"{SEED}/{number}")
    async with night(tmp_path, record_property, *SLOW, jobs=12) as n:
        while n.kills < min(A_NIGHT, KILLS - number * A_NIGHT):
            running = n.start()
            killing = asyncio.create_task(kill_at_some_moment(running, n, rng))
            done = await running.end()
            killing.cancel()
            if done.code == KILLED:
                n.kills += 1
                n.look()
            else:
                # It was done before its moment came: give it more to do, and try again.
                n.require_plain(done, *DONE)
                n.manifest(n.jobs + 6)
        await n.finish()


async def kill_at_some_moment(running: Program, n: Night, rng: random.Random) -> None:
    """Some time after its start, or within some milliseconds of some call to the provider."""
    if rng.random() < 0.25:
        await asyncio.sleep(rng.uniform(0.0, STARTING))
    else:
        calls = n.emulator.ledger.calls.total() + rng.randint(1, 30)
        await n.emulator.until(lambda ledger: ledger.calls.total() >= calls)
        await asyncio.sleep(rng.uniform(0.0, 0.01))
    running.send(signal.SIGKILL)
