"""A disk that is full, read-only or gone, and a writer that dies: said plainly, and nothing is
claimed to be saved that is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select, text

from overnight.emulator import Emulator, Settings, Span
from overnight.lifecycle import State
from overnight.store import decisions, leases, tally, views
from overnight.store.database import Database, open_database
from overnight.store.errors import DatabaseUnusable, StoreError
from overnight.store.rows import Kind
from overnight.store.tables import events
from overnight.store.writer import Operation, Recorder, Writer
from tests.integration.small_disk import SmallDisk, small_disk
from tests.night import Night, night
from tests.unit.test_store_queue import load

T = TypeVar("T")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "1m") as mounted:
        yield mounted


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Writer]:
    writer = Writer(database)
    writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


def note(n: int, size: int = 500) -> Operation[int]:
    """An operation whose trace can be looked for afterwards."""

    def keep(connection: Connection) -> int:
        decisions.note(connection, Kind.PAUSE, f"note {n} " + "x" * size, at=float(n))
        return n

    return keep


def kept(path: Path) -> set[int]:
    """The notes that a new process finds."""
    with open_database(str(path)) as database, database.reading() as connection:
        texts = list(connection.scalars(select(events.c.text).where(events.c.kind == Kind.PAUSE)))
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    return {int(each.split()[1]) for each in texts}


async def until_it_fails(writer: Writer) -> tuple[set[int], StoreError]:
    """Write in groups until the storage refuses; what was said to be durable, and the refusal."""
    durable: set[int] = set()
    for start in range(0, 100_000, 20):
        results = await asyncio.gather(
            *(writer.record(note(n)) for n in range(start, start + 20)), return_exceptions=True
        )
        durable |= {n for n in results if isinstance(n, int)}
        failures = [error for error in results if isinstance(error, BaseException)]
        if failures:
            assert all(isinstance(error, StoreError) for error in failures)
            # From the first failure on, everybody hears of it.
            with pytest.raises(type(failures[0])):
                await writer.record(note(99_999))
            assert isinstance(failures[0], StoreError)
            return durable, failures[0]
    raise AssertionError("the storage never failed")


# --- the disk -------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_and_what_was_saved_is_saved(disk: SmallDisk) -> None:
    path = disk.path / "overnight.db"
    with open_database(str(path), create=True) as database:
        async with writing(database) as writer:
            durable, error = await until_it_fails(writer)
    assert "the disk is full" in str(error)
    assert "Free some space" in str(error)
    # Reading needs no room, and what was promised is there; nothing else is.
    assert kept(path) == durable
    assert len(durable) > 100


async def test_after_making_room_the_same_database_goes_on(disk: SmallDisk) -> None:
    path = disk.path / "overnight.db"
    with open_database(str(path), create=True) as database:
        disk.fill()
        async with writing(database) as writer:
            durable, _ = await until_it_fails(writer)
        disk.make_room()
        async with writing(database) as writer:
            assert await writer.record(note(77_777)) == 77_777
    assert kept(path) == durable | {77_777}


async def test_a_page_limit_is_a_full_disk(database: Database) -> None:
    async with writing(database) as writer:

        def limit(connection: Connection) -> None:
            pages = connection.execute(text("PRAGMA page_count")).scalar()
            connection.execute(text(f"PRAGMA max_page_count = {int(pages or 0) + 40}"))

        await writer.record(limit)
        durable, error = await until_it_fails(writer)
    assert "the disk is full" in str(error)
    assert kept(database.path) == durable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(str(tmp_path / "overnight.db"), create=True) as opened:
        yield opened


def test_a_load_that_does_not_fit_leaves_the_database_as_it_was(disk: SmallDisk) -> None:
    path = disk.path / "overnight.db"
    with open_database(str(path), create=True) as database:
        load(database, 5)
        with pytest.raises(DatabaseUnusable, match="disk is full"):
            load(database, 5_000)
        with database.reading() as connection:
            [batch] = views.all_batches(connection)
            assert (batch.total, tally.recount(connection, 1)[State.PENDING]) == (5, 5)


async def test_a_disk_that_turns_read_only_is_said(disk: SmallDisk) -> None:
    path = disk.path / "overnight.db"
    with open_database(str(path), create=True) as database:
        async with writing(database) as writer:
            assert await writer.record(note(1)) == 1
    disk.make_read_only()
    with pytest.raises(DatabaseUnusable, match=r"can't be opened|can't be written to"):
        await _write_one(path)


async def _write_one(path: Path) -> None:
    with open_database(str(path)) as database:
        async with writing(database) as writer:
            await writer.record(note(2))


def test_a_folder_that_takes_no_file_is_said(disk: SmallDisk) -> None:
    disk.make_read_only()
    with pytest.raises(DatabaseUnusable, match="can't be opened"):
        open_database(str(disk.path / "overnight.db"), create=True)
    assert list(disk.path.iterdir()) == []


# --- the writer -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_dies_tells_everybody_who_waits(database: Database) -> None:
    """Also those whose write was in its hands: a wait that never ends would be the worst answer."""

    def die(_: Connection) -> None:
        raise SystemExit("out of memory, say")

    async with writing(database) as writer:
        await writer.record(note(1))
        results = await asyncio.wait_for(
            asyncio.gather(
                writer.record(note(2)),
                writer.record(die),
                writer.record(note(3)),
                return_exceptions=True,
            ),
            30,
        )
        assert any(isinstance(r, StoreError) and "died of SystemExit" in str(r) for r in results)
        with pytest.raises(StoreError, match="Nothing more is saved"):
            await writer.record(note(4))
    durable = {1} | {r for r in results if isinstance(r, int)}
    assert kept(database.path) == durable


async def test_a_writer_that_can_not_open_its_file_says_so(database: Database) -> None:
    database.close()
    database.path.write_bytes(b"scribbled over " * 1000)
    async with writing(database) as writer:
        with pytest.raises(DatabaseUnusable, match="not a SQLite database"):
            await writer.record(note(1))


# --- the worker -----------------------------------------------------------------------------------


@pytest.fixture
def larger_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "larger", "8m") as mounted:
        yield mounted


async def test_a_worker_without_room_stops_buying_and_goes_on_later(
    larger_disk: SmallDisk, tmp_path: Path
) -> None:
    """The database stands on the small disk, the clips elsewhere: only saving fails."""
    settings = Settings(slots=4, service=Span(0.02, 0.05))
    async with night(larger_disk.path, 120, concurrency=4) as n, Emulator(settings) as emulator:
        with n.database.writing() as connection:
            connection.execute(
                text("UPDATE batches SET output_dir = :out"), {"out": str(tmp_path / "out")}
            )
        with pytest.raises(DatabaseUnusable, match="disk is full"):
            await _run_until_full(n, emulator, larger_disk)
        bought = len(emulator.ledger.accepted)
        recorded = _attempts(n.database)
        # Each one that went out was written down before, as an intent at least.
        assert 0 < bought <= len(recorded)
        larger_disk.make_room()
        await n.run(emulator)
        states = n.states
        assert set(states) <= {State.SUCCEEDED, State.UNKNOWN}
        assert states[State.SUCCEEDED] >= 120 - 4
        assert emulator.ledger.duplicates == []
        with n.database.reading() as connection:
            assert tally.recount(connection, 1) == n.batch.states


def ended() -> leases.Identity:
    """A process that has ended by the time of the next run: nobody waits for its lease."""
    me = leases.Identity.of_this_process()
    return replace(me, process_started=me.process_started - 1000.0)


async def _run_until_full(n: Night, emulator: Emulator, disk: SmallDisk) -> None:
    async with n.worker(emulator, identity=ended()) as worker:
        running = asyncio.create_task(worker.run())
        await emulator.until(lambda ledger: len(ledger.accepted) >= 10)
        disk.fill()
        await asyncio.wait_for(running, 60)


def _attempts(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.scalars(text("SELECT job_id FROM attempts")))


async def test_nothing_is_submitted_after_the_writer_has_failed(tmp_path: Path) -> None:
    async with night(tmp_path, 30, concurrency=2) as n, Emulator(Settings()) as emulator:
        with pytest.raises(StoreError, match="the disk is gone"):
            async with n.worker(emulator, identity=ended()) as worker:
                recorder = Failing(worker._run.recorder)
                worker._run.recorder = recorder
                running = asyncio.create_task(worker.run())
                await emulator.until(lambda ledger: len(ledger.accepted) >= 6)
                recorder.broken = True
                await asyncio.wait_for(running, 60)
        bought = len(emulator.ledger.accepted)
        # Those that were on their way, and no more.
        assert bought <= 6 + 2
        assert bought <= len(_attempts(n.database))
        await n.run(emulator)
        assert emulator.ledger.duplicates == []
        assert n.states[State.SUCCEEDED] + n.states.get(State.UNKNOWN, 0) == 30
        assert n.states.get(State.UNKNOWN, 0) <= 2


class Failing:
    """A recorder whose storage goes away when it is told to."""

    def __init__(self, real: Recorder) -> None:
        self._real = real
        self.broken = False

    async def record(self, operation: Operation[T]) -> T:
        if self.broken:
            raise StoreError("the disk is gone")
        return await self._real.record(operation)
