"""Reads of a large table: each finds its rows by an index, and pages are whole and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, event

from overnight.lifecycle import State
from overnight.store import failures, views
from overnight.store.database import Database
from overnight.store.driver import Reader
from overnight.store.errors import NotFound
from overnight.store.reading import reading
from overnight.store.views import Filter
from tests.unit.cli_night import fill

JOBS = 40
"""Of each of the two batches."""

FILES = "INSERT INTO artifacts (job_id, attempt, position, url, suspect)"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """Two batches whose jobs alternate between two states; every tenth has a suspect file."""
    fill(database, "first", JOBS)
    fill(database, "second", JOBS)
    with database.writing() as writing:
        for statement in (
            "UPDATE jobs SET state = 'failed', request_id = 'req-' || id WHERE id % 2",
            "UPDATE jobs SET state = 'succeeded', attempt = 1 WHERE id % 10 = 0",
            f"{FILES} SELECT id, 1, 0, 'u', 'black' FROM jobs WHERE id % 10 = 0",
            # Of an attempt that was not the last: nothing to complain of.
            f"{FILES} SELECT id, 0, 0, 'u', 'black' FROM jobs WHERE id % 20 = 10",
            'UPDATE jobs SET tags = \'["a", "b"]\' WHERE id % 3 = 0',
            "DELETE FROM tallies",
            "INSERT INTO tallies SELECT batch_id, state, count(*) FROM jobs GROUP BY 1, 2",
        ):
            writing.exec_driver_sql(statement)
    with database.reading() as reading:
        yield reading


def plans(connection: Connection, ask: Callable[[], object]) -> list[str]:
    """How SQLite goes about every statement that ``ask`` makes, one line a step."""
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return [
        str(row[3])
        for statement, values in asked
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    ]


READS: dict[str, Callable[[Reader], object]] = {
    "suspects": lambda c: views.with_suspects(c, views.all_batches(c)),
    "first page": lambda c: views.page(c, Filter(), limit=5),
    "later page": lambda c: views.page(c, Filter(), after_id=70, limit=5),
    "failed": lambda c: views.page(c, Filter(states=[State.FAILED]), limit=5),
    "two states": lambda c: views.page(c, Filter(states=[State.FAILED, State.PENDING]), limit=5),
    "none of these": lambda c: views.page(c, Filter(states=[State.UNKNOWN]), limit=5),
    "of a batch": lambda c: views.page(c, Filter([2], [State.FAILED]), limit=5),
    "suspect": lambda c: views.page(c, Filter(suspect=True), limit=5),
    "why jobs failed": lambda c: list(failures.of_batches(c, [1, 2], 5)),
    "by id": lambda c: views.find(c, "7"),
    "by key": lambda c: views.find(c, "seed7", [1]),
    "by request": lambda c: views.find(c, "req-7"),
    "detail": lambda c: views.detail(c, 7),
    "batch by name": lambda c: views.page(c, Filter([2]), limit=5),
    "every id of a state": lambda c: views.ids(c, Filter([1], [State.FAILED])),
    "tagged, of a state": lambda c: views.page(c, Filter((), [State.FAILED], tags=["a"])),
    "how many are tagged": lambda c: views.how_many(c, Filter([1], [State.FAILED], tags=["a"])),
    "suspect and tagged": lambda c: views.page(c, Filter(suspect=True, tags=["a"]), limit=5),
    "suspect of a batch": lambda c: views.page(c, Filter([2], suspect=True), limit=5),
}


class Noted:
    """A connection without SQLAlchemy, and how SQLite goes about what it is asked."""

    def __init__(self, connection: Reader) -> None:
        self._connection = connection
        self.steps: list[str] = []

    def exec_driver_sql(self, statement: str, parameters: Mapping[str, Any], /) -> Iterable[Any]:
        plan = self._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        self.steps += [str(row[3]) for row in plan]
        return self._connection.exec_driver_sql(statement, parameters)


@pytest.mark.parametrize("name", READS)
def test_no_read_for_people_goes_through_every_job(
    name: str, connection: Connection, database: Database
) -> None:
    with reading(str(database)) as bare:
        noted = Noted(bare)
        READS[name](noted)
    assert noted.steps
    goes_by_indexes(noted.steps)
    assert plans(connection, lambda: READS[name](connection)) == noted.steps


def test_failures_are_not_looked_for_among_every_job(connection: Connection) -> None:
    goes_by_indexes(plans(connection, lambda: list(failures.of_batches(connection, [1, 2], 5))))


def goes_by_indexes(steps: Sequence[str]) -> None:
    of_jobs = [step for step in steps if " jobs" in step]
    assert all(step.startswith("SEARCH jobs USING") for step in of_jobs), steps
    # Whoever knows no more than the batch reads all of its jobs.
    assert not [step for step in of_jobs if step.endswith("(batch_id=?)")], steps
    assert not [step for step in steps if "ORDER BY" in step], steps


def test_a_fingerprint_is_found_by_its_beginning_in_an_index(connection: Connection) -> None:
    known = views.page(connection, Filter(), after_id=6, limit=1)[0].fingerprint
    steps = plans(connection, lambda: views.find(connection, known[:12], [1]))
    assert any("batch_id=? AND fingerprint>? AND fingerprint<?" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN jobs")], steps


@pytest.mark.parametrize("limit", [1, 3, 7, 500])
@pytest.mark.parametrize(
    "which",
    [
        Filter(),
        Filter(states=[State.FAILED]),
        Filter(states=[State.FAILED, State.SUCCEEDED]),
        Filter([2]),
        Filter([2], [State.PENDING]),
        Filter(states=[State.UNKNOWN]),
        Filter(suspect=True),
        Filter(states=[State.SUCCEEDED], suspect=True),
        Filter(states=[State.FAILED], suspect=True),
        Filter([2], suspect=True),
        Filter(tags=["a", "c"]),
        Filter(tags=["c"]),
        Filter([2], tags=["b"]),
        Filter([2, 1], [State.FAILED, State.FAILED], tags=["a"]),
        Filter(suspect=True, tags=["a"]),
    ],
    ids=str,
)
def test_pages_are_whole_and_in_order(which: Filter, limit: int, connection: Connection) -> None:
    expected = [
        job.id
        for job in views.every(connection, Filter())
        if not (which.states and job.state not in which.states)
        and not (which.batch_ids == [2] and job.batch != "second")
        and not (which.suspect and job.suspect is None)
        and not (which.tags and not set(which.tags) & set(job.tags))
    ]
    found, last = [], 0
    while page := views.page(connection, which, after_id=last, limit=limit):
        assert len(page) <= limit
        found += [job.id for job in page]
        last = found[-1]
    assert found == expected
    assert views.ids(connection, which) == expected
    assert views.how_many(connection, which) == len(expected)
    some = [job.id for job in views.every(connection, which, after_id=30, limit=limit)]
    assert some == [each for each in expected if each > 30][:limit]


def test_only_the_files_that_a_job_succeeded_with_make_it_suspect(connection: Connection) -> None:
    batches = views.with_suspects(connection, views.all_batches(connection))
    assert [batch.suspects for batch in batches] == [4, 4]


def test_a_key_of_two_batches_names_no_job_until_a_batch_is_named(connection: Connection) -> None:
    with pytest.raises(NotFound, match="More than one job"):
        views.find(connection, "seed3")
    assert views.find(connection, "seed3", [2]) == JOBS + 4
    with pytest.raises(NotFound, match="no job 'req-3'"):
        views.find(connection, "req-3", [2])


def test_failures_are_read_batch_by_batch_with_the_urls_of_their_newest_attempt(
    database: Database,
) -> None:
    fill(database, "first", 3)
    fill(database, "second", 3)
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'failed', attempt = 2, error = id || '://' WHERE id != 2"
        )
        connection.exec_driver_sql(
            f"{FILES} SELECT id, column1, column2, 'u' || column1 || column2, NULL "
            "FROM jobs, (VALUES (1, 0), (2, 1), (2, 0)) WHERE id IN (1, 2, 5)"
        )
    with database.reading() as connection:
        found = list(failures.of_batches(connection, [1, 2], 4))
        assert [(one.id, one.error, list(one.urls)) for one in found] == [
            (1, "1://", ["u20", "u21"]),
            (3, "3://", []),
            (4, "4://", []),
            (5, "5://", ["u20", "u21"]),
        ]
        assert list(failures.of_batches(connection, [2], 1)) == found[2:3]
        assert list(failures.of_batches(connection, [], 9)) == []
