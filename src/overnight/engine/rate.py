"""A submit rate that is kept exactly: never more than N submits in any stretch of T seconds.

A sliding window, not a bucket: a bucket that refills lets twice its size through around a refill.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

_UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0}
_RATE = re.compile(r"\s*(\d{1,7})\s*/\s*(s|sec|min|h|hour|d)\s*")


class Rate:
    """At most ``count`` submits in any ``seconds`` seconds; ``past`` are times of earlier ones."""

    def __init__(self, count: int, seconds: float, past: Iterable[float] = ()) -> None:
        self.count = count
        self.seconds = seconds
        self._times = deque(sorted(past)[-count:], maxlen=count)

    @classmethod
    def parse(cls, text: str, past: Iterable[float] = ()) -> Rate:
        """Read ``30/min``; units are s, min, h and d. Raises :class:`ValueError`."""
        found = _RATE.fullmatch(text)
        if found is None or int(found[1]) == 0:
            raise ValueError(f"{text!r} is no rate; write one such as 30/min or 500/h")
        return cls(int(found[1]), _UNITS[found[2]], past)

    def take(self, at: float) -> None:
        """A submit goes at ``at``, which is not before :meth:`next_place`."""
        self._times.append(at)

    def room(self, now: float) -> int:
        """How many submits may go right now."""
        recent = sum(1 for at in self._times if at > now - self.seconds)
        return self.count - recent

    def next_place(self, now: float) -> float:
        """When the next submit may go; ``now`` when it may go at once."""
        if len(self._times) < self.count:
            return now
        return max(now, self._times[0] + self.seconds)


class Rates:
    """Several rates at once, each of which is kept; none at all lets everything through."""

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._rates = tuple(rates)

    def reserve(self, now: float) -> float:
        """Take the next place; returns how many seconds to wait until it comes."""
        at = self.next_place(now)
        for rate in self._rates:
            rate.take(at)
        return at - now

    def room(self, now: float) -> int | None:
        """How many submits may go right now; None for any number."""
        return min((rate.room(now) for rate in self._rates), default=None)

    def next_place(self, now: float) -> float:
        """When the next submit may go; ``now`` when it may go at once."""
        return max((rate.next_place(now) for rate in self._rates), default=now)
