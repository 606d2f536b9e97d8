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
        job = cls(*row)
        inputs: Any = job.inputs
        with readable(f"job {job.id}"):
            sum((job.attempt, job.tries, job.deferrals, job.fence, job.updated_at))  # numbers all
            return job._replace(
                inputs=json.loads(inputs),
                state=State(job.state),
                delivered=bool(job.delivered),
                cancel_requested=bool(job.cancel_requested),
                submit_key=submit_key,
            )
