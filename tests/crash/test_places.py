"""kill -9 at every named place, at its first passage and at a later one."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.store.faults import Place
from tests.crash.night import DONE, ELSEWHERE, Report, night, rules_for

ONCE = {Place.LOADING, Place.LEASE_TAKING, Place.LEASE_TAKEN, Place.LEASE_RELEASING}
"""Places that a run of a small batch comes by once: there, the second kill hits the next run."""


@pytest.mark.parametrize("place", [place for place in Place if place not in ELSEWHERE])
async def test_killed_at(place: Place, tmp_path: Path, record_property: Report) -> None:
    async with night(tmp_path, record_property, *rules_for(place)) as n:
        if place is Place.TAKING_UP:
            # Only what was left behind can be taken up.
            await n.killed_at(Place.SUBMIT_RECORDED, 4)
        await n.killed_at(place, 1)
        n.manifest(16)
        await n.killed_at(place, 1 if place in ONCE else 3)
        await n.finish()


async def test_a_load_that_is_killed_leaves_nothing_of_it(
    tmp_path: Path, record_property: Report
) -> None:
    load = ("load", "jobs.yaml", "--db", "night.db")
    async with night(tmp_path, record_property, jobs=4_100) as n:
        for passage in (2, 3):
            await n.killed_at(Place.LOADING, passage, *load)
            assert n.table.states == {}
        n.require_plain(await n.start(*load).end(), *DONE)
        assert n.look().count("pending") == 4_100
        assert n.emulator.ledger.accepted == []
        # Nothing is to be submitted; the report is of nights that were.
        n.jobs = 0
