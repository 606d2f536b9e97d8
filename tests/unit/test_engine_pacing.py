"""When the next poll is due: the law and its bounds."""

import math
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.curve import curve, hazard
from overnight.engine.durations import Outlook
from overnight.engine.pacing import Pace

PLAIN = Pace(shortest=0.0, longest=math.inf)
SPREADS = st.floats(0.02, 2.0)
STRAYS = st.floats(0.005, 0.3)
AGES = st.floats(-1e4, 1e7)


def outlooks() -> st.SearchStrategy[Outlook]:
    times = st.floats(0.5, 1e5)
    return st.builds(Outlook, median=times, spread=SPREADS, strays=STRAYS, typical=times)


class Even(Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def polls(pace: Pace, outlook: Outlook, until: float) -> Iterator[float]:
    """The ages at which a job is asked about, up to ``until``."""
    age = 0.0
    while (age := age + pace.interval(outlook, age, Even())) < until:
        yield age


@given(outlooks(), AGES, st.integers(), st.floats(1.0, 100.0))
def test_whatever_is_expected_the_wait_keeps_its_bounds(
    outlook: Outlook, age: float, seed: int, crowd: float
) -> None:
    pace = Pace()
    wait = pace.interval(outlook, age, Random(seed), crowd=crowd)
    assert 0.9 * pace.shortest <= wait <= 1.1 * pace.longest


@given(SPREADS, STRAYS, st.floats(-5.0, 4.0))
def test_a_step_is_one_over_the_root_of_the_hazard(
    spread: float, strays: float, place: float
) -> None:
    table = curve(spread, strays)
    # The table is made for rounded values: the law is held against those next to the given ones.
    near = [
        hazard(place, spread * wide, strays * more) for wide in (0.94, 1.06) for more in (0.85, 1.2)
    ]
    step = 1e-6  # hardly any distance, also where the hazard is small and grows fast
    found = step / (table.after(place, step) - place) if table.after(place, step) > place else 0.0
    assert 0.7 * min(near) <= found**2 / math.exp(place) <= 1.4 * max(near)


def test_polls_are_closest_where_most_jobs_end() -> None:
    outlook = Outlook(median=60.0, spread=0.1, strays=0.005, typical=60.0)
    ages = list(polls(Pace(), outlook, 75.0))
    assert len([age for age in ages if age < 45.0]) <= 3
    assert len([age for age in ages if 50.0 < age < 75.0]) > 30
    gaps = [PLAIN.interval(outlook, age, Even()) for age in (20.0, 45.0, 50.0, 55.0, 60.0, 70.0)]
    assert gaps == sorted(gaps, reverse=True), "the hazard only grows until then"


@given(outlooks(), AGES)
def test_a_dearer_poll_comes_later(outlook: Outlook, age: float) -> None:
    waits = [
        Pace(price=price, shortest=0.0, longest=math.inf).interval(outlook, age, Even())
        for price in (0.0001, 0.001, 0.01)
    ]
    assert waits == sorted(waits)


@given(outlooks(), st.floats(0.0, 1e6), st.floats(1.0, 20.0))
def test_a_crowd_makes_every_wait_longer(outlook: Outlook, age: float, crowd: float) -> None:
    alone = PLAIN.interval(outlook, age, Even())
    assert PLAIN.interval(outlook, age, Even(), crowd=crowd) >= alone


@given(st.floats(1.0, 1e4), st.floats(0.05, 0.5))
def test_what_a_job_usually_asks_for_is_the_mean_until_it_is_likely_to_be_done(
    median: float, spread: float
) -> None:
    outlook = Outlook(median, spread, 0.01, median)
    until = len(list(polls(PLAIN, outlook, median)))
    assert abs(median / PLAIN.usual(outlook) - until) < 0.1 * until + 1


def test_a_job_is_asked_about_once_in_its_time_however_cheap_it_is_to_be_late() -> None:
    assert PLAIN.usual(Outlook(median=1.0, spread=0.1, strays=0.01, typical=1e9)) == 1.0


@given(st.floats(1.0, 1e4), SPREADS)
def test_the_times_of_polls_grow_with_the_times_of_jobs(median: float, spread: float) -> None:
    one = Outlook(1.0, spread, 0.01, 1.0)
    many = Outlook(median, spread, 0.01, median)
    for age in (0.0, 0.5, 1.0, 2.0):
        wait = PLAIN.interval(one, age, Even())
        assert PLAIN.interval(many, age * median, Even()) == pytest.approx(wait * median, rel=1e-6)


@given(st.floats(1.0, 3600.0), SPREADS, STRAYS, st.floats(2.0, 20.0))
def test_a_job_that_hangs_is_asked_about_within_a_share_of_its_age(
    median: float, spread: float, strays: float, late: float
) -> None:
    outlook = Outlook(median, spread, strays, median)
    age = median * late * math.exp(3 * spread)
    assert PLAIN.interval(outlook, age, Even()) <= 0.5 * age


def test_the_longest_wait_holds_for_the_longest_jobs() -> None:
    week = Outlook(7 * 86400.0, 0.1, 0.005, 7 * 86400.0)
    assert Pace().interval(week, 0.0, Even()) == Pace().longest


def test_a_pace_of_nothing_asks_again_at_once() -> None:
    assert Pace(shortest=0.0, longest=0.0).interval(Outlook(9.0, 1.0, 0.1, 9.0), 1.0, Even()) == 0.0


@given(st.integers(0, 10**6), st.floats(0, 500) | st.none(), st.integers())
def test_a_call_without_answer_is_repeated_within_bounds(
    failures: int, retry_after: float | None, seed: int
) -> None:
    pace = Pace()
    wait = pace.next_try(failures, Random(seed), retry_after)
    assert 0 < wait - (retry_after or 0.0) <= pace.longest_without_answer + 1e-6
