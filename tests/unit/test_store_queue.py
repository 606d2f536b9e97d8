"""Claims, guards, and the user's own moves, on a real SQLite file."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection

from overnight.lifecycle import Event, ImpossibleTransition, State
from overnight.store import (
    control,
    holding,
    leases,
    loading,
    queue,
    standing,
    taking_up,
    tally,
    views,
)
from overnight.store.database import Database
from overnight.store.errors import AnotherWorker, LeaseLost
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken

ME = leases.Identity("here", 1, 1.0)


class Spec:
    """A job as a manifest would give it."""

    priority, rank, repeat = 0, 0, 1
    tags: tuple[str, ...] = ()
    name: str | None = None
    price: float | None = None

    def __init__(self, n: int, key: str | None = None) -> None:
        self.fingerprint = hashlib.sha256(str(n).encode()).hexdigest()
        self.block, self.provider, self.model = "", "runcomfy", "a/model"
        self.inputs: dict[str, Any] = {"598_seed": n, "600_prompt": "Käfig 日本"}
        self.variables: dict[str, Any] = {"seed": n}
        self.key = key or f"seed{n}-{self.fingerprint[:8]}"


HEADER = loading.Header("night", "/x/jobs.yaml", "0" * 64, {"attempts": 3}, "/x/out")


def load(database: Database, count: int, header: loading.Header = HEADER) -> loading.Loaded:
    with database.writing() as connection:
        return loading.load(connection, header, (Spec(n) for n in range(count)), now=1.0)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """One write transaction over ten pending jobs, with a worker's lease in it."""
    load(database, 10)
    with database.writing() as connection:
        assert leases.take(connection, ME, now=1.0) == 1
        yield connection


def claim(connection: Connection, limit: int = 1, *, now: float = 2.0, fence: int = 1) -> list[Job]:
    return queue.claim(connection, fence=fence, batch_id=1, limit=limit, now=now)


def moved(connection: Connection, job: Job, event: Event, **facts: Any) -> Job:
    result = queue.move(connection, job, event, Facts(3.0, **facts))
    assert isinstance(result, Job)
    return result


def check_tallies(connection: Connection) -> None:
    [batch] = views.all_batches(connection)
    assert dict(batch.states) == tally.recount(connection, batch.id)


def test_a_claim_makes_the_intent_durable_with_an_attempt(connection: Connection) -> None:
    jobs = claim(connection, 3)
    assert [job.state for job in jobs] == [State.SUBMITTING] * 3
    assert [job.attempt for job in jobs] == [1] * 3
    assert len({job.submit_key for job in jobs}) == 3
    for job in jobs:
        [attempt] = views.detail(connection, job.id).attempts
        assert (attempt.number, attempt.intent_at, attempt.outcome) == (1, 2.0, None)
        assert standing.current(connection, job.id) == _without_key(job)
    check_tallies(connection)


def _without_key(job: Job) -> Job:

    return job._replace(submit_key="")


def test_a_job_is_claimed_once(connection: Connection) -> None:
    assert len(claim(connection, 7)) == 7
    assert len(claim(connection, 7)) == 3
    assert claim(connection, 7) == []


def test_a_job_that_is_not_due_is_not_claimed(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.THROTTLED, not_before=100.0, error="busy")
    assert job.id not in {j.id for j in claim(connection, 10, now=99.0)}
    assert [j.id for j in claim(connection, 10, now=100.0)] == [job.id]


def test_next_due_is_the_earliest_pending_job(connection: Connection) -> None:
    for n, job in enumerate(claim(connection, 10)):
        moved(connection, job, Event.THROTTLED, not_before=50.0 + n)
    assert standing.next_due(connection, [1]) == 50.0
    assert standing.next_due(connection, [2]) is None


def test_a_whole_life_leaves_its_history(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.ACCEPTED, request_id="r-1")
    assert (job.state, job.tries, job.request_id) == (State.QUEUED, 1, "r-1")
    job = moved(connection, job, Event.SEEN_RUNNING)
    job = moved(connection, job, Event.FINISHED)
    delivered = queue.delivered(connection, job, ["https://x/a.mp4"], 0.25, 4.0)
    assert isinstance(delivered, Job)
    stored = queue.Stored(0, "/x/out/a.mp4", 10, "ab" * 32, "video/mp4")
    assert queue.stored(connection, delivered, stored, 5.0) == delivered
    moved(connection, delivered, Event.COLLECTED)
    detail = views.detail(connection, job.id)
    assert detail.job.state is State.SUCCEEDED
    assert (detail.job.urls, detail.job.files) == (["https://x/a.mp4"], ["/x/out/a.mp4"])
    [attempt] = detail.attempts
    assert attempt.outcome == "collected"
    assert (attempt.accepted_at, attempt.running_at, attempt.finished_at) == (3.0, 3.0, 3.0)
    assert (attempt.request_id, attempt.cost) == ("r-1", 0.25)
    check_tallies(connection)


@pytest.mark.parametrize("change", ["state", "attempt", "fence"])
def test_each_part_of_the_guard_refuses_a_stale_write(connection: Connection, change: str) -> None:

    [job] = claim(connection)
    stale = {
        "state": job._replace(state=State.QUEUED, request_id="r"),
        "attempt": job._replace(attempt=job.attempt + 1),
        "fence": job._replace(fence=job.fence + 1),
    }[change]
    event = Event.SEEN_RUNNING if change == "state" else Event.UNCERTAIN
    assert queue.move(connection, stale, event, Facts(3.0)) == Overtaken(job.id)
    assert standing.current(connection, job.id) == _without_key(job)
    check_tallies(connection)


def test_a_stale_delivery_is_refused(connection: Connection) -> None:

    [job] = claim(connection)
    stale = job._replace(fence=99)
    assert queue.delivered(connection, stale, ["u"], None, 3.0) == Overtaken(job.id)
    assert queue.stored(connection, stale, queue.Stored(0, "p", 1, "", None), 3.0) == Overtaken(
        job.id
    )
    assert views.detail(connection, job.id).artifacts == []


def test_an_impossible_move_is_a_bug(connection: Connection) -> None:
    [job] = claim(connection)
    with pytest.raises(ImpossibleTransition):
        queue.move(connection, job, Event.COLLECTED, Facts(3.0))


def test_uncounted_ends_count_no_try_and_grow_the_backoff(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.THROTTLED, not_before=0.0)
    assert (job.tries, job.deferrals) == (0, 1)
    [job] = [j for j in claim(connection, 10) if j.id == job.id]
    job = moved(connection, job, Event.NOT_SENT, not_before=0.0)
    assert (job.tries, job.deferrals, job.attempt) == (0, 2, 2)
    [job] = claim(connection, 10)
    job = moved(connection, job, Event.ACCEPTED, request_id="r")
    assert (job.tries, job.deferrals) == (1, 0)
    assert views.detail(connection, job.id).job.attempts == 1


def test_a_second_worker_is_refused_and_a_dead_one_replaced(database: Database) -> None:
    alive = leases.Identity.of_this_process()
    with database.writing() as connection:
        first = leases.take(connection, alive, now=100.0)
        with pytest.raises(AnotherWorker, match=str(alive.pid)):
            leases.take(connection, alive, now=101.0)
        # Frozen: the process lives, but its lease has run out.
        later = 100.0 + leases.LEASE
        second = leases.take(connection, alive, now=later)
        assert second > first
        with pytest.raises(LeaseLost):
            leases.beat(connection, first, now=later)
        leases.beat(connection, second, now=later + 1)
        assert holding.holder(connection, later + 2) == holding.Holder(
            second, alive.host, alive.pid
        )
        leases.release(connection, second, later + 2)
        assert holding.holder(connection, later + 2) is None


def test_a_killed_worker_is_replaced_at_once(database: Database) -> None:
    me = leases.Identity.of_this_process()
    dead = leases.Identity(me.host, me.pid, me.process_started - 1000)
    with database.writing() as connection:
        leases.take(connection, dead, now=100.0)
        assert leases.take(connection, me, now=100.5) == 2


def test_a_worker_on_another_machine_is_believed_until_its_lease_ends(database: Database) -> None:
    with database.writing() as connection:
        leases.take(connection, leases.Identity("elsewhere", 1, 1.0), now=100.0)
        with pytest.raises(AnotherWorker, match="elsewhere"):
            leases.take(connection, ME, now=100.0 + leases.LEASE - 1)
        assert leases.take(connection, ME, now=100.0 + leases.LEASE) == 2


def test_taking_over_makes_submitting_unknown_and_keeps_the_rest(connection: Connection) -> None:
    submitting, queued, collecting = claim(connection, 3)
    queued = moved(connection, queued, Event.ACCEPTED, request_id="r-q")
    collecting = moved(connection, collecting, Event.ACCEPTED, request_id="r-c")
    collecting = moved(connection, collecting, Event.FINISHED)
    second = leases.take(connection, ME, now=1.0 + leases.LEASE)
    look = control.look(connection, fence=second, batch_ids=[1], now=100.0)
    assert {job.id: job.state for job in look.taken} == {
        queued.id: State.QUEUED,
        collecting.id: State.COLLECTING,
    }
    assert look.lost == 1
    lost = views.detail(connection, submitting.id)
    assert lost.job.state is State.UNKNOWN
    assert lost.attempts[0].outcome == "uncertain"
    # What the first worker still believes is refused from now on.
    assert isinstance(queue.move(connection, queued, Event.FINISHED, Facts(9.0)), Overtaken)
    with pytest.raises(LeaseLost):
        claim(connection, fence=1)
    again = control.look(connection, fence=second, batch_ids=[1], now=101.0)
    assert (again.taken, again.lost) == ([], 0)
    assert again.batches[0].states == tally.recount(connection, 1)


def test_cancel_stops_what_rests_and_marks_what_is_remote(connection: Connection) -> None:
    remote, collecting = claim(connection, 2)
    remote = moved(connection, remote, Event.ACCEPTED, request_id="r")
    collecting = moved(connection, collecting, Event.ACCEPTED, request_id="r2")
    collecting = moved(connection, collecting, Event.FINISHED)
    everything = views.ids(connection, views.Filter())
    done = queue.cancel(connection, everything, now=5.0)
    assert done == {"cancelled": 8, "asked": 1, "coming": 1}
    assert standing.to_cancel(connection, 1) == [remote.id]
    assert queue.cancel(connection, everything, now=5.0) == {"asked": 1, "coming": 1, "left": 8}
    moved(connection, remote, Event.CANCELLED)
    assert standing.to_cancel(connection, 1) == []
    # What is on its way home is not bought again, should the verdict be a bad one.
    assert moved(connection, collecting, Event.ATTEMPT_FAILED).state is State.CANCELLED
    check_tallies(connection)


def test_the_wish_to_cancel_outlives_a_provider_that_won_t(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.ACCEPTED, request_id="r")
    queue.cancel(connection, [job.id], now=5.0)
    running = moved(connection, job, Event.SEEN_RUNNING)
    assert moved(connection, running, Event.ATTEMPT_FAILED).state is State.CANCELLED


def test_retry_never_buys_what_was_delivered(connection: Connection) -> None:
    delivered, slow, broken, fine = claim(connection, 4)
    delivered = moved(connection, delivered, Event.ACCEPTED, request_id="r-d")
    delivered = moved(connection, delivered, Event.FINISHED)
    with_urls = queue.delivered(connection, delivered, ["u"], None, 4.0)
    assert isinstance(with_urls, Job)
    moved(connection, with_urls, Event.UNCOLLECTABLE, error="no")
    slow = moved(connection, slow, Event.ACCEPTED, request_id="r-s")
    moved(connection, slow, Event.TIMED_OUT, error="slow")
    moved(connection, broken, Event.REJECTED, error="bad")
    fine = moved(connection, fine, Event.ACCEPTED, request_id="r-f")
    chosen = [delivered.id, slow.id, broken.id, fine.id]
    assert queue.retry(connection, chosen, now=6.0) == {
        "collecting": 1,
        "queued": 1,
        "pending": 1,
        "left": 1,
    }
    states = {job.id: job for job in views.page(connection, views.Filter()) if job.id in chosen}
    assert states[delivered.id].state is State.COLLECTING
    assert states[delivered.id].request_id == "r-d"
    assert (states[slow.id].state, states[slow.id].request_id) == (State.QUEUED, "r-s")
    assert (states[broken.id].state, states[broken.id].error) == (State.PENDING, None)
    # Nobody holds them now, so the worker takes them up at its next look.
    look = control.look(connection, fence=1, batch_ids=[1], now=7.0)
    assert {job.id for job in look.taken} == {delivered.id, slow.id}
    check_tallies(connection)


def test_unknown_jobs_are_left_alone_by_cancel_and_retry(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.UNCERTAIN, error="?")
    assert queue.retry(connection, [job.id], now=5.0) == {"left": 1}
    assert queue.cancel(connection, [job.id], now=5.0) == {"left": 1}


def test_a_fresh_delivery_replaces_addresses_and_keeps_files(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.ACCEPTED, request_id="r")
    job = moved(connection, job, Event.FINISHED)
    queue.delivered(connection, job, ["u0", "u1"], None, 4.0)
    queue.stored(connection, job, queue.Stored(0, "/f0", 1, "aa", None), 4.0)
    queue.delivered(connection, job, ["v0", "v1"], None, 5.0)
    files = standing.stored_files(connection, job)
    assert [(files[n].url, files[n].path) for n in (0, 1)] == [("v0", "/f0"), ("v1", None)]


def test_the_hot_queries_use_their_partial_indexes(connection: Connection) -> None:
    plans: list[tuple[str, ClauseElement]] = [
        ("ix_jobs_claimable", queue._IS_CLAIMABLE),
        ("ix_jobs_in_flight (fence<?)", taking_up._ANY_LEFT),
        ("ix_jobs_in_flight (fence<?)", taking_up._LEFT),
        ("ix_jobs_in_flight (fence<?)", taking_up._HOLD),
        ("ix_jobs_cancel_requested", standing._TO_CANCEL),
    ]
    for index, statement in plans:
        query = statement.compile(connection).string
        values = tuple([1] * query.count("?"))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()
        assert index in str(plan), plan
        assert "TEMP B-TREE" not in str(plan), plan
