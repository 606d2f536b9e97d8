"""What a later load changes, cancels, keeps and leaves alone; and what a comparison foretells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from overnight.lifecycle import Event, State
from overnight.store import loading, names, queue, sorting, spending, tally, views
from overnight.store.comparison import compare
from overnight.store.database import Database, open_database
from overnight.store.spending import Expected
from tests.unit.store_walks import DONE, connection, walk
from tests.unit.test_store_queue import HEADER, Spec, claim, moved

__all__ = ["connection"]
"""A fixture."""


class Wanted(Spec):
    """A job with what is no part of its identity."""

    def __init__(self, n: int, **more: Any) -> None:
        super().__init__(n)
        vars(self).update(more)


def again(connection: Connection, *specs: Spec, prune: bool = False) -> loading.Loaded:
    return loading.load(connection, HEADER, specs, now=9.0, prune=prune)


def row(connection: Connection, job_id: int, *columns: str) -> tuple[Any, ...]:
    names = ", ".join(columns)
    query = f"SELECT {names} FROM jobs WHERE id = ?"
    return tuple(connection.exec_driver_sql(query, (job_id,)).one())


FOLLOWING = ("priority", "rank", "tags", "price", "file_name")
NEW = {"priority": 5, "rank": 7, "tags": ("a", "ü"), "price": 0.25, "name": "x/y"}


# --- what follows ---------------------------------------------------------------------------------


def test_a_new_job_is_stored_with_all_that_its_manifest_says(connection: Connection) -> None:
    assert again(connection, Wanted(99, repeat=3, **NEW)).new == 1
    assert row(connection, 7, *FOLLOWING, "repeat") == (5, 7, '["a","ü"]', 0.25, "x/y", 3)
    [job] = [job for job in views.page(connection, views.Filter()) if job.id == 7]
    assert (job.tags, job.repeat, job.price) == (("a", "ü"), 3, 0.25)


def test_a_waiting_job_follows_its_manifest(connection: Connection) -> None:
    assert again(connection, Wanted(0, **NEW)).changed == 1
    assert row(connection, 1, *FOLLOWING) == (5, 7, '["a","ü"]', 0.25, "x/y")
    assert again(connection, Spec(0)).changed == 1
    assert row(connection, 1, *FOLLOWING) == (0, 0, None, None, None)
    assert again(connection, Spec(0)).changed == 0


def test_a_job_on_its_way_follows_in_its_labels_alone(connection: Connection) -> None:
    [job] = claim(connection)
    again(connection, Wanted(0, **NEW))
    assert row(connection, job.id, *FOLLOWING) == (0, 0, '["a","ü"]', None, None)
    # Nothing of what the worker guards its writes by has changed.
    moved(connection, job, Event.ACCEPTED, request_id="r")


def test_a_name_stays_once_a_file_has_it(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, *DONE)
    queue.delivered(connection, job, ["u"], None, 4.0)
    queue.stored(connection, job, queue.Stored(0, "/x/out/k.mp4", 1, "aa", None), 4.0)
    moved(connection, job, Event.CANCELLED)
    queue.retry(connection, [job.id], now=5.0)
    again(connection, Wanted(0, **NEW))
    assert row(connection, job.id, *FOLLOWING) == (5, 7, '["a","ü"]', 0.25, None)


def test_jobs_go_by_priority_then_by_rank_then_as_they_came(connection: Connection) -> None:
    again(
        connection,
        Wanted(0, rank=2),
        Wanted(1, rank=1),
        Wanted(2, rank=9, priority=1),
        Wanted(3, rank=1),
    )
    assert [job.id for job in claim(connection, 6)] == [3, 5, 6, 2, 4, 1]


# --- what is written ------------------------------------------------------------------------------


def test_loading_the_same_again_writes_no_job(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TEMP TABLE touched (id)")
    for verb in ("INSERT", "UPDATE"):
        connection.exec_driver_sql(
            f"CREATE TEMP TRIGGER on_{verb} AFTER {verb} ON jobs "
            "BEGIN INSERT INTO touched VALUES (new.id); END"
        )
    specs = [Spec(n) for n in range(6)]
    assert again(connection, *specs).existing == 6
    assert connection.exec_driver_sql("SELECT count(*) FROM touched").scalar() == 0
    again(connection, *specs, Spec(6))
    assert connection.exec_driver_sql("SELECT id FROM touched").scalars().all() == [7]


def test_a_repeat_is_seen_within_a_chunk_and_across_chunks(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "CHUNK", 3)
    numbers = [0, 0, 90, 90, 1, 90, 0, 91]
    did = again(connection, *map(Spec, numbers))
    assert (did.new, did.existing, did.repeated, did.gone) == (2, 2, 4, 4)


def test_the_digest_is_that_of_the_fingerprints_in_their_order(connection: Connection) -> None:
    specs = [Spec(1), Spec(70), Spec(1)]
    wanted = hashlib.sha256("".join(f"{s.fingerprint}\n" for s in specs).encode()).hexdigest()
    assert compare(connection, "night", specs).digest == wanted
    assert again(connection, *specs).digest_of_jobs == wanted
    assert again(connection, *reversed(specs[:2])).digest_of_jobs != wanted


def test_what_was_drawn_and_checked_is_kept_for_later_loads(connection: Connection) -> None:
    assert loading.drawn(connection, "nobody") is None
    first = replace(HEADER, draws={"seed": [7, 9]}, schemas={"m": "1" * 64})
    loading.load(connection, first, [], now=2.0)
    assert loading.drawn(connection, "night") == {"seed": [7, 9]}
    # An axis that was taken out for a while comes back as it was.
    second = replace(HEADER, draws={"cfg": [1.5]}, schemas={"m": "2" * 64}, output={"download": 2})
    loading.load(connection, second, [], now=3.0)
    assert loading.drawn(connection, "night") == {"seed": [7, 9], "cfg": [1.5]}
    assert loading.schemas(connection, "night") == {"m": "2" * 64}
    assert views.all_batches(connection)[0].output == {"download": 2}


# --- what is gone ---------------------------------------------------------------------------------


def test_pruning_cancels_what_waits_and_was_never_submitted(connection: Connection) -> None:
    running, failed, throttled = claim(connection, 3)
    walk(connection, running, *DONE[:2])
    # Both wait again; one was paid for before, the other was only turned away.
    walk(connection, failed, *DONE, Event.ATTEMPT_FAILED)
    moved(connection, throttled, Event.THROTTLED)
    told = compare(connection, "night", [Spec(5)])
    assert (told.gone, told.gone_pending, told.gone_waiting.jobs) == (5, 3, 4)
    did = again(connection, Spec(5))
    assert (did.gone, did.gone_pending, did.pruned) == (5, 3, 0)
    did = again(connection, Spec(5), prune=True)
    assert (did.gone, did.gone_pending, did.pruned) == (5, 3, 3)
    states = {job.id: job.state for job in views.page(connection, views.Filter())}
    assert states == {
        1: State.RUNNING,
        2: State.PENDING,
        3: State.CANCELLED,
        4: State.CANCELLED,
        5: State.CANCELLED,
        6: State.PENDING,
    }
    assert tally.recount(connection, 1) == views.all_batches(connection)[0].states
    assert again(connection, Spec(5), prune=True).pruned == 0


NUMBERS = st.lists(st.integers(0, 25), max_size=40)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NUMBERS, min_size=1, max_size=3), st.booleans())
def test_a_comparison_foretells_its_load(
    tmp_path_factory: pytest.TempPathFactory, loads: list[list[int]], prune: bool
) -> None:
    path = tmp_path_factory.mktemp("compared") / "o.db"
    with open_database(str(path), create=True) as database:
        for numbers in loads:
            with database.reading() as connection:
                told = compare(connection, "night", map(Spec, numbers))
            with database.writing() as connection:
                did = loading.load(connection, HEADER, map(Spec, numbers), now=1.0, prune=prune)
            assert (told.new, told.existing, told.repeated, told.gone, told.gone_pending) == (
                *(did.new, did.existing, did.repeated, did.gone, did.gone_pending),
            )
            assert told.digest == did.digest_of_jobs


# --- finding them ---------------------------------------------------------------------------------


def test_jobs_are_found_by_their_tags(database: Database) -> None:
    tags = [("draft",), ("final", "draft"), (), ("dra",), ('a"b',)]
    with database.writing() as connection:
        specs = [Wanted(n, tags=some) for n, some in enumerate(tags)]
        loading.load(connection, HEADER, specs, now=1.0)

        def found(*wanted: str) -> list[int]:
            which = views.Filter(tags=wanted)
            rows = [job.id for job in views.every(connection, which)]
            assert views.ids(connection, which) == rows
            assert views.how_many(connection, which) == len(rows)
            return rows

        assert found("draft") == [1, 2]
        assert found("final", "dra") == [2, 4]
        assert found('a"b') == [5]
        assert found("none") == []


@pytest.fixture
def files(connection: Connection) -> Iterator[Connection]:
    [job] = claim(connection)
    job = walk(connection, job, *DONE)
    queue.delivered(connection, job, ["u", "v"], None, 4.0)
    queue.stored(connection, job, queue.Stored(0, "/out/a/b.mp4", 1, "aa", None), 4.0)
    yield connection


@pytest.mark.parametrize(
    ("path", "taken"),
    [("/out/a/b", True), ("/out/a", False), ("/out/a/b.mp4", False), ("/out/a/", False)],
)
def test_a_name_is_taken_by_any_file_of_another_job(
    files: Connection, path: str, taken: bool
) -> None:
    assert names.is_taken(files, path, job_id=2) is taken
    assert not names.is_taken(files, path, job_id=1)


def test_looking_for_known_jobs_uses_the_index_of_fingerprints(connection: Connection) -> None:
    text = str(sorting._KNOWN.compile(connection))
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (1, "[]")).all()
    assert "batch_id=? AND fingerprint=?" in str(plan), plan


def test_what_waiting_jobs_will_cost_is_read_off_an_index_alone(connection: Connection) -> None:
    again(connection, Wanted(0, price=0.25), Wanted(1, price=0.5), prune=True)
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    assert spending.pending(connection, [1]) == {1: Expected(2, 0.75)}
    event.remove(connection, "before_cursor_execute", note)
    [(statement, values)] = asked
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert "USING COVERING INDEX ix_jobs_batch_state" in str(plan), plan
