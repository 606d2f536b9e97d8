"""What a seed stands for: the size of the night, which faults it has and how often, who interrupts.

Each seed switches on a random half of the faults (swarm testing): a night in which everything goes
wrong at once hides what two faults do to each other. A plan is drawn before the night begins and
depends on nothing but the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from overnight.engine.pacing import Pace

JOBS = 200
MORNING = 3600.0
"""Seconds after the start at which every fault ends and nobody interrupts any more."""

NOON = 30 * 3600.0
"""Seconds after the start at which a night that is not over will never be."""

FAULTS: dict[str, float] = {
    # A submit whose answer is certain.
    "submit:throttled": 0.1,
    "submit:throttled-for": 0.05,
    "submit:unavailable": 0.1,
    "submit:unavailable-for": 0.05,
    "submit:not-sent": 0.1,
    "submit:rejected": 0.03,
    "submit:refused": 0.004,
    # A submit that nobody can tell the end of.
    "submit:lost-before": 0.04,
    "submit:lost-after": 0.04,
    "submit:hangs-before": 0.02,
    "submit:hangs-after": 0.02,
    # Any free call.
    "free:no-answer": 0.2,
    "free:html": 0.1,
    "free:throttled": 0.05,
    "free:hangs": 0.03,
    "free:gone-once": 0.05,
    "free:refused-once": 0.03,
    "free:slow": 0.1,
    # One kind of free call.
    "status:word": 0.1,
    "result:lags": 0.3,
    "cancel:lost-after": 0.3,
    # What becomes of a request that was accepted.
    "fate:fails": 0.2,
    "fate:fails-on-status": 0.1,
    "fate:fails-for-good": 0.05,
    "fate:never-finishes": 0.02,
    "fate:requeued": 0.1,
    "fate:cancelled": 0.05,
    "fate:forgotten": 0.03,
    "fate:hidden": 0.1,
    "fate:names-no-file": 0.03,
    # Files.
    "media:try-again": 0.3,
    "media:expired": 0.2,
    "media:unfetchable": 0.02,
    "media:slow": 0.1,
    "media:our-disk": 0.002,
}
"""Every fault with the highest probability that a night may give it, for each chance it has."""


class Moment(StrEnum):
    """What an interruption counts, to strike at the n-th."""

    STEP = "step"
    """Any step of the process: between two awaits."""
    COMMIT = "commit"
    """A transaction is durable, and nobody was told yet."""
    POST = "post"
    """A paid call left the process."""
    TAKEN = "taken"
    """The provider accepted a paid call whose answer is on its way."""


class Act(StrEnum):
    """What is done to the process then."""

    KILL = "kill"
    FREEZE = "freeze"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Interruption:
    """``seconds`` is how long a frozen process stays so."""

    moment: Moment
    at: int
    act: Act
    seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` until before ``end``, in seconds after the beginning of the night."""

    start: float
    end: float

    def holds(self, at: float) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Wish:
    """A command of the user: ``share`` of all jobs, drawn at that moment, are named in it."""

    at: float
    verb: str
    share: float


@dataclass(frozen=True, slots=True)
class Terms:
    """One batch: how many ``jobs``, and the manifest's ``run`` block as the database has it."""

    jobs: int
    run: dict[str, Any]

    @property
    def concurrency(self) -> int:
        return int(self.run["concurrency"])

    @property
    def canaries(self) -> int:
        """How many jobs, from the first, must succeed before the others are submitted."""
        return int(self.run.get("canary", 0))


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds."""

    seed: int
    batches: tuple[Terms, ...]
    faults: dict[str, float]
    slots: int
    cap: int
    service: tuple[float, float]
    latency: float
    commit: float
    group: int
    control: float
    """Seconds between two looks of the worker at the table."""
    pace: Pace
    run_limit: float
    files: int
    outages: tuple[Window, ...]
    refusals: tuple[Window, ...]
    refuses_free: bool
    """Whether a refused account is refused free calls too."""
    interruptions: tuple[Interruption | None, ...]
    """One a process, in the order in which they start."""
    wishes: tuple[Wish, ...]
    narrow: float
    """How likely a run is for one batch only, or with a concurrency of its own."""
    patient: bool
    """Whether runs wait for an account that is refused."""


def draw(seed: int, jobs: int = JOBS) -> Plan:
    """The plan of ``seed``."""
    rng = Random(f"plan {seed}")
    service = rng.choice([(0.5, 3.0), (2.0, 20.0), (10.0, 60.0)])
    return Plan(
        seed=seed,
        batches=_batches(rng, jobs),
        faults=_faults(rng),
        slots=rng.choice([2, 8, 32, 64]),
        cap=rng.choice([4, 16, 64, 64, 64, 64]),
        service=service,
        latency=rng.choice([0.02, 0.2, 1.0]),
        commit=rng.choice([0.001, 0.01, 0.01, 0.5]),
        group=rng.choice([1, 3, 512, 512]),
        control=rng.choice([10.0, 60.0, 60.0, 120.0]),
        pace=Pace(
            price=0.05,
            shortest=max(1.0, service[0]),
            longest=60.0,
            first_try=max(1.0, service[0]),
        ),
        run_limit=rng.choice([600.0, 1200.0]),
        files=rng.choice([1, 1, 1, 3]),
        outages=_windows(rng, rng.choice([0, 0, 1, 2]), 30.0, 600.0),
        refusals=_windows(rng, rng.choice([0, 0, 0, 1]), 10.0, 300.0),
        refuses_free=rng.random() < 0.5,
        interruptions=_interruptions(rng),
        wishes=_wishes(rng),
        patient=rng.random() < 0.3,
        narrow=rng.choice([0.0, 0.0, 0.5]),
    )


def _run(rng: Random) -> dict[str, Any]:
    run: dict[str, Any] = {
        "concurrency": rng.choice([1, 4, 8, 8, 16, 16, 32]),
        "attempts": rng.choice([1, 2, 3, 3, 5]),
    }
    if rng.random() < 0.15:
        run["rate"] = rng.choice(["30/min", "2/s", "400/h"])
    if rng.random() < 0.3:
        run["on_unknown"] = "resubmit"
    if rng.random() < 0.15:
        run["canary"] = rng.choice([1, 4])
    if rng.random() < 0.15:
        run["halt"] = {"failures": rng.choice(["10%", "30%", 10]), "after": 20}
    return run


def _batches(rng: Random, jobs: int) -> tuple[Terms, ...]:
    number = rng.choice([1, 1, 2, 3])
    shares = [jobs // number] * number
    shares[0] += jobs - sum(shares)
    return tuple(Terms(n, _run(rng)) for n in shares)


def _faults(rng: Random) -> dict[str, float]:
    if rng.random() < 0.05:
        return {}
    return {
        name: most * rng.choice([0.1, 0.5, 1.0])
        for name, most in FAULTS.items()
        if rng.random() < 0.5
    }


def _windows(rng: Random, number: int, shortest: float, longest: float) -> tuple[Window, ...]:
    starts = [rng.uniform(0.0, 600.0) for _ in range(number)]
    return tuple(Window(start, start + rng.uniform(shortest, longest)) for start in starts)


def _interruptions(rng: Random) -> tuple[Interruption | None, ...]:
    most = {Moment.STEP: 8000, Moment.COMMIT: 500, Moment.POST: 60, Moment.TAKEN: 60}
    drawn: list[Interruption | None] = []
    for _ in range(rng.choice([0, 1, 3, 6])):
        moment = rng.choice([*Moment, Moment.COMMIT, Moment.TAKEN])
        act = rng.choice([Act.KILL, Act.KILL, Act.KILL, Act.FREEZE, Act.DRAIN])
        at = 1 + int(most[moment] * rng.random() ** 2)
        drawn.append(Interruption(moment, at, act, rng.choice([20.0, 90.0, 300.0])))
    return tuple(drawn)


def _wishes(rng: Random) -> tuple[Wish, ...]:
    number = rng.choice([0, 0, 2, 6])
    verbs = ["cancel", "retry", "retry", "resubmit", "give-up", "adopt"]
    return tuple(
        Wish(rng.uniform(5.0, 1200.0), rng.choice(verbs), rng.choice([0.02, 0.2]))
        for _ in range(number)
    )
