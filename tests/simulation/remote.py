"""The simulated provider's own side: its queue, its slots, its ledger.

What it knows is the truth that the invariants hold the table against: which paid calls it accepted,
for which job, what became of them and what it said of it. It goes on whatever dies on our side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.simulation.loop import VirtualLoop
from tests.simulation.plan import Plan


@dataclass(slots=True)
class Accepted:
    """One accepted paid call. ``state`` is queued, running, worked, failed, cancelled or gone."""

    id: str
    job_id: int
    attempt: int
    fate: str
    at: float
    state: str = "queued"
    requeued: bool = False
    gone_answers: int = 0
    """How often in a row a free call about it was answered with 'no such request'."""
    told_failed: bool = False
    files: int | None = None
    """How many files its result names, once that was given out."""
    signed: int = 0
    """Which set of addresses is good."""

    @property
    def open(self) -> bool:
        """Whether it fills a place at the provider."""
        return self.state in ("queued", "running")


class Remote:
    """The provider's machine room. ``note`` writes a line of the trace."""

    def __init__(
        self, world: VirtualLoop, plan: Plan, rng: Random, note: Callable[[int, str, str], None]
    ) -> None:
        self._world = world
        self._plan = plan
        self._rng = rng
        self._note = note
        self._line: deque[Accepted] = deque()
        self._busy = 0
        self._open: dict[str, Accepted] = {}
        self.requests: dict[str, Accepted] = {}
        """Every accepted call there ever was, by its id."""
        self.healed = False

    @property
    def open(self) -> list[Accepted]:
        """What fills a place now."""
        return list(self._open.values())

    @property
    def full(self) -> bool:
        """Whether it takes no more at the moment."""
        return len(self._open) >= self._plan.cap

    def chance(self, fault: str) -> bool:
        """Whether this fault strikes now."""
        likely = self._plan.faults.get(fault)
        return likely is not None and not self.healed and self._rng.random() < likely

    def heal(self) -> None:
        """Nothing goes wrong any more, and what would never have finished has."""
        self.healed = True
        for request in self.open:
            if request.fate == "never-finishes" and request.state == "running":
                self._end(request, "worked")

    # --- its calls --------------------------------------------------------------------------------

    def accept(self, job_id: int, attempt: int) -> Accepted:
        """Take a job, and the money for it."""
        request = Accepted(
            f"r{len(self.requests) + 1}", job_id, attempt, self._fate(), self._world.time()
        )
        self.requests[request.id] = request
        self._note(job_id, "provider", f"accepts {request.id}, {request.fate}")
        if request.fate == "forgotten":
            request.state = "gone"
            return request
        self._open[request.id] = request
        self._line.append(request)
        self._serve()
        return request

    def cancel(self, request: Accepted) -> bool:
        """Cancel what waits; False for what runs or has ended."""
        if request.state == "cancelled":
            return True
        if request.state != "queued":
            return False
        self._line.remove(request)
        self._end(request, "cancelled")
        return True

    def _fate(self) -> str:
        for fault in self._plan.faults:
            if fault.startswith("fate:") and self.chance(fault):
                return fault.removeprefix("fate:")
        return "works"

    # --- its work ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._line and self._busy < self._plan.slots:
            request = self._line.popleft()
            if request.fate == "cancelled":
                self._end(request, "cancelled")
                continue
            request.state = "running"
            if request.fate == "never-finishes" and not self.healed:
                # It holds on to its place in the ledger, but not to a slot: others go on.
                continue
            self._busy += 1
            seconds = self._rng.uniform(*self._plan.service)
            self._world.call_later(seconds, self._worked, request)

    def _worked(self, request: Accepted) -> None:
        self._busy -= 1
        if request.fate == "requeued" and not request.requeued:
            request.requeued = True
            request.state = "queued"
            self._line.append(request)
        elif request.fate in ("fails", "fails-on-status", "fails-for-good"):
            self._end(request, "failed")
        else:
            self._end(request, "worked")
        self._serve()

    def _end(self, request: Accepted, state: str) -> None:
        request.state = state
        self._open.pop(request.id, None)
        self._note(request.job_id, "provider", f"{request.id} {state}")
