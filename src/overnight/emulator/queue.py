"""The provider's line: requests wait in order, run in slots, and end.

Pure, and exact without timers: nothing happens between two looks that could not have been worked
out from the times alone, so :meth:`Queue.advance` replays what happened since the last look, event
by event, in the order of its times. Whoever reads or changes anything calls it first.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a request is, in the words of the status call."""

    IN_QUEUE = "in_queue"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Request:
    """One accepted submit. Times are seconds of the emulator's clock."""

    id: str
    model: str
    inputs: Mapping[str, Any]
    digest: str
    """SHA-256 of model and inputs: equal work, equal digest."""
    accepted_at: float
    service: float
    """Seconds in a slot; infinite for one that never finishes."""
    price_micro: int = 0
    """What was paid for it, in millionths of a US dollar."""
    queue_delay: float = 0.0
    requeues: bool = False
    """Goes back to the end of the line once, half way through."""
    dies_at_start: bool = False
    """Is cancelled by the provider when its turn comes."""
    fault: str | None = None
    """The job fault that stuck to it when it was accepted."""
    options: Mapping[str, str] = field(default_factory=dict)
    phase: Phase = Phase.IN_QUEUE
    eligible_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    ticket: int = -1
    generation: int = 0
    """Of its media URLs; one that expired early takes the whole generation with it."""

    @property
    def open(self) -> bool:
        """Accepted and not ended."""
        return self.phase in (Phase.IN_QUEUE, Phase.IN_PROGRESS)


class Queue:
    """First come, first served, ``slots`` at a time."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: deque[Request] = deque()
        self._left: list[int] = []  # tickets still in line whose requests were cancelled, sorted
        self._running: list[tuple[float, int, Request]] = []
        self._tickets = 0
        self._time = -math.inf

    @property
    def open(self) -> int:
        """Requests that were accepted and have not ended, as of the last look."""
        return len(self._waiting) - len(self._left) + len(self._running)

    def add(self, request: Request, now: float) -> None:
        """Put an accepted request at the end of the line."""
        self.advance(now)
        request.eligible_at = now + request.queue_delay
        self._line_up(request)

    def cancel(self, request: Request, now: float) -> bool:
        """Take a waiting request out of the line; False when it runs or has ended."""
        self.advance(now)
        if request.phase is not Phase.IN_QUEUE:
            return False
        request.phase = Phase.CANCELLED
        request.finished_at = now
        insort(self._left, request.ticket)
        return True

    def position(self, request: Request) -> int:
        """Place in line of a waiting request, from 1."""
        self._skip_left()
        head = self._waiting[0].ticket
        left = bisect_left(self._left, request.ticket) - bisect_left(self._left, head)
        return request.ticket - head + 1 - left

    def advance(self, now: float) -> None:
        """Let everything happen that was due up to ``now``, in order."""
        while True:
            end = self._running[0][0] if self._running else math.inf
            start = self._next_start()
            due = min(end, start)
            if due > now or due == math.inf:
                break
            self._time = max(self._time, due)
            # At one instant a slot is left before it is taken.
            if end <= start:
                self._leave_slot()
            else:
                self._take_slot(start)
        self._time = max(self._time, now)

    def _next_start(self) -> float:
        if len(self._running) >= self._slots:
            return math.inf
        self._skip_left()
        if not self._waiting:
            return math.inf
        return max(self._waiting[0].eligible_at, self._time)

    def _take_slot(self, at: float) -> None:
        request = self._waiting.popleft()
        if request.dies_at_start:
            request.phase = Phase.CANCELLED
            request.finished_at = at
            return
        request.phase = Phase.IN_PROGRESS
        if request.started_at is None:
            request.started_at = at
        length = request.service / 2 if request.requeues else request.service
        heapq.heappush(self._running, (at + length, request.ticket, request))

    def _leave_slot(self) -> None:
        at, _, request = heapq.heappop(self._running)
        if request.requeues:
            request.requeues = False
            request.service /= 2
            request.phase = Phase.IN_QUEUE
            self._line_up(request)
            return
        request.phase = Phase.COMPLETED
        request.finished_at = at

    def _line_up(self, request: Request) -> None:
        request.ticket = self._tickets
        self._tickets += 1
        self._waiting.append(request)

    def _skip_left(self) -> None:
        """Drop cancelled requests that have come to the front of the line."""
        while self._left and self._waiting[0].ticket == self._left[0]:
            self._waiting.popleft()
            self._left.pop(0)
