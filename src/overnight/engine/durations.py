"""How long one model's jobs take, learnt from those that are done.

The logarithm of a job's duration is taken to be a level, plus an effect of each input that matters
(twice the steps, twice the time; a slow sampler, half as much again), plus noise of some spread.
The level follows every job that ends; which inputs matter, and how much, is found anew from the
newest jobs when a third more of them are known. Two surprises in a row to the same side mean that
the provider has changed: the level jumps there, and what is remembered moves along with it.

What polls tell of a duration is an interval: longer than at the last "not yet", at most as long as
at "done". What is learnt is where in it the end is to be expected, so rare polls don't make jobs
look longer than they are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from statistics import NormalDist, median
from typing import Any

from overnight.engine.effects import Effects, Sample
from overnight.engine.workload import features

NEWEST = 200
"""Jobs that effects are found from."""
ENOUGH = 8
"""Jobs after which effects are looked for, and surprises believed."""
SURPRISE = 4.0
"""Spreads away from what was expected."""
FOLLOWING = 32
"""Jobs that the level is a mean of, roughly; four times as many for the spread."""
LONG = 5.0
"""Medians that a job counts for at most in the mean."""

GUESS = math.log(10.0)
"""The logarithm of seconds that a job takes of which nobody knows anything."""
DOUBT = 1.5
"""The spread of that guess; after the first job it is :data:`DOUBT_AFTER_ONE`."""
DOUBT_AFTER_ONE = 0.6
FEWEST_STRAYS, MOST_STRAYS = 0.005, 0.3

SHORTEST, LONGEST = 1e-3, 1e9
"""Seconds between which every expectation is."""

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of one job: the ``median`` in seconds, the ``spread`` of the logarithm, the
    share of ``strays`` that follow no rule; ``typical`` are the seconds of the model's mean job."""

    median: float
    spread: float
    strays: float
    typical: float


@dataclass(slots=True)
class Durations:
    """One model's; see the module."""

    level: float = GUESS
    spread: float = DOUBT
    strays: float = FEWEST_STRAYS
    typical: float = math.exp(GUESS)
    known: int = 0
    """Jobs that were learnt from."""
    _effects: Effects = field(default_factory=Effects)
    _newest: deque[Sample] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _fit_at: int = ENOUGH
    _surprise: float = 0.0
    """What the newest job was off by, where that was a surprise."""

    def outlook(self, inputs: Mapping[str, Any]) -> Outlook:
        """What to expect of a job with ``inputs``."""
        expected = min(self.level + self._effects.of(inputs), math.log(LONGEST))
        median = max(math.exp(expected), SHORTEST)
        return Outlook(median, self.spread, self.strays, self.typical)

    def learn(self, inputs: Mapping[str, Any], low: float, high: float) -> None:
        """A job with ``inputs`` took more than ``low`` and at most ``high`` seconds."""
        if not 0 < high < math.inf:
            return
        high = min(max(high, SHORTEST), LONGEST)
        low = min(max(low, SHORTEST / 1000), high)
        effect = self._effects.of(inputs)
        seen = self._within(self.level + effect, low, high)
        self.known += 1
        self._newest.append(Sample(features(inputs), seen))
        if self.known == 1:
            self.level, self.spread = seen, DOUBT_AFTER_ONE
        else:
            self._follow(seen - effect - self.level)
        if self.known >= self._fit_at:
            self._fit()
        self.typical = self._mean_of_newest()

    def _mean_of_newest(self) -> float:
        """The seconds of the model's mean job. One that waited for a day while this machine slept
        counts as a long one and no more: every poll is paced by this."""
        newest = [math.exp(each.seen) for each in islice(reversed(self._newest), FOLLOWING)]
        most = LONG * median(newest)
        return sum(min(seconds, most) for seconds in newest) / len(newest)

    def _within(self, expected: float, low: float, high: float) -> float:
        """The logarithm that is to be expected between those of ``low`` and ``high``."""
        first, last = math.log(low), math.log(high)
        if last - first < self.spread / 4:
            return (first + last) / 2
        a, b = (first - expected) / self.spread, (last - expected) / self.spread
        mass = _NORMAL.cdf(b) - _NORMAL.cdf(a)
        if mass < 1e-6:  # nothing was expected here
            return math.log((low + high) / 2)
        return expected + self.spread * (_NORMAL.pdf(a) - _NORMAL.pdf(b)) / mass

    def _follow(self, off: float) -> None:
        """Let level and spread follow a job that was ``off`` by so much."""
        if self.known > ENOUGH and abs(off) > SURPRISE * self.spread:
            if off * self._surprise > 0:
                self._jump((off + self._surprise) / 2)
            else:
                self._surprise = off
            return
        self._surprise = 0.0
        self.level += off / min(self.known, FOLLOWING)
        variance = self.spread**2
        variance += (off**2 - variance) / min(self.known + 1, 4 * FOLLOWING)
        self.spread = math.sqrt(variance)

    def _jump(self, by: float) -> None:
        """Everything takes that much longer (or less) now: so would what was seen before."""
        self._surprise = 0.0
        self.level += by
        for sample in list(self._newest)[:-2]:
            sample.seen += by

    def _fit(self) -> None:
        """Find the effects anew, and with them level, spread and strays."""
        self._fit_at = self.known + min(max(self.known // 3, 3), NEWEST // 2)
        newest = list(self._newest)
        first = Effects.found(newest)
        off = [sample.seen - first.of_features(sample.features) for sample in newest]
        middle = median(off)
        usual = max(1.5 * median(abs(each - middle) for each in off), 0.01)
        kept = [
            sample
            for sample, each in zip(newest, off, strict=True)
            if abs(each - middle) <= SURPRISE * usual
        ]
        self._effects = Effects.found(kept)
        off = [sample.seen - self._effects.of_features(sample.features) for sample in kept]
        self.level = sum(off) / len(off)
        freedom = max(len(off) - 1 - self._effects.count, 1)
        self.spread = max(math.sqrt(sum((each - self.level) ** 2 for each in off) / freedom), 0.01)
        share = (len(newest) - len(kept)) / len(newest)
        self.strays = min(max(share, FEWEST_STRAYS), MOST_STRAYS)
        for each in off[-FOLLOWING:]:
            self.level += (each - self.level) / FOLLOWING
