"""How long jobs have taken so far, as a guess at how long others will take. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, select

from overnight.lifecycle import Event
from overnight.store.tables import attempts, jobs

NEWEST = 20_000
"""Attempts that are looked at, the newest first: a provider of last month says little of today's,
and a database of a million attempts must answer at once."""


@dataclass(frozen=True, slots=True)
class Typical:
    """The median of ``seconds`` that a job held a place in the budget, and of how many jobs."""

    seconds: float
    jobs: int


def typical(connection: Connection, models: Collection[str]) -> dict[str, Typical]:
    """For each of ``models`` that has succeeded here: how long it took, from the intent to submit
    until the provider was seen to be done with it. Waiting in the provider's queue counts."""
    newest = (
        select(attempts.c.job_id, attempts.c.intent_at, attempts.c.finished_at)
        .where(attempts.c.outcome == Event.COLLECTED.value)
        .order_by(attempts.c.intent_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    rows = connection.execute(
        select(jobs.c.model, newest.c.finished_at - newest.c.intent_at)
        .join_from(newest, jobs, newest.c.job_id == jobs.c.id)
        .where(newest.c.finished_at.is_not(None), jobs.c.model.in_(models))
    )
    taken: dict[str, list[float]] = {}
    for model, seconds in rows:
        taken.setdefault(model, []).append(float(seconds))
    return {model: Typical(median(found), len(found)) for model, found in taken.items()}
