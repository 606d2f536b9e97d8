"""When to ask next: fixed intervals beside overnight's pacing, in virtual time.

    python -m bench.pacing [--jobs 2000] [--slots 8] [--seed 1]

Four workloads, each the same for every policy, because it comes from the seed:

``a``  log-normal service times around 60 s, whose spread (0.2 to 0.8) nobody knows beforehand;
``b``  times that follow steps x frames x resolution, with 10% of noise, 60 s on average;
``c``  as ``a``, behind a provider with a quarter of the slots: jobs queue before they run;
``d``  as ``b``, and in the middle of the night everything begins to take twice as long.

A slot holds a job from its submit until a poll has seen its end, and only then takes the next one:
late polls are idle slots. A policy learns nothing but what polls tell. Figures: mean and 99th
percentile of the time from the end of a job to the poll that sees it (seconds), polls a job, slot
efficiency (busy seconds of provider slots over slots x makespan) and makespan (hours).

Against a policy that asks more often anything looks late, so polls are compared at equal lateness:
the fixed interval whose mean lag is ours is found between those that were measured, by log-linear
interpolation, and its polls a job are what ours are divided by.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean

from bench.harness import Aim, Figures, Report, parser, tell
from overnight.engine.pacing import Pace

MEAN = 60.0
"""Seconds that a job takes on average."""
INTERVALS = (0.1, 1.0, 2.0, 5.0, 10.0, 20.0)
LATENCY = 0.05
"""Seconds from a call to its answer."""


@dataclass(slots=True)
class Job:
    """One job as a policy may know it: its inputs, and what polls have told."""

    service: float
    """Seconds that it runs; hidden from policies."""
    size: float
    """Steps x frames x pixels, relative: an input."""
    state: str = "queued"
    since: float = 0.0
    """When the state on record was recorded."""
    finished: float = math.inf
    polls: int = 0


class Policy:
    """Decides how long to wait until a job's next poll. This one waits a fixed time."""

    def __init__(self, interval: float) -> None:
        self._interval = interval

    def wait(self, job: Job, now: float) -> float:
        """Seconds from ``now``."""
        return self._interval

    def learn(self, job: Job, seconds: float) -> None:
        """A job is done, ``seconds`` after its submit as far as polls can tell."""


class Ours(Policy):
    """What the engine does: its :class:`Pace`, fed with the age of the state on record."""

    def __init__(self, seed: int) -> None:
        # Spreads waits; not for secrets.
        self._pace, self._rng = Pace(), Random(seed)  # noqa: S311

    def wait(self, job: Job, now: float) -> float:
        return self._pace.next_poll(now - job.since, self._rng)


# --- workloads ----------------------------------------------------------------------------------


def log_normal(jobs: int, rng: Random) -> list[Job]:
    """Workload ``a``."""
    spread = rng.uniform(0.2, 0.8)
    shift = math.log(MEAN) - spread**2 / 2
    return [Job(rng.lognormvariate(shift, spread), 1.0) for _ in range(jobs)]


def by_size(jobs: int, rng: Random) -> list[Job]:
    """Workload ``b``."""
    sizes = [
        rng.choice((6, 10, 20, 30)) * rng.choice((33, 49, 81)) * rng.choice((0.4, 0.9, 2.1))
        for _ in range(jobs)
    ]
    scale = MEAN / fmean(sizes)
    return [Job(size * scale * max(0.5, rng.gauss(1.0, 0.1)), size) for size in sizes]


def drifting(jobs: int, rng: Random) -> list[Job]:
    """Workload ``d``."""
    made = by_size(jobs, rng)
    for job in made[jobs // 2 :]:
        job.service *= 2.0
    return made


@dataclass(frozen=True, slots=True)
class Workload:
    """How its jobs are made, and which share of the budget the provider works on at once."""

    make: Callable[[int, Random], list[Job]]
    share: float = 1.0


WORKLOADS = {
    "a": Workload(log_normal),
    "b": Workload(by_size),
    "c": Workload(log_normal, share=0.25),
    "d": Workload(drifting),
}


# --- the night ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Night:
    """One batch from its first submit to its last sight, event by event."""

    jobs: Sequence[Job]
    policy: Policy
    slots: int
    provider_slots: int
    now: float = 0.0
    lags: list[float] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: int = 0
    _next: int = 0
    _waiting: list[Job] = field(default_factory=list)
    _running: int = 0

    def play(self) -> Figures:
        """Until every job's end has been seen."""
        for _ in range(min(self.slots, len(self.jobs))):
            self._submit()
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            act()
        busy = sum(job.service for job in self.jobs)
        lags = sorted(self.lags)
        return {
            "lag s": fmean(lags),
            "lag p99 s": lags[math.ceil(0.99 * len(lags)) - 1],
            "polls/job": sum(job.polls for job in self.jobs) / len(self.jobs),
            "slot efficiency": busy / (self.provider_slots * self.now),
            "makespan h": self.now / 3600,
        }

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self.now + seconds, self._order, act))

    def _submit(self) -> None:
        if self._next == len(self.jobs):
            return
        job = self.jobs[self._next]
        self._next += 1
        self._after(LATENCY, lambda: self._accepted(job))

    def _accepted(self, job: Job) -> None:
        job.since = self.now
        self._waiting.append(job)
        self._fill()
        self._plan(job)

    def _fill(self) -> None:
        """Let the provider begin with what waits longest."""
        while self._waiting and self._running < self.provider_slots:
            job = self._waiting.pop(0)
            self._running += 1
            job.finished = self.now + job.service
            self._after(job.service, self._one_ended)

    def _one_ended(self) -> None:
        self._running -= 1
        self._fill()

    def _plan(self, job: Job) -> None:
        self._after(self.policy.wait(job, self.now), lambda: self._poll(job))

    def _poll(self, job: Job) -> None:
        job.polls += 1
        # What an answer says was true when the provider wrote it.
        asked = self.now + LATENCY / 2
        self._after(LATENCY, lambda: self._seen(job, asked))

    def _seen(self, job: Job, asked: float) -> None:
        if asked >= job.finished:
            self.lags.append(self.now - job.finished)
            self.policy.learn(job, self.now - job.since)
            self._submit()
            return
        if job.state == "queued" and job.finished < math.inf:  # it runs
            job.state, job.since = "running", self.now
        self._plan(job)


def play(workload: Workload, policy: Policy, jobs: int, slots: int, seed: int) -> Figures:
    """One night of ``workload``, the same for every policy of one seed."""
    # A workload, not a secret.
    made = workload.make(jobs, Random(seed))  # noqa: S311
    return Night(made, policy, slots, max(1, round(slots * workload.share))).play()


def polls_at(lag: float, fixed: Sequence[Figures]) -> float:
    """Polls a job of the fixed interval whose mean lag is ``lag``: between two that were played,
    straight in the logarithms of both; beyond them, the line of the two that are nearest."""
    points = sorted((math.log(each["lag s"]), math.log(each["polls/job"])) for each in fixed)
    wanted = math.log(lag)
    after = next((n for n, (at, _) in enumerate(points) if at >= wanted), len(points) - 1)
    (low, few), (high, many) = points[max(after, 1) - 1], points[max(after, 1)]
    return math.exp(few + (many - few) * (wanted - low) / (high - low))


def measure(jobs: int, slots: int, seeds: Sequence[int]) -> Report:
    """Every workload under every policy, once for each seed."""
    settings = {"jobs": jobs, "slots": slots, "nights": len(seeds)}
    columns = ("lag s", "lag p99 s", "polls/job", "slot efficiency", "makespan h")
    report = Report("pacing", settings, columns)
    for name, workload in WORKLOADS.items():
        tell(f"workload {name}")
        for interval in INTERVALS:
            report.taken[f"{name}: every {interval:g} s"] = [
                play(workload, Policy(interval), jobs, slots, seed) for seed in seeds
            ]
        report.taken[f"{name}: overnight"] = [
            play(workload, Ours(seed), jobs, slots, seed) for seed in seeds
        ]
        report.aims += aims(name, report)
    return report


def aims(name: str, report: Report) -> list[Aim]:
    """What is wanted of workload ``name``; for some, nothing but to be told."""
    ours = report.taken[f"{name}: overnight"]
    shares = []
    for number, night in enumerate(ours):
        fixed = [report.taken[f"{name}: every {each:g} s"][number] for each in INTERVALS]
        shares.append(night["polls/job"] / polls_at(night["lag s"], fixed))
    share = fmean(shares)
    most = {"a": 1 / 2, "b": 1 / 3}.get(name)
    measure = f"{name}: overnight's polls to those of a fixed interval of the same mean lag"
    if most is None:
        report.notes.append(f"{measure}: {share:.3g}")
        return []
    found = [Aim(measure, share, most=most)]
    if name == "b":
        efficiency = fmean(night["slot efficiency"] for night in ours)
        found.append(Aim("b: slot efficiency", efficiency, least=0.99))
    return found


def main() -> int:
    """Play, print, and fail when an aim is missed."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--jobs", type=int, default=2000)
    made.add_argument("--slots", type=int, default=8)
    made.add_argument("--seed", type=int, default=1)
    asked = made.parse_args()
    seeds = range(asked.seed, asked.seed + asked.rounds)
    return measure(asked.jobs, asked.slots, seeds).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
