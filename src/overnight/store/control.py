"""One look of a worker at the table: what to take up, what the user wants, how the figures are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from overnight.store import decisions, durations, leases, standing, taking_up, views
from overnight.store.job import Job
from overnight.store.rows import Batch


@dataclass(slots=True)
class Look:
    """What one look found, and what was decided in the same transaction."""

    batches: Sequence[Batch]
    """The run's own batches as they are now."""
    to_cancel: Sequence[int]
    """Ids of jobs of this worker that the user wants cancelled at the provider."""
    taken: Sequence[Job] = ()
    """Jobs in flight that this worker holds from now on."""
    accepted: Mapping[int, float] = field(default_factory=dict)
    """When the provider took each of ``taken``."""
    others: Sequence[Batch] = ()
    """Batches of ``taken`` that are not the run's own: what is paid for is brought home too."""
    lost: int = 0
    """How many were found in the middle of a submit, and are ``unknown`` now."""
    told: list[str] = field(default_factory=list)
    """What was decided, for people."""


def look(
    connection: Connection,
    *,
    fence: int,
    batch_ids: Sequence[int],
    now: float,
    for_good: Collection[int] | None = None,
) -> Look:
    """Take up what nobody holds, decide what a manifest's rules say, and read the rest.

    ``for_good`` are the unknown jobs that only a person or the manifest can settle; None for all
    of them. Cheap when there is nothing new. Raises :class:`~overnight.store.errors.LeaseLost`.
    """
    leases.require(connection, fence)
    taken: list[Job] = []
    lost = 0
    if taking_up.is_due(connection, fence):
        taken, lost = taking_up.take_up(connection, fence=fence, now=now)
    batches = views.all_batches(connection)
    told = _decide(connection, batches, batch_ids, now, for_good)
    if told:
        batches = views.all_batches(connection)
    foreign = {job.batch_id for job in taken} - set(batch_ids)
    return Look(
        batches=[batch for batch in batches if batch.id in batch_ids],
        to_cancel=standing.to_cancel(connection, fence),
        taken=taken,
        accepted=durations.accepted(connection, [job.id for job in taken]),
        others=[batch for batch in batches if batch.id in foreign],
        lost=lost,
        told=told,
    )


def _decide(
    connection: Connection,
    batches: Sequence[Batch],
    batch_ids: Sequence[int],
    now: float,
    for_good: Collection[int] | None,
) -> list[str]:
    """Carry out what the manifests say of unknown jobs and of canaries."""
    told = []
    for batch in batches:
        if batch.id not in batch_ids:
            continue
        if batch.run.get("on_unknown") == "resubmit" and batch.unknown:
            cost = batch.run.get("limits", {}).get("cost")
            n = decisions.resubmit_unknown(
                connection, batch.id, now=now, for_good=for_good, cost=cost
            )
            if n:
                told.append(f"{batch.name}: {n} unknown jobs are submitted again, as it says")
        if batch.waits_for_canaries:
            told += _judge(connection, batch, now, for_good)
    return told


def _judge(
    connection: Connection, batch: Batch, now: float, for_good: Collection[int] | None
) -> list[str]:
    verdict = decisions.judge_canaries(connection, batch.id, now=now, for_good=for_good)
    return [] if verdict is None else [f"{batch.name}: {verdict}"]
