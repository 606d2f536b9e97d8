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
        which makes every interval that much longer. That says whose turn comes first
        (``turns.py``), and keeps nobody waiting while there is room. A tenth of jitter keeps jobs
        that were accepted together from being polled together.
        """
        jitter = rng.uniform(0.9, 1.1)
        # Who is older than a typical job is one of the long ones, and may be noticed later.
        cost = 2 * self.price * max(outlook.typical, age)
        step = math.sqrt(cost / outlook.median) * crowd * jitter
        place = math.log(max(age / outlook.median, SOONEST))
        due = curve(outlook.spread, outlook.strays).after(place, step)
        wait = outlook.median * math.exp(due) - age if due < math.inf else math.inf
        return self.within(wait, jitter)

    def usual(self, outlook: Outlook) -> float:
        """Seconds from one poll of such a job to the next, if it is alone: the mean from its
        beginning until half of such jobs are done."""
        step = math.sqrt(2 * self.price * outlook.typical / outlook.median)
        polls = curve(outlook.spread, outlook.strays).until(0.0) / step
        return self.within(outlook.median / max(polls, 1.0))

    def within(self, wait: float, jitter: float = 1.0) -> float:
        """``wait``, but no shorter and no longer than is allowed."""
        return min(max(wait, self.shortest * jitter), self.longest * jitter)

    def next_try(self, failures: int, rng: Random, retry_after: float | None = None) -> float:
        """Seconds until a free call that had no answer ``failures`` times in a row is repeated."""
        ceiling = min(self.longest_without_answer, self.first_try * 2.0 ** min(failures, 60))
        return max(retry_after or 0.0, 0.0) + rng.uniform(ceiling / 2, ceiling)
