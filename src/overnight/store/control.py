"""One look of a worker at the table: what to take up, what the user wants, how the figures are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from overnight.lifecycle import State
from overnight.store import queue, views
from overnight.store.job import Job


@dataclass(frozen=True, slots=True)
class Look:
    """``taken`` are jobs in flight that this worker holds from now on; ``to_cancel`` are those of
    its jobs that the user wants cancelled at the provider; ``lost`` is how many were found in the
    middle of a submit and are ``unknown`` now; ``others`` are batches of ``taken`` jobs that are
    not this run's own: what is paid for is brought home all the same."""

    taken: Sequence[Job]
    others: Sequence[views.Batch]
    lost: int
    to_cancel: Sequence[Job]
    states: Counter[State]


def look(connection: Connection, *, fence: int, batch_ids: Sequence[int], now: float) -> Look:
    """Take up what nobody holds, and read the rest. Cheap when there is nothing new.

    Raises :class:`~overnight.store.errors.LeaseLost`.
    """
    taken: list[Job] = []
    lost = 0
    if views.in_flight_elsewhere(connection, fence):
        taken, lost = queue.take_up(connection, fence=fence, now=now)
    foreign = {job.batch_id for job in taken} - set(batch_ids)
    return Look(
        taken,
        [batch for batch in views.all_batches(connection) if batch.id in foreign]
        if foreign
        else [],
        lost,
        views.to_cancel(connection, fence),
        views.states(connection, batch_ids),
    )
