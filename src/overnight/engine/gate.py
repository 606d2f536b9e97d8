"""Whether submitting is allowed at all right now.

Three things close the gate. A refusal of the account closes it for this run: every further submit
would be refused too. A throttled answer closes it for as long as the provider asked. Several
answers in a row that are no answers (lost connections, gateway pages, "not now") close it until a
free call shows that the provider is back, because every submit into an outage may leave a job that
nobody can tell was paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

from overnight.lifecycle import Event

OUTAGE = 3
"""Troubled submits in a row after which submitting pauses."""

_TROUBLE = frozenset({Event.UNCERTAIN, Event.UNAVAILABLE, Event.NOT_SENT})
_ANSWERS = frozenset({Event.ACCEPTED, Event.REJECTED, Event.REFUSED, Event.THROTTLED})


@dataclass(slots=True)
class Gate:
    """Fed with every submit's event; asked before every claim. Times are seconds, any clock."""

    refusal: str | None = None
    """Why the account was refused; set once."""
    refused_by_store: bool = False
    """It was the user's own object store that refused, and not the provider."""
    held_until: float = 0.0
    outage: str | None = None
    """What the last troubled submit said, while submitting pauses."""
    on_trial: bool = False
    """The provider answered a free call after trouble; one paid call is to show that it works."""
    _troubles: int = 0

    def refuse_store(self, reason: str | None) -> None:
        """Close the gate because the object store turns the user away."""
        if self.refusal is None:
            self.refusal = reason or "the object store refused the user"
            self.refused_by_store = True

    def record(self, event: Event, reason: str | None, *, hold_until: float = 0.0) -> None:
        """Take note of how a submit ended. ``hold_until`` is for a throttled one."""
        if event is Event.REFUSED and self.refusal is None:
            self.refusal = reason or "the account was refused"
        if event is Event.THROTTLED:
            self.held_until = max(self.held_until, hold_until)
        if event in _ANSWERS:
            self._troubles = 0
            self.on_trial = False
        elif event in _TROUBLE:
            self._troubles += 1
            if self._troubles >= OUTAGE or self.on_trial:
                self.outage = reason or "no certain answer"

    def provider_answered(self) -> None:
        """A free call got through: one submit may try whether the paid one does too."""
        self.outage = None
        self.refusal = None
        self.refused_by_store = False
        self.on_trial = True

    def allowance(self, now: float, under_way: int) -> int | None:
        """How many submits may start now; None for as many as the budget has.

        ``under_way`` is how many wait for their answer already.
        """
        if self.refusal is not None or self.outage is not None or now < self.held_until:
            return 0
        if self.on_trial:
            return max(0, 1 - under_way)
        return None
