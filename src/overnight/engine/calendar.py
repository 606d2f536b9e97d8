"""What is a matter of the clock: heartbeats, looking for the user's wishes, probing.

Poll times are not here: there are thousands, and each job keeps its own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler

Action = Callable[[], Awaitable[None]]

# A beat that was missed (a sleeping laptop) is made up for, and no news to a user: without a
# handler of its own, Python would print the scheduler's remarks on the terminal.
logging.getLogger("apscheduler").addHandler(logging.NullHandler())


class Calendar(Protocol):
    """Runs actions again and again. An action never runs twice at once."""

    def every(self, seconds: float, name: str, action: Action) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class SchedulerCalendar:
    """A calendar on APScheduler, in the running event loop."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    def every(self, seconds: float, name: str, action: Action) -> None:
        # A beat that comes late (a sleeping laptop) runs once, at once, and not once for each
        # one missed.
        self._scheduler.add_job(
            action,
            "interval",
            seconds=seconds,
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
