"""What polls have told of the time of one job, and what follows from it for when it began to run.

A provider may have a queue before its slots. When a job left it is seldom seen, only that it was
there at one poll and not at the next. Until then, its beginning is expected from its position and
from how fast positions have passed lately; from then on, it lies between those two polls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LATELY = 8
"""Jobs, or positions, that a mean of the queue is taken over."""


@dataclass(slots=True)
class Sight:
    """Times are the clock's seconds."""

    accepted: float
    alive: float
    """When it was last known not to be done."""
    queued: float | None = None
    """When it was last seen in the queue; None where it never was."""
    position: int | None = None
    """Where it was then, from the front, if the provider said."""
    moved: float = 0.0
    """When it was first seen there."""
    running: float | None = None
    """When it was first seen running."""
    strange: bool = False
    """Another worker left the job, and it was not asked about since."""
    rate: float = 0.0
    """Polls a second that this job would ask for if it were alone, on average."""


@dataclass(frozen=True, slots=True)
class Start:
    """When a job began, or will begin, to run: at ``at``, give or take ``doubt`` seconds, and for
    certain after ``after``."""

    at: float
    doubt: float
    after: float


@dataclass(slots=True)
class Line:
    """The queue before a model's slots, as far as its jobs have shown it."""

    step: float | None = None
    """Seconds in which one position passes; None while nobody knows."""
    wait: float = 0.0
    """Seconds that a job has lately been queued for; 0 where no queue was ever seen."""

    def start(self, sight: Sight) -> Start:
        """When the job of ``sight`` begins to run, or did."""
        if sight.queued is None:
            expected = Start(sight.accepted + self.wait, self.wait / 2, sight.accepted)
        else:
            left, doubt = self._left(sight, sight.queued)
            expected = Start(sight.queued + left, doubt, sight.queued)
        if sight.running is None:
            return expected
        # Between the last poll that saw it queued and the first that did not.
        within = (sight.running - expected.after) / math.sqrt(12)
        at = min(max(expected.at, expected.after), sight.running)
        return Start(at, min(expected.doubt, within), expected.after)

    def _left(self, sight: Sight, queued: float) -> tuple[float, float]:
        """Seconds in the queue that a job had before it when it was ``queued`` last, and a doubt
        about them."""
        waited = queued - sight.accepted
        if sight.position is None or self.step is None:
            left = max(self.wait - waited, waited / 2, 1.0)
            return left, left / 2
        places = max(sight.position, 1)
        return self.step * places, self.step * math.sqrt(places)

    def moved(self, sight: Sight, position: int | None, at: float) -> None:
        """The job of ``sight`` was seen in the queue ``at``, where ``position`` is its place."""
        if sight.position is not None and position is not None and position < sight.position:
            self._passed(sight, sight.position - position, at)
        if position != sight.position:
            sight.position, sight.moved = position, at

    def left(self, sight: Sight, at: float) -> None:
        """The job of ``sight`` was seen running for the first time ``at``."""
        if sight.position is not None:
            self._passed(sight, max(sight.position, 1), at)
        if sight.queued is not None or self.wait:
            waited = max(self.start(sight).at - sight.accepted, 0.0)
            self.wait += (waited - self.wait) / (LATELY if self.wait else 1)

    def _passed(self, sight: Sight, places: int, at: float) -> None:
        # Counted from the last move that was seen: so the times of all moves add up to the whole.
        seconds = max(at - sight.moved, 0.0) / places  # clocks may be set back
        if self.step is None:
            self.step = seconds
        else:
            self.step += (seconds - self.step) * min(places / LATELY, 1.0)
