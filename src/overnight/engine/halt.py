"""The rule that stops a batch that goes wrong: ``halt: {failures: 10% | 20, after: 20}``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop when ``failures`` (a number of jobs, or a share from 0 to 1) is reached, once ``after``
    jobs have settled. Unknown jobs count as failures: somebody has to look at them."""

    failures: int | float
    after: int

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Halt | None:
        """The rule in a batch's ``run`` block, or None."""
        rule = run.get("halt")
        if rule is None:
            return None
        failures = rule["failures"]
        if isinstance(failures, str):
            failures = float(failures.rstrip("% ")) / 100.0
        return cls(failures, int(rule["after"]))

    def reason(self, failed: int, settled: int) -> str | None:
        """Why the batch is to be stopped, with ``failed`` of ``settled`` jobs; None if it isn't."""
        if settled < max(self.after, 1) or failed == 0:
            return None
        if isinstance(self.failures, float):
            if failed < self.failures * settled:
                return None
            limit = f"{self.failures:.0%}"
        else:
            if failed < self.failures:
                return None
            limit = f"{self.failures}"
        return f"{failed} of {settled} jobs failed, and the manifest halts at {limit}"
