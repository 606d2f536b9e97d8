"""Reads: what people and the engine want to know. Nothing here writes.

Counts come from ``tallies`` and lists come in keyset pages, so that a batch of a million jobs
answers as fast as one of ten.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, exists, func, or_, select

from overnight.lifecycle import UNCOUNTED, State
from overnight.store import dialect, suspects
from overnight.store.errors import NotFound, readable
from overnight.store.job import COLUMNS, Job
from overnight.store.rows import ArtifactRow, AttemptRow, Batch, Detail, EventRow, JobRow
from overnight.store.tables import (
    IS_PENDING,
    IS_SUSPECT,
    IS_TO_CANCEL,
    artifacts,
    attempts,
    batches,
    events,
    jobs,
    tallies,
)

PAGE = 500
"""Jobs read at a time."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs: of these batches, in these states, with one of these tags; empty means all.
    ``suspect``: only those that succeeded with a suspect file."""

    batch_ids: Sequence[int] = ()
    states: Sequence[State] = ()
    suspect: bool = False
    tags: Sequence[str] = ()

    def apply(self, query: Select[Any]) -> Select[Any]:
        """``query`` about jobs, narrowed to these."""
        if self.batch_ids:
            query = query.where(jobs.c.batch_id.in_(self.batch_ids))
        if self.states:
            query = query.where(jobs.c.state.in_([state.value for state in self.states]))
        if self.suspect:
            # Said twice: the first is what an index knows, and leaves few jobs to ask the second.
            query = query.where(jobs.c.id.in_(_WITH_SUSPECT), _HAS_SUSPECT)
        if self.tags:
            query = query.where(dialect.has_one_of(jobs.c.tags, self.tags))
        return query


# --- batches --------------------------------------------------------------------------------------


def all_batches(connection: Connection) -> list[Batch]:
    """Every batch, oldest first."""
    counts: dict[int, dict[State, int]] = {}
    with readable("a batch's tally"):
        for batch_id, state, n in connection.execute(_TALLIES):
            counts.setdefault(batch_id, {})[State(state)] = int(n)
    rows = connection.execute(_BATCHES).all()
    return [_batch(row, counts.get(row.id, {})) for row in rows]


# What is asked at every look at the table is built once: building it costs more than the answer.
_TALLIES = select(tallies)
# Not the draws and the schemas: they may be long, and this is read at every look at the table.
_BATCHES = select(
    *[column for column in batches.c if column.name not in ("draws", "schemas")]
).order_by(batches.c.id)


def _batch(row: Any, counts: Mapping[State, int]) -> Batch:
    with readable(f"batch {row.id}"):
        return Batch(
            row.id,
            row.name,
            row.manifest_path,
            dict(json.loads(row.run)),
            row.output_dir,
            row.created_at,
            {state: counts.get(state, 0) for state in State},
            row.halt_reason if row.halted_at is not None else None,
            dict(json.loads(row.forgiven or "{}")),
            row.canary_passed_at is not None,
            row.possible_duplicates,
            dict(json.loads(row.output)),
            dict(json.loads(row.assets)),
        )


def named_batches(connection: Connection, names: Collection[str]) -> list[Batch]:
    """The batches of these names, or all when ``names`` is empty. Raises :class:`NotFound`."""
    found = all_batches(connection)
    if not names:
        return found
    missing = sorted(set(names) - {batch.name for batch in found})
    if missing:
        known = ", ".join(batch.name for batch in found) or "none yet"
        raise NotFound(f"There is no batch {missing[0]!r} in this database. Batches: {known}.")
    return [batch for batch in found if batch.name in names]


def with_suspects(connection: Connection, found: Sequence[Batch]) -> list[Batch]:
    """The same batches, with their suspect jobs counted."""
    odd = suspects.by_batch(connection)
    return [replace(batch, suspects=odd.get(batch.id, 0)) for batch in found]


# --- jobs -----------------------------------------------------------------------------------------

_ROW = (
    jobs.c.id,
    batches.c.name.label("batch"),
    jobs.c.key,
    jobs.c.fingerprint,
    jobs.c.state,
    jobs.c.attempt,
    jobs.c.request_id,
    jobs.c.model,
    jobs.c.inputs,
    jobs.c.variables,
    jobs.c.error,
    jobs.c.cancel_requested,
    jobs.c.created_at,
    jobs.c.updated_at,
    jobs.c.tags,
    jobs.c.repeat,
    jobs.c.price,
)


def page(
    connection: Connection, which: Filter, *, after_id: int = 0, limit: int = PAGE
) -> list[JobRow]:
    """Up to ``limit`` jobs with an id above ``after_id``, by id."""
    query = select(*_ROW).join_from(jobs, batches).order_by(jobs.c.id)
    if which.states and not (which.suspect or which.tags):
        found = _ids_in_states(connection, which, after_id, limit)
        query = query.where(jobs.c.id.in_(found))
    else:
        query = which.apply(query.where(jobs.c.id > after_id).limit(limit))
    return _rows(connection, connection.execute(query).all())


def _ids_in_states(connection: Connection, which: Filter, after_id: int, limit: int) -> list[int]:
    """The first ``limit`` ids above ``after_id`` of jobs in these batches and states.

    Each state of each batch is asked for its own first ones, which stand together in an index. All
    at once, SQLite reads a million rows for a state that no job is in, or sorts a million.
    """
    found: list[int] = []
    for batch_id, state, _ in connection.execute(_TALLIES.where(tallies.c.jobs > 0)):
        if state in which.states and (not which.batch_ids or batch_id in which.batch_ids):
            asked = {"of_batch": batch_id, "in_state": state, "after": after_id, "most": limit}
            found += connection.scalars(_IDS_IN_STATE, asked)
    return sorted(found)[:limit]


_IDS_IN_STATE = (
    select(jobs.c.id)
    .where(
        jobs.c.batch_id == bindparam("of_batch"),
        jobs.c.state == bindparam("in_state"),
        jobs.c.id > bindparam("after"),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("most"))
)


_WITH_SUSPECT = select(artifacts.c.job_id).where(IS_SUSPECT)
_HAS_SUSPECT = exists().where(IS_SUSPECT, *suspects.OF_SUCCESS)


def every(
    connection: Connection, which: Filter, *, after_id: int = 0, limit: int | None = None
) -> Iterator[JobRow]:
    """Every job that fits and has an id above ``after_id``, by id, read page by page; with
    ``limit`` no more than that."""
    last, left = after_id, PAGE if limit is None else limit
    while rows := page(connection, which, after_id=last, limit=min(PAGE, left)):
        yield from rows
        last = rows[-1].id
        left -= 0 if limit is None else len(rows)


def ids(connection: Connection, which: Filter) -> list[int]:
    """The ids of every job that fits."""
    return list(connection.scalars(which.apply(select(jobs.c.id).order_by(jobs.c.id))))


def how_many(connection: Connection, which: Filter) -> int:
    """The number of jobs that fit, counted: slow for many, so what the tallies tell is asked
    there."""
    return connection.scalar(which.apply(select(func.count()).select_from(jobs))) or 0


def find(connection: Connection, reference: str, batch_ids: Sequence[int] = ()) -> int:
    """The id of the job that ``reference`` names: an id, a key, a request id, or the beginning of
    a fingerprint (eight digits or more).

    Raises :class:`NotFound`, also when more than one job answers to it.
    """
    # Keys and fingerprints are found by indexes that begin with the batch.
    within = list(batch_ids) or list(connection.scalars(select(batches.c.id)))
    query = select(jobs.c.id).limit(2)
    in_batch = jobs.c.batch_id.in_(within)
    if reference.isdecimal() and len(reference) < 19:
        by_id = list(connection.scalars(query.where(in_batch, jobs.c.id == int(reference))))
        if by_id:
            return int(by_id[0])
    # One by one: asked for all of them at once, SQLite reads every job.
    names = [
        and_(in_batch, jobs.c.key == reference),
        # A sum is in no index: the one of request ids is to be used.
        and_((jobs.c.batch_id + 0).in_(within), jobs.c.request_id == reference),
    ]
    if len(reference) >= 8 and set(reference) <= set("0123456789abcdef"):
        names.append(
            and_(in_batch, jobs.c.fingerprint >= reference, jobs.c.fingerprint < reference + "g")
        )
    found = {one for name in names for one in connection.scalars(query.where(name))}
    if not found:
        raise NotFound(f"There is no job {reference!r}. `overnight jobs` lists them.")
    if len(found) > 1:
        raise NotFound(f"More than one job answers to {reference!r}. Name it by its id instead.")
    return int(found.pop())


def detail(connection: Connection, job_id: int) -> Detail:
    """One job with its whole history. Raises :class:`NotFound`."""
    rows = connection.execute(
        select(*_ROW).join_from(jobs, batches).where(jobs.c.id == job_id)
    ).all()
    if not rows:
        raise NotFound(f"There is no job {job_id}. `overnight jobs` lists them.")
    [job] = _rows(connection, rows)
    tries = connection.execute(
        select(*[attempts.c[name] for name in AttemptRow.__slots__])
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.number)
    )
    files = connection.execute(
        select(*[artifacts.c[name] for name in ArtifactRow.__slots__])
        .where(artifacts.c.job_id == job_id)
        .order_by(artifacts.c.attempt, artifacts.c.position)
    )
    decided = connection.execute(_EVENTS.where(events.c.job_id == job_id).order_by(events.c.id))
    return Detail(
        job,
        [AttemptRow(*row) for row in tries],
        [ArtifactRow(*row) for row in files],
        [EventRow(*row) for row in decided],
    )


_EVENTS = select(*[events.c[name] for name in EventRow.__slots__])


def newest_events(connection: Connection, kinds: Sequence[str], limit: int) -> list[EventRow]:
    """The newest events of these kinds, newest first."""
    query = _EVENTS.where(events.c.kind.in_(kinds)).order_by(events.c.id.desc()).limit(limit)
    return [EventRow(*row) for row in connection.execute(query)]


def _rows(connection: Connection, rows: Sequence[Any]) -> list[JobRow]:
    if not rows:
        return []
    job_ids = [row.id for row in rows]
    paid = _paid_tries(connection, job_ids)
    found = connection.execute(
        select(*[artifacts.c[name] for name in ("job_id", "attempt", "url", "path", "suspect")])
        .where(artifacts.c.job_id.in_(job_ids))
        .order_by(artifacts.c.job_id, artifacts.c.attempt, artifacts.c.position)
    )
    files: dict[tuple[int, int], list[_Named]] = {}
    for job_id, attempt, url, path, suspect in found:
        files.setdefault((job_id, attempt), []).append((url, path, suspect))
    return [
        _readable_row(row, paid.get(row.id, 0), files.get((row.id, row.attempt), []))
        for row in rows
    ]


_Named = tuple[str, str | None, str | None]
"""A file's address, its path, and what is wrong with it."""


def _readable_row(row: Any, paid: int, files: list[_Named]) -> JobRow:
    with readable(f"job {row.id}"):
        return _row(row, paid, files)


def _row(row: Any, paid: int, files: list[_Named]) -> JobRow:
    return JobRow(
        id=row.id,
        batch=row.batch,
        key=row.key,
        fingerprint=row.fingerprint,
        state=State(row.state),
        attempts=paid,
        request_id=row.request_id,
        model=row.model,
        inputs=json.loads(row.inputs),
        variables=json.loads(row.variables),
        urls=[url for url, _, _ in files],
        files=[path for _, path, _ in files if path is not None],
        error=row.error,
        cancel_requested=bool(row.cancel_requested),
        created_at=float(row.created_at),
        updated_at=float(row.updated_at),
        tags=tuple(json.loads(row.tags or "[]")),
        repeat=row.repeat,
        price=row.price,
        suspect="; ".join(suspect for _, _, suspect in files if suspect) or None,
    )


def _paid_tries(connection: Connection, job_ids: Sequence[int]) -> dict[int, int]:
    uncounted = [event.value for event in sorted(UNCOUNTED)]
    rows = connection.execute(
        select(attempts.c.job_id, func.count())
        .where(
            attempts.c.job_id.in_(job_ids),
            or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(uncounted)),
        )
        .group_by(attempts.c.job_id)
    )
    return {row[0]: row[1] for row in rows}


# --- what the engine asks -------------------------------------------------------------------------


def current(connection: Connection, job_id: int) -> Job:
    """The job as the table has it now."""
    return Job.from_row(connection.execute(_CURRENT, {"of_job": job_id}).one())


_CURRENT = select(*COLUMNS).where(jobs.c.id == bindparam("of_job"))


def to_cancel(connection: Connection, fence: int) -> list[int]:
    """The ids of this worker's jobs that the user wants cancelled, and that are with the provider
    or on their way there. The wish to cancel an unknown job waits for what becomes of the doubt."""
    return list(connection.scalars(_TO_CANCEL, {"holder": fence}))


_TO_CANCEL = select(jobs.c.id).where(
    IS_TO_CANCEL,
    jobs.c.fence == bindparam("holder"),
    jobs.c.state != State.COLLECTING.value,
    jobs.c.state != State.UNKNOWN.value,
)


def submits_since(connection: Connection, since: float, now: float) -> list[float]:
    """When the paid calls of attempts left at the latest, as far as that is after ``since``, in
    order: what a submit rate has used up.

    A call leaves some time after its intent is durable. The first that is on record after it is its
    answer, or that nobody heard one; a call without either may leave until ``now``.
    """
    left = func.coalesce(attempts.c.accepted_at, attempts.c.ended_at, now)
    return list(connection.scalars(select(left).where(left > since).order_by(left)))


def next_due(connection: Connection, batch_ids: Sequence[int]) -> float | None:
    """When the earliest pending job of these batches may be submitted; None without any."""
    due: float | None = connection.scalar(
        select(func.min(jobs.c.not_before)).where(IS_PENDING, jobs.c.batch_id.in_(batch_ids))
    )
    return due


def stored_files(connection: Connection, job: Job) -> dict[int, ArtifactRow]:
    """What is recorded of the files of a job's newest attempt, by position."""
    rows = connection.execute(_FILES, {"of_job": job.id, "of_attempt": job.attempt})
    return {row.position: ArtifactRow(*row) for row in rows}


_FILES = select(*[artifacts.c[name] for name in ArtifactRow.__slots__]).where(
    artifacts.c.job_id == bindparam("of_job"), artifacts.c.attempt == bindparam("of_attempt")
)
