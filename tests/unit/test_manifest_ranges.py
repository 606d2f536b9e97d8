"""Ranges: the texts that count as one, their values to the digit, and the ones that make none."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.manifest.ranges import (
    MOST_VALUES,
    RangeProblem,
    is_range,
    read_range,
    stepped,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8-14 (+2)", [8, 10, 12, 14]),
        ("8-14 (+4)", [8, 12]),
        (" 8 - 14 ( +2 ) ", [8, 10, 12, 14]),
        ("14-8 (-2)", [14, 12, 10, 8]),
        ("-5--1 (+2)", [-5, -3, -1]),
        ("-1-1 (+0.5)", [-1.0, -0.5, 0.0, 0.5, 1.0]),
        ("0.1-0.5 (+0.1)", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("1.0-3.0 (+1.0)", [1, 2, 3]),
        ("5-5 (+1)", [5]),
        ("0.6-2 [8]", [0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]),
        ("0-1 [6]", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ("0-1 [7]", [0.0, 0.166667, 0.333333, 0.5, 0.666667, 0.833333, 1.0]),
        ("10-1 [4]", [10, 7, 4, 1]),
        ("-1.5-1.5 [4]", [-1.5, -0.5, 0.5, 1.5]),
        ("3-3 [1]", [3]),
        ("1-2 [2]", [1, 2]),
        ("1, 2, .., 10", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("1,2,...,4", [1, 2, 3, 4]),
        ("1, 2, …, 4", [1, 2, 3, 4]),
        ("10, 8, .., 2", [10, 8, 6, 4, 2]),
        ("2, 4, 6, .., 10", [2, 4, 6, 8, 10]),
        ("0.1, 0.2, .., 0.5", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("3, 4, .., 4", [3, 4]),
        ("-0-1 (+1)", [0, 1]),
    ],
)
def test_ranges(text: str, values: list[float]) -> None:
    found = read_range(text)
    assert is_range(text)
    assert [repr(value) for value in found] == [repr(value) for value in values]


@pytest.mark.parametrize(
    "text",
    [
        *("16-9", "8-14", "16:9", "1, 2, 3", "1", "", "..", "1, ..", ".., 3", "1-2", "8-14 (2)"),
        *("a (+2)", "shots 8-14 (+2)", "8-14 (+2) frames", "1, 2, .., 10 foxes", "(+2)", "[8]"),
        *("8-14 [+2]", "8-14 [2.5]", "1-2-3 (+1)", "1e3-2e3 (+10)", "1,5-2,5 (+1)", "8–14 (+2)"),
        *("1, two, .., 10", "1, 2, .., 10, 12", "1 2 .. 10", "A fox, a dog, .., a cat", "٨-٩ (+1)"),
        *(
            "1..2, 2, .., 3",
            "9" * 300 + "-1 (+2)",
            "1, " * 100 + ".., 10",
            "v1.2-3 [8]",
            "--1-2 (+1)",
        ),
    ],
)
def test_texts_that_are_no_ranges(text: str) -> None:
    assert not is_range(text)
    with pytest.raises(RangeProblem, match="no range"):
        read_range(text)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("8-14 (-2)", "steps of -2 don't lead from 8 to 14", "write the step as +2, "),
        ("14-8 (+2)", "steps of +2 don't lead from 14 to 8", "write the step as -2, "),
        ("8-14 (+0)", "the step is 0", "give it a step"),
        ("1-2 [0]", "at least one value", "[2]"),
        ("1-2 [1]", "one value can't be both ends", "[2]"),
        ("1-1 [3]", "both ends are 1", None),
        ("0-1000000 (+1)", "1,000,001 values; 100,000 are allowed", "larger step"),
        ("0-1 [999999999]", "999,999,999 values", "larger step"),
        ("0-999999999999999 (+0.000000000001)", "values; 100,000 are allowed", None),
        ("1, 2, .., 999999999", "999,999,999 values", None),
        ("1, .., 5", "two numbers before the dots", "write 1, 2, .., 5"),
        ("1, 1, .., 5", "the first two numbers are equal", None),
        ("1, 2, 4, .., 10", "4 breaks it", "list of the values"),
        ("1, 3, .., 10", "steps of +2 don't land on 10", "9 and 11"),
        ("10, 7, .., 2", "steps of -3 don't land on 2", "4 and 1"),
        ("1, 2, .., -5", "at 2 already and never comes to -5", "after those before"),
        ("1, 2, 3, .., 2", "at 3 already and never comes to 2", None),
    ],
)
def test_ranges_that_make_no_sense(text: str, message: str, hint: str | None) -> None:
    assert is_range(text)
    with pytest.raises(RangeProblem, match=re.escape(message)) as caught:
        read_range(text)
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_whole_ranges_refuse_fractions() -> None:
    assert read_range("1-10 [4]", whole=True) == [1, 4, 7, 10]
    with pytest.raises(RangeProblem, match="5 values between 1 and 10 are not all whole") as caught:
        read_range("1-10 [5]", whole=True)
    assert caught.value.hint == "these are: [4] or [10]"
    with pytest.raises(RangeProblem, match=r"whole numbers, and the range has 0\.5 in it"):
        read_range("0.5-2 (+0.5)", whole=True)
    with pytest.raises(RangeProblem, match=r"has 1\.5 in it"):
        read_range("1, 1.5, .., 3", whole=True)
    with pytest.raises(RangeProblem, match=r"has 0\.5 in it"):
        read_range("0.5-2.5 [3]", whole=True)


@pytest.mark.parametrize("text", ["1-10 [5]", "1-7 [5]", "1-10000 [7000]", "10-1 [9]", "0-1 [3]"])
def test_the_counts_that_are_offered_work(text: str) -> None:
    with pytest.raises(RangeProblem) as caught:
        read_range(text, whole=True)
    counts = re.findall(r"\[\d+\]", caught.value.hint or "")
    assert counts
    for count in counts:
        values = read_range(re.sub(r"\[\d+\]", count, text), whole=True)
        assert all(isinstance(value, int) for value in values)


def test_ranges_as_mappings() -> None:
    assert stepped(8, 14, 2) == [8, 10, 12, 14]
    assert stepped(0.1, 0.5, 0.1) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert stepped(1, 3) == [1, 2, 3]
    assert stepped(3, 1) == [3, 2, 1]
    assert stepped(1e-5, 3e-5, 1e-5) == [1e-5, 2e-5, 3e-5]
    assert read_range("0-1 [3]", whole=False) == [0.0, 0.5, 1.0]
    assert stepped(0, MOST_VALUES - 1) == list(range(MOST_VALUES))


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        *((1, 2, 0), (1, 2, -1), (1, 2, 0.0), (float("nan"), 2, 1), (1, float("inf"), 1)),
        *(
            (1, 2, float("nan")),
            (True, 2, 1),
            (1, 2, "1"),
            ("1", 2, 1),
            (None, 2, 1),
            (1, 10**400, 1),
        ),
        *((0, 1, 5e-324), (0, 1e300, 1e299), (0, MOST_VALUES, 1)),
    ],
)
def test_mappings_that_make_no_sense(start: float, end: float, step: float) -> None:
    with pytest.raises(RangeProblem):
        stepped(start, end, step)


_DECIMALS = st.decimals(-1000, 1000, places=3, allow_nan=False)


@given(_DECIMALS, st.integers(1, 50), st.decimals("0.001", 50, places=3), st.booleans())
def test_steps_are_exact(start: Decimal, count: int, step: Decimal, down: bool) -> None:
    signed = -step if down else step
    end = start + (count - 1) * signed
    sign = "-" if down else "+"
    found = read_range(f"{start:f}-{end:f} ({sign}{step:f})")
    assert [Decimal(repr(value)) for value in found] == [start + at * signed for at in range(count)]
    assert stepped(float(start), float(end), float(signed)) == found
    if count > 2:
        assert read_range(f"{start:f}, {start + signed:f}, .., {end:f}") == found


@given(_DECIMALS, _DECIMALS, st.integers(2, 300))
def test_even_distances_keep_their_ends_and_never_turn(
    start: Decimal, end: Decimal, n: int
) -> None:
    if start == end:
        return
    found = read_range(f"{start:f}-{end:f} [{n}]")
    assert len(found) == len(set(found)) == n
    assert (Decimal(repr(found[0])), Decimal(repr(found[-1]))) == (start, end)
    assert found == sorted(found, reverse=end < start)
    distance = float(end - start) / (n - 1)
    assert all(
        abs(value - (float(start) + at * distance)) <= abs(distance) * 1e-4
        for at, value in enumerate(found)
    )


@given(st.one_of(st.text(max_size=40), st.text("0123456789-+.,()[]… ", max_size=40)))
def test_any_text_is_a_range_or_a_problem(text: str) -> None:
    try:
        values = read_range(text)
    except RangeProblem:
        return
    assert is_range(text)
    assert 1 <= len(values) <= MOST_VALUES
    assert len({type(value) for value in values}) == 1
