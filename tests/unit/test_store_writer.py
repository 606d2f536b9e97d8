"""The one writer: groups, isolation of a bad operation, and a storage that fails."""

import asyncio
import os
import threading
from functools import partial

import pytest
from sqlalchemy import Connection, event, func, select, text

from overnight.lifecycle import Event, State
from overnight.store import leases, queue, standing, steps, tally, views
from overnight.store.database import Database, open_database
from overnight.store.errors import DatabaseUnusable, StoreError
from overnight.store.job import Job
from overnight.store.tables import batches
from overnight.store.writer import GROUP, Writer
from tests.unit.test_store_queue import ME, load


def add(connection: Connection, name: str) -> str:
    connection.execute(
        batches.insert().values(
            name=name,
            manifest_path="",
            manifest_digest="",
            run="{}",
            output_dir="",
            created_at=0.0,
            loaded_at=0.0,
        )
    )
    return name


def names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.scalars(select(batches.c.name)))


async def test_what_gathers_during_a_commit_is_one_transaction(database: Database) -> None:
    writer = Writer(database)
    commits: list[int] = []
    engine = database.writer_engine()
    event.listen(engine, "commit", lambda _: commits.append(1))
    database_with_ears = _WithEngine(database, engine)
    writer = Writer(database_with_ears)
    held = threading.Event()
    writer.start()
    first = asyncio.create_task(writer.record(lambda _: held.wait(10)))
    rest = [asyncio.create_task(writer.record(partial(add, name=f"b{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    held.set()
    assert await first
    assert await asyncio.gather(*rest) == [f"b{n}" for n in range(50)]
    await writer.stop()
    # The first alone, then everything that waited for it: not one each.
    assert len(commits) <= 3
    assert len(names(database)) == 50


async def test_what_one_turn_of_the_loop_records_is_one_transaction(database: Database) -> None:
    engine = database.writer_engine()
    commits: list[int] = []
    event.listen(engine, "commit", lambda _: commits.append(1))
    writer = Writer(_WithEngine(database, engine))
    writer.start()
    await asyncio.gather(*[writer.record(partial(add, name=f"b{n}")) for n in range(50)])
    assert len(commits) == 1
    await writer.stop()


async def test_more_than_a_group_holds_is_recorded_in_its_order(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    seen: list[int] = []

    def note(_: Connection, number: int) -> None:
        seen.append(number)

    numbers = range(2 * GROUP + 3)
    await asyncio.gather(*[writer.record(partial(note, number=n)) for n in numbers])
    await writer.stop()
    assert seen == [*numbers]


async def test_a_stale_step_does_not_take_its_group_with_it(database: Database) -> None:
    load(database, 5)
    writer = Writer(database)
    writer.start()
    fence = await writer.record(partial(leases.take, identity=ME, now=1.0))
    claim = partial(queue.claim, fence=fence, batch_id=1, limit=5, now=2.0)
    jobs = await writer.record(claim)
    old = jobs[2]._replace(fence=fence + 1)
    moves = [
        steps.Move(job, Event.ACCEPTED, steps.Facts(3.0, request_id=f"r{job.id}"))
        for job in (*jobs[:2], old, *jobs[3:])
    ]
    told = await asyncio.gather(*[writer.record(move) for move in moves])
    await writer.stop()
    assert [isinstance(each, steps.Overtaken) for each in told] == [n == 2 for n in range(5)]
    with database.reading() as connection:
        [batch] = views.all_batches(connection)
        assert tally.recount(connection, 1) == batch.states
        assert batch.states[State.QUEUED] == 4
        assert standing.current(connection, old.id).state is State.SUBMITTING


async def test_figures_are_answered_after_the_steps_that_are_in_them(database: Database) -> None:
    """Steps come first in their group. Whoever counts along with them, and puts what the table
    says in place of that, would count them twice if it heard of them after the table's figures."""
    load(database, 3)
    writer = Writer(database)
    writer.start()
    fence = await writer.record(partial(leases.take, identity=ME, now=1.0))
    jobs = await writer.record(partial(queue.claim, fence=fence, batch_id=1, limit=3, now=2.0))
    queued = 0

    async def look() -> None:
        nonlocal queued
        [batch] = await writer.record(views.all_batches)
        queued = batch.states[State.QUEUED]

    async def step(job: Job) -> None:
        nonlocal queued
        facts = steps.Facts(3.0, request_id=f"r{job.id}")
        await writer.record(steps.Move(job, Event.ACCEPTED, facts))
        queued += 1

    await asyncio.gather(look(), *map(step, jobs))
    await writer.stop()
    assert queued == 3


class _WithEngine(Database):
    """A database whose writer uses an engine that the test listens to."""

    def __init__(self, database: Database, engine: object) -> None:
        object.__setattr__(self, "url", database.url)
        object.__setattr__(self, "engine", database.engine)
        object.__setattr__(self, "_own", engine)

    def writer_engine(self):  # type: ignore[no-untyped-def] # whatever the test handed over
        return self._own  # type: ignore[attr-defined] # set above


async def test_a_value_is_returned_only_when_it_is_durable(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    await writer.record(partial(add, name="mine"))
    assert names(database) == {"mine"}
    await writer.stop()


async def test_one_bad_operation_does_not_take_its_group_with_it(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    await writer.record(partial(add, name="taken"))

    def buggy(connection: Connection) -> None:
        add(connection, "half-written")
        raise RuntimeError("bug")

    results = await asyncio.gather(
        writer.record(partial(add, name="a")),
        writer.record(buggy),
        writer.record(partial(add, name="taken")),
        writer.record(partial(add, name="b")),
        return_exceptions=True,
    )
    await writer.stop()
    assert results[0] == "a"
    assert isinstance(results[1], RuntimeError)
    assert isinstance(results[2], Exception)
    assert results[3] == "b"
    assert names(database) == {"taken", "a", "b"}


async def test_stopping_finishes_what_was_handed_over(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    tasks = [asyncio.create_task(writer.record(partial(add, name=f"b{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    await writer.stop()
    await asyncio.gather(*tasks)
    assert len(names(database)) == 20
    with pytest.raises(StoreError, match="stopped"):
        await writer.record(lambda _: None)


async def test_a_storage_that_fails_says_so_to_everybody(database: Database) -> None:
    writer = Writer(database)
    writer.start()

    def no_room(connection: Connection) -> None:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        for n in range(10_000):
            add(connection, f"filler {n} " + "x" * 500)

    results = await asyncio.gather(
        writer.record(no_room),
        writer.record(partial(add, name="behind")),
        return_exceptions=True,
    )
    assert all(isinstance(result, DatabaseUnusable) for result in results)
    assert "disk is full" in str(results[0])
    with pytest.raises(DatabaseUnusable, match="disk is full"):
        await writer.record(lambda _: None)
    await writer.stop()
    assert names(database) == set()


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "setresuid"), reason="needs a user")
async def test_a_corrupt_file_is_named_plainly(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    await writer.record(partial(add, name="x"))
    await writer.stop()
    database.close()
    path = database.path
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseUnusable, match="not a SQLite database"):
        open_database(str(path))


async def test_readers_see_one_moment_and_never_wait(database: Database) -> None:
    writer = Writer(database)
    writer.start()
    with database.reading() as connection:
        count = select(func.count()).select_from(batches)
        assert connection.scalar(count) == 0
        await writer.record(partial(add, name="later"))
        assert connection.scalar(count) == 0
    assert names(database) == {"later"}
    await writer.stop()
