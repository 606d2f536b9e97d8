"""A few jobs that stand for many: picked from a stream whose length nobody has to know. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overnight.manifest import JobSpec


class Sample:
    """Keeps about ``wanted`` of the jobs that it is shown, spread evenly from the first to the
    last. ``pattern`` lets only jobs in whose key or texts it is found count.

    Every job is kept at first; whenever twice as many as wanted have gathered, every other one is
    dropped and from then on only every second is looked at. So memory stays small, and a million
    jobs cost little more than counting them.
    """

    def __init__(self, wanted: int, pattern: re.Pattern[str] | None = None) -> None:
        self._wanted = wanted
        self._pattern = pattern
        self._stride = 1
        self._kept: list[JobSpec] = []
        self.matching = 0
        """How many jobs fitted the pattern so far; all, without one."""

    def saw(self, spec: JobSpec) -> None:
        """Look at the next job."""
        if self._pattern is not None and not found_in(self._pattern, spec):
            return
        at = self.matching
        self.matching += 1
        if not self._wanted or at % self._stride:
            return
        if len(self._kept) == 2 * self._wanted:
            del self._kept[1::2]
            self._stride *= 2
            if at % self._stride:
                return
        self._kept.append(spec)

    def jobs(self) -> list[JobSpec]:
        """The sample, in the order of the stream; equal jobs once."""
        once = list({spec.fingerprint: spec for spec in self._kept}.values())
        if len(once) <= self._wanted:
            return once
        if self._wanted == 1:
            return once[:1]
        last = len(once) - 1
        return [once[round(n * last / (self._wanted - 1))] for n in range(self._wanted)]


def found_in(pattern: re.Pattern[str], spec: JobSpec) -> bool:
    """Whether ``pattern`` is found in the job's key or in a text that it is sent with."""
    return bool(pattern.search(spec.key)) or any(
        pattern.search(text) for text in texts(spec.inputs.values())
    )


def texts(values: Any) -> list[str]:
    """Every text among ``values``, lists and mappings looked into."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += texts(value)
        elif isinstance(value, dict):
            found += texts(value.values())
    return found
