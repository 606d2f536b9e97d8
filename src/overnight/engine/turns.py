"""All polls together below a rate, whatever each job wants.

A poll that is due goes at once where there is room. Where more are due than there is room for, they
wait here, and whoever would be due first in such a crowd goes first. It goes as soon as there is
room, even before that time: while anybody waits, no poll that is allowed is left unmade. So a wrong
idea of the crowd puts polls into a worse order, and never makes them fewer or later altogether.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

BURST = 1.0
"""Seconds whose polls may all go at one instant; only what is more than that has to queue."""

APART = 0.05
"""Seconds between two looks at who waits. Polls that go together cost less than as many that each
wake the process, and who is in line waits for seconds anyway."""


@dataclass(slots=True)
class Turns:
    """Times are those of the event loop's clock, in seconds."""

    _free: float = -math.inf
    """When the last turn that was given was due."""
    _waiting: list[tuple[float, int, asyncio.Future[bool]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _alarm: asyncio.TimerHandle | None = None

    def take(self, due: float, per_second: float) -> asyncio.Future[bool]:
        """Ask for a turn; the future is done when it comes, and False. Whoever needs it no more
        gives the future a result, or cancels it. Among those that wait the earliest ``due`` goes
        first."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (due, next(self._order), turn))
        if self._alarm is None:
            self._give(per_second)
        return turn

    def _give(self, per_second: float) -> None:
        """Give turns while there is room; look again when there is some."""
        loop, self._alarm = asyncio.get_running_loop(), None
        now, apart = loop.time(), 1 / per_second
        while self._waiting:
            free = max(self._free, now - max(BURST, apart)) + apart
            if free > now:
                self._alarm = loop.call_at(max(free, now + APART), self._give, per_second)
                return
            turn = heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(False)
                self._free = free
