"""How long jobs will take, from how long such jobs took here before. Pure.

A guess is only made where there is something to guess from: as long as no job of a model has
succeeded in this database, nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from overnight.cli.output import count, line, span

if TYPE_CHECKING:
    from overnight.store.durations import Typical


@dataclass(frozen=True, slots=True)
class Forecast:
    """``jobs`` to submit of each model, ``concurrency`` at once and ``rate`` at most, where
    ``typical`` says how long one of a model holds its place."""

    jobs: Mapping[str, int]
    typical: Mapping[str, Typical]
    concurrency: int
    rate: str | None = None

    @property
    def unknown(self) -> list[str]:
        """Models that nothing is known of, among those to be submitted to."""
        return [model for model, n in self.jobs.items() if n and model not in self.typical]

    @property
    def seconds(self) -> float | None:
        """From the first submit to the last result; None while a model is unknown."""
        if self.unknown:
            return None
        jobs = sum(self.jobs.values())
        if not jobs:
            return 0.0
        taken = {model: self.typical[model].seconds for model, n in self.jobs.items() if n}
        mean = sum(taken[model] * self.jobs[model] for model in taken) / jobs
        longest = max(taken.values())
        slots = max(ceil(jobs / self.concurrency) * mean, longest)
        return max(slots, self._until_the_last_submit(jobs) + mean)

    def _until_the_last_submit(self, jobs: int) -> float:
        if self.rate is None:
            return 0.0
        from overnight.engine.rate import Rate

        rate = Rate.parse(self.rate)
        return (jobs - 1) // rate.count * rate.seconds

    def words(self) -> str:
        """``about 13 min, at most 4 at once (…)``, or that nobody can tell yet."""
        at_once = f"at most {self.concurrency} at once"
        if self.rate is not None:
            at_once += f" and {self.rate}"
        seconds = self.seconds
        if seconds is None:
            models = ", ".join(line(model) for model in self.unknown)
            return f"not known: no job of {models} has succeeded in this database yet; {at_once}"
        if not seconds:
            return "none"
        return f"about {span(seconds)}, {at_once}{self._ground()}"

    def short(self) -> str:
        """``about 13 min``, without why."""
        seconds = self.seconds
        return "not known yet" if seconds is None else f"about {span(seconds)}"

    def _ground(self) -> str:
        """What the guess stands on."""
        used = {model: self.typical[model] for model, n in self.jobs.items() if n}
        if len(used) != 1:
            return f" (from {count(sum(one.jobs for one in used.values()), 'earlier job')})"
        [one] = used.values()
        earlier = "the one so far" if one.jobs == 1 else f"the median of {one.jobs:,} so far"
        return f" (a job takes {span(one.seconds)}, {earlier})"
