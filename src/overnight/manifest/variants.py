"""What a dynamic prompt is made of, as a tree that can be counted and indexed. Pure.

Every node has a number of variants, known by arithmetic, and gives the text of each by its place;
nothing is ever enumerated, so a prompt with 10¹⁸ variants costs as little as one with ten. Places
go in the order in which things are written, the last part varying fastest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

Fraction = Callable[[], float]
"""A source of chance: numbers from 0 up to 1, 1 excluded."""


class Node(Protocol):
    """A part of a prompt. ``longest`` is an upper bound for the characters of its texts, ``depth``
    how many parts are inside one another; ``weighted`` says whether :meth:`choose` prefers some
    variants by a written weight."""

    count: int
    longest: int
    depth: int
    weighted: bool

    def text(self, place: int) -> str:
        """The variant at a place, 0 to ``count - 1``."""

    def choose(self, fraction: Fraction) -> int:
        """A place by chance: at each choice, an option as likely as its weight says."""


class Literal:
    """Plain text."""

    __slots__ = ("_text", "longest")

    count = 1
    depth = 0
    weighted = False

    def __init__(self, text: str) -> None:
        self.longest = len(text)
        self._text = text

    def text(self, place: int) -> str:
        """The text itself."""
        return self._text

    def choose(self, fraction: Fraction) -> int:
        """Always the one place."""
        return 0


class Series:
    """Parts that follow one another: every combination of their variants."""

    def __init__(self, parts: Sequence[Node]) -> None:
        self.count = math.prod(part.count for part in parts)
        self.longest = sum(part.longest for part in parts)
        self.depth = 1 + max((part.depth for part in parts), default=0)
        self.weighted = any(part.weighted for part in parts)
        self._parts = parts

    def text(self, place: int) -> str:
        """The parts' texts, joined."""
        texts = []
        for part in reversed(self._parts):
            place, inner = divmod(place, part.count)
            texts.append(part.text(inner))
        return "".join(reversed(texts))

    def choose(self, fraction: Fraction) -> int:
        """Each part's own choice."""
        place = 0
        for part in self._parts:
            place = place * part.count + part.choose(fraction)
        return place


class Choice:
    """One of several options, each with its weight."""

    def __init__(self, options: Sequence[Node], weights: Sequence[float]) -> None:
        self.options = options
        self.weights = weights
        self._starts = [0, *accumulate(option.count for option in options)]
        self._likely = list(accumulate(weights))
        self.count = self._starts[-1]
        self.longest = max(option.longest for option in options)
        self.depth = 1 + max(option.depth for option in options)
        self.weighted = uneven(weights) or any(option.weighted for option in options)

    def text(self, place: int) -> str:
        """A variant of the option that has this place."""
        at = bisect_right(self._starts, place) - 1
        return self.options[at].text(place - self._starts[at])

    def choose(self, fraction: Fraction) -> int:
        """A variant of an option taken by weight."""
        at = _weighted(self._likely, fraction())
        return self._starts[at] + self.options[at].choose(fraction)


class Several:
    """From ``low`` to ``high`` of several options, none twice, in the order they are written.

    So two of three are three variants, not six: the same options in another order say the same to
    a model, and would be paid a second time. Spaces around each option's text are dropped.
    """

    def __init__(
        self,
        options: Sequence[Node],
        weights: Sequence[float],
        low: int,
        high: int,
        separator: str,
    ) -> None:
        self._options = options
        self._weights = weights
        self._low, self._high = low, high
        self._separator = separator
        self._ways = _ways([option.count for option in options], high)
        sizes = [self._ways[taken][0] for taken in range(low, high + 1)]
        self._starts = [0, *accumulate(sizes)]
        self.count = self._starts[-1]
        longest = sorted((option.longest for option in options), reverse=True)[:high]
        self.longest = sum(longest) + len(separator) * max(0, high - 1)
        self.depth = 1 + max(option.depth for option in options)
        self.weighted = uneven(weights) or any(option.weighted for option in options)

    def text(self, place: int) -> str:
        """The options' texts, the separator between them."""
        group = bisect_right(self._starts, place) - 1
        rest = place - self._starts[group]
        texts, first = [], 0
        for left in range(self._low + group, 0, -1):
            ways = self._ways[left]
            # The last option that as many selections begin at or before as the place asks for.
            at = bisect_right(ways, rest - ways[first], lo=first, key=_negative) - 1
            rest -= ways[first] - ways[at]
            inner, rest = divmod(rest, self._ways[left - 1][at + 1])
            texts.append(self._options[at].text(inner).strip())
            first = at + 1
        return self._separator.join(texts)

    def choose(self, fraction: Fraction) -> int:
        """A number of options, each number as likely, then options by weight."""
        group = int(fraction() * (self._high - self._low + 1))
        remaining = list(range(len(self._options)))
        taken = []
        for _ in range(self._low + group):
            likely = list(accumulate(self._weights[at] for at in remaining))
            taken.append(remaining.pop(_weighted(likely, fraction())))
        return self._starts[group] + self._place(sorted(taken), fraction)

    def _place(self, taken: list[int], fraction: Fraction) -> int:
        """Where a selection is among those of its size, its options' variants left to chance."""
        place, first = 0, 0
        for left, at in zip(range(len(taken), 0, -1), taken, strict=True):
            ways = self._ways[left]
            inner = self._options[at].choose(fraction)
            place += ways[first] - ways[at] + inner * self._ways[left - 1][at + 1]
            first = at + 1
        return place


def uneven(weights: Sequence[float]) -> bool:
    """Whether weights prefer some options to others."""
    return any(weight != weights[0] for weight in weights)


def _ways(counts: Sequence[int], most: int) -> list[list[int]]:
    """``[k][i]``: in how many ways k of the options from the i-th on can be taken, their own
    variants counted."""
    ways = [[1] * (len(counts) + 1)]
    for taken in range(1, most + 1):
        row = [0] * (len(counts) + 1)
        for at in range(len(counts) - 1, -1, -1):
            row[at] = row[at + 1] + counts[at] * ways[taken - 1][at + 1]
        ways.append(row)
    return ways


def _weighted(likely: Sequence[float], fraction: float) -> int:
    """The place in a running total of weights that a fraction of the whole falls on."""
    return min(bisect_right(likely, fraction * likely[-1]), len(likely) - 1)


def _negative(number: int) -> int:
    return -number
