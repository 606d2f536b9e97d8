"""The state machine: what the table promises, and that it is the only thing that decides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight import lifecycle
from overnight.lifecycle import HELD, IN_BUDGET, IN_FLIGHT, TERMINAL, UNCOUNTED, Event, State

DOCS = Path(__file__).parents[2] / "docs"


def test_every_state_has_a_row() -> None:
    assert set(lifecycle.TABLE) == set(State)


def test_every_event_is_used() -> None:
    assert {event for _, event, _ in lifecycle.moves()} == set(Event)


def test_every_state_can_be_reached_from_pending() -> None:
    reached = {State.PENDING}
    while more := {target for state, _, target in lifecycle.moves() if state in reached} - reached:
        reached |= more
    assert reached == set(State)


def test_only_a_claim_leads_to_submitting() -> None:
    into = [(s, e) for s, e, t in lifecycle.moves() if t is State.SUBMITTING]
    assert into == [(State.PENDING, Event.CLAIMED)]


def test_only_a_person_leaves_a_held_state() -> None:
    by_hand = {
        Event.ADOPTED,
        Event.RESUBMITTED,
        Event.GIVEN_UP,
        Event.RETRIED,
        Event.RECALLED,
        Event.RECOLLECTED,
    }
    for state in HELD:
        assert set(lifecycle.TABLE[state]) <= by_hand


def test_a_submit_goes_back_to_pending_only_when_it_surely_was_not_accepted() -> None:
    back = {e for e, t in lifecycle.TABLE[State.SUBMITTING].items() if t is State.PENDING}
    assert back == UNCOUNTED
    assert Event.UNCERTAIN not in back


def test_what_the_provider_has_goes_back_to_pending_only_on_its_own_verdict() -> None:
    for state in (State.QUEUED, State.RUNNING):
        back = {e for e, t in lifecycle.TABLE[state].items() if t is State.PENDING}
        assert back == {Event.ATTEMPT_FAILED}


def test_what_was_delivered_goes_back_to_pending_only_when_it_is_not_what_was_asked_for() -> None:
    back = {e for e, t in lifecycle.TABLE[State.COLLECTING].items() if t is State.PENDING}
    assert back == {Event.ATTEMPT_FAILED, Event.SUSPECT}


def test_the_sets_of_states_fit_together() -> None:
    assert TERMINAL < HELD
    assert IN_BUDGET < IN_FLIGHT
    assert not HELD & IN_FLIGHT
    assert HELD | IN_FLIGHT | {State.PENDING} == set(State)


@given(st.sampled_from(State), st.sampled_from(Event))
def test_after_is_the_table_and_nothing_else(state: State, event: Event) -> None:
    if event in lifecycle.TABLE[state]:
        assert lifecycle.after(state, event) is lifecycle.TABLE[state][event]
    else:
        with pytest.raises(lifecycle.ImpossibleTransition, match=str(state)):
            lifecycle.after(state, event)


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_no_walk_pays_twice_for_an_uncertain_submit_unless_told_to(events: list[Event]) -> None:
    """After an uncertain submit, the next claim comes only behind a person's word."""
    state, uncertain = State.PENDING, False
    for event in events:
        if event not in lifecycle.TABLE[state]:
            continue
        if event is Event.UNCERTAIN:
            uncertain = True
        if event in (Event.RESUBMITTED, Event.GIVEN_UP, Event.ADOPTED):
            uncertain = False
        assert not (event is Event.CLAIMED and uncertain)
        state = lifecycle.after(state, event)


def test_the_diagram_in_the_docs_is_the_table() -> None:
    assert lifecycle.mermaid() in (DOCS / "lifecycle.md").read_text()
