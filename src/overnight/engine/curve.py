"""Where polls belong, for jobs whose length is known as far as a distribution knows it.

If a poll costs as much as ``c`` seconds of noticing late, then the lateness and the polls together
cost least where polls are sqrt(h(t) / 2c) a second close at the age t, h being the hazard: the
chance that a job which is not done yet ends within the next second. (An interval d costs c / d a
second and h * d / 2 of lateness a second; the sum is least at d = sqrt(2c / h).) So polls sit at
equal steps of the integral of sqrt(h), and that integral is all that is tabulated here.

The logarithm of a length is taken to be normal around what is expected, with ``spread``; a share of
``strays`` follows no rule, so that the hazard is nowhere nothing: too soon, a job may have failed,
and too late, it may take any time. Lengths are in units of the median, so a table serves all jobs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

ASTRAY = 1.5
"""Sigma of the logarithm of a stray job's length: it may well be a fifth or five times as long."""
FARTHEST = 10.0
"""Logarithms from the median to both ends of a table: 20,000 times shorter, or longer."""


@dataclass(frozen=True, slots=True)
class Curve:
    """``places`` are logarithms of age over median; ``sums`` the integral of sqrt(hazard) up to
    each, in square roots of the median."""

    places: Sequence[float]
    sums: Sequence[float]

    def until(self, place: float) -> float:
        """The integral up to ``place``."""
        return _between(self.places, self.sums, place)

    def after(self, place: float, step: float) -> float:
        """The place at which the integral has grown by ``step``; infinity where it never does."""
        wanted = self.until(place) + step
        if wanted >= self.sums[-1]:
            return math.inf
        return _between(self.sums, self.places, wanted)


def curve(spread: float, strays: float) -> Curve:
    """The curve for lengths of about that ``spread`` and share of ``strays``: both are rounded, by
    a twentieth at most, so that few tables are made."""
    return _made(round(math.log(max(spread, 0.01)) * 10), round(math.log(max(strays, 1e-3)) * 4))


@lru_cache(maxsize=512)
def _made(spread: int, strays: int) -> Curve:
    sigma, stray = math.exp(spread / 10), min(math.exp(strays / 4), 0.9)
    places = _grid(sigma)
    roots = [math.sqrt(hazard(place, sigma, stray) * math.exp(place)) for place in places]
    sums = [0.0]
    for (low, high), (left, right) in zip(pairwise(places), pairwise(roots), strict=True):
        sums.append(sums[-1] + (high - low) * (left + right) / 2)
    return Curve(places, sums)


def _grid(sigma: float) -> list[float]:
    """Close where most jobs end, wide elsewhere."""
    core = [sigma * each / 6 for each in range(-36, 37)]
    wide = [each / 10 for each in range(round(-10 * FARTHEST), round(10 * FARTHEST) + 1)]
    within = [place for place in core if abs(place) < FARTHEST]
    return sorted({*within, *wide})


def hazard(place: float, sigma: float, strays: float) -> float:
    """The chance a unit of ``place`` that a job ends there, given that it has not before."""
    astray = max(ASTRAY, 1.5 * sigma)
    density = (1 - strays) * _normal(place, sigma) + strays * _normal(place, astray)
    left = (1 - strays) * _beyond(place, sigma) + strays * _beyond(place, astray)
    return density / left


def _normal(place: float, sigma: float) -> float:
    return math.exp(-((place / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def _beyond(place: float, sigma: float) -> float:
    return math.erfc(place / (sigma * math.sqrt(2))) / 2


def _between(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Straight between two points of a rising table; its ends outside of it."""
    after = bisect_right(xs, x)
    if after == 0:
        return ys[0]
    if after == len(xs):
        return ys[-1]
    share = (x - xs[after - 1]) / (xs[after] - xs[after - 1])
    return ys[after - 1] + share * (ys[after] - ys[after - 1])
