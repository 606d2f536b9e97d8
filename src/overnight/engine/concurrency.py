"""How many jobs to have with the provider at once: found out, below what the user allows.

Nobody documents how much a provider takes, so the limit is learnt from its answers. The rules and
where they come from are in ``concurrency.md`` beside this file. In short:

- start low, and double whenever the slots that came last are filled with accepted jobs (slow
  start), until the first cut;
- being throttled cuts to four fifths, at most once in 15 seconds, because the answers that come in
  together speak of the same moment;
- quiet success grows by a twentieth, and only while most of the limit is used: a limit that nobody
  fills teaches nothing;
- a provider in trouble (5xx) holds growth back and cuts nothing: trouble is not a lack of room.

Pure: it is told what happened and when, and says what it changed and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from overnight.lifecycle import Event

FIRST = 8
"""Jobs at once to begin with."""
CUT = 0.8
CUT_EVERY = 15.0
"""Seconds between two cuts; longer when the provider asks for more."""
GROW = 1.05
USED = 0.8
"""The share of the limit that must be in use for it to grow."""
QUIET = 15.0
"""Seconds without trouble before growth goes on."""

_TROUBLE = frozenset({Event.UNAVAILABLE, Event.UNCERTAIN, Event.NOT_SENT})


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the limit, for the record."""

    before: int
    after: int
    reason: str


@dataclass(slots=True)
class Concurrency:
    """The limit for one account. ``ceiling`` is the user's; times are in seconds, any clock."""

    ceiling: int
    limit: int = field(init=False)
    _slow_start: bool = True
    _accepted: int = 0
    """Submits accepted since the limit changed last."""
    _wanted: int = field(init=False)
    """Accepted submits after which it grows."""
    _next_cut: float = -math.inf
    _quiet_from: float = -math.inf

    def __post_init__(self) -> None:
        self.limit = self._wanted = min(self.ceiling, FIRST)

    def record(
        self, event: Event, *, now: float, held: int, retry_after: float = 0.0
    ) -> Change | None:
        """Take note of how a submit ended, with ``held`` slots filled; the change, if any."""
        if event is Event.THROTTLED:
            return self._cut(now, retry_after)
        if event in _TROUBLE:
            self._quiet_from = now + QUIET
        elif event is Event.ACCEPTED:
            used = held >= USED * self.limit
            # At first each slot counts as it is filled, also one by one under a submit rate.
            self._accepted += used or self._slow_start
            if used and self._accepted >= self._wanted and now >= self._quiet_from:
                return self._grow()
        return None

    def _cut(self, now: float, retry_after: float) -> Change | None:
        self._slow_start = False
        self._accepted = 0
        if now < self._next_cut:
            return None
        self._next_cut = now + max(CUT_EVERY, retry_after)
        # Down by one at least, or 4 would stay 4 for ever at a fifth less.
        return self._set(min(self.limit - 1, int(self.limit * CUT)), "throttled")

    def _grow(self) -> Change | None:
        if self._slow_start:
            before = self.limit
            change = self._set(before * 2, "all accepted so far")
            # Only the new slots take new jobs: the old ones may be full for an hour.
            self._wanted = max(1, self.limit - before)
            return change
        return self._set(max(self.limit + 1, int(self.limit * GROW)), "accepted for a while")

    def _set(self, limit: int, reason: str) -> Change | None:
        before, self.limit = self.limit, max(1, min(self.ceiling, limit))
        self._accepted, self._wanted = 0, self.limit
        return Change(before, self.limit, reason) if self.limit != before else None
