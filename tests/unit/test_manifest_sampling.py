"""Samples: the right number, all different, the same every time, none preferred."""

import hashlib
from collections import Counter
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.manifest import sampling
from overnight.manifest.sampling import (
    LARGEST_PRODUCT,
    Bottom,
    Indices,
    SamplingProblem,
    Stream,
    pick,
    shuffled_rank,
)

_SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 12), min_size=1, max_size=4)


@given(_SIZES, st.integers(0, 40), st.integers())
def test_a_sample_is_distinct_in_order_and_inside(sizes: dict[str, int], n: int, seed: int) -> None:
    found = pick(sizes, n, seed)
    assert found == sorted(set(found))
    assert len(found) == min(n, prod(sizes.values()))
    for indices in found:
        assert all(0 <= at < size for at, size in zip(indices, sizes.values(), strict=True))
    assert pick(sizes, n, seed) == found


@given(_SIZES, st.integers(1, 20), st.integers(0, 5))
def test_the_order_of_the_axes_changes_nothing(sizes: dict[str, int], n: int, seed: int) -> None:
    turned = dict(reversed(sizes.items()))

    def named(order: dict[str, int], found: list[Indices]) -> set[frozenset[tuple[str, int]]]:
        return {frozenset(zip(order, indices, strict=True)) for indices in found}

    assert named(sizes, pick(sizes, n, seed)) == named(turned, pick(turned, n, seed))


def test_a_sample_stays_the_same_for_ever() -> None:
    """A change here would give every user another sample for the seed that they wrote down."""
    assert pick({"style": 10, "seed": 1000}, 4, 7) == [(1, 220), (3, 393), (4, 430), (8, 413)]
    assert pick({"style": 2, "seed": 2}, 3, 7) == [(0, 0), (0, 1), (1, 1)]
    stream = Stream(7)
    assert [stream.below(100) for _ in range(5)] == [93, 30, 13, 20, 86]


def test_huge_products_cost_nothing() -> None:
    sizes = {"a": 2**31, "b": 2**31, "c": 2**31}
    found = pick(sizes, 1000, 1)
    assert len(set(found)) == 1000
    for place in range(3):
        above = sum(indices[place] >= 2**30 for indices in found)
        assert 430 < above < 570  # 500 ± more than four times its deviation


def test_too_huge_is_a_problem() -> None:
    assert len(pick({"a": LARGEST_PRODUCT}, 2, 1)) == 2
    with pytest.raises(SamplingProblem, match="can be numbered"):
        pick({"a": LARGEST_PRODUCT, "b": 2}, 2, 1)


@pytest.mark.parametrize("n", [3, 20])
def test_every_combination_is_equally_likely(n: int) -> None:
    seen = Counter(found for seed in range(1500) for found in pick({"a": 6, "b": 5}, n, seed))
    expected = 1500 * n / 30
    assert len(seen) == 30
    squares = sum((times - expected) ** 2 / expected for times in seen.values())
    assert squares < 59  # chi-squared of 29 degrees, one in a thousand


@pytest.mark.parametrize("n", [2, 8])
def test_every_accepted_combination_is_equally_likely(n: int) -> None:
    def accept(indices: Indices) -> bool:
        return sum(indices) % 3 == 0

    seen = Counter(
        found for seed in range(1500) for found in pick({"a": 6, "b": 5}, n, seed, accept)
    )
    expected = 1500 * n / 10
    assert len(seen) == 10
    assert all(accept(indices) for indices in seen)
    assert sum((times - expected) ** 2 / expected for times in seen.values()) < 27.9


def test_few_accepted_ones_are_all_found() -> None:
    def accept(indices: Indices) -> bool:
        return indices[0] == indices[1] == 17

    assert pick({"a": 100, "b": 100}, 5, 1, accept) == [(17, 17)]
    assert pick({"a": 100, "b": 100}, 5, 1, lambda indices: False) == []
    assert pick({"a": 0, "b": 3}, 5, 1) == []


def test_hopeless_exclusion_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_TRIES", 1000)
    calls = 0

    def accept(indices: Indices) -> bool:
        nonlocal calls
        calls += 1
        return False

    with pytest.raises(SamplingProblem, match="only 0 of the 50 wanted") as caught:
        pick({"a": 10**6, "b": 10**6}, 50, 1, accept)
    assert "ask for fewer" in (caught.value.hint or "")
    assert calls == 1200


def test_another_distribution_for_an_axis() -> None:
    def mostly_first(stream: Stream) -> int:
        return 0 if stream.fraction() < 0.9 else 1

    found = pick({"p": 2, "seed": 10**6}, 1000, 3, choosers={"p": mostly_first})
    assert 850 < sum(indices[0] == 0 for indices in found) < 950
    assert len(pick({"p": 2}, 2, 3, choosers={"p": mostly_first})) == 2


@given(st.integers(1, LARGEST_PRODUCT), st.integers())
def test_numbers_stay_below_their_end(end: int, seed: int) -> None:
    stream = Stream(seed)
    assert all(0 <= stream.below(end) < end for _ in range(5))
    assert all(0 <= stream.fraction() < 1 for _ in range(5))


def test_streams_of_other_seeds_and_purposes_differ() -> None:
    streams = [Stream(1), Stream(2), Stream(1, "random axis"), Stream(-1)]
    assert len({stream.word() for stream in streams}) == 4


_ROWS = st.lists(st.text(max_size=6), max_size=60)


@given(_ROWS, st.integers(0, 20), st.integers(0, 3))
def test_the_bottom_holds_n_in_their_order(rows: list[str], n: int, seed: int) -> None:
    bottom: Bottom[int] = Bottom(n, seed)
    for at, row in enumerate(rows):
        bottom.offer(row, at)
    kept = bottom.items()
    assert kept == sorted(set(kept))
    assert len(kept) == min(n, len(rows))


@given(st.lists(st.text(max_size=6), max_size=60, unique=True), st.data())
def test_the_bottom_depends_on_content_and_hardly_on_growth(
    rows: list[str], data: st.DataObject
) -> None:
    def kept(of: list[str]) -> set[str]:
        bottom: Bottom[str] = Bottom(10, 5)
        for row in of:
            bottom.offer(row, row)
        return set(bottom.items())

    assert kept(rows) == kept(data.draw(st.permutations(rows)))
    old = rows[: data.draw(st.integers(0, len(rows)))]
    new = set(rows) - set(old)
    assert kept(rows) - kept(old) <= new


def test_of_equal_rows_the_first_stays() -> None:
    bottom: Bottom[int] = Bottom(1, 0)
    for at in range(4):
        bottom.offer("same", at)
    assert bottom.items() == [0]


def test_the_bottom_prefers_nobody() -> None:
    seen: Counter[int] = Counter()
    for seed in range(600):
        bottom: Bottom[int] = Bottom(5, seed)
        for at in range(20):
            bottom.offer(f"row {at}", at)
        seen.update(bottom.items())
    assert sum((seen[at] - 150) ** 2 / 150 for at in range(20)) < 43.8


def test_shuffled_ranks_are_spread() -> None:
    ranks = [shuffled_rank(hashlib.sha256(bytes([at])).hexdigest()) for at in range(200)]
    assert len(set(ranks)) == 200
    assert all(0 <= rank < 2**31 for rank in ranks)
    assert 60 < sum(rank < 2**30 for rank in ranks) < 140
    assert shuffled_rank("f" * 64) == 2**31 - 1
