"""Outcome to decision: what may be submitted again, and when."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.retry import Decision, Policy, after_failure, after_submit, backoff
from overnight.lifecycle import TABLE, UNCOUNTED, Event, State
from overnight.providers import base

POLICY = Policy()

OUTCOMES: dict[base.SubmitOutcome, Event] = {
    base.Accepted("r"): Event.ACCEPTED,
    base.Rejected("no such input", "400001"): Event.REJECTED,
    base.Refused("no balance", "400002"): Event.REFUSED,
    base.Throttled(): Event.THROTTLED,
    base.Unavailable("maintenance"): Event.UNAVAILABLE,
    base.NotSent("connection refused"): Event.NOT_SENT,
    base.Unknown("read timeout"): Event.UNCERTAIN,
}


@pytest.mark.parametrize(("outcome", "event"), OUTCOMES.items())
def test_each_outcome_of_a_submit_is_one_event(outcome: base.SubmitOutcome, event: Event) -> None:
    decision = after_submit(outcome, 0, POLICY, Random(1))
    assert decision.event is event
    assert event in TABLE[State.SUBMITTING]


def test_only_what_was_accepted_has_a_request_id() -> None:
    for outcome in OUTCOMES:
        decision = after_submit(outcome, 0, POLICY, Random(1))
        assert (decision.request_id is not None) == isinstance(outcome, base.Accepted)


def test_a_code_is_kept_with_the_reason_once() -> None:
    decision = after_submit(base.Rejected("no such input", "400001"), 0, POLICY, Random(1))
    assert decision.error == "no such input (400001)"
    decision = after_submit(base.Rejected("400001: bad", "400001"), 0, POLICY, Random(1))
    assert decision.error == "400001: bad"


def test_an_api_that_never_has_time_fails_the_job_in_the_end() -> None:
    outcome = base.Unavailable("maintenance")
    last = POLICY.turned_away - 1
    assert after_submit(outcome, last - 1, POLICY, Random(1)).event is Event.UNAVAILABLE
    decision = after_submit(outcome, last, POLICY, Random(1))
    assert decision.event is Event.ATTEMPTS_EXHAUSTED
    assert str(POLICY.turned_away) in (decision.error or "")


@pytest.mark.parametrize("outcome", [base.Throttled(), base.NotSent("x")])
def test_throttling_and_a_dead_network_never_fail_a_job(outcome: base.SubmitOutcome) -> None:
    assert after_submit(outcome, 10_000, POLICY, Random(1)).event in UNCOUNTED


def test_retry_after_holds_everybody_and_its_own_job_longer() -> None:
    decision = after_submit(base.Throttled(retry_after=30.0), 2, POLICY, Random(1))
    assert decision.hold == 30.0
    assert 30.0 <= decision.wait <= 34.0
    assert after_submit(base.Throttled(), 2, POLICY, Random(1)).hold == 0.0


def test_an_absurd_retry_after_is_cut() -> None:
    decision = after_submit(base.Throttled(retry_after=1e9), 0, POLICY, Random(1))
    assert decision.hold == POLICY.longest_retry_after


@pytest.mark.parametrize(
    ("tries", "final", "event"),
    [
        (1, False, Event.ATTEMPT_FAILED),
        (2, False, Event.ATTEMPT_FAILED),
        (3, False, Event.ATTEMPTS_EXHAUSTED),
        (4, False, Event.ATTEMPTS_EXHAUSTED),
        (1, True, Event.ATTEMPTS_EXHAUSTED),
    ],
)
def test_a_failed_verdict_is_tried_again_while_attempts_are_left(
    tries: int, final: bool, event: Event
) -> None:
    verdict = base.Failed("out of memory", final=final)
    assert after_failure(verdict, tries, POLICY, Random(1)).event is event


def test_one_attempt_means_one() -> None:
    decision = after_failure(base.Failed("x"), 1, Policy(attempts=1), Random(1))
    assert decision == Decision(Event.ATTEMPTS_EXHAUSTED, "x")


@given(st.integers(0, 10**6), st.floats(0, 10**6) | st.none(), st.integers())
def test_backoff_is_bounded_and_never_shortens_retry_after(
    n: int, retry_after: float | None, seed: int
) -> None:
    wait = backoff(n, POLICY, Random(seed), retry_after)
    floor = min(retry_after or 0.0, POLICY.longest_retry_after)
    assert floor <= wait <= floor + min(POLICY.longest_wait, 2.0 ** min(n, 30))


def test_backoff_uses_the_whole_range_from_nothing() -> None:
    waits = [backoff(4, POLICY, Random(seed)) for seed in range(500)]
    assert min(waits) < 1.0
    assert max(waits) > 15.0
    assert 7.0 < sum(waits) / len(waits) < 9.0


def test_the_bounds_are_those_that_people_are_told() -> None:
    assert Policy() == Policy(
        attempts=3,
        turned_away=20,
        first_wait=1.0,
        longest_wait=300.0,
        longest_retry_after=3600.0,
    )


@pytest.mark.parametrize("outcome", [base.Accepted("r"), base.Rejected("x"), base.Refused("x")])
def test_an_answer_that_settles_the_submit_asks_nobody_to_wait(outcome: base.SubmitOutcome) -> None:
    decision = after_submit(outcome, 5, POLICY, Random(1))
    assert (decision.wait, decision.hold) == (0.0, 0.0)


@pytest.mark.parametrize(("tries", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0)])
def test_the_wait_after_a_failure_doubles_with_each_try(tries: int, ceiling: float) -> None:
    policy = Policy(attempts=9)
    waits = [
        after_failure(base.Failed("x"), tries, policy, Random(seed)).wait for seed in range(200)
    ]
    assert 0.9 * ceiling < max(waits) <= ceiling
    assert min(waits) < 0.1 * ceiling


def test_a_retry_after_in_the_past_is_none() -> None:
    assert after_submit(base.Throttled(retry_after=-5.0), 0, POLICY, Random(1)).hold == 0.0
    assert 0.0 <= backoff(0, POLICY, Random(1), -5.0) <= 1.0
