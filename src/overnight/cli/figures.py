"""The figures of a run as people want them: how many are done, how fast, how long still. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from overnight.cli.output import size, span
from overnight.lifecycle import TERMINAL, State

if TYPE_CHECKING:
    from overnight.engine.report import Snapshot

WINDOW = 300.0
"""Seconds over which the pace is measured: long enough to be steady, short enough to be current."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment of a run. ``per_minute`` and ``left`` (seconds) are None until jobs have come to
    rest; ``bytes`` were downloaded in this run."""

    total: int
    done: int
    running: int
    collecting: int
    queued: int
    pending: int
    failed: int
    unknown: int
    cancelled: int
    bytes: int
    limit: int
    ceiling: int
    per_minute: float | None = None
    left: float | None = None
    paused: str | None = None

    @property
    def share(self) -> float:
        """How much has come to rest, from 0 to 1."""
        rest = self.done + self.failed + self.unknown + self.cancelled
        return rest / self.total if self.total else 0.0

    def counts(self) -> str:
        """``310 of 500 done, 4 running, 2 queued, 180 pending, 4 failed``."""
        parts = [f"{self.done:,} of {self.total:,} done", f"{self.running:,} running"]
        if self.collecting:
            parts.append(f"{self.collecting:,} collecting")
        parts += [f"{self.queued:,} queued", f"{self.pending:,} pending"]
        parts += [f"{self.failed:,} failed", f"{self.unknown:,} unknown"]
        if self.cancelled:
            parts.append(f"{self.cancelled:,} cancelled")
        return ", ".join(parts)

    def room(self) -> str:
        """``at most 4 at once``, and what was allowed where the provider takes fewer now."""
        text = f"at most {self.limit} at once"
        return text if self.limit >= self.ceiling else f"{text} for now ({self.ceiling} allowed)"

    def pace(self) -> str:
        """``31 per minute, about 6 min left, 214 MB``."""
        parts = []
        if self.per_minute is not None:
            shown = f"{self.per_minute:.0f}" if self.per_minute >= 10 else f"{self.per_minute:.2g}"
            parts.append(f"{shown} per minute")
        if self.left is not None:
            parts.append(f"about {span(self.left)} left")
        parts.append(f"{size(self.bytes)} downloaded")
        return ", ".join(parts)


class Pace:
    """Turns snapshots into figures; remembers the last minutes to know the pace."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def figures(self, snapshot: Snapshot, now: float) -> Figures:
        """The figures at ``now``, in seconds of any clock that only grows."""
        self._seen.append((now, snapshot.settled))
        while len(self._seen) > 2 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        states = {state: snapshot.states.get(state, 0) for state in State}
        unsettled = sum(n for state, n in states.items() if state not in TERMINAL | {State.UNKNOWN})
        rate = self._per_second()
        return Figures(
            total=sum(states.values()),
            done=states[State.SUCCEEDED],
            running=states[State.RUNNING],
            collecting=states[State.COLLECTING],
            queued=states[State.QUEUED] + states[State.SUBMITTING],
            pending=states[State.PENDING],
            failed=states[State.FAILED],
            unknown=states[State.UNKNOWN],
            cancelled=states[State.CANCELLED],
            bytes=snapshot.bytes,
            limit=snapshot.limit,
            ceiling=snapshot.ceiling,
            per_minute=rate * 60 if rate else None,
            left=unsettled / rate if rate and unsettled else None,
            paused=snapshot.paused,
        )

    def _per_second(self) -> float:
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start else 0.0
