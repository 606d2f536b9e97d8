"""The simulated provider as a process sees it: the ``Provider`` protocol, over a bad line.

Every call takes virtual time, and any of them may go wrong in the ways that the plan switched on.
A call that changes something goes in two halves, there and back: the process may die between them,
and the provider has accepted the job all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeVar

from overnight.providers import base
from tests.simulation.loop import Clock
from tests.simulation.plan import Plan
from tests.simulation.remote import Accepted, Remote

T = TypeVar("T")

CALL_LIMIT = 60.0
"""Seconds after which a call that hangs is given up."""

HIDDEN = 6.0
"""Seconds for which a request that was accepted may not be visible yet."""


class Host(Protocol):
    """The process that makes the calls: it takes time for them, and hears what they did."""

    async def travel(self, seconds: float) -> None:
        """Wait; raises when the process is dead."""
        ...

    async def across(self, there: float, back: float, arrive: Callable[[], T]) -> T:
        """Let ``arrive`` happen at the provider, and bring its answer back."""
        ...

    def note(self, job_id: int, what: str, outcome: str) -> None: ...

    def posted(self, job_id: int, key: str) -> int:
        """A paid call leaves; the attempt that it belongs to."""
        ...

    def taken(self, request: Accepted) -> None:
        """The provider accepted one."""
        ...

    def answered(self, job_id: int, outcome: base.SubmitOutcome) -> None:
        """This is what the process hears of its paid call."""
        ...

    def asked(self, request: Accepted) -> None:
        """A free call asks about a request."""
        ...

    def told(self, request: Accepted, outcome: base.StatusOutcome | base.ResultOutcome) -> None:
        """This is what the process hears of a request when it asks."""
        ...

    def welcomed(self) -> None:
        """A probe told the process that the account is taken."""
        ...

    def turned_away(self) -> None:
        """A probe told the process that the account is refused."""
        ...

    def cancelling(self, request: Accepted) -> None:
        """The provider is asked to cancel."""
        ...


@dataclass(slots=True)
class Account:
    """One process's connection to the provider. ``start`` is when the night began."""

    host: Host
    remote: Remote
    plan: Plan
    rng: Random
    clock: Clock
    start: float

    @property
    def traits(self) -> base.Traits:
        return base.Traits("simulated")

    async def aclose(self) -> None:
        """There is nothing to close."""

    # --- submit: paid -----------------------------------------------------------------------------

    async def submit(self, model: str, inputs: base.Inputs, *, key: str) -> base.SubmitOutcome:
        job_id = int(inputs["job"])
        attempt = self.host.posted(job_id, key)
        outcome = await self._send(job_id, attempt)
        self.host.note(job_id, "submit", said(outcome))
        self.host.answered(job_id, outcome)
        return outcome

    async def _send(self, job_id: int, attempt: int) -> base.SubmitOutcome:
        chance, host = self.remote.chance, self.host
        weather = self.rng.random() if self._out() else 1.0
        if chance("submit:not-sent") or weather < 0.3:
            await host.travel(self._latency())
            return base.NotSent("no connection")
        if chance("submit:lost-before") or weather < 0.6:
            await host.travel(self._latency())
            return base.Unknown("the connection was reset")
        if chance("submit:hangs-before"):
            await host.travel(CALL_LIMIT)
            return base.Unknown("no answer in time")

        def arrive() -> base.SubmitOutcome:
            return self._at_the_door(job_id, attempt)

        outcome = await host.across(self._latency(), self._latency(), arrive)
        if chance("submit:lost-after"):
            return base.Unknown("a page of a gateway")
        if chance("submit:hangs-after"):
            await host.travel(CALL_LIMIT)
            return base.Unknown("no answer in time")
        return outcome

    def _at_the_door(self, job_id: int, attempt: int) -> base.SubmitOutcome:
        chance = self.remote.chance
        if self._turned_away() or chance("submit:refused"):
            return base.Refused("no balance", "400002")
        if chance("submit:rejected"):
            return base.Rejected("steps is out of range", "422")
        if self.remote.full or chance("submit:throttled"):
            return base.Throttled()
        if chance("submit:throttled-for"):
            return base.Throttled(self.rng.uniform(1.0, 120.0))
        if self._out() or chance("submit:unavailable"):
            return base.Unavailable("try again")
        if chance("submit:unavailable-for"):
            return base.Unavailable("try again", self.rng.uniform(1.0, 60.0))
        request = self.remote.accept(job_id, attempt)
        self.host.taken(request)
        return base.Accepted(request.id)

    async def recover(self, model: str, inputs: base.Inputs, *, key: str) -> base.RecoverOutcome:
        """Never asked: this provider can't tell what became of a lost call."""
        raise NotImplementedError

    # --- status, result, cancel: free -------------------------------------------------------------

    async def status(self, request: base.Request) -> base.StatusOutcome:
        found = self.remote.requests[request.id]
        self.host.asked(found)
        outcome = await self._trouble(found) or self._status(found)
        self._told(found, "status", outcome)
        self.host.told(found, outcome)
        return outcome

    async def result(self, request: base.Request) -> base.ResultOutcome:
        found = self.remote.requests[request.id]
        self.host.asked(found)
        outcome = await self._trouble(found) or self._result(found)
        self._told(found, "result", outcome)
        self.host.told(found, outcome)
        return outcome

    async def cancel(self, request: base.Request) -> base.CancelOutcome:
        found = self.remote.requests[request.id]
        self.host.cancelling(found)
        outcome: base.CancelOutcome | None = await self._trouble(found)
        if outcome is None:

            def arrive() -> base.CancelOutcome:
                return self._cancel(found)

            outcome = await self.host.across(self._latency(), self._latency(), arrive)
            if self.remote.chance("cancel:lost-after"):
                outcome = base.NoAnswer("the connection was reset")
        self._told(found, "cancel", outcome)
        return outcome

    async def probe(self) -> base.Refused | base.NoAnswer | None:
        await self.host.travel(self._latency())
        if self._out():
            return base.NoAnswer("no connection")
        if self._turned_away():
            self.host.turned_away()
            return base.Refused("no balance")
        self.host.welcomed()
        return None

    async def _trouble(self, request: Accepted) -> base.NoAnswer | base.Gone | base.Refused | None:
        """What goes wrong with a free call before it says anything of the job; None if nothing."""
        chance = self.remote.chance
        slow = self.rng.uniform(2.0, 40.0) if chance("free:slow") else 0.0
        await self.host.travel(self._latency() + slow)
        if self._out() or chance("free:no-answer"):
            return base.NoAnswer("the connection was reset")
        if chance("free:html"):
            return base.NoAnswer("a page of a gateway")
        if chance("free:throttled"):
            return base.NoAnswer("too many calls", self.rng.uniform(1.0, 60.0))
        if chance("free:hangs"):
            await self.host.travel(CALL_LIMIT)
            return base.NoAnswer("no answer in time")
        if chance("free:gone-once"):
            return base.Gone("no such request")
        if chance("free:refused-once") or (self.plan.refuses_free and self._turned_away()):
            return base.Refused("bad token", "400004")
        return None

    def _status(self, request: Accepted) -> base.StatusOutcome:
        if self._invisible(request):
            return base.Gone("no such request")
        match request.state:
            case "queued":
                return base.Queued(1)
            case "running":
                return base.Running("hibernating" if self.remote.chance("status:word") else None)
            case "cancelled":
                return base.Cancelled()
            case "failed" if request.fate == "fails-on-status":
                return base.Failed("out of memory")
            case _:
                return base.Finished()

    def _result(self, request: Accepted) -> base.ResultOutcome:
        if self._invisible(request):
            return base.Gone("no such request")
        match request.state:
            case "queued":
                return base.Queued()
            case "running":
                return base.Running()
            case "cancelled":
                return base.Cancelled()
            case _ if self.remote.chance("result:lags"):
                return base.Running()
            case "failed":
                final = request.fate == "fails-for-good"
                return base.Failed("out of memory", final=final)
            case _:
                request.files = 0 if request.fate == "names-no-file" else self.plan.files
                urls = tuple(
                    f"https://files.invalid/{request.id}/{position}.mp4?signed={request.signed}"
                    for position in range(request.files)
                )
                return base.Delivered(urls, {}, cost=0.05)

    def _cancel(self, request: Accepted) -> base.CancelOutcome:
        if self._invisible(request):
            return base.Gone("no such request")
        return base.Cancelled() if self.remote.cancel(request) else base.NotCancellable()

    def _told(
        self,
        request: Accepted,
        call: str,
        outcome: base.StatusOutcome | base.ResultOutcome | base.CancelOutcome,
    ) -> None:
        """Remember what the process now knows for sure."""
        request.gone_answers = request.gone_answers + 1 if isinstance(outcome, base.Gone) else 0
        request.told_failed |= isinstance(outcome, base.Failed)
        if not isinstance(outcome, base.Queued | base.Running | base.Finished):
            self.host.note(request.job_id, call, f"{request.id} {said(outcome)}")

    # --- the line ---------------------------------------------------------------------------------

    def _invisible(self, request: Accepted) -> bool:
        hidden = request.fate == "hidden" and self.clock.now - request.at < HIDDEN
        return hidden or request.state == "gone"

    def _latency(self) -> float:
        return self.plan.latency * (0.5 + self.rng.random())

    def _out(self) -> bool:
        since = self.clock.now - self.start
        return any(window.holds(since) for window in self.plan.outages)

    def _turned_away(self) -> bool:
        since = self.clock.now - self.start
        return any(window.holds(since) for window in self.plan.refusals)


def said(outcome: object) -> str:
    """An outcome in a word or two, for the trace."""
    word = type(outcome).__name__.lower()
    for name in ("request_id", "reason", "retry_after"):
        if value := getattr(outcome, name, None):
            word += f" {value:.1f}s" if isinstance(value, float) else f" ({value})"
    return word
