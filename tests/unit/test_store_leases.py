"""Who counts as alive, and that nothing is written for a worker that was replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Connection, func, select

from overnight.store import control, decisions, holding, leases
from overnight.store.database import open_database
from overnight.store.errors import AnotherWorker, LeaseLost
from overnight.store.leases import Identity
from overnight.store.rows import Kind
from overnight.store.tables import events

NOW = 1_000_000.0


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with (
        open_database(str(tmp_path / "night.db"), create=True) as database,
        database.writing() as connection,
    ):
        yield connection


def replaced(connection: Connection) -> int:
    """The fence of a worker whose lease ran out and was taken by another."""
    fence = leases.take(connection, Identity.of_this_process(), NOW)
    leases.take(connection, Identity.of_this_process(), NOW + leases.LEASE)
    return fence


def test_a_lease_lasts_a_minute_after_the_last_heartbeat(connection: Connection) -> None:
    own = Identity.of_this_process()
    fence = leases.take(connection, own, NOW)
    leases.beat(connection, fence, NOW + 30)
    with pytest.raises(AnotherWorker, match=f"process {own.pid}"):
        leases.take(connection, own, NOW + 89)
    assert leases.take(connection, own, NOW + 90) > fence


def test_a_killed_process_that_its_parent_has_not_asked_about_is_dead(
    connection: Connection,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = psutil.Process(child.pid)
        own = Identity.of_this_process()
        leases.take(connection, Identity(own.host, child.pid, process.create_time()), NOW)
        assert holding.holder(connection, NOW) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process.status() == psutil.STATUS_ZOMBIE
        assert holding.holder(connection, NOW) is None
        assert leases.take(connection, own, NOW) == 2
    finally:
        child.communicate()


def test_a_process_number_that_was_given_out_again_is_another_process(
    connection: Connection,
) -> None:
    own = Identity.of_this_process()
    leases.take(connection, Identity(own.host, own.pid, own.process_started - 60), NOW)
    assert holding.holder(connection, NOW) is None


def test_a_replaced_worker_can_neither_beat_nor_release(connection: Connection) -> None:
    fence = replaced(connection)
    with pytest.raises(LeaseLost):
        leases.beat(connection, fence, NOW + 61)
    leases.release(connection, fence, NOW + 61)
    holder = holding.holder(connection, NOW + 61)
    assert holder is not None
    assert holder.fence == fence + 1


def test_a_replaced_worker_decides_nothing(connection: Connection) -> None:
    fence = replaced(connection)
    with pytest.raises(LeaseLost):
        control.look(connection, fence=fence, batch_ids=[], now=NOW + 61)


def test_what_has_no_guard_of_its_own_is_written_for_the_holder_only(
    connection: Connection,
) -> None:
    def write(to: Connection) -> None:
        decisions.note(to, Kind.PAUSE, "a pause", at=NOW)

    fence = replaced(connection)
    with pytest.raises(LeaseLost):
        leases.held(connection, fence, write)
    assert connection.scalar(select(func.count()).select_from(events)) == 0
    leases.held(connection, fence + 1, write)
    assert connection.scalar(select(func.count()).select_from(events)) == 1
