"""Halts and canaries, as the table keeps them."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Connection, select

from overnight.lifecycle import Event, State
from overnight.store import decisions, queue, tally, views
from overnight.store.job import Job
from overnight.store.rows import Kind
from overnight.store.tables import events
from tests.unit.store_walks import DONE, connection, load_canaries, walk
from tests.unit.test_store_queue import claim, moved

__all__ = ["connection"]
"""A fixture."""

# --- halts ----------------------------------------------------------------------------------------


def test_a_halt_is_said_once_and_gone_on_from_once(connection: Connection) -> None:
    assert decisions.halt(connection, 1, "too many", Kind.HALT, now=5.0)
    assert not decisions.halt(connection, 1, "again", Kind.HALT, now=6.0)
    [batch] = views.all_batches(connection)
    assert batch.halted == "too many"
    assert decisions.go_on(connection, 1, now=7.0)
    assert not decisions.go_on(connection, 1, now=8.0)
    [batch] = views.all_batches(connection)
    assert (batch.halted, batch.canaries_passed) == (None, True)
    told = select(events.c.text).where(events.c.kind == Kind.HALT).order_by(events.c.id.desc())
    assert list(connection.scalars(told)) == ["gone on, by hand", "too many"]


def test_what_failed_before_going_on_is_forgiven(connection: Connection) -> None:
    for job in claim(connection, 2):
        moved(connection, job, Event.REJECTED)
    decisions.halt(connection, 1, "too many", Kind.HALT, now=5.0)
    decisions.go_on(connection, 1, now=6.0)
    [batch] = views.all_batches(connection)
    assert batch.forgiven == {"settled": 2, "failed": 2}


# --- canaries -------------------------------------------------------------------------------------


def canaries(connection: Connection) -> list[int]:
    rows = connection.exec_driver_sql(
        "SELECT inputs FROM jobs WHERE canary AND batch_id = 2 ORDER BY id"
    )
    return [json.loads(row[0])["598_seed"] for row in rows]


def test_the_first_few_of_each_block_are_its_canaries_at_every_load(
    connection: Connection,
) -> None:
    blocks = {"a": [100, 101, 102], "b": [103], "c": [104, 105, 100]}
    load_canaries(connection, 2, blocks)
    assert canaries(connection) == [100, 101, 103, 104, 105]
    load_canaries(connection, 2, blocks)
    assert canaries(connection) == [100, 101, 103, 104, 105]
    # A manifest may ask for other ones, for fewer, or for none.
    load_canaries(connection, 1, {"a": [102, 101], "b": [103]})
    assert canaries(connection) == [102, 103]
    load_canaries(connection, 0, blocks)
    assert canaries(connection) == []
    load_canaries(connection, 1, {"a": [101]})
    assert canaries(connection) == [101]


@pytest.fixture
def judged(connection: Connection) -> list[Job]:
    """Two canary jobs of a batch of four, claimed."""
    load_canaries(connection, 1, {"a": [100, 101], "b": [102, 103]})
    found = queue.claim(connection, fence=1, batch_id=2, limit=9, now=2.0, canaries_only=True)
    assert len(found) == 2
    return found


def test_the_rest_is_released_when_every_canary_succeeded(
    connection: Connection, judged: list[Job]
) -> None:
    first, second = judged
    walk(connection, first, *DONE, Event.COLLECTED)
    assert decisions.judge_canaries(connection, 2, now=5.0) is None
    assert views.all_batches(connection)[1].waits_for_canaries
    walk(connection, second, *DONE, Event.COLLECTED)
    told = decisions.judge_canaries(connection, 2, now=5.0)
    assert told == "all 2 canary jobs succeeded; the rest is released"
    assert not views.all_batches(connection)[1].waits_for_canaries


@pytest.mark.parametrize("bad", [Event.REJECTED, Event.UNCERTAIN])
def test_a_canary_that_ends_badly_halts_the_batch_once_none_is_open(
    connection: Connection, judged: list[Job], bad: Event
) -> None:
    first, second = judged
    moved(connection, first, bad)
    assert decisions.judge_canaries(connection, 2, now=5.0) is None
    walk(connection, second, *DONE, Event.COLLECTED)
    told = decisions.judge_canaries(connection, 2, now=5.0)
    assert told == "1 of 2 canary jobs did not succeed"
    batch = views.all_batches(connection)[1]
    assert (batch.halted, batch.waits_for_canaries) == (told, False)
    assert tally.recount(connection, 2)[State.PENDING] == 2
