"""What a worker takes up of what another one left, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from overnight.lifecycle import Event, State
from overnight.store import leases, loading, queue, standing, taking_up, tally, views
from overnight.store.database import Database
from tests.unit.test_store_queue import ME, Spec, claim, load, moved

LATER = 1.0 + leases.LEASE


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """One write transaction over forty pending jobs, with a worker's lease in it."""
    load(database, 40)
    with database.writing() as connection:
        assert leases.take(connection, ME, now=1.0) == 1
        yield connection
        for batch in views.all_batches(connection):
            assert tally.recount(connection, batch.id) == batch.states


def left_behind(
    connection: Connection, *, queued: int, submitting: int, fence: int = 1
) -> list[int]:
    """Jobs of a worker that is gone; the ids of those that were being submitted."""
    for job in claim(connection, queued, fence=fence):
        moved(connection, job, Event.ACCEPTED, request_id=f"r{job.id}")
    return [job.id for job in claim(connection, submitting, fence=fence)]


def taken_up(connection: Connection) -> tuple[list[int], int]:
    fence = leases.take(connection, ME, now=LATER)
    taken, lost = taking_up.take_up(connection, fence=fence, now=LATER)
    for job in taken:
        assert job == standing.current(connection, job.id)
        assert job.fence == fence
    return [job.id for job in taken], lost


def test_each_doubtful_job_has_its_reason_in_its_own_attempt(connection: Connection) -> None:
    doubtful = left_behind(connection, queued=5, submitting=3)
    taken, lost = taken_up(connection)
    assert (len(taken), lost) == (5, 3)
    for job_id in doubtful:
        found = views.detail(connection, job_id)
        assert (found.job.state, found.job.error) == (State.UNKNOWN, taking_up.CUT_SHORT)
        assert found.job.updated_at == LATER
        [attempt] = found.attempts
        assert (attempt.outcome, attempt.ended_at) == (Event.UNCERTAIN, LATER)
        assert attempt.error == taking_up.CUT_SHORT
    for job_id in taken:
        [attempt] = views.detail(connection, job_id).attempts
        assert (attempt.outcome, attempt.ended_at, attempt.error) == (None, None, None)


def test_only_the_newest_attempt_is_in_doubt(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.THROTTLED, error="slower, please")
    [again] = [found for found in claim(connection, 40) if found.id == job.id]
    assert again.attempt == 2
    taken_up(connection)
    first, second = views.detail(connection, job.id).attempts
    assert (first.outcome, first.error) == (Event.THROTTLED, "slower, please")
    assert second.outcome == Event.UNCERTAIN


def test_the_figures_of_every_batch_follow(connection: Connection) -> None:
    header = loading.Header("other", "/x/other.yaml", "1" * 64, {}, "/x/other")
    loading.load(connection, header, (Spec(n) for n in range(4)), now=1.0)
    left_behind(connection, queued=1, submitting=2)
    queue.claim(connection, fence=1, batch_id=2, limit=3, now=2.0)
    _, lost = taken_up(connection)
    unknown = [batch.states[State.UNKNOWN] for batch in views.all_batches(connection)]
    assert (lost, unknown) == (5, [2, 3])


def test_a_wish_to_cancel_stays_with_the_job(connection: Connection) -> None:
    [doubtful] = left_behind(connection, queued=1, submitting=1)
    [going_on] = views.ids(connection, views.Filter(states=[State.QUEUED]))
    queue.cancel(connection, [doubtful, going_on], now=5.0)
    taken_up(connection)
    assert standing.current(connection, doubtful).cancel_requested
    assert going_on in standing.to_cancel(connection, 2)


def test_who_holds_everything_has_nothing_to_take_up(connection: Connection) -> None:
    left_behind(connection, queued=2, submitting=1)
    assert not taking_up.is_due(connection, 1)
    fence = leases.take(connection, ME, now=LATER)
    assert taking_up.is_due(connection, fence)
    taking_up.take_up(connection, fence=fence, now=LATER)
    assert not taking_up.is_due(connection, fence)


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database in the block; one statement for many rows counts once."""
    sent: list[str] = []

    def record(*of_it: Any) -> None:
        sent.append(of_it[2])

    event.listen(connection, "before_cursor_execute", record)
    yield sent
    event.remove(connection, "before_cursor_execute", record)


@pytest.mark.parametrize("submitting", [0, 2])
def test_many_jobs_cost_no_more_statements_than_few(
    connection: Connection, submitting: int
) -> None:
    costs, fence = [], 1
    for each in (1, 4):
        left_behind(connection, queued=4 * each, submitting=submitting * each, fence=fence)
        fence = leases.take(connection, ME, now=each * LATER)
        with statements(connection) as sent:
            taken, lost = taking_up.take_up(connection, fence=fence, now=LATER)
        assert lost == submitting * each
        costs.append(len(sent))
    assert len(taken) == 20
    assert costs[0] == costs[1]
