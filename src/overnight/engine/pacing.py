"""When to ask next about a job that the provider has.

Asking costs little but is not free, and noticing late leaves a slot idle. What a poll may cost is
one number, :attr:`Pace.price`; given it, and how long jobs like this one take, the best interval at
any age follows (``curve.py`` has the rule and where it comes from). The bounds here hold whatever
has been learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from overnight.engine.curve import curve
from overnight.engine.durations import Outlook

BURST = 1.0
"""Seconds whose polls may all go at one instant; only what is more than that has to queue."""

SOONEST = 1e-6
"""The share of its time at which a job that has just begun, or has yet to begin, is taken to be."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds. ``price`` is what a poll is taken to cost: the share of a typical job's
    time that may rather be lost to noticing an end late."""

    price: float = 0.00015
    shortest: float = 0.2
    longest: float = 300.0
    first_try: float = 0.5
    longest_without_answer: float = 60.0
    per_second: float = 500.0
    """Polls of all jobs together in a second, at most."""

    def interval(self, outlook: Outlook, age: float, rng: Random, *, crowd: float = 1.0) -> float:
        """Seconds from one poll to the next of a job that ran for ``age`` seconds at the first; a
        negative age is of a job that is expected to begin only then.

        ``crowd`` is by how much all jobs together would ask too often: polls cost its square then,
        which makes every interval that much longer. A tenth of jitter keeps jobs that were
        accepted together from being polled together.
        """
        jitter = rng.uniform(0.9, 1.1)
        # Who is older than a typical job is one of the long ones, and may be noticed later.
        cost = 2 * self.price * max(outlook.typical, age)
        step = math.sqrt(cost / outlook.median) * crowd * jitter
        place = math.log(max(age / outlook.median, SOONEST))
        due = curve(outlook.spread, outlook.strays).after(place, step)
        wait = outlook.median * math.exp(due) - age if due < math.inf else math.inf
        return self.within(wait, jitter)

    def within(self, wait: float, jitter: float = 1.0) -> float:
        """``wait``, but no shorter and no longer than is allowed."""
        return min(max(wait, self.shortest * jitter), self.longest * jitter)

    def next_try(self, failures: int, rng: Random, retry_after: float | None = None) -> float:
        """Seconds until a free call that had no answer ``failures`` times in a row is repeated."""
        ceiling = min(self.longest_without_answer, self.first_try * 2.0 ** min(failures, 60))
        return max(retry_after or 0.0, 0.0) + rng.uniform(ceiling / 2, ceiling)


@dataclass(slots=True)
class Turns:
    """Keeps all polls together below a rate, whatever each job wants. Whoever asks first goes
    first, so nobody waits for more than one poll of every other job."""

    _free: float = -math.inf

    def reserve(self, now: float, per_second: float) -> float:
        """Take the next turn; returns how many seconds to wait until it comes. ``now`` is of a
        clock that never goes back."""
        apart = 1 / per_second
        self._free = max(self._free, now - max(BURST, apart)) + apart
        return max(self._free - now, 0.0)
