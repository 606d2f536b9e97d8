"""How long jobs take, learnt from those that are done."""

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.durations import ENOUGH, GUESS, Durations
from overnight.engine.effects import Effects, Sample
from overnight.engine.pacing import Pace
from overnight.engine.workload import features, value_of

SIZES = {"832x480": 832 * 480, "720p": 720**2, "1920x1088 (16:9)": 1920 * 1088}


def request(rng: Random) -> dict[str, Any]:
    return {
        "prompt": "A long text that says nothing about time, but a lot about gulls and fog",
        "seed": rng.randrange(1, 2**31),
        "steps": rng.choice((6, 10, 20, 30)),
        "size": rng.choice(tuple(SIZES)),
        "sampler": rng.choice(("euler", "slow")),
        "upscale": rng.random() < 0.5,
    }


def true_seconds(inputs: dict[str, Any]) -> float:
    """Twice as long with the slow sampler; proportional to steps and pixels; nothing else."""
    slow = 2.0 if inputs["sampler"] == "slow" else 1.0
    return float(1e-5 * inputs["steps"] * SIZES[inputs["size"]] * slow)


def taught(rng: Random, jobs: int, *, noise: float = 0.1, factor: float = 1.0) -> Durations:
    known = Durations()
    teach(known, rng, jobs, noise=noise, factor=factor)
    return known


def teach(
    known: Durations, rng: Random, jobs: int, *, noise: float = 0.1, factor: float = 1.0
) -> None:
    for _ in range(jobs):
        inputs = request(rng)
        seconds = factor * true_seconds(inputs) * rng.lognormvariate(0.0, noise)
        known.learn(inputs, 0.99 * seconds, 1.01 * seconds)


def off(known: Durations, rng: Random, factor: float = 1.0) -> float:
    """The mean of how far expectations are from the truth, in logarithms."""
    asked = [request(rng) for _ in range(200)]
    errors = [
        abs(math.log(known.outlook(inputs).median / (factor * true_seconds(inputs))))
        for inputs in asked
    ]
    return sum(errors) / len(errors)


@pytest.mark.parametrize("seed", range(5))
def test_the_inputs_that_matter_are_found_and_their_effects(seed: int) -> None:
    known = taught(Random(seed), 100)
    assert off(known, Random(-seed)) < 0.06
    assert 0.06 < known.spread < 0.16


def test_nothing_is_found_where_nothing_matters() -> None:
    rng = Random(1)
    known = Durations()
    for _ in range(200):
        seconds = 60 * rng.lognormvariate(0.0, 0.5)
        known.learn(request(rng), 0.99 * seconds, 1.01 * seconds)
    medians = {known.outlook(request(rng)).median for _ in range(50)}
    assert max(medians) < 1.2 * min(medians)
    assert 0.4 < known.spread < 0.6


def test_what_is_not_known_is_guessed_and_the_guess_gives_way_to_the_first_job() -> None:
    known = Durations()
    assert known.outlook({}).median == pytest.approx(math.exp(GUESS))
    known.learn({}, 3590.0, 3610.0)
    assert known.outlook({}).median == pytest.approx(3600.0, rel=0.01)


@pytest.mark.parametrize("factor", [0.4, 2.0, 5.0])
def test_after_a_change_two_jobs_are_enough(factor: float) -> None:
    rng = Random(7)
    known = taught(rng, 100)
    teach(known, rng, 3, factor=factor)
    assert off(known, Random(8), factor) < 0.2
    teach(known, rng, 200, factor=factor)
    assert off(known, Random(8), factor) < 0.06
    assert known.spread < 0.16


def test_one_job_that_hangs_changes_next_to_nothing() -> None:
    rng = Random(7)
    known = taught(rng, 100)
    before = known.outlook(request(Random(1)))
    known.learn(request(rng), 3600.0, 3700.0)
    after = known.outlook(request(Random(1)))
    assert (after.median, after.spread) == (before.median, before.spread)
    teach(known, rng, 100)
    assert off(known, Random(8)) < 0.06


def test_jobs_that_nobody_asked_about_for_a_day_are_set_right_by_a_few_that_are_seen() -> None:
    rng, known, pace = Random(6), Durations(), Pace()
    for _ in range(200):
        seconds = 60.0 * rng.lognormvariate(0.0, 0.05)
        known.learn({}, 0.99 * seconds, seconds)
    for _ in range(20):
        known.learn({}, 80_000.0, 86_400.0)
    late = []
    for _ in range(30):
        seconds, low, high = 60.0 * rng.lognormvariate(0.0, 0.05), 0.0, 0.0
        while high < seconds:
            low, high = high, high + pace.interval(known.outlook({}), high, rng)
        known.learn({}, low, high)
        late.append(high - seconds)
    assert sum(late[5:]) < 25 * 5.0


def test_one_job_of_years_costs_no_other_its_polls() -> None:
    known = taught(Random(7), 100)
    before = known.typical
    known.learn(request(Random(8)), 1e9, 1e9)
    assert known.typical < 2 * before


def test_a_share_of_strays_widens_no_spread() -> None:
    rng = Random(3)
    known = Durations()
    for number in range(200):
        seconds = 60 * rng.lognormvariate(0.0, 0.1) * (8.0 if number % 10 == 0 else 1.0)
        known.learn({}, 0.99 * seconds, 1.01 * seconds)
    assert known.spread < 0.15
    assert 0.05 < known.strays < 0.15


@pytest.mark.parametrize("gap", [2.0, 10.0, 30.0])
def test_rare_polls_do_not_make_jobs_look_longer(gap: float) -> None:
    rng = Random(5)
    known = Durations()
    for _ in range(400):
        seconds = 60 * rng.lognormvariate(0.0, 0.3)
        # Asked every `gap` seconds, from anywhere in the first of them.
        begun = rng.uniform(0, gap)
        polls = math.ceil((seconds - begun) / gap)
        known.learn({}, max(begun + (polls - 1) * gap, 0.0), begun + polls * gap)
    assert known.outlook({}).median == pytest.approx(60.0, rel=0.1)
    assert known.spread == pytest.approx(0.3, rel=0.25)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e9), st.floats(0, 1e9), st.sampled_from([{}, {"a": 1}, {"a": 9}])),
        max_size=60,
    )
)
def test_whatever_is_told_an_outlook_is_usable(
    told: list[tuple[float, float, dict[str, Any]]],
) -> None:
    known = Durations()
    for low, high, inputs in told:
        known.learn(inputs, low, high)
        outlook = known.outlook(inputs)
        assert 0 < outlook.median < math.inf
        assert 0 < outlook.spread < math.inf
        assert 0 < outlook.strays < 1
        assert 0 < outlook.typical < math.inf


def test_nonsense_teaches_nothing() -> None:
    known = Durations()
    for high in (0.0, -5.0, math.inf, math.nan):
        known.learn({}, -9.0, high)
    assert known == Durations()


def test_two_jobs_to_the_same_side_are_no_change_while_little_is_known() -> None:
    known = Durations()
    for seconds in (1.0, 30.0, 40.0, 900.0)[: ENOUGH - 1]:
        known.learn({}, seconds, seconds)
    assert known.spread > 0.5


# --- the inputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "feature", "amount"),
    [
        (20, ("x", None), math.log(20)),
        (0.5, ("x", None), math.log(0.5)),
        ("5s", ("x", None), math.log(5)),
        ("720x480 (3:2)", ("x", None), math.log(720 * 480)),
        ("720p", ("x", None), math.log(720**2)),
        ("4k", ("x", None), math.log(4000**2)),
        (["a", "b"], ("x", None), math.log(3)),
        ("euler", ("x", "euler"), 1.0),
        (True, ("x", "True"), 1.0),
    ],
)
def test_what_an_input_counts_as(
    value: object, feature: tuple[str, str | None], amount: float
) -> None:
    assert features({"x": value}) == {feature: pytest.approx(amount)}
    assert value_of(feature, {"x": value}) == pytest.approx(amount)


@pytest.mark.parametrize("value", [None, 0, -3, math.nan, math.inf, "p" * 41, {"a": 1}, "0s"])
def test_what_says_nothing_is_left_out(value: object) -> None:
    assert all(feature[1] is not None for feature in features({"x": value}))


def test_a_missing_number_counts_as_the_mean_and_a_missing_category_as_another() -> None:
    samples = [
        Sample(features({"steps": steps, "mode": mode}), math.log(steps) + (mode == "fine"))
        for steps in (4, 8, 16, 32)
        for mode in ("fine", "fast")
        for _ in range(4)
    ]
    effects = Effects.found(samples)
    level = sum(sample.seen for sample in samples) / len(samples)
    fast = {"steps": 16, "mode": "fast"}
    assert level + effects.of(fast) == pytest.approx(math.log(16), abs=1e-6)
    assert effects.of({"mode": "fast"}) == pytest.approx(-0.5, abs=1e-6)
    assert effects.of({"steps": 16, "mode": "other"}) == pytest.approx(effects.of(fast), abs=1e-6)
    assert effects.of_features(features(fast)) == pytest.approx(effects.of(fast))
