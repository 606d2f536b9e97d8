"""An event loop under virtual time: an hour of sleep costs nothing, nothing is left to chance.

Several loops may share one :class:`Clock`; each then stands for one process of the simulated
machine. Whoever owns them decides which loop makes the next step, so a process is frozen by not
stepping it, and killed by never stepping it again. When no loop has anything ready, the clock jumps
to the earliest timer.

Nothing here reads the real clock, opens a file descriptor or starts a thread. Callbacks run in the
order in which they were scheduled, timers of one moment in the order in which they were set.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NEVER = float("inf")


class StuckError(Exception):
    """Nothing is ready and no timer is set: what is awaited will never come."""


class Clock:
    """The time that loops share, in seconds. It moves when somebody moves it."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.running: VirtualLoop | None = None
        """The loop that made the last step: asyncio's running one."""
        self._order = 0

    def next_order(self) -> int:
        """Numbers timers, so that those of one moment keep their order across loops."""
        self._order += 1
        return self._order


class VirtualLoop(asyncio.BaseEventLoop):
    """One process's event loop; see the module. :meth:`run` drives a single one by itself."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or Clock()
        self.complaints: list[dict[str, Any]] = []
        """What asyncio would have logged: exceptions that nobody asked for."""
        self.ready: deque[asyncio.Handle] = deque()
        """What :meth:`step` runs next, in its order; empty when the loop has nothing to do."""
        self._alarms: list[tuple[float, int, asyncio.TimerHandle]] = []

    # --- what asyncio asks of a loop ----------------------------------------------------------

    def time(self) -> float:
        return self.clock.now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        raise RuntimeError("a virtual loop has no threads")

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.clock.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._alarms, (when, self.clock.next_order(), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio tells of cancelled timers here; they are passed over when they come up."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)

    def close(self) -> None:
        self.leave()
        self.ready.clear()
        self._alarms.clear()
        super().close()

    # --- what the owner asks ------------------------------------------------------------------

    def next_alarm(self) -> float:
        """When the earliest timer rings; :data:`NEVER` without one."""
        alarms = self._alarms
        while alarms and alarms[0][2].cancelled():
            heappop(alarms)
        return alarms[0][0] if alarms else NEVER

    def ring(self) -> None:
        """Make everything ready whose time has come."""
        alarms, now = self._alarms, self.clock.now
        while alarms and alarms[0][0] <= now:
            self.ready.append(heappop(alarms)[2])

    def step(self) -> None:
        """Run the one callback that is next. This stays the running loop, until another of the
        same clock makes a step, or until :meth:`leave`: asyncio takes its time to hear of it."""
        handle = self.ready.popleft()
        if handle.cancelled():
            return
        if self.clock.running is not self:
            self.clock.running = self
            _set_running_loop(self)
        handle._run()

    def leave(self) -> None:
        """Let no loop be the running one."""
        self.clock.running = None
        _set_running_loop(None)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` to its end, jumping over every wait. Raises :class:`StuckError`."""
        task = self.create_task(coroutine)
        try:
            while not task.done():
                if self.ready:
                    self.step()
                else:
                    advance([self])
        finally:
            self.leave()
        return task.result()


def advance(loops: Sequence[VirtualLoop]) -> None:
    """Move the clock of ``loops``, none of which is ready, to the next timer of any.

    Time never goes back: a timer that is overdue (its loop was frozen) rings now.
    Raises :class:`StuckError` when there is no timer.
    """
    at = NEVER
    for loop in loops:
        at = min(at, loop.next_alarm())
    if at == NEVER:
        raise StuckError("nothing is ready and no timer is set")
    clock = loops[0].clock
    clock.now = max(clock.now, at)
    for loop in loops:
        loop.ring()
