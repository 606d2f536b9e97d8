"""What is kept of the calls of an attempt: with the transitions, added to, never taken away."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from overnight.lifecycle import Event
from overnight.store import decisions, queue, views
from overnight.store.decisions import Resolution
from overnight.store.history import Heard
from overnight.store.job import Job
from overnight.store.rows import AttemptRow
from tests.unit.store_walks import connection
from tests.unit.test_store_queue import claim, moved

__all__ = ["connection"]
"""A fixture."""

OK = Heard("submit", 200, 0.4)


def attempts(connection: Connection, job: Job) -> list[AttemptRow]:
    return list(views.detail(connection, job.id).attempts)


def test_a_submit_leaves_its_status_its_length_and_its_end(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.ACCEPTED, request_id="r", heard=OK)
    [attempt] = attempts(connection, job)
    assert (attempt.submit_status, attempt.submit_seconds, attempt.answered_at) == (200, 0.4, 3.0)
    assert (attempt.last_call, attempt.last_status) == ("submit", 200)
    assert (attempt.calls, attempt.unanswered, attempt.error_code) == (0, 0, None)


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        (Event.REJECTED, Heard("submit", 422, 0.1, "422001")),
        (Event.THROTTLED, Heard("submit", 429, 0.1, "busy")),
        (Event.NOT_SENT, Heard("submit", None, 10.0)),
        (Event.UNCERTAIN, Heard("submit", None, 31.2)),
        (Event.UNCERTAIN, Heard("submit", 503, 31.2)),
    ],
)
def test_a_submit_that_goes_wrong_is_told_as_it_was(
    connection: Connection, event: Event, heard: Heard
) -> None:
    [job] = claim(connection)
    moved(connection, job, event, heard=heard, error="no")
    [attempt] = attempts(connection, job)
    assert attempt.submit_status == heard.status
    assert (attempt.submit_seconds, attempt.error_code) == (heard.seconds, heard.code)
    assert (attempt.outcome, attempt.answered_at) == (event, 3.0)


def test_free_calls_are_added_up_and_the_newest_is_told(connection: Connection) -> None:
    [job] = claim(connection)
    steps: list[tuple[Event, Heard | None]] = [
        (Event.ACCEPTED, OK),
        (Event.SEEN_RUNNING, Heard("status", 200, 0.1, None, calls=3, unanswered=1)),
        (Event.SEEN_QUEUED, None),
        (Event.FINISHED, Heard("status", 200, 0.1, None, calls=2)),
        (Event.ATTEMPT_FAILED, Heard("result", 200, 0.1, "500007", calls=1)),
    ]
    for event, heard in steps:
        request = {"request_id": "r"} if event is Event.ACCEPTED else {}
        job = moved(connection, job, event, heard=heard, **request)
    [attempt] = attempts(connection, job)
    assert (attempt.calls, attempt.unanswered) == (6, 1)
    assert (attempt.last_call, attempt.last_status) == ("result", 200)
    assert (attempt.error_code, attempt.submit_status) == ("500007", 200)
    assert (attempt.running_at, attempt.finished_at, attempt.ended_at) == (3.0, 3.0, 3.0)


def test_a_second_attempt_leaves_the_first_as_it_was(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.THROTTLED, heard=Heard("submit", 429, 0.1, "busy"))
    [first] = attempts(connection, job)
    [job] = [one for one in claim(connection, 9) if one.id == job.id]
    moved(connection, job, Event.ACCEPTED, request_id="r", heard=OK)
    kept, second = attempts(connection, job)
    assert kept == first
    assert (second.submit_status, second.error_code) == (200, None)


def test_calls_that_nobody_knows_the_name_of_are_counted(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.ACCEPTED, request_id="r", heard=OK)
    moved(connection, job, Event.FINISHED, heard=Heard(calls=4))
    [attempt] = attempts(connection, job)
    assert (attempt.calls, attempt.last_call) == (4, "submit")


def test_a_cost_leaves_the_counts_alone(connection: Connection) -> None:
    [job] = claim(connection)
    job = moved(connection, job, Event.ACCEPTED, request_id="r", heard=OK)
    job = moved(connection, job, Event.FINISHED, heard=Heard("status", 200, calls=2))
    queue.delivered(connection, job, ["u"], 0.5, 4.0)
    [attempt] = attempts(connection, job)
    assert (attempt.cost, attempt.calls) == (0.5, 2)


def test_a_refused_write_records_nothing(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.ACCEPTED, request_id="r", heard=OK)
    facts: dict[str, Any] = {"heard": Heard("submit", 500, 9.0, "late")}
    stale = queue.move(connection, job, Event.UNCERTAIN, queue.Facts(9.0, **facts))
    assert isinstance(stale, queue.Overtaken)
    assert attempts(connection, job)[0].submit_status == 200


def test_an_adopted_job_keeps_how_its_submit_ended(connection: Connection) -> None:
    [job] = claim(connection)
    moved(connection, job, Event.UNCERTAIN, heard=Heard("submit", None, 31.2), error="?")
    decisions.resolve(connection, [job.id], Resolution.ADOPT, now=50.0, request_id="found")
    [attempt] = attempts(connection, job)
    assert (attempt.accepted_at, attempt.answered_at) == (50.0, 3.0)
    assert (attempt.submit_status, attempt.submit_seconds) == (None, 31.2)
