"""When to ask next about a job that the provider has.

Asking costs little but is not free: a fixed interval either asks a long job hundreds of times or
notices a short one late. The wait here is a share of the time that the job has been with the
provider already, so the delay in noticing stays a constant share of the job's own length, and the
number of polls grows with the logarithm of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds; ``share`` of the job's age is the next wait."""

    share: float = 0.1
    shortest: float = 0.5
    longest: float = 15.0
    longest_without_answer: float = 60.0

    def next_poll(self, age: float, rng: Random) -> float:
        """Seconds until the next poll of a job that was accepted ``age`` seconds ago.

        A tenth of jitter keeps jobs that were accepted together from being polled together.
        """
        wait = min(max(age * self.share, self.shortest), self.longest)
        return wait * rng.uniform(0.9, 1.1)

    def next_try(self, failures: int, rng: Random, retry_after: float | None = None) -> float:
        """Seconds until a free call that had no answer ``failures`` times in a row is repeated."""
        ceiling = min(self.longest_without_answer, self.shortest * 2.0 ** min(failures, 60))
        return max(retry_after or 0.0, 0.0) + rng.uniform(ceiling / 2, ceiling)
