"""How long jobs have taken so far, as a guess at how long others will take. Reads only.

``typical`` is for people: a figure a model. ``newest`` is for the engine, which learns from every
job by itself; ``accepted`` tells it how old the jobs are that another worker left behind.
"""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from sqlalchemy import Connection, select

from overnight.lifecycle import Event
from overnight.store.tables import attempts, jobs, workers

NEWEST = 20_000
"""Attempts that are looked at, the newest first: a provider of last month says little of today's,
and a database of a million attempts must answer at once."""

AT_ONCE = 500
"""Jobs that one statement asks about."""


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


@dataclass(frozen=True, slots=True)
class Past:
    """A job that one worker followed to its success: ``seconds`` from when the provider took it
    until it was seen done."""

    model: str
    inputs: Mapping[str, Any]
    seconds: float


def newest(connection: Connection, *, most: int) -> list[Past]:
    """The ``most`` successes among the newest attempts, the oldest first. A job whose record can't
    be read is left out: nothing is decided by it but when to ask about others. So is one that
    another worker took up: what is on record of it is how long nobody asked, and not how long it
    took."""
    recent = (
        select(attempts.c.job_id, attempts.c.outcome, attempts.c.accepted_at)
        .add_columns(attempts.c.finished_at, attempts.c.intent_at)
        .order_by(attempts.c.intent_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    rows = connection.execute(
        select(jobs.c.model, jobs.c.inputs, recent.c.accepted_at, recent.c.finished_at)
        .join_from(recent, jobs, recent.c.job_id == jobs.c.id)
        .where(recent.c.outcome == Event.COLLECTED.value)
        .order_by(recent.c.intent_at.desc())
        .limit(most)
    )
    starts = sorted(connection.scalars(select(workers.c.started_at)))
    found = [_past(*row, starts) for row in rows]
    return [each for each in reversed(found) if each is not None]


def _past(
    model: str, text: str, accepted: object, finished: object, starts: Sequence[float]
) -> Past | None:
    """``starts`` are the times at which workers began, in order."""
    if not isinstance(accepted, float) or not isinstance(finished, float) or finished <= accepted:
        return None
    if bisect(starts, accepted) != bisect(starts, finished):
        return None
    try:
        inputs = json.loads(text)
    except (TypeError, ValueError):
        return None
    return Past(model, inputs, finished - accepted) if isinstance(inputs, dict) else None


def accepted(connection: Connection, job_ids: Sequence[int]) -> dict[int, float]:
    """When the provider took the newest attempt of each of ``job_ids``; of those it has taken."""
    found: dict[int, float] = {}
    left = iter(job_ids)
    while asked := list(islice(left, AT_ONCE)):
        rows = connection.execute(
            select(attempts.c.job_id, attempts.c.accepted_at)
            .join_from(attempts, jobs, attempts.c.job_id == jobs.c.id)
            .where(
                attempts.c.job_id.in_(asked),
                attempts.c.number == jobs.c.attempt,
                attempts.c.accepted_at.is_not(None),
            )
        )
        found |= {row[0]: row[1] for row in rows}
    return found
