"""The rule that stops a batch that goes wrong: ``halt: {failures: 10% | 20, after: 20}``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop when ``failures`` (a number of jobs; with ``percent``, a share of the settled ones) is
    reached, once ``after`` jobs have settled. Unknown jobs count as failures: somebody has to look
    at them."""

    failures: float
    after: int
    percent: bool = False

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Halt | None:
        """The rule in a batch's ``run`` block, or None."""
        rule = run.get("halt")
        if rule is None:
            return None
        failures = rule["failures"]
        if isinstance(failures, str):
            return cls(float(failures.rstrip("% ")), int(rule["after"]), percent=True)
        return cls(int(failures), int(rule["after"]))

    def reason(self, failed: int, settled: int) -> str | None:
        """Why the batch is to be stopped, with ``failed`` of ``settled`` jobs; None if it isn't."""
        if failed == 0 or settled < self.after:
            return None
        # Whole numbers on the left, so that 7 of 100 is 7% and not a hair less.
        reached = (
            failed * 100 >= self.failures * settled if self.percent else failed >= self.failures
        )
        if not reached:
            return None
        limit = f"{self.failures:g}" + ("%" if self.percent else "")
        return f"{failed} of {settled} jobs failed, and the manifest halts at {limit}"
