"""What jobs will cost and have cost, as far as prices and the provider tell. Reads only."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from overnight.lifecycle import UNCOUNTED
from overnight.store.tables import IS_PENDING, attempts, jobs


@dataclass(frozen=True, slots=True)
class Expected:
    """``jobs`` that are to be submitted: ``dollars`` for those with a price, and how many have
    none."""

    jobs: int = 0
    dollars: float = 0.0
    unpriced: int = 0

    @classmethod
    def of(cls, prices: Iterable[float | None]) -> Expected:
        """The sum of these, a price a job."""
        listed = list(prices)
        known = [price for price in listed if price is not None]
        return cls(len(listed), math.fsum(known), len(listed) - len(known))

    def __add__(self, other: Expected) -> Expected:
        return Expected(
            self.jobs + other.jobs, self.dollars + other.dollars, self.unpriced + other.unpriced
        )


NONE = Expected()
"""No jobs."""


def pending(connection: Connection, batch_ids: Collection[int]) -> dict[int, Expected]:
    """What each of these batches still has to submit; a batch that has nothing is left out. Reads
    every job that waits: half a second for a million."""
    rows = connection.execute(
        select(jobs.c.batch_id, *_SUMS)
        .where(IS_PENDING, jobs.c.batch_id.in_(batch_ids))
        .group_by(jobs.c.batch_id)
    )
    return {batch_id: _expected(*sums) for batch_id, *sums in rows}


def spent(connection: Connection, batch_id: int) -> Expected:
    """What the attempts of a batch that may have been paid for come to: what the provider told,
    and for each that it told nothing of, what its job was expected to cost.

    Reads every attempt of the batch: it is for a question that is asked once a run.
    """
    uncounted = [event.value for event in UNCOUNTED]
    may_be_paid = or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(uncounted))
    of_batch = (jobs.c.batch_id == batch_id, may_be_paid)
    told, dollars = connection.execute(
        select(func.count(), func.sum(attempts.c.cost))
        .join_from(attempts, jobs)
        .where(*of_batch, attempts.c.cost.is_not(None))
    ).one()
    untold = connection.execute(
        select(*_SUMS).join_from(attempts, jobs).where(*of_batch, attempts.c.cost.is_(None))
    ).one()
    return Expected(told, float(dollars or 0.0)) + _expected(*untold)


def room(connection: Connection, batch_id: int, limit: float) -> float:
    """US dollars that the batch may still set out to spend within ``limit``, with what it may have
    spent and what still waits counted; below zero once it is past it, and minus infinity where a
    price of what waits is unknown.

    Reads every attempt of the batch.
    """
    waiting = pending(connection, [batch_id]).get(batch_id, Expected())
    if waiting.unpriced:
        return -math.inf
    # Sums of floats differ in the decimals behind.
    return round(limit - spent(connection, batch_id).dollars - waiting.dollars, 6)


_SUMS = (func.count(), func.count(jobs.c.price), func.sum(jobs.c.price))
"""The number of jobs, that of those with a price, and the sum of the prices."""


def _expected(number: int, priced: int, dollars: float | None) -> Expected:
    return Expected(number, float(dollars or 0.0), number - priced)


def pending_by_model(connection: Connection, batch_ids: Collection[int]) -> dict[str, int]:
    """How many jobs of these batches wait for each model. Reads every one of them."""
    rows = connection.execute(
        select(jobs.c.model, func.count())
        .where(IS_PENDING, jobs.c.batch_id.in_(batch_ids))
        .group_by(jobs.c.model)
        .order_by(jobs.c.model)
    )
    return {row.model: int(row[1]) for row in rows}
