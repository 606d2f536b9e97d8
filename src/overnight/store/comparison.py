"""What a load would do, without doing it: how many jobs are new, there already, or gone from the
manifest, and what is expected of those that are still to be submitted. Reads only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, exists, or_, select

from overnight.lifecycle import UNCOUNTED, State
from overnight.store import sorting, tally
from overnight.store.sorting import Sorted, Sorter, Spec
from overnight.store.spending import NONE, Expected
from overnight.store.tables import IS_PENDING, attempts, batches, jobs


@dataclass(frozen=True, slots=True)
class BlockCount:
    """Jobs of one block of the manifest that are of one model, repeated ones left out.
    ``to_submit`` are the new ones and those that wait already, at the manifest's prices."""

    new: int = 0
    existing: int = 0
    to_submit: Expected = NONE

    def __add__(self, other: BlockCount) -> BlockCount:
        return BlockCount(
            self.new + other.new, self.existing + other.existing, self.to_submit + other.to_submit
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a load of the same stream would do; the figures are those of
    :class:`~overnight.store.loading.Loaded`.

    ``by_block`` is in the manifest's order, by the block's name and the model. ``gone_waiting``
    are the jobs that wait in the batch and are not in the manifest any more, at the prices that
    they were loaded with; ``prunable`` those of them that were never submitted. ``states`` are
    those of the existing jobs.
    """

    new: int
    existing: int
    repeated: int
    gone: int
    digest: str
    by_block: Mapping[tuple[str, str], BlockCount]
    gone_waiting: Expected = NONE
    prunable: Expected = NONE
    states: Mapping[State, int] = field(default_factory=dict)

    @property
    def gone_pending(self) -> int:
        """As in :class:`~overnight.store.loading.Loaded`."""
        return self.prunable.jobs

    @property
    def to_submit(self) -> Expected:
        """What the manifest's own jobs come to: the new ones, and those that wait already."""
        return sum((block.to_submit for block in self.by_block.values()), Expected())


def compare(connection: Connection, batch_name: str, specs: Iterable[Spec]) -> Comparison:
    """See what a load of ``specs`` into the batch of that name would do; only reads.

    The batch need not be there. Whatever ``specs`` raises passes through.
    """
    batch_id = batch_id_of(connection, batch_name)
    before = 0 if batch_id is None else tally.total(connection, batch_id)
    sorter = Sorter(connection, batch_id, sorting.last_id(connection), inserts=False)
    blocks: dict[tuple[str, str], BlockCount] = {}
    states: Counter[str] = Counter()
    for found in sorter.chunks(specs):
        for place, counted in _by_block(found).items():
            blocks[place] = blocks.get(place, BlockCount()) + counted
        states.update(row.state for _, row in found.known)
    gone = before - sorter.existing
    waiting = gone_and_waiting(connection, batch_id, sorter) if batch_id and gone else []
    return Comparison(
        sorter.new,
        sorter.existing,
        sorter.repeated,
        gone,
        sorter.digest,
        blocks,
        Expected.of(job.price for job in waiting),
        Expected.of(job.price for job in waiting if job.never_submitted),
        {state: states[state] for state in State if states[state]},
    )


def _by_block(found: Sorted) -> dict[tuple[str, str], BlockCount]:
    """One chunk's jobs, by block and model, in the order in which these come."""
    new = Counter((spec.block, spec.model) for spec in found.fresh)
    existing = Counter((spec.block, spec.model) for spec, _ in found.known)
    prices: dict[tuple[str, str], list[float | None]] = {}
    for spec in found.fresh:
        prices.setdefault((spec.block, spec.model), []).append(spec.price)
    for spec, row in found.known:
        if row.state == State.PENDING:
            prices.setdefault((spec.block, spec.model), []).append(spec.price)
    order = dict.fromkeys((spec.block, spec.model) for spec in found.specs)
    return {
        place: BlockCount(new[place], existing[place], Expected.of(prices.get(place, ())))
        for place in order
    }


def batch_id_of(connection: Connection, name: str) -> int | None:
    """The batch of that name; None when there is none."""
    found: int | None = connection.scalar(select(batches.c.id).where(batches.c.name == name))
    return found


class Waiting(NamedTuple):
    """A pending job that the manifest has no more."""

    id: int
    price: float | None
    never_submitted: bool


def gone_and_waiting(connection: Connection, batch_id: int, sorter: Sorter) -> list[Waiting]:
    """Pending jobs that the stream did not hold."""
    uncounted = [event.value for event in UNCOUNTED]
    submitted = exists().where(
        attempts.c.job_id == jobs.c.id,
        or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(uncounted)),
    )
    rows = connection.execute(
        select(jobs.c.id, jobs.c.price, or_(jobs.c.attempt == 0, ~submitted)).where(
            jobs.c.batch_id == batch_id, IS_PENDING
        )
    )
    return [
        Waiting(job_id, price, bool(never))
        for job_id, price, never in rows
        if not sorter.came_by(job_id)
    ]
