"""What is remembered between two free calls about one job, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

from overnight.providers import base
from overnight.store.history import Heard

_TOLD_NOTHING = (base.NoAnswer, base.Gone, base.Refused)


@dataclass(slots=True)
class Polls:
    """Counts of answers in a row; any other answer starts them anew."""

    failures: int = 0
    """Calls in a row that told nothing about the job."""
    gone: int = 0
    refused: int = 0
    cancels: int = 0
    """Calls to cancel that told nothing; the next one waits for its time as a poll does."""
    uncancellable: bool = False
    """The provider has said that it won't cancel the job; it is not asked again."""
    retry_after: float | None = None
    """Seconds, as the last failed call asked for."""
    last: base.Call | None = None
    """The newest call, and how many there were since :meth:`heard` was asked."""
    calls: int = 0
    unanswered: int = 0

    def saw(self, outcome: base.StatusOutcome | base.ResultOutcome) -> None:
        """Take note of an answer to a status or a result call."""
        self.made(outcome)
        self.failures = self.failures + 1 if isinstance(outcome, _TOLD_NOTHING) else 0
        self.gone = self.gone + 1 if isinstance(outcome, base.Gone) else 0
        self.refused = self.refused + 1 if isinstance(outcome, base.Refused) else 0
        self.retry_after = outcome.retry_after if isinstance(outcome, base.NoAnswer) else None

    def made(self, outcome: base.StatusOutcome | base.ResultOutcome | base.CancelOutcome) -> None:
        """Take note of a call for the record; what it was answered may break a row of "gone"."""
        if not isinstance(outcome, base.Gone):
            self.gone = 0
        self.last = outcome.call or self.last
        self.calls += 1
        self.unanswered += isinstance(outcome, base.NoAnswer)

    def heard(self) -> Heard | None:
        """What is to be recorded with the next transition, handed out once."""
        if not self.calls:
            return None
        calls, unanswered = self.calls, self.unanswered
        self.calls = self.unanswered = 0
        if self.last is None:
            return Heard(calls=calls, unanswered=unanswered)
        call = self.last
        return Heard(call.name, call.status, call.seconds, call.code, calls, unanswered)


def heard_of(outcome: base.SubmitOutcome) -> Heard | None:
    """What is to be recorded of a submit; None where no call was made."""
    call = outcome.call
    return None if call is None else Heard(call.name, call.status, call.seconds, call.code)
