"""What a run is about to submit of loaded batches: what it will cost, how long it will take, and
whether a manifest's own limit allows it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from overnight.cli.bill import Cost, Limit, limit_of, money, total
from overnight.cli.forecast import Forecast
from overnight.cli.output import count, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.rows import Batch
    from overnight.store.spending import Expected
    from overnight.store.writer import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Due:
    """``cost`` of what is to be submitted of ``batch``, and the limit on it, if there is one."""

    batch: Batch
    cost: Cost
    limit: Limit | None

    def require_allowed(self, nothing: str) -> None:
        """Raise :class:`~overnight.cli.failures.UserError` unless the manifest allows that much.
        ``nothing`` says what was not done therefore."""
        if self.limit is not None:
            self.limit.require(nothing)


@dataclass(frozen=True, slots=True)
class Bill:
    """What is due of several batches, and how long that will take."""

    dues: Sequence[Due]
    forecast: Forecast

    @property
    def cost(self) -> Cost:
        return total(due.cost for due in self.dues)

    @property
    def models(self) -> list[str]:
        return list(self.forecast.jobs)

    def sentence(self) -> str:
        """Cost and time, for people."""
        return f"Cost: {self.cost.words()}{self._source()}. Time: {self.forecast.short()}."

    def _source(self) -> str:
        """Where the prices are from, in brackets."""
        written = {
            repr(due.batch.run.get("price")): due.batch.run.get("price") for due in self.dues
        }
        if self.cost.jobs == self.cost.unpriced:
            return " (neither the manifest nor the catalogue gives a price)"
        if len(written) != 1:
            return " (by each manifest's own prices)"
        [price] = written.values()
        if price is None:
            return " (by the catalogue, as it was when the jobs were loaded)"
        return f" (run.price: {line(price) if isinstance(price, str) else f'{money(price)} a job'})"

    def fields(self) -> dict[str, Any]:
        """The same for ``--json``."""
        cost = self.cost
        return {
            "event": "plan",
            "to_submit": cost.jobs,
            "models": self.models,
            "cost": cost.amount,
            "cost_known": round(cost.dollars, 6),
            "unpriced": cost.unpriced,
            "seconds": self.forecast.seconds,
            "concurrency": self.forecast.concurrency,
        }


def due(connection: Any, batch: Batch, *, go_on: bool) -> Due:
    """What a run would submit of ``batch`` as the table stands. ``connection`` is one of the
    store's; ``go_on`` says that a batch which was halted is gone on with."""
    from overnight.store import spending

    cost, spent = Cost(), Cost()
    if batch.states[State.PENDING] and (go_on or batch.halted is None):
        pending = spending.pending(connection, [batch.id])
        cost = as_cost(pending[batch.id]) if batch.id in pending else Cost()
    dollars = limit_of(batch.run)
    if dollars is None:
        return Due(batch, cost, None)
    spent = as_cost(spending.spent(connection, batch.id))
    return Due(batch, cost, Limit(dollars, spent, cost))


def bill(
    connection: Any, batches: Sequence[Batch], concurrency: int | None, *, go_on: bool
) -> Bill:
    """What a run would submit of all these batches."""
    from overnight.store import durations, spending

    dues = [due(connection, batch, go_on=go_on) for batch in batches]
    submitted = [one.batch for one in dues if one.cost.jobs]
    models = spending.pending_by_model(connection, [batch.id for batch in submitted])
    typical = durations.typical(connection, list(models))
    at_once = concurrency or max(int(batch.run.get("concurrency", 1)) for batch in batches)
    rates = {batch.run.get("rate") for batch in submitted}
    rate = rates.pop() if len(rates) == 1 else None
    return Bill(dues, Forecast(models, typical, at_once, rate))


def within_limits(operation: Operation[T]) -> Operation[T]:
    """``operation``, undone by a :class:`~overnight.cli.failures.UserError` where it puts more jobs
    before a living worker than the manifest's limit allows. Without a worker, the next `run` or
    `work` looks at the limits; who becomes one does so in a transaction too, so that one of the
    two sees the other."""

    def checked(connection: Any) -> T:
        from overnight.store import holding, views

        if holding.holder(connection, time.time()) is None:
            return operation(connection)
        before = {b.id: b.states[State.PENDING] for b in views.all_batches(connection)}
        outcome = operation(connection)
        for batch in views.all_batches(connection):
            if batch.states[State.PENDING] > before[batch.id]:
                due(connection, batch, go_on=False).require_allowed(
                    "Nothing was changed, because the worker that is running would submit it."
                )
        return outcome

    return checked


def as_cost(expected: Expected) -> Cost:
    """What the store expects, as money."""
    return Cost(expected.dollars, expected.jobs - expected.unpriced, expected.unpriced)


def jobs_words(jobs: int, models: Sequence[str]) -> str:
    """``13 jobs to submit, which may be paid for, to MODEL``."""
    names = ", ".join(line(model) for model in models)
    return f"{count(jobs, 'job')} to submit, which may be paid for, to {names}"
