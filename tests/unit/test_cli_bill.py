"""What a plan is made of: money and its limit, time, a sample, a meter. All without a database."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.cli import meter
from overnight.cli.bill import Cost, Limit, limit_of, money, total
from overnight.cli.failures import UserError
from overnight.cli.forecast import Forecast
from overnight.cli.output import Output
from overnight.cli.sample import Sample
from overnight.manifest import JobSpec
from overnight.store.durations import Typical

SHOW_CURSOR = "\x1b[?25h"
"""What a terminal is put right with."""

Capture = pytest.CaptureFixture[str]

costs = st.builds(
    Cost, st.floats(0, 1e6, allow_nan=False), st.integers(0, 1000), st.integers(0, 1000)
)


def spec(n: int, prompt: str = "fog") -> JobSpec:
    return JobSpec(
        position=n,
        block="",
        key=f"seed{n}",
        fingerprint=f"{n:064x}",
        provider="runcomfy",
        model="a/model",
        inputs={"prompt": prompt, "seed": n, "shots": [{"text": "a pier"}]},
        variables={"seed": n},
    )


# --- money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dollars", "words"),
    [
        *(
            (0, "$0.00"),
            (0.06, "$0.06"),
            (0.78, "$0.78"),
            (12.5, "$12.50"),
            (1234.567, "$1,234.57"),
        ),
        *((0.0125, "$0.0125"), (0.1 + 0.2, "$0.30"), (0.00004, "$0.000040")),
    ],
)
def test_money_in_words(dollars: float, words: str) -> None:
    assert money(dollars) == words


def test_a_cost_says_what_it_does_not_know() -> None:
    assert Cost(0.78, 13).words() == "$0.78"
    assert Cost(0.0, 0, 13).words() == "unknown"
    assert Cost(0.78, 13, 1).words() == "$0.78, and unknown for 1 job"
    assert (Cost(0.78, 13).amount, Cost(0.78, 13, 1).amount) == (0.78, None)


@given(st.lists(costs))
def test_no_job_is_lost_in_a_sum(parts: list[Cost]) -> None:
    whole = total(parts)
    assert whole.jobs == sum(part.jobs for part in parts)
    assert (whole.amount is None) == any(part.unpriced for part in parts)


@given(st.floats(0.01, 1e6), costs, costs)
def test_a_limit_is_only_kept_when_everything_is_known_and_fits(
    dollars: float, spent: Cost, to_spend: Cost
) -> None:
    limit = Limit(dollars, spent, to_spend)
    if limit.kept and to_spend.jobs:
        assert not to_spend.unpriced
        assert spent.dollars + to_spend.dollars <= dollars + 1e-6
        limit.require("x")
    elif to_spend.jobs:
        with pytest.raises(UserError, match=r"Nothing was loaded\.$"):
            limit.require("Nothing was loaded.")
    else:
        limit.require("x")


def test_sums_of_floats_are_no_reason_to_refuse() -> None:
    cost = total(Cost(0.1, 1) for _ in range(10_000))
    assert cost.dollars != 1000.0
    assert Limit(1000.0, Cost(), cost).kept


def test_a_limit_names_what_it_can_not_count() -> None:
    limit = Limit(1.0, Cost(0.1, 2, 3), Cost(0.2, 4))
    assert limit.kept
    assert limit.sentence() == (
        "limits.cost allows $1.00, $0.10 of it spent already, and what 3 earlier attempts cost is "
        "unknown and not counted; this keeps to it."
    )


def test_a_limit_counts_what_was_spent() -> None:
    limit = Limit(1.0, Cost(0.9, 9), Cost(0.2, 2))
    assert not limit.kept
    assert limit.sentence() == (
        "limits.cost allows $1.00, $0.90 of it spent already; this would cost $0.20, which is "
        "too much."
    )


def test_a_limit_that_can_not_be_checked_is_not_kept() -> None:
    limit = Limit(1.0, Cost(), Cost(0.1, 1, 3))
    with pytest.raises(UserError, match=r"price of 3 jobs is unknown.*price: under run:"):
        limit.require("Nothing was loaded.")


@pytest.mark.parametrize(
    ("run", "dollars"),
    [
        ({}, None),
        ({"limits": {"jobs": 3}}, None),
        ({"limits": {"cost": 5}}, 5.0),
        ({"limits": 3}, None),
    ],
)
def test_the_limit_is_found_in_a_batch_s_settings(
    run: dict[str, object], dollars: float | None
) -> None:
    assert limit_of(run) == dollars


# --- time -----------------------------------------------------------------------------------------


def test_time_is_the_rounds_that_the_slots_need() -> None:
    forecast = Forecast({"m": 13}, {"m": Typical(10.0, 5)}, concurrency=4)
    assert forecast.seconds == 40.0
    assert forecast.words() == (
        "about 40 s, at most 4 at once (a job takes 10 s, the median of 5 so far)"
    )


def test_a_rate_can_be_what_takes_long() -> None:
    forecast = Forecast({"m": 61}, {"m": Typical(10.0, 5)}, concurrency=1000, rate="30/min")
    assert forecast.seconds == 130.0
    assert "at most 1000 at once and 30/min" in forecast.words()


def test_time_is_unknown_while_one_model_is() -> None:
    forecast = Forecast({"m": 1, "new/one": 1, "none": 0}, {"m": Typical(10.0, 5)}, 4)
    assert forecast.seconds is None
    assert forecast.words().startswith("not known: no job of new/one has succeeded")


def test_nothing_to_submit_takes_no_time() -> None:
    assert Forecast({"m": 0}, {}, 4).seconds == 0.0


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 10**6), min_size=1), st.integers(1, 100)
)
def test_more_at_once_never_takes_longer(jobs: dict[str, int], slots: int) -> None:
    typical = {"a": Typical(1.0, 1), "b": Typical(60.0, 2), "c": Typical(7.5, 3)}
    slow = Forecast(jobs, typical, slots).seconds
    fast = Forecast(jobs, typical, slots + 1).seconds
    assert slow is not None
    assert fast is not None
    assert fast <= slow
    assert slow >= max(typical[model].seconds for model in jobs)


# --- a sample -------------------------------------------------------------------------------------


@given(st.integers(0, 3000), st.integers(0, 20))
def test_a_sample_is_spread_over_the_whole_stream(length: int, wanted: int) -> None:
    sample = Sample(wanted)
    for n in range(length):
        sample.saw(spec(n))
    places = [job.position for job in sample.jobs()]
    assert len(places) == min(length, wanted)
    assert places == sorted(set(places))
    assert sample.matching == length
    if places:
        assert places[0] == 0
    if len(places) > 1:
        widest = max(b - a for a, b in zip(places, [*places[1:], length], strict=True))
        assert widest <= 4 * length / len(places) + 1


def test_equal_jobs_are_shown_once() -> None:
    sample = Sample(5)
    for _ in range(4):
        sample.saw(spec(1))
    assert [job.key for job in sample.jobs()] == ["seed1"]


def test_a_pattern_looks_at_keys_and_texts_alone() -> None:
    def found(pattern: str) -> list[int]:
        sample = Sample(9, re.compile(pattern, re.IGNORECASE))
        for n in range(12):
            sample.saw(spec(n, "A lighthouse" if n == 5 else "fog"))
        return [job.position for job in sample.jobs()]

    assert found("LIGHT") == [5]
    assert found("seed1") == [1, 10, 11]
    assert len(found("pier")) == 9
    assert found("^5$") == []


# --- a meter --------------------------------------------------------------------------------------


class Clock:
    """Each look is ``step`` seconds later than the one before."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stderr shows. Called inside a test: pytest gives each of its phases a stderr."""
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setenv("TERM", "xterm-256color")
    return drawn


@pytest.mark.parametrize(("expected", "says"), [(10_000, "of 10,000 jobs"), (None, ",000 jobs")])
def test_a_terminal_gets_a_bar(
    expected: int | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = a_terminal(monkeypatch)
    passed = meter.metered(range(10_000), Output(), "Loading", expected, Clock(1.0))
    assert list(passed) == list(range(10_000))
    assert "Loading" in terminal.getvalue()
    assert says in terminal.getvalue()
    assert SHOW_CURSOR in terminal.getvalue()


def test_what_is_done_in_no_time_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)

    assert len(list(meter.metered(range(10_000), Output(), "Loading", None, Clock(0.0)))) == 10_000
    assert terminal.getvalue() == ""


def test_the_bar_goes_when_somebody_stops_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    passed = meter.metered(range(10_000), Output(), "Loading", None, Clock(1.0))
    with closing(passed):
        assert next(n for n in passed if n > 5_000) == 5_001
        assert SHOW_CURSOR not in terminal.getvalue()
    assert SHOW_CURSOR in terminal.getvalue()


def test_the_bar_goes_also_when_the_stream_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)

    def broken() -> Iterator[int]:
        yield from range(5_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(meter.metered(broken(), Output(), "Loading", None, Clock(1.0)))
    assert SHOW_CURSOR in terminal.getvalue()


def test_elsewhere_there_is_a_line_a_minute(capsys: Capture) -> None:
    list(meter.metered(range(20_000), Output(), "Loading", 20_000, Clock(20.0)))
    said = [text.split(" ", 1)[1] for text in capsys.readouterr().err.splitlines()]
    assert said == [f"Loading: {n},000 of 20,000 jobs" for n in (6, 12, 18)]


def test_with_json_nothing_is_said(capsys: Capture) -> None:
    list(meter.metered(range(20_000), Output(as_json=True), "Loading", None, Clock(100.0)))
    captured = capsys.readouterr()
    assert captured.err + captured.out == ""


def test_a_terminal_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Gone())
    assert len(list(meter.metered(range(10_000), Output(), "Loading", None, Clock(1.0)))) == 10_000
