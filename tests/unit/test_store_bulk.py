"""One statement for many rows: the same as Core's own, and found by key whatever the number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from overnight.lifecycle import Event, State
from overnight.store import history, leases, queue, standing, steps, tally
from overnight.store.bulk import SIZES, Bulk
from overnight.store.database import Database
from overnight.store.group import Joint, UnevenError, run
from overnight.store.job import Job
from overnight.store.steps import Delivery, Facts, Keep, Move, Overtaken, Stored
from tests.unit.store_walks import DONE, connection, walk
from tests.unit.test_store_queue import ME, check_tallies, claim, load

__all__ = ["connection"]
"""A fixture."""

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's own

HOT = {
    "a move": steps._MOVE,
    "a delivery": steps._DELIVER,
    "its addresses": steps._ADDRESS,
    "a file": steps._KEEP,
    "an attempt's history": history._WRITE,
    "a batch's figures": tally._ADD,
    "a claim": queue._CLAIM,
    "a new attempt": queue._NEW_ATTEMPT,
}


@pytest.mark.parametrize("bulk", HOT.values(), ids=HOT)
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_the_text_for_many_rows_is_what_core_says(
    connection: Connection, bulk: Bulk, size: int
) -> None:
    said = str(bulk.statement(size).compile(dialect=connection.dialect))
    assert bulk.text(connection, size) == said


@pytest.mark.parametrize("bulk", HOT.values(), ids=HOT)
def test_no_size_of_a_statement_reads_a_whole_table(connection: Connection, bulk: Bulk) -> None:
    for size in (SIZES[0], SIZES[-1]):
        text = bulk.text(connection, size)
        values = (None,) * text.count("?")
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
        scans = [row[3] for row in plan if "SCAN" in row[3]]
        assert all(
            each in ("SCAN given", "SCAN listed") or "CONSTANT ROW" in each for each in scans
        ), plan
        assert "AUTOMATIC" not in str(plan), plan


@pytest.mark.parametrize("bulk", HOT.values(), ids=HOT)
def test_another_database_can_have_them_too(bulk: Bulk) -> None:
    if bulk is steps._ADDRESS:
        # What differs between databases is in one module; this one comes from there.
        return
    assert "WITH listed" in str(bulk.statement(2).compile(dialect=_POSTGRESQL))


@pytest.mark.parametrize("n", [1, 5, 63, 127, 128, 129, 300])
def test_any_number_of_rows_is_written_and_no_other(database: Database, n: int) -> None:
    load(database, n + 1)
    with database.writing() as connection:
        assert leases.take(connection, ME, now=1.0) == 1
        claimed = claim(connection, n)
        assert len(claimed) == n
        told = run(connection, [accepted(job) for job in claimed])
        assert told == [standing.current(connection, job.id) for job in claimed]
        assert {job.state for job in told} == {State.QUEUED}
        assert standing.current(connection, n + 1).state is State.PENDING
        assert len({job.request_id for job in told}) == n
        check_tallies(connection)


def accepted(job: Job) -> Move:
    return Move(job._replace(submit_key=""), Event.ACCEPTED, Facts(3.0, request_id=f"r{job.id}"))


# --- together is as if one after the other --------------------------------------------------------


def kinds(connection: Connection) -> list[Joint[Any]]:
    """One operation of each kind, each about another job."""
    collecting, delivered, going, back, *_ = claim(connection, 6)
    collecting = walk(connection, collecting, *DONE)
    delivered = walk(connection, delivered, *DONE)
    steps.delivered(connection, delivered, ["old", "other"], None, 3.5)
    file = Stored(1, "/x/out/a.mp4", 9, "ab" * 32, "video/mp4", "black", '{"frames": 3}')
    heard = history.Heard("submit", 429, 0.5, "busy", 2, 1)
    return [
        Delivery(collecting, ["first", "second"], 0.25, 4.0),
        Keep(delivered._replace(delivered=True), file, 5.0),
        Move(going, Event.ACCEPTED, Facts(6.0, request_id="r-6", cost=0.5)),
        Move(back, Event.THROTTLED, Facts(7.0, error="ü", not_before=90.5, heard=heard)),
    ]


def everything(connection: Connection) -> dict[str, list[Any]]:
    return {
        table: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]
        for table in ("jobs", "artifacts", "tallies", "batches")
    } | {
        # A submit key is drawn anew each time.
        "attempts": [
            tuple(value for name, value in row._mapping.items() if name != "submit_key")
            for row in connection.exec_driver_sql("SELECT * FROM attempts")
        ]
    }


def test_a_group_leaves_what_its_operations_leave_alone(connection: Connection) -> None:
    begun = connection.begin_nested()
    alone = [operation(connection) for operation in kinds(connection)]
    apart = everything(connection)
    begun.rollback()
    together = run(connection, kinds(connection))
    assert everything(connection) == apart
    assert [job._replace(submit_key="") for job in together] == [
        job._replace(submit_key="") for job in alone
    ]


def test_what_runs_alone_comes_after_and_sees_the_rest(connection: Connection) -> None:
    [job, other] = claim(connection, 2)
    seen, moved = run(connection, [lambda c: standing.current(c, job.id).state, accepted(job)])
    assert (seen, moved.state) == (State.QUEUED, State.QUEUED)
    assert standing.current(connection, other.id).state is State.SUBMITTING


def step(job: Job, kind: str) -> Joint[Job | Overtaken]:
    if kind == "move":
        return Move(job, Event.COLLECTED, Facts(9.0))
    if kind == "delivery":
        return Delivery(job, ["v"], None, 9.0)
    return Keep(job, Stored(0, "/f", 1, "aa", None), 9.0)


def refuses(connection: Connection, operations: Sequence[Joint[Any]]) -> None:
    """They are refused together, and undone as the writer undoes them."""
    begun = connection.begin_nested()
    with pytest.raises(UnevenError):
        run(connection, operations)
    begun.rollback()


@pytest.mark.parametrize("kind", ["move", "delivery", "file"])
@pytest.mark.parametrize("change", [{"fence": 2}, {"attempt": 2}, {"state": State.RUNNING}])
def test_one_stale_write_among_many_is_noticed(
    connection: Connection, kind: str, change: dict[str, Any]
) -> None:
    jobs = [walk(connection, job, *DONE) for job in claim(connection, 3)]
    for job in jobs:
        step(job, "delivery")(connection)
    stale = jobs[1]._replace(**change)
    event = Event.FINISHED if stale.state is State.RUNNING else Event.COLLECTED
    old = Move(stale, event, Facts(9.0)) if kind == "move" else step(stale, kind)
    assert old(connection) == Overtaken(jobs[1].id)
    refuses(connection, [step(jobs[0], kind), old, step(jobs[2], kind)])
    assert len(run(connection, [step(job, kind) for job in jobs])) == 3


def test_two_steps_of_one_job_are_not_taken_for_one(connection: Connection) -> None:
    [job] = claim(connection)
    refuses(connection, [accepted(job), accepted(job)])


def test_a_file_without_an_address_is_no_stale_write(connection: Connection) -> None:
    job = walk(connection, claim(connection)[0], *DONE)
    assert Keep(job, Stored(3, "/f", 1, "aa", None), 9.0)(connection) == job
