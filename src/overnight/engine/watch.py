"""What recurs while a run goes on: renewing the lease, looking at the table, probing an outage,
asking about unknown jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from overnight.engine.calendar import Calendar
from overnight.engine.run import Run
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import leases
from overnight.store.rows import Kind

CONTROL = 1.0
"""Seconds between two looks at what the user wants (cancel, retry from another terminal)."""

RECOVER = 1.0
"""Seconds between two looks whether an unknown job is to be asked about; asking backs off."""

PROBE = 2.0
"""Seconds between two looks whether an outage wants probing; the probes themselves back off."""


class Watch:
    """The recurring actions of one run. Whatever goes wrong in one reaches ``failed``."""

    def __init__(
        self,
        run: Run,
        look_after: Callable[[], Awaitable[None]],
        recover: Callable[[], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._run = run
        self._look_after = look_after
        self._recover = recover
        self._failed = failed
        self._probes = 0
        self._told: str | None = None
        self._next_probe = 0.0

    def schedule(self, calendar: Calendar) -> None:
        """Put every action into ``calendar``."""
        calendar.every(leases.HEARTBEAT, "heartbeat", self._guarded(self._run.beat))
        calendar.every(CONTROL, "control", self._guarded(self._look_after))
        if self._run.recovers:
            calendar.every(RECOVER, "recover", self._guarded(self._recover))
        calendar.every(PROBE, "probe", self._guarded(self._probe))

    def _guarded(self, action: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def guarded() -> None:
            try:
                await action()
            except asyncio.CancelledError:
                # The run has ended while this was under way. A scheduler would print a traceback.
                return
            except Exception as error:  # noqa: BLE001 - a scheduler would only log it
                self._failed(error)

        return guarded

    async def _probe(self) -> None:
        """In an outage, ask the provider for free whether it is back; less and less often."""
        run = self._run
        trouble = run.gate.outage or (run.gate.refusal if run.wait_for_account else None)
        if trouble is None:
            if not run.gate.on_trial:
                self._probes, self._told = 0, None
            return
        if trouble != self._told:
            self._told = trouble
            text = (
                f"Submitting pauses: {trouble}. A free call asks every now and then whether it "
                "can go on."
            )
            await run.keep(Kind.PAUSE, text, warning=True)
        if run.now() < self._next_probe:
            return
        answer = await run.provider.probe()
        if run.gate.refusal is not None and not run.wait_for_account:
            # The run ends of it, and may have left jobs to the next one already.
            return
        self._probes += 1
        # Also after a good answer: the paid call may fail again, and then it is asked less often.
        wait = run.pace.next_try(self._probes, run.rng, getattr(answer, "retry_after", None))
        self._next_probe = run.now() + wait
        if answer is None:
            run.gate.provider_answered()
            await run.keep(Kind.RESUME, "The provider answers; submitting goes on with one job.")
        elif isinstance(answer, base.Refused):
            run.gate.record(Event.REFUSED, answer.reason)
        run.wake.set()
