"""A write touches its own job, its own attempt and its own batch, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from overnight.lifecycle import Event, State
from overnight.store import decisions, leases, queue, standing, taking_up, views
from overnight.store.decisions import Resolution
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken
from tests.unit.store_walks import DONE, connection, duplicates, load_canaries, unknown, walk
from tests.unit.test_store_queue import ME, claim, moved

__all__ = ["connection"]
"""A fixture."""

Rows = dict[tuple[str, int, int], tuple[Any, ...]]


def rows_of_others(connection: Connection, job_id: int) -> Rows:
    """Every row of every other job, and every attempt but the newest of this one."""
    found: Rows = {}
    for table, job, number in (
        ("jobs", "id", "0"),
        ("attempts", "job_id", "number"),
        ("artifacts", "job_id", "attempt"),
    ):
        query = f"SELECT {job}, {number}, {table}.* FROM {table}"
        for row in connection.exec_driver_sql(query):
            newest = table == "jobs" or row[1] == 2
            if row[0] != job_id or not newest:
                found[(table, row[0], row[1])] = tuple(row)
    return found


@pytest.fixture
def crowd(connection: Connection) -> list[Job]:
    """Every job in `collecting` in its second attempt, delivered, with a file in each attempt."""
    jobs = claim(connection, 6)
    for job in jobs:
        walked = walk(connection, job, *DONE)
        delivered = queue.delivered(connection, walked, ["old"], 0.5, 3.0)
        assert isinstance(delivered, Job)
        moved(connection, delivered, Event.ATTEMPT_FAILED, error="once")
    crowd = []
    for job in claim(connection, 6, now=4.0):
        real = queue.delivered(connection, walk(connection, job, *DONE), ["new"], None, 4.0)
        assert isinstance(real, Job)
        crowd.append(real)
    return crowd


def _worker_writes(connection: Connection, job: Job) -> None:
    stored = queue.stored(connection, job, queue.Stored(0, "/f", 1, "aa", None), 5.0)
    assert isinstance(stored, Job)
    again = queue.delivered(connection, job, ["newer", "more"], 0.25, 5.0)
    assert isinstance(again, Job)
    moved(connection, again, Event.COLLECTED)


def _user_retries(connection: Connection, job: Job) -> None:
    moved(connection, job, Event.UNCOLLECTABLE, error="no")
    assert queue.retry(connection, [job.id], now=6.0) == {"collecting": 1}


def _user_buys_again(connection: Connection, job: Job) -> None:
    moved(connection, job, Event.ATTEMPTS_EXHAUSTED, error="no")
    assert queue.retry(connection, [job.id], now=6.0) == {"pending": 1}
    assert queue.cancel(connection, [job.id], now=6.0) == {"cancelled": 1}


def _cancelled_on_the_way_back(connection: Connection, job: Job) -> None:
    connection.exec_driver_sql(f"UPDATE jobs SET cancel_requested = 1 WHERE id = {job.id}")
    gone = queue.move(connection, job, Event.ATTEMPT_FAILED, Facts(6.0))
    assert isinstance(gone, Job)
    assert gone.state is State.CANCELLED


@pytest.mark.parametrize("place", [0, 3, 5])
@pytest.mark.parametrize(
    "write",
    [_worker_writes, _user_retries, _user_buys_again, _cancelled_on_the_way_back],
)
def test_a_write_touches_nothing_else(
    connection: Connection, crowd: list[Job], write: Callable[[Connection, Job], None], place: int
) -> None:
    job = crowd[place]
    before = rows_of_others(connection, job.id)
    write(connection, job)
    assert rows_of_others(connection, job.id) == before


def test_a_wish_and_a_resubmit_are_one_jobs_own(connection: Connection) -> None:
    jobs = claim(connection, 6)
    remote = walk(connection, jobs[3], Event.ACCEPTED)
    unsure = moved(connection, jobs[4], Event.UNCERTAIN)
    before = rows_of_others(connection, remote.id)
    queue.cancel(connection, [remote.id], now=5.0)
    assert rows_of_others(connection, remote.id) == before
    before = rows_of_others(connection, unsure.id)
    decisions.resolve(connection, [unsure.id], Resolution.RESUBMIT, now=5.0)
    assert rows_of_others(connection, unsure.id) == before
    # A job that goes back keeps to itself as well, although another one is to be cancelled.
    back = moved(connection, jobs[5], Event.THROTTLED)
    assert back.state is State.PENDING


@pytest.mark.parametrize("resting", [0, 1])
def test_what_is_taken_up_keeps_to_itself(connection: Connection, resting: int) -> None:
    """A job that a person has moved to rest keeps its fence of nobody."""
    jobs = claim(connection, 2)
    rests, goes_on = jobs[resting], jobs[1 - resting]
    moved(connection, rests, Event.REJECTED)
    queue.retry(connection, [rests.id], now=4.0)
    walk(connection, goes_on, Event.ACCEPTED)
    later = 1.0 + leases.LEASE
    fence = leases.take(connection, ME, now=later)
    taken, lost = taking_up.take_up(connection, fence=fence, now=later)
    assert ([job.id for job in taken], lost) == ([goes_on.id], 0)
    assert standing.current(connection, rests.id).fence == queue.NOBODY


def test_an_old_attempt_in_the_same_state_is_refused(connection: Connection) -> None:
    [job] = claim(connection)
    old = walk(connection, job, Event.ACCEPTED)
    moved(connection, old, Event.ATTEMPT_FAILED)
    [job] = [j for j in claim(connection, 6) if j.id == old.id]
    new = walk(connection, job, Event.ACCEPTED)
    assert (old.state, old.fence) == (new.state, new.fence)
    assert queue.move(connection, old, Event.FINISHED, Facts(9.0)) == Overtaken(old.id)
    assert standing.current(connection, new.id).state is State.QUEUED


def test_a_possible_duplicate_is_its_own_batchs(connection: Connection) -> None:
    load_canaries(connection, 0, {"a": [100]})
    [job] = queue.claim(connection, fence=1, batch_id=2, limit=1, now=2.0)
    moved(connection, job, Event.UNCERTAIN)
    decisions.resolve(connection, [job.id], Resolution.RESUBMIT, now=5.0)
    assert [b.possible_duplicates for b in views.all_batches(connection)] == [0, 1]


@pytest.mark.parametrize("event", [Event.REJECTED, Event.ATTEMPTS_EXHAUSTED])
def test_a_retry_of_what_surely_failed_is_no_possible_duplicate(
    connection: Connection, event: Event
) -> None:
    [job] = claim(connection)
    moved(connection, job, event)
    assert queue.retry(connection, [job.id], now=5.0) == {"pending": 1}
    assert duplicates(connection) == 0


def test_how_an_earlier_attempt_ended_says_nothing_of_the_newest(connection: Connection) -> None:
    job = unknown(connection)
    decisions.resolve(connection, [job.id], Resolution.NEVER_ACCEPTED, now=4.0)
    [again] = [j for j in claim(connection, 10) if j.id == job.id]
    moved(connection, again, Event.REJECTED)
    queue.retry(connection, [job.id], now=5.0)
    assert duplicates(connection) == 0


@pytest.mark.parametrize("event", [Event.FINISHED, Event.ATTEMPT_FAILED, Event.TIMED_OUT])
def test_an_old_belief_about_the_state_is_refused(connection: Connection, event: Event) -> None:
    """Same attempt, same worker, another state: before and behind it in the alphabet."""
    [job] = claim(connection)
    queued = walk(connection, job, Event.ACCEPTED)
    now = moved(connection, queued, event)
    assert queue.move(connection, queued, Event.SEEN_RUNNING, Facts(9.0)) == Overtaken(job.id)
    assert queue.move(connection, job, Event.UNCERTAIN, Facts(9.0)) == Overtaken(job.id)
    assert standing.current(connection, job.id).state is now.state
