"""Loading: the same twice, streamed, and all or nothing."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.lifecycle import State
from overnight.store import loading, tally, views
from overnight.store.database import Database, open_database
from tests.unit.test_store_queue import HEADER, Spec, load


def test_loading_twice_adds_nothing(database: Database) -> None:
    assert load(database, 5_000) == loading.Loaded(1, new=5_000, existing=0, repeated=0, gone=0)
    assert load(database, 5_000) == loading.Loaded(1, new=0, existing=5_000, repeated=0, gone=0)
    assert load(database, 5_010).new == 10


def test_what_left_the_manifest_is_counted_and_stays(database: Database) -> None:
    load(database, 10)
    assert load(database, 4) == loading.Loaded(
        1, new=0, existing=4, repeated=0, gone=6, gone_pending=6, gone_waiting=6
    )
    with database.reading() as connection:
        assert views.all_batches(connection)[0].total == 10


def test_inputs_come_back_as_they_went_in(database: Database) -> None:
    load(database, 1)
    with database.reading() as connection:
        [job] = views.page(connection, views.Filter())
    assert job.inputs == {"598_seed": 0, "600_prompt": "Käfig 日本"}
    assert (job.state, job.attempts, job.urls, job.files) == (State.PENDING, 0, [], [])


def test_a_problem_at_the_end_leaves_the_database_as_it_was(database: Database) -> None:
    load(database, 3)

    def specs() -> Iterator[Spec]:
        yield from (Spec(n) for n in range(5_000))
        raise ValueError("line 7")

    with pytest.raises(ValueError, match="line 7"), database.writing() as connection:
        loading.load(connection, HEADER, specs(), now=2.0)
    with database.reading() as connection:
        [batch] = views.all_batches(connection)
        assert batch.total == 3
        assert tally.recount(connection, batch.id) == batch.states


def test_two_jobs_whose_fingerprints_begin_alike_keep_apart(database: Database) -> None:
    twins = [Spec(1, key="same"), Spec(2, key="same")]
    with database.writing() as connection:
        assert loading.load(connection, HEADER, twins, now=1.0).new == 2
        assert loading.load(connection, HEADER, twins, now=1.0).new == 0
        keys = [job.key for job in views.page(connection, views.Filter())]
    assert keys[0] == "same"
    assert keys[1].startswith("same-")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 30), max_size=60), min_size=1, max_size=4))
def test_any_series_of_loads_holds_each_job_once(
    tmp_path_factory: pytest.TempPathFactory, loads: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("loads")
    seen: set[int] = set()
    with open_database(str(folder / "o.db"), create=True) as database:
        for numbers in loads:
            with database.writing() as connection:
                did = loading.load(connection, HEADER, (Spec(n) for n in numbers), now=1.0)
            assert did.new == len(set(numbers) - seen)
            assert did.existing == len(set(numbers) & seen)
            assert did.repeated == len(numbers) - len(set(numbers))
            assert did.gone == len(seen - set(numbers))
            seen |= set(numbers)
        with database.reading() as connection:
            assert tally.recount(connection, 1)[State.PENDING] == len(seen)
