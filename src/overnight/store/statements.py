"""What ``status``, ``jobs`` and ``show`` ask, each statement under its name.

SQLAlchemy makes them, and is not there when they are run: importing it takes longer than a person
should wait for an answer. So they are printed once, and the print is what is run
(:func:`overnight.store.reading.rows`). CONTRIBUTING.md says how to print it anew; a test
compares the two.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, exists, func, or_, select
from sqlalchemy import literal_column as constant

from overnight.lifecycle import UNCOUNTED, State
from overnight.store import dialect
from overnight.store.rows import ArtifactRow, AttemptRow, EventRow
from overnight.store.tables import (
    IS_SUSPECT,
    artifacts,
    assets,
    attempts,
    batches,
    events,
    jobs,
    tallies,
    workers,
)


def _word(of_ours: StrEnum) -> ColumnElement[str]:
    """A word that never changes, as a part of the text."""
    return constant(f"'{of_ours}'", String)


_NOTHING: ColumnElement[int] = constant("0")

_UNCOUNTED = [_word(event) for event in sorted(UNCOUNTED)]
_OF_JOB: ColumnElement[int] = bindparam("job")
_REFERENCE: ColumnElement[str] = bindparam("reference")
_IN_BATCHES = jobs.c.batch_id.in_(select(dialect.numbers("batches").c.value))
# A sum is in no index: another one is to be used than those that begin with the batch.
_IN_BATCHES_TOO = (jobs.c.batch_id + _NOTHING).in_(select(dialect.numbers("batches").c.value))
_HAS_TAG = dialect.has_one_of(jobs.c.tags, "tags")


def _first(query: Select[Any], most: ColumnElement[Any] | None = None) -> Select[Any]:
    """No more than ``most`` rows, or than are given as ``most``."""
    return query.limit(bindparam("most") if most is None else most).offset(_NOTHING)


def _given(name: str) -> Select[Any]:
    """The numbers that are given as the list ``name``."""
    return select(dialect.numbers(name).c.value)


# --- batches --------------------------------------------------------------------------------------

# A file is one of those that its job succeeded with.
_OF_SUCCESS = (
    artifacts.c.job_id == jobs.c.id,
    artifacts.c.attempt == jobs.c.attempt,
    jobs.c.state == _word(State.SUCCEEDED),
)
# Grouped by a sum, because SQLite would group by an index that begins with the batch, and read
# every job by it, instead of the few that the index of suspect files names.
_GROUP = jobs.c.batch_id + _NOTHING

_OF_BATCHES: dict[str, Select[Any]] = {
    # Not the draws and the schemas: they may be long, and this is read at every look at the table.
    "batches": select(
        batches.c.id,
        batches.c.name,
        batches.c.manifest_path,
        batches.c.run,
        batches.c.output_dir,
        batches.c.created_at,
        batches.c.halted_at,
        batches.c.halt_reason,
        batches.c.forgiven,
        batches.c.canary_passed_at,
        batches.c.possible_duplicates,
        batches.c.output,
        batches.c.assets,
    ).order_by(batches.c.id),
    "batch_ids": select(batches.c.id),
    "tallies": select(tallies.c.batch_id, tallies.c.state, tallies.c.jobs),
    "suspects_by_batch": select(_GROUP, func.count(jobs.c.id.distinct()))
    .where(IS_SUSPECT, *_OF_SUCCESS)
    .group_by(_GROUP),
}

# --- which jobs -----------------------------------------------------------------------------------

# Suspect is said twice: the first is what an index knows, and leaves few jobs to ask the second.
_IS_SUSPECT = and_(
    jobs.c.id.in_(select(artifacts.c.job_id).where(IS_SUSPECT)),
    exists().where(IS_SUSPECT, *_OF_SUCCESS),
    _IN_BATCHES_TOO,
)
# Each state of each batch is asked for its own jobs, which stand together in an index. All at
# once, SQLite reads a million rows for a state that no job is in, or sorts a million.
_IN_STATE = and_(jobs.c.batch_id == bindparam("batch"), jobs.c.state == bindparam("state"))

_WHICH: dict[str, list[ColumnElement[bool]]] = {
    "all": [],
    "in_state": [_IN_STATE],
    "suspect": [_IS_SUSPECT],
    "all_tagged": [_HAS_TAG],
    "in_state_tagged": [_IN_STATE, _HAS_TAG],
    "suspect_tagged": [_IS_SUSPECT, _HAS_TAG],
}
"""What :class:`overnight.store.views.Filter` can ask for."""


def _ids(which: list[ColumnElement[bool]]) -> Select[Any]:
    ids = select(jobs.c.id).where(*which, jobs.c.id > bindparam("after"))
    return _first(ids.order_by(jobs.c.id))


def _count(which: list[ColumnElement[bool]]) -> Select[Any]:
    return select(func.count()).select_from(jobs).where(*which)


_OF_WHICH = {f"ids_{name}": _ids(which) for name, which in _WHICH.items()} | {
    f"count_{name}": _count(which) for name, which in _WHICH.items()
}

# --- jobs -----------------------------------------------------------------------------------------

_ROWS = select(
    jobs.c.id,
    batches.c.name,
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
).join_from(jobs, batches)

_FOUND = _first(select(jobs.c.id), constant("2"))

_OF_JOBS: dict[str, Select[Any]] = {
    "jobs": _ROWS.where(jobs.c.id.in_(_given("ids"))).order_by(jobs.c.id),
    "jobs_after": _first(_ROWS.where(jobs.c.id > bindparam("after")).order_by(jobs.c.id)),
    "files_of": select(*[artifacts.c[n] for n in ("job_id", "attempt", "url", "path", "suspect")])
    .where(artifacts.c.job_id.in_(_given("ids")))
    .order_by(artifacts.c.job_id, artifacts.c.attempt, artifacts.c.position),
    "paid_tries": select(attempts.c.job_id, func.count())
    .where(
        attempts.c.job_id.in_(_given("ids")),
        or_(attempts.c.outcome.is_(None), attempts.c.outcome.not_in(_UNCOUNTED)),
    )
    .group_by(attempts.c.job_id),
    # One by one: asked for all of them at once, SQLite reads every job.
    "found_by_id": _FOUND.where(_IN_BATCHES, jobs.c.id == _OF_JOB),
    "found_by_key": _FOUND.where(_IN_BATCHES, jobs.c.key == _REFERENCE),
    "found_by_request": _FOUND.where(_IN_BATCHES_TOO, jobs.c.request_id == _REFERENCE),
    "found_by_fingerprint": _FOUND.where(
        _IN_BATCHES,
        jobs.c.fingerprint >= _REFERENCE,
        jobs.c.fingerprint < bindparam("behind"),
    ),
}

# --- why jobs failed ------------------------------------------------------------------------------

_HAS_FAILED = (jobs.c.batch_id == bindparam("batch"), jobs.c.state == _word(State.FAILED))

_OF_FAILURES: dict[str, Select[Any]] = {
    "failed": _first(
        select(jobs.c.id, jobs.c.key, jobs.c.request_id, jobs.c.error)
        .where(*_HAS_FAILED)
        .order_by(jobs.c.id)
    ),
    # Only where the error names an address: the others' can't be among their words.
    "urls_of_failed": select(artifacts.c.job_id, artifacts.c.url)
    .join_from(jobs, artifacts)
    .where(
        *_HAS_FAILED,
        jobs.c.id <= bindparam("last"),
        func.instr(jobs.c.error, constant("'://'")) > _NOTHING,
        artifacts.c.attempt == jobs.c.attempt,
    )
    .order_by(jobs.c.id, artifacts.c.position),
}

# --- one job, and the worker ----------------------------------------------------------------------

_OF_ONE: dict[str, Select[Any]] = {
    "attempts": select(*[attempts.c[name] for name in AttemptRow.__slots__])
    .where(attempts.c.job_id == _OF_JOB)
    .order_by(attempts.c.number),
    "artifacts": select(*[artifacts.c[name] for name in ArtifactRow.__slots__])
    .where(artifacts.c.job_id == _OF_JOB)
    .order_by(artifacts.c.attempt, artifacts.c.position),
    "events": select(*[events.c[name] for name in EventRow.__slots__])
    .where(events.c.job_id == _OF_JOB)
    .order_by(events.c.id),
    "assets": select(assets).where(assets.c.name.in_(select(dialect.texts("names").c.value))),
    "workers": select(
        workers.c.id,
        workers.c.host,
        workers.c.pid,
        workers.c.process_started,
        workers.c.heartbeat_at,
    ).where(workers.c.ended_at.is_(None)),
    "newest_events": _first(
        select(events.c.id, events.c.worker_id, *[events.c[name] for name in EventRow.__slots__])
        .where(events.c.kind == bindparam("kind"))
        .order_by(events.c.id.desc())
    ),
}

STATEMENTS: Mapping[str, Select[Any]] = _OF_BATCHES | _OF_WHICH | _OF_JOBS | _OF_FAILURES | _OF_ONE
"""Every statement by its name."""

# --- the print ------------------------------------------------------------------------------------

_HEAD = '''\
"""The statements of :mod:`overnight.store.statements`, as SQLite is given them. Printed from there
and not to be edited; CONTRIBUTING.md says how.
"""

from __future__ import annotations

TEXTS = {
'''


def printed() -> str:
    """The text of :mod:`overnight.store.statements_sqlite`."""
    texts = [_entry(name, dialect.printed(made)) for name, made in STATEMENTS.items()]
    return _HEAD + "".join(texts) + "}\n"


def _entry(name: str, text: str) -> str:
    lines = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
    return f'    "{name}": """\n' + "\n".join(lines) + '\n""",\n'
