"""A worker that is frozen past its lease, replaced, and woken: it may not change a thing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from overnight.emulator import Call, Span
from overnight.store.faults import Place
from tests.crash import evidence
from tests.crash.night import CONCURRENCY, ELSEWHERE, Night, Report, night, rules_for
from tests.crash.program import KILLED, Done, Program

LEASE = 1.0
"""Seconds, in place of a minute."""

ANOTHER_WORKER = 11
INTERRUPTED = 130
SOME_UNKNOWN = 3

WRITING = {
    Place.LOADING,
    Place.LEASE_TAKING,
    Place.LEASE_RELEASING,
    Place.TAKING_UP,
    Place.CLAIMING,
    Place.IN_GROUP,
}
"""Places inside a transaction. A process that is frozen there holds SQLite's own lock, and nobody
can take over until it is woken or killed."""


MAY_STILL_SEND = {Place.LEASE_TAKEN: 0, Place.CLAIMED: 0, Place.BEFORE_SUBMIT: 1}
"""POSTs that go out after the awakening. Past the look at the lease there is no stopping one. Its
job has become unknown by then, so nobody else submits it, and it is paid for once. At the other
places as many may be past that look as became unknown."""


async def replacement(n: Night) -> tuple[Program, asyncio.Task[Done]]:
    """A worker that has taken over from one that is frozen with nothing on its way to the provider,
    and that has submitted something; with its end to come."""
    accepted = len(n.emulator.ledger.accepted)
    while True:
        second = n.start(lease=LEASE)
        end = asyncio.create_task(second.end())
        submitted = asyncio.create_task(
            n.emulator.until(lambda ledger: len(ledger.accepted) > accepted)
        )
        await asyncio.wait({end, submitted}, return_when=asyncio.FIRST_COMPLETED)
        if submitted.done():
            return second, end
        submitted.cancel()
        # The lease has not run out yet.
        n.require_plain(await end, ANOTHER_WORKER)


def require_replaced(n: Night, done: Done) -> None:
    """The woken one ended with a plain sentence."""
    n.require_plain(done, 1)
    assert "Another worker took over" in done.err


async def in_the_middle_of_a_submit(n: Night) -> Program:
    """A worker that was frozen with three jobs at the provider and a fourth one being submitted,
    which is as many as it may have."""
    first = n.start(lease=LEASE)
    await n.emulator.until(lambda ledger: len(ledger.accepted) == CONCURRENCY)
    # Whoever is polled is recorded.
    await n.emulator.until(lambda ledger: ledger.calls[Call.STATUS] >= CONCURRENCY - 1)
    while True:
        first.send(signal.SIGSTOP)
        await first.stopped()
        if not evidence.is_locked(n.database):
            return first
        # It was frozen in the middle of a commit: another moment, please.
        first.send(signal.SIGCONT)
        await asyncio.sleep(0.005)


SLOW = f"submit:slow@1x,after={CONCURRENCY - 1},delay=2"
LONG = Span(1.5, 1.5)
"""Nothing is finished, and so nothing new submitted, before the worker is frozen."""


async def frozen_at(n: Night, place: Place) -> Program:
    """A worker that was frozen at ``place`` while nothing was being written."""
    while True:
        first = n.start(fault=f"{place}:1:STOP", lease=LEASE)
        await first.stopped()
        if not evidence.is_locked(n.database):
            return first
        # Another job was being written at that moment. Nobody could take over from this one.
        await kill(n, first)
        n.manifest(n.jobs + 4)


async def kill(n: Night, frozen: Program) -> None:
    frozen.send(signal.SIGKILL)
    assert (await frozen.end()).code == KILLED
    n.kills += 1
    n.look()


async def test_woken_while_the_other_one_works(tmp_path: Path, record_property: Report) -> None:
    async with night(tmp_path, record_property, SLOW, jobs=7, service=LONG) as n:
        first = await in_the_middle_of_a_submit(n)
        _, second_ends = await replacement(n)
        first.send(signal.SIGCONT)
        require_replaced(n, await first.end())
        n.require_plain(await second_ends, SOME_UNKNOWN)
        n.look()
        n.require_complete()
        # The one whose answer came too late was taken by the provider, and is not bought again.
        assert n.table.count("unknown") == len(n.lost(n.table)) == 1


async def test_woken_when_nobody_works(tmp_path: Path, record_property: Report) -> None:
    async with night(tmp_path, record_property, SLOW, jobs=7, service=LONG) as n:
        first = await in_the_middle_of_a_submit(n)
        second, second_ends = await replacement(n)
        second.send(signal.SIGINT)
        n.require_plain(await second_ends, INTERRUPTED)
        before, submits = n.look(), n.emulator.ledger.calls[Call.SUBMIT]
        assert before.count("pending") > 0
        first.send(signal.SIGCONT)
        require_replaced(n, await first.end())
        assert n.look().rows == before.rows
        assert n.emulator.ledger.calls[Call.SUBMIT] == submits
        await n.finish()


@pytest.mark.parametrize("place", [place for place in Place if place not in WRITING | ELSEWHERE])
async def test_frozen_at(place: Place, tmp_path: Path, record_property: Report) -> None:
    async with night(tmp_path, record_property, *rules_for(place)) as n:
        first = await frozen_at(n, place)
        while (second := await n.start(lease=LEASE).end()).code == ANOTHER_WORKER:
            pass  # the lease has not run out yet
        n.require_plain(second, 0, SOME_UNKNOWN)
        before, submits = n.look(), n.emulator.ledger.calls[Call.SUBMIT]
        first.send(signal.SIGCONT)
        require_replaced(n, await first.end())
        assert n.look().rows == before.rows
        late = n.emulator.ledger.calls[Call.SUBMIT] - submits
        assert late <= MAY_STILL_SEND.get(place, before.count("unknown"))
        n.require_complete()


async def test_frozen_in_the_middle_of_a_commit(tmp_path: Path, record_property: Report) -> None:
    async with night(tmp_path, record_property) as n:
        first = n.start(fault=f"{Place.IN_GROUP}:9:STOP", lease=LEASE)
        await first.stopped()
        assert evidence.is_locked(n.database)
        # Reading goes on; writing waits until the frozen one is woken or killed.
        n.require_plain(await n.start("status", "--db", "night.db").end(), 0)
        await kill(n, first)
        await n.finish()


async def test_a_second_worker_is_turned_away_while_the_first_lives(
    tmp_path: Path, record_property: Report
) -> None:
    async with night(tmp_path, record_property, service=Span(4.0, 4.0)) as n:
        first = n.start()
        await n.emulator.until(lambda ledger: ledger.calls[Call.STATUS] > 0)
        n.require_plain(await n.start().end(), ANOTHER_WORKER)
        n.require_plain(await first.end(), 0)
        n.look()
        n.require_complete()
