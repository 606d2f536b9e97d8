"""Whose poll is next where not all can be made that are due."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.turns import APART, BURST, Turns
from tests.simulation.loop import VirtualLoop
from tests.unit.engine_crowd import most_in_any_stretch

Asked = tuple[float, float]
"""When a turn is asked for, and when its poll is due."""


def given_turns(
    asked: Sequence[Asked], per_second: float, spoil: Callable[[int, asyncio.Future[bool]], None]
) -> list[tuple[float, int]]:
    """When each turn came and whose it was, in that order; ``spoil`` sees each when it is taken."""
    turns, came, loop = Turns(), list[tuple[float, int]](), VirtualLoop()

    async def ask(number: int, at: float, due: float) -> None:
        await asyncio.sleep(at)
        turn = turns.take(due, per_second)
        spoil(number, turn)
        if not await turn:
            came.append((loop.time(), number))

    async def play() -> None:
        await asyncio.gather(*(ask(number, *each) for number, each in enumerate(asked)))

    try:
        loop.run(play())
    finally:
        loop.close()
    return came


def nothing(_number: int, _turn: asyncio.Future[bool]) -> None:
    pass


@given(
    st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 100.0)), min_size=1, max_size=100),
    st.sampled_from((0.5, 1.0, 10.0, 500.0)),
)
def test_no_stretch_of_time_has_more_polls_than_the_rate_and_one_burst(
    asked: list[Asked], per_second: float
) -> None:
    at = [when for when, _ in given_turns(asked, per_second, nothing)]
    assert len(at) == len(asked)
    burst = max(BURST, 1 / per_second)
    assert most_in_any_stretch(at, per_second) <= burst + 1e-6


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60))
def test_who_would_be_due_first_goes_first_and_nobody_waits_for_that_time(due: list[float]) -> None:
    came = given_turns([(5.0, each) for each in due], 10.0, nothing)
    waited = [number for when, number in came if when > 5.0]
    assert [due[number] for number in waited] == sorted(due[number] for number in waited)
    assert came[-1][0] <= 5.0 + max(len(due) / 10.0 - BURST, 0.0) + APART


def test_a_few_polls_never_wait_for_a_turn() -> None:
    came = given_turns([(5.0, 1e6)] * 10 + [(5.0, 0.0)], 10.0, nothing)
    assert [when for when, _ in came] == pytest.approx([5.0] * 10 + [5.1])


def test_those_that_are_due_together_go_in_the_order_in_which_they_came() -> None:
    came = given_turns([(1.0, 7.0)] * 30, 10.0, nothing)
    assert [number for _, number in came] == list(range(30))


def test_who_does_not_want_its_turn_any_more_takes_none_from_others() -> None:
    def spoil(number: int, turn: asyncio.Future[bool]) -> None:
        if 10 <= number < 1000:
            turn.set_result(True)

    came = given_turns([(0.0, 0.0)] * 1010, 10.0, spoil)
    assert [number for _, number in came] == [*range(10), *range(1000, 1010)]
    assert came[-1][0] == pytest.approx(1.0)
