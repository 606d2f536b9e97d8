"""Slots and the gate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.budget import Budget
from overnight.engine.gate import OUTAGE, Gate
from overnight.lifecycle import Event


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("hr"), st.integers(1, 12)), max_size=60),
)
def test_free_slots_never_promise_more_than_the_limit(
    limit: int, steps: list[tuple[str, int]]
) -> None:
    budget = Budget({1: 2, 2: 4})
    held: dict[int, int] = {}
    for step, job_id in steps:
        batch_id = 1 + job_id % 2
        if step == "h":
            budget.hold(job_id, batch_id)
            held[job_id] = batch_id
        else:
            budget.release(job_id)
            held.pop(job_id, None)
        assert budget.held == len(held)
        for batch, ceiling in ((1, 2), (2, 4)):
            own = sum(1 for b in held.values() if b == batch)
            assert budget.free(batch, limit) == max(0, min(limit - len(held), ceiling - own))


def test_what_the_provider_still_has_after_a_restart_fills_slots_above_the_limit() -> None:
    budget = Budget({1: 9})
    for job_id in range(5):
        budget.hold(job_id, 1)
    assert (budget.held, budget.free(1, 2)) == (5, 0)
    for job_id in range(4):
        budget.release(job_id)
    assert budget.free(1, 2) == 1


def test_a_refused_account_closes_the_gate_for_good() -> None:
    gate = Gate()
    gate.record(Event.REFUSED, "no balance")
    gate.record(Event.ACCEPTED, None)
    assert gate.allowance(0.0, 0) == 0
    assert gate.refusal == "no balance"


def test_a_throttled_answer_holds_the_gate_as_long_as_it_asked() -> None:
    gate = Gate()
    gate.record(Event.THROTTLED, "slow down", hold_until=30.0)
    gate.record(Event.THROTTLED, "slow down", hold_until=10.0)
    assert gate.allowance(29.9, 0) == 0
    assert gate.allowance(30.0, 0) is None


@pytest.mark.parametrize("event", [Event.UNCERTAIN, Event.UNAVAILABLE, Event.NOT_SENT])
def test_trouble_in_a_row_pauses_submitting_until_the_provider_answers(event: Event) -> None:
    gate = Gate()
    for _ in range(OUTAGE - 1):
        gate.record(event, "connection lost")
    assert gate.allowance(0.0, 0) is None
    gate.record(event, "connection lost")
    assert gate.allowance(0.0, 0) == 0
    assert gate.outage == "connection lost"


def test_any_answer_starts_the_count_anew() -> None:
    gate = Gate()
    for answer in (Event.ACCEPTED, Event.REJECTED, Event.THROTTLED):
        for _ in range(OUTAGE - 1):
            gate.record(Event.UNCERTAIN, "lost")
        gate.record(answer, None)
    assert gate.allowance(0.0, 0) is None


def test_after_an_outage_one_submit_tries_first() -> None:
    gate = Gate()
    for _ in range(OUTAGE):
        gate.record(Event.UNCERTAIN, "lost")
    gate.provider_answered()
    assert gate.allowance(0.0, 0) == 1
    assert gate.allowance(0.0, 1) == 0
    gate.record(Event.UNCERTAIN, "lost again")
    assert gate.allowance(0.0, 0) == 0
    gate.provider_answered()
    gate.record(Event.ACCEPTED, None)
    assert gate.allowance(0.0, 5) is None
