"""What is remembered between two free calls about one job."""

from __future__ import annotations

from dataclasses import dataclass

from overnight.providers import base


@dataclass(slots=True)
class Polls:
    """Counts of answers in a row; any other answer starts them anew."""

    failures: int = 0
    """Calls in a row that told nothing about the job."""
    gone: int = 0
    refused: int = 0
    cancels: int = 0
    """Calls to cancel that told nothing; the next one waits for its time as a poll does."""
    retry_after: float | None = None
    """Seconds, as the last failed call asked for."""

    def saw(self, outcome: base.StatusOutcome | base.ResultOutcome) -> None:
        """Take note of an answer."""
        told_nothing = isinstance(outcome, base.NoAnswer | base.Gone | base.Refused)
        self.failures = self.failures + 1 if told_nothing else 0
        self.gone = self.gone + 1 if isinstance(outcome, base.Gone) else 0
        self.refused = self.refused + 1 if isinstance(outcome, base.Refused) else 0
        self.retry_after = outcome.retry_after if isinstance(outcome, base.NoAnswer) else None
