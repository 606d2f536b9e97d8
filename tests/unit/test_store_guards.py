"""What the store refuses, and what outlives a race: each test is a way to lose or pay something."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from overnight.lifecycle import Event, State
from overnight.store import control, decisions, leases, queue, standing, taking_up, views
from overnight.store.database import Database
from overnight.store.decisions import Resolution
from overnight.store.errors import LeaseLost, NotFound
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken
from tests.unit.store_walks import DONE, connection, duplicates, unknown, walk
from tests.unit.test_store_queue import ME, claim, load, moved

__all__ = ["connection"]
"""A fixture."""

# --- a wish to cancel outlives whatever the worker writes meanwhile -------------------------------


@pytest.mark.parametrize("event", [Event.SEEN_RUNNING, Event.FINISHED])
def test_a_wish_to_cancel_is_not_overwritten_by_a_worker_that_has_not_seen_it(
    connection: Connection, event: Event
) -> None:
    [job] = claim(connection)
    job = walk(connection, job, Event.ACCEPTED)
    queue.cancel(connection, [job.id], now=5.0)
    # The worker's own object was read before the wish.
    walk(connection, job, event)
    assert standing.current(connection, job.id).cancel_requested
    # There is nothing to ask a provider that is done with it.
    asked = [] if event is Event.FINISHED else [job.id]
    assert standing.to_cancel(connection, 1) == asked


@pytest.mark.parametrize(
    ("before", "event", "outcome"),
    [
        ([], Event.THROTTLED, "throttled"),
        ([], Event.NOT_SENT, "not_sent"),
        ([Event.ACCEPTED], Event.ATTEMPT_FAILED, "attempt_failed"),
    ],
)
def test_a_job_that_nobody_wants_any_more_is_not_bought_again(
    connection: Connection, before: list[Event], event: Event, outcome: str
) -> None:
    [job] = claim(connection)
    job = walk(connection, job, *before)
    assert queue.cancel(connection, [job.id], now=5.0) == {"asked": 1}
    ended = queue.move(connection, job, event, Facts(6.0, error="so it was"))
    assert isinstance(ended, Job)
    assert (ended.state, ended.fence) == (State.CANCELLED, queue.NOBODY)
    assert ended == standing.current(connection, job.id)
    detail = views.detail(connection, job.id)
    assert (detail.job.state, detail.job.error) == (State.CANCELLED, "so it was")
    assert detail.attempts[0].outcome == outcome
    assert not detail.job.cancel_requested
    assert job.id not in {j.id for j in claim(connection, 10, now=1e9)}


def test_a_job_that_ended_has_nothing_left_to_cancel(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, *DONE[:2])
    queue.cancel(connection, [job.id], now=5.0)
    ended = queue.move(connection, job, Event.ATTEMPTS_EXHAUSTED, Facts(6.0))
    assert isinstance(ended, Job)
    assert not ended.cancel_requested
    assert standing.to_cancel(connection, 1) == []
    assert not standing.current(connection, job.id).cancel_requested


def test_an_unknown_job_that_nobody_wants_is_not_resubmitted_by_a_rule(
    connection: Connection,
) -> None:
    [job] = claim(connection)
    queue.cancel(connection, [job.id], now=5.0)
    moved(connection, job, Event.UNCERTAIN)
    assert decisions.resubmit_unknown(connection, 1, now=6.0) == 0
    # A person who decides about it has the last word.
    decisions.resolve(connection, [job.id], Resolution.RESUBMIT, now=7.0)
    real = standing.current(connection, job.id)
    assert (real.state, real.cancel_requested) == (State.PENDING, False)


def test_a_wish_to_cancel_outlives_the_doubt(connection: Connection) -> None:
    adopted, proved = claim(connection, 2)
    queue.cancel(connection, [adopted.id, proved.id], now=5.0)
    for job in (adopted, proved):
        moved(connection, job, Event.UNCERTAIN)
    decisions.resolve(connection, [adopted.id], Resolution.ADOPT, now=6.0, request_id="found")
    decisions.resolve(connection, [proved.id], Resolution.NEVER_ACCEPTED, now=6.0)
    assert standing.current(connection, proved.id).state is State.CANCELLED
    look = control.look(connection, fence=1, batch_ids=[1], now=7.0)
    assert look.to_cancel == [adopted.id]


def test_a_wish_does_not_reach_the_attempt_that_a_person_bought_after_the_doubt(
    connection: Connection,
) -> None:
    [job] = claim(connection)
    queue.cancel(connection, [job.id], now=5.0)
    moved(connection, job, Event.UNCERTAIN)
    # There is nothing to cancel at the provider, and whoever keeps the id would cancel what is
    # submitted later.
    assert control.look(connection, fence=1, batch_ids=[1], now=6.0).to_cancel == []


def test_a_submit_under_way_can_be_unwanted(connection: Connection) -> None:
    [job] = claim(connection)
    queue.cancel(connection, [job.id], now=5.0)
    assert control.look(connection, fence=1, batch_ids=[1], now=6.0).to_cancel == [job.id]


# --- whoever lost the lease writes nothing --------------------------------------------------------


def test_a_worker_is_refused_from_the_moment_another_takes_the_lease(
    connection: Connection,
) -> None:
    [job] = claim(connection)
    queued = walk(connection, claim(connection)[0], Event.ACCEPTED)
    later = 1.0 + leases.LEASE
    leases.take(connection, ME, now=later)
    # Nothing has been taken up yet, and still:
    assert queue.move(connection, job, Event.ACCEPTED, Facts(later)) == Overtaken(job.id)
    assert queue.move(connection, queued, Event.FINISHED, Facts(later)) == Overtaken(queued.id)
    with pytest.raises(LeaseLost):
        control.look(connection, fence=1, batch_ids=[1], now=later)
    with pytest.raises(LeaseLost):
        taking_up.take_up(connection, fence=1, now=later)
    with pytest.raises(LeaseLost, match="took over"):
        leases.require(connection, 1)


def test_a_worker_that_stopped_holds_nothing(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, Event.ACCEPTED)
    leases.release(connection, 99, 3.0)
    assert standing.current(connection, job.id).fence == 1
    leases.release(connection, 1, 3.0)
    assert standing.current(connection, job.id).fence == queue.NOBODY
    assert queue.move(connection, job, Event.FINISHED, Facts(4.0)) == Overtaken(job.id)


def test_a_submit_key_is_long_enough_to_be_nobody_elses(connection: Connection) -> None:
    keys = {job.submit_key for job in claim(connection, 6)}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}


def test_what_rests_is_not_touched_by_a_new_lease(connection: Connection) -> None:
    [job] = claim(connection)
    walk(connection, job, *DONE, Event.COLLECTED)
    leases.take(connection, ME, now=1.0 + leases.LEASE)
    assert standing.current(connection, job.id).fence == 1


# --- a request belongs to one attempt -------------------------------------------------------------


def test_a_request_of_an_earlier_attempt_is_nobody_elses(connection: Connection) -> None:
    [first] = claim(connection)
    first = walk(connection, first, Event.ACCEPTED, Event.ATTEMPT_FAILED)
    [again] = [job for job in claim(connection, 10) if job.id == first.id]
    moved(connection, again, Event.UNCERTAIN)
    other = standing.current(connection, 2)
    moved(connection, other, Event.UNCERTAIN)
    for job_id, words in ((first.id, "earlier attempt"), (other.id, f"belongs to job {first.id}")):
        with pytest.raises(NotFound, match=words):
            decisions.resolve(
                connection, [job_id], Resolution.ADOPT, now=5.0, request_id=f"r-{first.id}-1"
            )
    adopted = decisions.resolve(connection, [other.id], Resolution.ADOPT, now=5.0, request_id="n")
    assert adopted == {"resolved": 1}
    # Said twice, it is done once.
    again_said = decisions.resolve(
        connection, [other.id], Resolution.ADOPT, now=6.0, request_id="n"
    )
    assert again_said == {"left": 1}


def test_an_adopted_job_goes_on_as_accepted(connection: Connection) -> None:
    job = unknown(connection)
    decisions.resolve(connection, [job.id], Resolution.ADOPT, now=5.0, request_id="found")
    detail = views.detail(connection, job.id)
    assert (detail.job.state, detail.job.request_id) == (State.QUEUED, "found")
    [attempt] = detail.attempts
    assert (attempt.request_id, attempt.accepted_at, attempt.outcome) == ("found", 5.0, None)
    assert standing.current(connection, job.id).tries == 1
    assert [event.text for event in detail.events] == ["adopt found, by hand"]
    assert duplicates(connection) == 0


# --- paid once, unless somebody asked for more ----------------------------------------------------


def test_a_result_that_could_not_be_read_is_read_again_and_not_bought(
    connection: Connection,
) -> None:
    [job] = claim(connection)
    job = walk(connection, job, *DONE, Event.UNCOLLECTABLE)
    assert not job.delivered
    assert queue.retry(connection, [job.id], now=5.0) == {"collecting": 1}
    real = standing.current(connection, job.id)
    assert (real.state, real.request_id) == (State.COLLECTING, f"r-{job.id}-1")


@pytest.mark.parametrize(
    ("how", "counted"),
    [
        (Resolution.RESUBMIT, 1),
        (Resolution.NEVER_ACCEPTED, 0),
        (Resolution.GIVE_UP, 0),
    ],
)
def test_each_resubmit_is_counted_as_a_possible_duplicate(
    connection: Connection, how: Resolution, counted: int
) -> None:
    job = unknown(connection)
    assert decisions.resolve(connection, [job.id], how, now=5.0) == {"resolved": 1}
    assert decisions.resolve(connection, [job.id], how, now=5.0) == {"left": 1}
    assert duplicates(connection) == counted


def test_what_was_given_up_and_is_bought_after_all_counts_as_well(connection: Connection) -> None:
    job = unknown(connection)
    decisions.resolve(connection, [job.id], Resolution.GIVE_UP, now=5.0)
    assert "nobody can tell" in (views.detail(connection, job.id).job.error or "")
    assert queue.retry(connection, [job.id], now=6.0) == {"pending": 1}
    assert duplicates(connection) == 1


def test_a_resubmit_that_was_cancelled_and_retried_counts_once(connection: Connection) -> None:
    job = unknown(connection)
    decisions.resolve(connection, [job.id], Resolution.RESUBMIT, now=5.0)
    queue.cancel(connection, [job.id], now=6.0)
    assert queue.retry(connection, [job.id], now=7.0) == {"pending": 1}
    assert duplicates(connection) == 1


def test_a_job_that_is_left_alone_does_not_stop_those_behind_it(connection: Connection) -> None:
    waiting, broken, unsure = claim(connection, 3)
    moved(connection, waiting, Event.THROTTLED)
    moved(connection, broken, Event.REJECTED)
    moved(connection, unsure, Event.UNCERTAIN)
    chosen = [waiting.id, broken.id, unsure.id]
    assert queue.retry(connection, chosen, now=5.0) == {"left": 2, "pending": 1}
    assert decisions.resolve(connection, chosen, Resolution.GIVE_UP, now=6.0) == {
        "left": 2,
        "resolved": 1,
    }


def test_a_rule_resubmits_each_job_once(connection: Connection) -> None:
    job = unknown(connection)
    assert decisions.resubmit_unknown(connection, 1, now=5.0) == 1
    [again] = [j for j in claim(connection, 10) if j.id == job.id]
    moved(connection, again, Event.UNCERTAIN)
    assert decisions.resubmit_unknown(connection, 1, now=6.0) == 0
    assert duplicates(connection) == 1


def test_a_retry_starts_afresh(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, Event.ACCEPTED)
    moved(connection, job, Event.ATTEMPT_FAILED, not_before=500.0, error="once")
    assert standing.current(connection, job.id).tries == 1
    assert claim(connection, 1, now=400.0)[0].id != job.id
    [job] = [j for j in claim(connection, 10, now=500.0) if j.id == job.id]
    moved(connection, job, Event.REJECTED, error="no")
    queue.retry(connection, [job.id], now=7.0)
    real = standing.current(connection, job.id)
    assert (real.tries, real.deferrals, real.request_id, real.fence) == (0, 0, None, 0)
    assert real.attempt == 2
    assert standing.next_due(connection, [1]) == 0.0


def test_each_resubmit_is_counted_with_its_job(connection: Connection) -> None:
    job = unknown(connection)
    decisions.resolve(connection, [job.id], Resolution.RESUBMIT, now=5.0)
    rows = connection.exec_driver_sql("SELECT resubmits FROM jobs ORDER BY id").scalars().all()
    assert rows == [1, 0, 0, 0, 0, 0]


def test_a_command_reaches_each_of_many_jobs_once(database: Database) -> None:
    load(database, 1_100)
    with database.writing() as connection:
        everything = views.ids(connection, views.Filter())
        assert queue.cancel(connection, everything, now=5.0) == {"cancelled": 1_100}
        assert queue.retry(connection, everything, now=6.0) == {"pending": 1_100}
        assert [job.id for job in queue.by_id(connection, everything)] == everything


# --- history --------------------------------------------------------------------------------------


def test_the_first_time_that_a_job_is_seen_running_is_kept(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, Event.ACCEPTED)
    for at, event in ((10.0, Event.SEEN_RUNNING), (11.0, Event.SEEN_QUEUED)):
        result = queue.move(connection, job, event, Facts(at))
        assert isinstance(result, Job)
        job = result
    queue.move(connection, job, Event.SEEN_RUNNING, Facts(12.0))
    assert views.detail(connection, job.id).attempts[0].running_at == 10.0


def test_a_cost_is_kept_with_its_attempt_only(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, Event.ACCEPTED, Event.FINISHED)
    moved(connection, job, Event.ATTEMPT_FAILED, cost=0.5, error="no")
    [job] = [j for j in claim(connection, 10) if j.id == job.id]
    first, second = views.detail(connection, job.id).attempts
    assert (first.cost, first.outcome, first.error) == (0.5, "attempt_failed", "no")
    assert (second.cost, second.outcome, second.error) == (None, None, None)


def test_a_file_is_recorded_for_its_own_attempt_and_place(connection: Connection) -> None:
    [job] = claim(connection)
    job = walk(connection, job, *DONE)
    delivered = queue.delivered(connection, job, ["u0", "u1"], None, 4.0)
    assert isinstance(delivered, Job)
    assert delivered.delivered
    # Whoever takes over knows it too, and never buys it again.
    assert standing.current(connection, job.id).delivered
    queue.stored(connection, delivered, queue.Stored(1, "/f1", 7, "aa", "video/mp4"), 5.0)
    files = standing.stored_files(connection, delivered)
    assert [(files[n].path, files[n].bytes, files[n].content_type) for n in (0, 1)] == [
        (None, None, None),
        ("/f1", 7, "video/mp4"),
    ]
    other = delivered._replace(attempt=2)
    assert standing.stored_files(connection, other) == {}
