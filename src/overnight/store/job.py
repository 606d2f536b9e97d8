"""A job as the engine holds it: one row, frozen. A transition returns a new one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from overnight.lifecycle import State
from overnight.store.errors import readable
from overnight.store.tables import jobs

COLUMNS = (
    jobs.c.id,
    jobs.c.batch_id,
    jobs.c.key,
    jobs.c.fingerprint,
    jobs.c.provider,
    jobs.c.model,
    jobs.c.inputs,
    jobs.c.state,
    jobs.c.attempt,
    jobs.c.tries,
    jobs.c.deferrals,
    jobs.c.fence,
    jobs.c.request_id,
    jobs.c.delivered,
    jobs.c.cancel_requested,
    jobs.c.updated_at,
    jobs.c.file_name,
)
"""What a :class:`Job` is read from, in its order."""

_NAMES = tuple(column.name for column in COLUMNS)
_NUMBERS = ("attempt", "tries", "deferrals", "fence", "updated_at")


class Job(NamedTuple):
    """``attempt`` and ``fence`` are the guard of every write; ``inputs`` are as sent.

    A tuple, because each step of a job makes a new one: that takes a quarter of what it takes with
    a frozen dataclass.
    """

    id: int
    batch_id: int
    key: str
    fingerprint: str
    provider: str
    model: str
    inputs: Mapping[str, Any]
    state: State
    attempt: int
    tries: int
    deferrals: int
    fence: int
    request_id: str | None
    delivered: bool
    cancel_requested: bool
    updated_at: float
    file_name: str | None = None
    """What its files are called, below the output folder and without a suffix; None for the key."""
    submit_key: str = ""
    """This attempt's own id, where it was claimed by this worker."""

    @classmethod
    def from_row(cls, row: Sequence[Any], *, submit_key: str = "") -> Job:
        """A job from a row that holds :data:`COLUMNS`."""
        values = dict(zip(_NAMES, row, strict=True))
        with readable(f"job {values['id']}"):
            values["inputs"] = json.loads(values["inputs"])
            values["state"] = State(values["state"])
            values["delivered"] = bool(values["delivered"])
            values["cancel_requested"] = bool(values["cancel_requested"])
            for name in _NUMBERS:
                float(values[name])
        return cls(**values, submit_key=submit_key)
