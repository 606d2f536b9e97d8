"""What recurs while a run goes on: renewing the lease, looking at the table, probing an outage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from overnight.engine.calendar import Calendar
from overnight.engine.report import Notice
from overnight.engine.run import Run
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import leases

CONTROL = 1.0
"""Seconds between two looks at what the user wants (cancel, retry from another terminal)."""

PROBE = 2.0
"""Seconds between two looks whether an outage wants probing; the probes themselves back off."""


class Watch:
    """The recurring actions of one run. Whatever goes wrong in one reaches ``failed``."""

    def __init__(
        self,
        run: Run,
        look_after: Callable[[], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._run = run
        self._look_after = look_after
        self._failed = failed
        self._probes = 0
        self._next_probe = 0.0

    def schedule(self, calendar: Calendar) -> None:
        """Put every action into ``calendar``."""
        calendar.every(leases.HEARTBEAT, "heartbeat", self._guarded(self._run.beat))
        calendar.every(CONTROL, "control", self._guarded(self._look_after))
        calendar.every(PROBE, "probe", self._guarded(self._probe))

    def _guarded(self, action: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def guarded() -> None:
            try:
                await action()
            except Exception as error:  # noqa: BLE001 - a scheduler would only log it
                self._failed(error)

        return guarded

    async def _probe(self) -> None:
        """In an outage, ask the provider for free whether it is back; less and less often."""
        run = self._run
        if run.gate.outage is None:
            self._probes = 0
            return
        if self._probes == 0:
            run.notify(
                Notice(
                    f"Submitting pauses, {run.gate.outage}. A free call asks every now and then "
                    "whether the provider is back.",
                    "warning",
                )
            )
        if run.now() < self._next_probe:
            return
        answer = await run.provider.probe()
        self._probes += 1
        if answer is None:
            run.gate.provider_answered()
            run.notify(Notice("The provider answers again; submitting goes on with one job."))
            run.wake.set()
        elif isinstance(answer, base.Refused):
            run.gate.record(Event.REFUSED, answer.reason)
            run.wake.set()
        else:
            wait = run.pace.next_try(self._probes, run.rng, answer.retry_after)
            self._next_probe = run.now() + wait
