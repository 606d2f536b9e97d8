"""What a run has learnt of its jobs' times, and when it asks about each of them next.

Everything is by model: how long its jobs run for (``durations.py``) and the queue before its slots
(``sight.py``). It is learnt from every answer, costs microseconds a job, and lives in memory; what
earlier runs saw is read from the database when a run begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, NamedTuple

from overnight.engine.curve import ASTRAY
from overnight.engine.durations import Durations, Outlook
from overnight.engine.pacing import Pace
from overnight.engine.sight import Line, Sight, Start

GLANCE = 0.25
"""The share of what is left of its time in the queue after which a queued job is looked at."""
FIRST_GLANCE = 0.05
"""The same for a job that may be in the queue or not: its place in it is worth knowing soon."""
OFTEN = 0.05
"""Seconds between two jobs of a model that are learnt from: a thousand a second say no more than
twenty do."""
SURE = 400
"""Jobs of a model that must be known before its polls are put off for the crowd's sake. Of jobs
that began together the shortest end first, and by those alone all others are long overdue."""


class When(NamedTuple):
    """Seconds until a job is to be asked about next."""

    alone: float
    """If there were no other jobs; not before."""
    in_crowd: float
    """At the price that polls have among all jobs there are. Where not all can be made that are
    wanted, those that are due first by this go first."""


@dataclass(slots=True)
class Foresight:
    """Inputs are raw names with JSON values; times are the clock's seconds."""

    rate: float = 0.0
    """Polls a second that all jobs in sight together would ask for: the mean of their time, not of
    the moment. Jobs that began together all want little at first and much when they may end, and
    a price that changed with that would put those that are asked about at the end last of all."""
    _durations: dict[str, Durations] = field(default_factory=dict)
    _lines: dict[str, Line] = field(default_factory=dict)
    _learnt: dict[str, float] = field(default_factory=dict)
    """When a model was learnt about last."""

    def of(self, model: str) -> Durations:
        """What is known of a model's durations."""
        return self._durations.setdefault(model, Durations())

    def line(self, model: str) -> Line:
        """What is known of the queue before a model's slots."""
        return self._lines.setdefault(model, Line())

    def when(
        self,
        model: str,
        inputs: Mapping[str, Any],
        sight: Sight,
        *,
        now: float,
        pace: Pace,
        rng: Random,
    ) -> When:
        """When, from ``now``, the job of ``sight`` is asked about next."""
        if pace.longest <= 0:
            return When(0.0, 0.0)
        if sight.strange:
            return When(pace.shortest, pace.shortest)
        start = self.line(model).start(sight)
        outlook = _with_doubt(self.of(model).outlook(inputs), start)
        age = sight.alive - start.at
        interval = pace.interval(outlook, age, rng)
        usual = interval if age < 0 else pace.usual(outlook)
        self._wants(sight, 1 / usual if usual else 0.0)
        crowded = interval
        if (crowd := self._crowd(model, pace)) > 1:
            crowded = pace.interval(outlook, age, rng, crowd=crowd)
        latest = math.inf
        if sight.running is None and start.at > now:
            latest = self._glance(start, sight, now)
        alone, in_crowd = (min(sight.alive + each - now, latest) for each in (interval, crowded))
        return When(pace.within(alone), pace.within(in_crowd))

    def _crowd(self, model: str, pace: Pace) -> float:
        """By how much all jobs together would ask too often, as far as that says anything."""
        return self.rate / pace.per_second if self.of(model).known >= SURE else 1.0

    def forget(self, sight: Sight) -> None:
        """The job of ``sight`` is not polled any more."""
        self._wants(sight, 0.0)

    def _wants(self, sight: Sight, rate: float) -> None:
        self.rate = max(self.rate + rate - sight.rate, 0.0)
        sight.rate = rate

    def _glance(self, start: Start, sight: Sight, now: float) -> float:
        return (start.at - now) * (FIRST_GLANCE if sight.queued is None else GLANCE)

    def seen_queued(self, model: str, sight: Sight, position: int | None, at: float) -> None:
        """A poll sent ``at`` was answered: in the queue, at ``position`` where that was said."""
        self.line(model).moved(sight, position, at)
        sight.queued, sight.running, sight.alive = at, None, at
        sight.strange = False

    def seen_running(self, model: str, sight: Sight, at: float) -> None:
        """A poll sent ``at`` was answered: it runs."""
        sight.alive, sight.strange = at, False
        if sight.running is None:
            sight.running = at
            self.line(model).left(sight, at)

    def seen_done(self, model: str, inputs: Mapping[str, Any], sight: Sight, at: float) -> None:
        """The answer that came ``at`` said that the job is done: learn how long it ran for."""
        if 0 <= at - self._learnt.get(model, -math.inf) < OFTEN:
            return
        self._learnt[model] = at
        start = self.line(model).start(sight)
        earliest = max(start.at - start.doubt, start.after)
        latest = min(start.at + start.doubt, at)
        self.of(model).learn(inputs, sight.alive - latest, at - earliest)


def _with_doubt(outlook: Outlook, start: Start) -> Outlook:
    """Not to know when a job began is not to know when it ends."""
    if not start.doubt:
        return outlook
    doubt = min(start.doubt / outlook.median, ASTRAY)
    return replace(outlook, spread=math.hypot(outlook.spread, doubt))
