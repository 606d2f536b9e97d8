"""A worker that was replaced and does not know it yet: what it still has to say is not written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from overnight.emulator import Emulator, Settings
from overnight.lifecycle import State
from overnight.store import leases
from overnight.store.errors import LeaseLost
from overnight.store.rows import Kind
from overnight.store.tables import events
from tests.night import night


async def test_neither_an_event_nor_a_halt(tmp_path: Path) -> None:
    async with (
        night(tmp_path, 2, halt={"failures": 1, "after": 1}) as n,
        Emulator(Settings()) as emulator,
        n.worker(emulator) as worker,
    ):
        run, now = worker._run, time.time()
        own = leases.Identity.of_this_process()
        with n.database.writing() as connection:
            run.fence = leases.take(connection, own, now - leases.LEASE)
            leases.take(connection, own, now)
        with pytest.raises(LeaseLost):
            await run.keep(Kind.PAUSE, "Submitting pauses.")
        run.tallies[n.batch.id][State.FAILED] = 1
        with pytest.raises(LeaseLost):
            await run.halt_if_due(n.batch.id)
        assert n.batch.halted is None
        with n.database.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(events)) == 0
