"""Looking ahead: what a load would do, what is to be paid for, what was, and how long jobs took."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from overnight.lifecycle import Event, State
from overnight.store import comparison, durations, loading, spending, views
from overnight.store.blank import view
from overnight.store.comparison import compare
from overnight.store.database import Database
from overnight.store.spending import Expected
from overnight.store.tables import attempts, jobs, workers
from tests.unit.cli_night import Night


@dataclass(frozen=True)
class Spec:
    """Job ``n`` of a manifest."""

    n: int
    block: str = ""
    model: str = "a/model"
    price: float | None = 0.06
    provider: str = "runcomfy"
    priority: int = 0
    rank: int = 0
    tags: tuple[str, ...] = ()
    repeat: int = 1
    name: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"job{self.n}"

    @property
    def fingerprint(self) -> str:
        return sha256(f"{self.n}".encode()).hexdigest()


def load(database: Database, specs: list[Spec], *, prune: bool = False) -> loading.Loaded:
    header = loading.Header("b", "/m.yaml", "0" * 64, {"concurrency": 2}, "/out")
    with database.writing() as connection:
        return loading.load(connection, header, specs, now=1.0, prune=prune)


def seen(database: Database | None, specs: list[Spec]) -> comparison.Comparison:
    with view(database) as connection:
        return compare(connection, "b", specs)


def expected(jobs: int, dollars: float, unpriced: int = 0) -> Expected:
    about: Any = pytest.approx(dollars)
    return Expected(jobs, about, unpriced)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    first=st.lists(st.integers(0, 30), max_size=40),
    second=st.lists(st.integers(0, 30), max_size=40),
)
def test_a_load_does_what_the_comparison_said(
    first: list[int], second: list[int], database: Database
) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM jobs")
        connection.exec_driver_sql("DELETE FROM tallies")
        connection.exec_driver_sql("DELETE FROM batches")
    load(database, [Spec(n) for n in first])
    specs = [Spec(n, block=f"b{n % 3}") for n in second]
    told = seen(database, specs)
    done = load(database, specs, prune=True)
    for figure in ("new", "existing", "repeated", "gone", "gone_pending"):
        assert getattr(told, figure) == getattr(done, figure)
    assert told.digest == done.digest_of_jobs
    assert sum(block.new + block.existing for block in told.by_block.values()) == len(set(second))
    with database.reading() as connection:
        pending = spending.pending(connection, [done.batch_id])
    left = pending.get(done.batch_id, Expected())
    assert told.to_submit == expected(left.jobs, left.dollars, left.unpriced)


def test_without_a_database_all_is_new() -> None:
    found = seen(None, [Spec(1), Spec(2), Spec(2)])
    assert (found.new, found.existing, found.repeated, found.gone) == (2, 0, 1, 0)
    assert found.to_submit == expected(2, 0.12)


def test_blocks_come_in_the_manifest_s_order_with_their_models_apart() -> None:
    specs = [Spec(1, "z"), Spec(2, "a", "one"), Spec(3, "a", "two", None), Spec(4, "z", price=1.0)]
    found = seen(None, specs)
    assert list(found.by_block) == [("z", "a/model"), ("a", "one"), ("a", "two")]
    assert found.by_block["z", "a/model"].to_submit == expected(2, 1.06)
    assert found.by_block["a", "two"].to_submit == expected(1, 0.0, 1)


def test_prices_are_the_manifest_s_own_and_only_for_what_waits(database: Database) -> None:
    load(database, [Spec(n) for n in range(4)])
    worker = Night(database)
    [first, second, _] = worker.claim(1, 3)
    worker.succeed(first, "req-1")
    worker.move(second, Event.REFUSED)
    found = seen(database, [replace(Spec(n), price=0.5) for n in range(3)])
    assert found.states == {State.PENDING: 1, State.SUBMITTING: 1, State.SUCCEEDED: 1}
    assert found.to_submit == expected(1, 0.5)
    assert found.gone_waiting == found.prunable == expected(1, 0.06)


def test_what_was_submitted_once_is_not_to_be_pruned(database: Database) -> None:
    load(database, [Spec(n) for n in range(3)])
    worker = Night(database)
    refused, failed = worker.claim(1, 2)
    worker.move(refused, Event.REFUSED)  # surely not accepted
    worker.move(worker.move(failed, Event.ACCEPTED, request_id="r"), Event.ATTEMPT_FAILED)
    found = seen(database, [])
    assert (found.gone_waiting.jobs, found.prunable.jobs) == (3, 2)
    assert load(database, [], prune=True).pruned == 2


def test_what_was_spent_is_what_the_provider_told_else_what_was_expected(
    database: Database,
) -> None:
    load(database, [Spec(1), Spec(2), Spec(3, price=None), Spec(4), Spec(5)])
    worker = Night(database)
    told, untold, unpriced, refused = worker.claim(1, 4)
    worker.succeed(told, "req-1")  # the provider tells $0.05
    worker.move(untold, Event.ACCEPTED, request_id="req-2")
    worker.move(unpriced, Event.UNCERTAIN)
    worker.move(refused, Event.NOT_SENT)
    with database.reading() as connection:
        assert spending.spent(connection, 1) == expected(3, 0.11, 1)
        assert spending.pending(connection, [1]) == {1: expected(2, 0.12)}
        assert spending.pending_by_model(connection, [1]) == {"a/model": 2}
        assert spending.spent(connection, 7) == Expected()


def test_a_duration_is_that_of_succeeded_attempts_of_the_model(database: Database) -> None:
    load(database, [Spec(1), Spec(2), Spec(3, model="other/model")])
    worker = Night(database)
    for at, job in enumerate(worker.claim(1, 2)):
        worker.succeed(job, f"req-{at}")
    with database.reading() as connection:
        found = durations.typical(connection, ["a/model", "other/model"])
    assert found == {"a/model": durations.Typical(1.0, 2)}


def test_what_succeeded_last_is_remembered_the_oldest_first(database: Database) -> None:
    load(database, [Spec(n, inputs={"steps": n}) for n in range(1, 6)])
    worker = Night(database)
    *done, failed, damaged = worker.claim(1, 5)
    for job in [*done, damaged]:
        worker.succeed(job, f"req-{job.id}")
    worker.move(worker.move(failed, Event.ACCEPTED, request_id="r"), Event.ATTEMPT_FAILED)
    with database.writing() as connection:
        connection.execute(update(jobs).where(jobs.c.id == damaged.id).values(inputs="{"))
        for job in [*done, damaged]:
            times = {"accepted_at": 10.0, "finished_at": 10.0 + job.id, "intent_at": float(job.id)}
            connection.execute(update(attempts).where(attempts.c.job_id == job.id).values(times))
    with database.reading() as connection:
        found = durations.newest(connection, most=100)
        last = durations.newest(connection, most=2)
    assert found == [durations.Past("a/model", job.inputs, float(job.id)) for job in done]
    assert last == found[-1:], "of the two newest successes one can't be read"


def test_a_job_that_another_worker_took_up_says_nothing_of_how_long_jobs_take(
    database: Database,
) -> None:
    load(database, [Spec(n) for n in range(3)])
    night = Night(database)
    for job in night.claim(1, 2):
        night.succeed(job, f"req-{job.id}")
    with database.writing() as connection:
        beginnings = {"started_at": 5_000.0, "heartbeat_at": 5_000.0, "ended_at": 6_000.0}
        worker = {"host": "h", "pid": 1, "process_started": 1.0, "version": "1"} | beginnings
        connection.execute(workers.insert().values(worker))
        for job_id, finished in ((1, 4_999.0), (2, 5_001.0)):
            times = {"accepted_at": 4_900.0, "finished_at": finished}
            connection.execute(update(attempts).where(attempts.c.job_id == job_id).values(times))
    with database.reading() as connection:
        found = durations.newest(connection, most=100)
    assert [each.seconds for each in found] == [99.0]


def test_when_a_job_was_accepted_is_told_of_those_that_were(database: Database) -> None:
    load(database, [Spec(n) for n in range(3)])
    worker = Night(database)
    first, second, submitting = worker.claim(1, 3)
    worker.move(worker.move(first, Event.ACCEPTED, request_id="r1"), Event.SEEN_RUNNING)
    worker.move(second, Event.NOT_SENT)
    with database.reading() as connection:
        found = durations.accepted(connection, [first.id, second.id, submitting.id])
    assert found == {first.id: 2_001.0}


def test_looking_ahead_writes_nothing(database: Database) -> None:
    load(database, [Spec(n) for n in range(3)])
    before = database.path.read_bytes()
    wal = database.path.with_name(f"{database.path.name}-wal")
    log = wal.read_bytes()
    seen(database, [Spec(n) for n in range(2, 9)])
    with database.reading() as connection:
        assert len(views.all_batches(connection)) == 1
    assert (database.path.read_bytes(), wal.read_bytes()) == (before, log)
