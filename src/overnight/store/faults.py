"""What a test can do to the process from outside: end or freeze it at a place where the order of
writes matters, and shorten the lease.

Nobody but a test uses this. ``OVERNIGHT_FAULT=PLACE[:PASSAGE[:SIGNAL]]`` sends SIGKILL (or
``STOP``, to freeze) to this very process when it reaches PLACE for the PASSAGE-th time.
``OVERNIGHT_FAULT_LEASE`` is the lease in seconds. Both are read once, at import; without them a
place costs one call that does nothing.

:class:`Place` is the whole list. The crash tests run over it, so a new place brings its own tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

VARIABLE = "OVERNIGHT_FAULT"
LEASE_VARIABLE = "OVERNIGHT_FAULT_LEASE"


class Place(StrEnum):
    """Where the process can be struck; each says what is durable there and what is not."""

    LOADING = "loading"
    """In the transaction of a load, some rows in."""
    LEASE_TAKING = "lease-taking"
    """In the transaction that takes the lease."""
    LEASE_TAKEN = "lease-taken"
    """The lease is durable; nothing has been looked at."""
    LEASE_RELEASING = "lease-releasing"
    """In the transaction that gives the lease back, at the end of a run."""
    TAKING_UP = "taking-up"
    """In the transaction that takes up what a dead worker left, between two of its statements."""
    PUBLISHED = "published"
    """A local file is in the object store; the jobs that send it are still pending."""
    CLAIMING = "claiming"
    """In the transaction of a claim."""
    CLAIMED = "claimed"
    """The intent to submit is durable; no POST has been begun."""
    BEFORE_SUBMIT = "before-submit"
    """The lease has been checked; the next step is the paid POST."""
    SUBMIT_ANSWERED = "submit-answered"
    """The provider has answered the POST; nothing of it is recorded."""
    SUBMIT_RECORDED = "submit-recorded"
    """The answer, with its request id, is durable."""
    IN_GROUP = "in-group"
    """In the writer's transaction, between two writes of a group or after the last."""
    FINISHED = "finished"
    """It is durable that the provider is done; the first look at the verdict told no delivery."""
    DELIVERY_READ = "delivery-read"
    """The verdict and the addresses are known; none of it is recorded."""
    DELIVERY_RECORDED = "delivery-recorded"
    """The delivery is durable; no file has been fetched."""
    FILE_NAMED = "file-named"
    """The file is whole under its own name; it is not recorded."""
    FILE_RECORDED = "file-recorded"
    """The file is recorded."""
    BEFORE_COLLECTED = "before-collected"
    """Every file is recorded; the job is still being collected."""
    COLLECTED = "collected"
    """The job's success is durable."""


@dataclass(slots=True)
class Fault:
    """What is to happen: ``signal`` at the passage of ``place`` after ``left`` - 1 others."""

    place: Place
    left: int = 1
    signal: signal.Signals = signal.SIGKILL

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``claimed``, ``claimed:3`` or ``claimed:3:STOP``. Raises :class:`ValueError`."""
        name, _, rest = text.partition(":")
        passage, _, word = rest.partition(":")
        fault = cls(Place(name), int(passage or 1), _SIGNALS[word])
        if fault.left < 1:
            raise ValueError(f"passages are counted from 1, not {fault.left}")
        return fault

    def reached(self, place: Place) -> None:
        """Count a passage, and strike when it is the one."""
        if place is self.place:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), self.signal)


_SIGNALS = {"": signal.SIGKILL, "KILL": signal.SIGKILL, "STOP": signal.SIGSTOP}


def wanted(environ: Mapping[str, str]) -> Fault | None:
    """The fault that the environment asks for. A value that makes no sense ends the program: a
    test that strikes nothing would prove nothing."""
    text = environ.get(VARIABLE)
    if not text:
        return None
    try:
        return Fault.parse(text)
    except (ValueError, KeyError):
        raise SystemExit(
            f"{VARIABLE}={text} is not PLACE:PASSAGE or PLACE:PASSAGE:STOP. Unset it: it is for "
            f"overnight's own tests. Places: {', '.join(Place)}."
        ) from None


def lease(environ: Mapping[str, str], usual: float) -> float:
    """Seconds that a lease lasts: ``usual``, unless a test can't wait that long. Every process
    that works on one database must have the same."""
    text = environ.get(LEASE_VARIABLE)
    try:
        seconds = float(text) if text else usual
    except ValueError:
        seconds = 0.0
    # Longer would be a way to lock others out; not a number is neither.
    if not 0.0 < seconds <= usual:
        raise SystemExit(
            f"{LEASE_VARIABLE}={text} is not a number of seconds up to {usual:g}. Unset it: it is "
            "for overnight's own tests."
        )
    return seconds


_FAULT = wanted(os.environ)


def reach(place: Place) -> None:
    """Say that the process is at ``place``; does nothing unless a test has asked for it."""
    if _FAULT is not None:
        _FAULT.reached(place)
