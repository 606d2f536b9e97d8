"""When to ask next: fixed intervals beside overnight's pacing, in virtual time.

    python -m bench.pacing [--jobs 5000] [--slots 8] [--seed 1]

Four workloads, each the same for every policy, because it comes from the seed:

``a``  log-normal service times around 60 s, whose spread (0.2 to 0.8) nobody knows beforehand;
``b``  times that follow steps x frames x resolution, with 10% of noise, 60 s on average;
``c``  as ``a``, behind a provider with a quarter of the slots: jobs queue before they run (a
       quarter of the jobs, so that the night is as long);
``d``  as ``b``, and in the middle of the night everything begins to take twice as long.

A slot holds a job from its submit until a poll has seen its end, and only then takes the next one:
late polls are idle slots. A policy learns nothing but what polls tell. Figures: mean and 99th
percentile of the time from the end of a job to the poll that sees it (seconds), polls a job, slot
efficiency (busy seconds of provider slots over slots x makespan) and makespan (hours).

Against a policy that asks more often anything looks late, so polls are compared at equal lateness:
the fixed interval whose mean lag is ours is found between those that were measured, by log-linear
interpolation, and its polls a job are what ours are divided by. The same is done for an oracle that
knows what can't be known, because for noise of a given spread there is a least share that nobody
can go below: (integral of sqrt(density x survival))^2 / mean, which is 0.17 on ``b``, and on ``a``
0.36 for a spread of 0.2, 0.73 for 0.5 and 0.91 for 0.8.

At the end of a night slots stay empty because there are no jobs left, whatever the pacing: nights
of a few hundred jobs can't come near an efficiency of 1. ``python -m bench.pacing_sockets`` plays a
short one over real sockets.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from statistics import fmean
from typing import Any

from bench.harness import Aim, Figures, Report, parser, tell
from overnight.engine.durations import Outlook
from overnight.engine.foresight import Foresight
from overnight.engine.pacing import Pace
from overnight.engine.sight import Sight

MEAN = 60.0
"""Seconds that a job takes on average."""
INTERVALS = (0.1, 0.5, 1.0, 2.0, 5.0)
MODEL = "bench/model"
SIZES = {"832x480": 0.4, "1280x704": 0.9, "1920x1088": 2.1}
"""What a frame of that size costs; their pixels are nearly in that proportion."""
LATENCY = 0.05
"""Seconds from a call to its answer."""


@dataclass(slots=True, eq=False)
class Job:
    """One job as a policy may know it: its inputs, and what polls have told."""

    service: float
    """Seconds that it runs; hidden from policies, like the next two."""
    median: float
    """Seconds that such a job takes, as many shorter as longer."""
    spread: float
    """Sigma of the logarithm of its noise."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    since: float = 0.0
    """When it was accepted."""
    finished: float = math.inf
    polls: int = 0


class Policy:
    """Decides how long to wait until a job's next poll. This one waits a fixed time."""

    def __init__(self, interval: float) -> None:
        self._interval = interval

    def wait(self, job: Job, now: float) -> float:
        """Seconds from ``now``."""
        return self._interval

    def seen(self, job: Job, position: int | None, asked: float) -> None:
        """A poll sent ``asked`` says: in the queue at ``position``, or running (None)."""

    def done(self, job: Job, now: float) -> None:
        """A poll says, ``now``, that the job is done."""


class Ours(Policy):
    """What the engine does, with what the engine has."""

    def __init__(self, seed: int) -> None:
        # Spreads waits; not for secrets.
        self._pace, self._rng = Pace(), Random(seed)  # noqa: S311
        self._foresight = Foresight()
        self._sights: dict[int, Sight] = {}

    def wait(self, job: Job, now: float) -> float:
        when = self._foresight.when(
            MODEL, job.inputs, self._sight(job), now=now, pace=self._pace, rng=self._rng
        )
        return when.alone

    def seen(self, job: Job, position: int | None, asked: float) -> None:
        if position is None:
            self._foresight.seen_running(MODEL, self._sight(job), asked)
        else:
            self._foresight.seen_queued(MODEL, self._sight(job), position, asked)

    def done(self, job: Job, now: float) -> None:
        sight = self._sights.pop(id(job))
        self._foresight.seen_done(MODEL, job.inputs, sight, now)
        self._foresight.forget(sight)

    def _sight(self, job: Job) -> Sight:
        return self._sights.setdefault(id(job), Sight(job.since, job.since))


class Oracle(Policy):
    """The same rule for one who knows beforehand what can't be known: how each job's time is
    distributed, drift and all, and when it begins to run. Nobody can do better by polling."""

    def __init__(self, seed: int) -> None:
        # Spreads waits; not for secrets.
        self._pace, self._rng = Pace(), Random(seed)  # noqa: S311

    def wait(self, job: Job, now: float) -> float:
        began = job.finished - job.service
        outlook = Outlook(job.median, job.spread, 0.001, MEAN)
        if began == math.inf:
            return job.median / 10
        return self._pace.interval(outlook, now - began, self._rng)


# --- workloads ----------------------------------------------------------------------------------


def log_normal(jobs: int, rng: Random) -> list[Job]:
    """Workload ``a``."""
    spread = rng.uniform(0.2, 0.8)
    median = MEAN * math.exp(-(spread**2) / 2)
    return [
        Job(median * rng.lognormvariate(0.0, spread), median, spread, _inputs(rng))
        for _ in range(jobs)
    ]


def by_size(jobs: int, rng: Random) -> list[Job]:
    """Workload ``b``."""
    asked = [_inputs(rng) for _ in range(jobs)]
    sizes = [each["steps"] * each["frames"] * SIZES[each["resolution"]] for each in asked]
    scale = MEAN / fmean(sizes)
    return [
        Job(size * scale * max(0.5, rng.gauss(1.0, 0.1)), size * scale, 0.1, inputs)
        for size, inputs in zip(sizes, asked, strict=True)
    ]


def _inputs(rng: Random) -> dict[str, Any]:
    """What a job is sent. On ``a`` and ``c`` none of it matters; on ``b`` and ``d`` three do."""
    return {
        "prompt": f"Scene {rng.randrange(20)}: fog lifts off a harbour, and a gull turns its head",
        "image_url": f"https://files.example/{rng.randrange(500)}.png",
        "sampler": rng.choice(("euler", "unipc", "dpm++")),
        "seed": rng.randrange(2**31),
        "steps": rng.choice((6, 10, 20, 30)),
        "frames": rng.choice((33, 49, 81)),
        "resolution": rng.choice(tuple(SIZES)),
    }


def drifting(jobs: int, rng: Random) -> list[Job]:
    """Workload ``d``."""
    made = by_size(jobs, rng)
    for job in made[jobs // 2 :]:
        job.service *= 2.0
        job.median *= 2.0
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
        position = self._waiting.index(job) + 1 if job in self._waiting else None
        self._after(LATENCY, lambda: self._seen(job, asked, position))

    def _seen(self, job: Job, asked: float, position: int | None) -> None:
        if asked >= job.finished:
            self.lags.append(self.now - job.finished)
            self.policy.done(job, self.now)
            self._submit()
            return
        self.policy.seen(job, position, asked)
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
        policies: dict[str, Callable[[int], Policy]] = {
            **{f"every {each:g} s": partial(_fixed, each) for each in INTERVALS},
            "overnight": Ours,
        }
        if workload.share == 1.0:
            policies["oracle"] = Oracle
        for known, policy in policies.items():
            # Jobs of a narrow provider take longer: fewer of them make as long a night.
            most = round(jobs * workload.share)
            report.taken[f"{name}: {known}"] = [
                play(workload, policy(seed), most, slots, seed) for seed in seeds
            ]
        judge(name, report)
    return report


def _fixed(interval: float, _seed: int) -> Policy:
    return Policy(interval)


def judge(name: str, report: Report) -> None:
    """Hold workload ``name`` against what is wanted of it; of some, only tell how it went."""
    share = polls_to_fixed(name, "overnight", report)
    measure = f"{name}: overnight's polls to those of a fixed interval of the same mean lag"
    if name == "b":
        efficiency = fmean(night["slot efficiency"] for night in report.taken["b: overnight"])
        report.aims += [
            Aim(measure, share, most=1 / 3),
            Aim("b: slot efficiency", efficiency, least=0.99),
        ]
        return
    if name != "a":
        report.notes.append(f"{measure}: {share:.3g}")
        return
    possible = polls_to_fixed("a", "oracle", report)
    report.aims += [
        Aim(measure, share, most=1 / 2),
        Aim("a: overnight's polls to an oracle's", share / possible, most=1.1),
    ]
    report.notes.append(
        f"a: an oracle's polls to those of a fixed interval of the same mean lag: {possible:.3g}; "
        "nobody can do with less"
    )


def polls_to_fixed(name: str, known: str, report: Report) -> float:
    """The polls of a policy to those of the fixed interval with its mean lag: the mean of all
    nights."""
    shares = []
    for number, night in enumerate(report.taken[f"{name}: {known}"]):
        fixed = [report.taken[f"{name}: every {each:g} s"][number] for each in INTERVALS]
        shares.append(night["polls/job"] / polls_at(night["lag s"], fixed))
    return fmean(shares)


def main() -> int:
    """Play, print, and fail when an aim is missed."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--jobs", type=int, default=5000)
    made.add_argument("--slots", type=int, default=8)
    made.add_argument("--seed", type=int, default=1)
    asked = made.parse_args()
    seeds = range(asked.seed, asked.seed + asked.rounds)
    return measure(asked.jobs, asked.slots, seeds).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
