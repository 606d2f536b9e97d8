"""Reads for people. Nothing here writes, and nothing here needs SQLAlchemy: see
:mod:`overnight.store.reading`.

Counts come from ``tallies`` and lists come in keyset pages, so that a batch of a million jobs
answers as fast as one of ten.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overnight.lifecycle import State
from overnight.store.driver import Reader
from overnight.store.errors import NotFound, readable
from overnight.store.reading import rows
from overnight.store.rows import (
    ArtifactRow,
    Asset,
    AttemptRow,
    Batch,
    Detail,
    EventRow,
    JobRow,
)

PAGE = 500
"""Jobs read at a time."""

ALL = 2**63 - 1
"""As many rows as there are."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs: of these batches, in these states, with one of these tags; empty means all.
    ``suspect``: only those that succeeded with a suspect file."""

    batch_ids: Sequence[int] = ()
    states: Sequence[State] = ()
    suspect: bool = False
    tags: Sequence[str] = ()


# --- batches --------------------------------------------------------------------------------------


def all_batches(connection: Reader) -> list[Batch]:
    """Every batch, oldest first."""
    counts: dict[int, dict[State, int]] = {}
    with readable("a batch's tally"):
        for batch_id, state, n in rows(connection, "tallies"):
            counts.setdefault(batch_id, {})[State(state)] = int(n)
    return [_batch(*row, counts=counts.get(row[0], {})) for row in rows(connection, "batches")]


def _batch(
    batch_id: int,
    name: str,
    manifest_path: str,
    run: str,
    output_dir: str,
    created_at: float,
    halted_at: float | None,
    halt_reason: str | None,
    forgiven: str | None,
    canary_passed_at: float | None,
    possible_duplicates: int,
    output: str,
    assets: str,
    *,
    counts: Mapping[State, int],
) -> Batch:
    """A batch from its columns, in the order in which they are read."""
    with readable(f"batch {batch_id}"):
        return Batch(
            batch_id,
            name,
            manifest_path,
            dict(json.loads(run)),
            output_dir,
            created_at,
            {state: counts.get(state, 0) for state in State},
            halt_reason if halted_at is not None else None,
            dict(json.loads(forgiven or "{}")),
            canary_passed_at is not None,
            possible_duplicates,
            dict(json.loads(output)),
            dict(json.loads(assets)),
        )


def named_batches(connection: Reader, names: Collection[str]) -> list[Batch]:
    """The batches of these names, or all when ``names`` is empty. Raises :class:`NotFound`."""
    found = all_batches(connection)
    if not names:
        return found
    missing = sorted(set(names) - {batch.name for batch in found})
    if missing:
        known = ", ".join(batch.name for batch in found) or "none yet"
        raise NotFound(f"There is no batch {missing[0]!r} in this database. Batches: {known}.")
    return [batch for batch in found if batch.name in names]


def with_suspects(connection: Reader, found: Sequence[Batch]) -> list[Batch]:
    """The same batches, with their suspect jobs counted: few, and an index holds them alone."""
    odd = dict(map(tuple, rows(connection, "suspects_by_batch")))
    return [replace(batch, suspects=odd.get(batch.id, 0)) for batch in found]


def _batch_ids(connection: Reader, wanted: Sequence[int]) -> list[int]:
    return list(wanted) or [batch_id for (batch_id,) in rows(connection, "batch_ids")]


# --- which jobs -----------------------------------------------------------------------------------


def ids(connection: Reader, which: Filter, *, after_id: int = 0, limit: int = ALL) -> list[int]:
    """The ids of the jobs that fit, the first ``limit`` of those above ``after_id``."""
    found: list[int] = []
    for name, values in _asked(connection, which):
        found += [
            job_id
            for (job_id,) in rows(connection, f"ids_{name}", **values, after=after_id, most=limit)
        ]
    return sorted(found)[:limit]


def how_many(connection: Reader, which: Filter) -> int:
    """The number of jobs that fit, counted: slow for many, so what the tallies tell is asked
    there."""
    counted = (rows(connection, f"count_{n}", **values) for n, values in _asked(connection, which))
    return sum(int(n) for [(n,)] in counted)


def _asked(connection: Reader, which: Filter) -> Iterator[tuple[str, dict[str, Any]]]:
    """What has to be asked for the jobs that fit, each in a way that an index has, and once:
    statements by the ends of their names, with what they are given."""
    tagged = "_tagged" if which.tags else ""
    tags = {"tags": list(which.tags)} if which.tags else {}
    if which.suspect:
        if not which.states or State.SUCCEEDED in which.states:
            yield f"suspect{tagged}", tags | {"batches": _batch_ids(connection, which.batch_ids)}
    elif which.batch_ids or which.states:
        for batch_id in dict.fromkeys(_batch_ids(connection, which.batch_ids)):
            for state in dict.fromkeys(which.states or State):
                yield f"in_state{tagged}", tags | {"batch": batch_id, "state": state.value}
    else:
        yield f"all{tagged}", tags


# --- jobs -----------------------------------------------------------------------------------------


def page(
    connection: Reader, which: Filter, *, after_id: int = 0, limit: int = PAGE
) -> list[JobRow]:
    """Up to ``limit`` jobs with an id above ``after_id``, by id."""
    if not (which.batch_ids or which.states or which.suspect or which.tags):
        found = rows(connection, "jobs_after", after=after_id, most=limit)
    else:
        fitting = ids(connection, which, after_id=after_id, limit=limit)
        found = rows(connection, "jobs", ids=fitting) if fitting else []
    return _job_rows(connection, found)


def every(
    connection: Reader, which: Filter, *, after_id: int = 0, limit: int | None = None
) -> Iterator[JobRow]:
    """Every job that fits and has an id above ``after_id``, by id, read page by page; with
    ``limit`` no more than that."""
    last, left = after_id, PAGE if limit is None else limit
    while found := page(connection, which, after_id=last, limit=min(PAGE, left)):
        yield from found
        last = found[-1].id
        left -= 0 if limit is None else len(found)


def find(connection: Reader, reference: str, batch_ids: Sequence[int] = ()) -> int:
    """The id of the job that ``reference`` names: an id, a key, a request id, or the beginning of
    a fingerprint (eight digits or more).

    Raises :class:`NotFound`, also when more than one job answers to it.
    """
    # Keys and fingerprints are found by indexes that begin with the batch.
    within = _batch_ids(connection, batch_ids)
    if reference.isdecimal() and len(reference) < 19:
        by_id = rows(connection, "found_by_id", batches=within, job=int(reference))
        if by_id:
            return int(by_id[0][0])
    named = {"batches": within, "reference": reference}
    answers = rows(connection, "found_by_key", **named)
    answers += rows(connection, "found_by_request", **named)
    if len(reference) >= 8 and set(reference) <= set("0123456789abcdef"):
        answers += rows(connection, "found_by_fingerprint", **named, behind=reference + "g")
    found = {job_id for (job_id,) in answers}
    if not found:
        raise NotFound(f"There is no job {reference!r}. `overnight jobs` lists them.")
    if len(found) > 1:
        raise NotFound(f"More than one job answers to {reference!r}. Name it by its id instead.")
    return int(found.pop())


def detail(connection: Reader, job_id: int) -> Detail:
    """One job with its whole history. Raises :class:`NotFound`."""
    found = rows(connection, "jobs", ids=[job_id])
    if not found:
        raise NotFound(f"There is no job {job_id}. `overnight jobs` lists them.")
    [job] = _job_rows(connection, found)
    return Detail(
        job,
        [AttemptRow(*row) for row in rows(connection, "attempts", job=job_id)],
        [ArtifactRow(*row) for row in rows(connection, "artifacts", job=job_id)],
        [EventRow(*row) for row in rows(connection, "events", job=job_id)],
    )


def assets(connection: Reader, names: Sequence[str]) -> dict[str, Asset]:
    """Those local files of ``names`` that are known, by name."""
    found = rows(connection, "assets", names=list(names)) if names else []
    return {row[0]: Asset(*row) for row in found}


def _job_rows(connection: Reader, found: Sequence[Any]) -> list[JobRow]:
    if not found:
        return []
    job_ids = [row[0] for row in found]
    paid = dict(map(tuple, rows(connection, "paid_tries", ids=job_ids)))
    files: dict[tuple[int, int], list[_Named]] = {}
    for job_id, attempt, url, path, suspect in rows(connection, "files_of", ids=job_ids):
        files.setdefault((job_id, attempt), []).append((url, path, suspect))
    return [_readable_row(row, paid, files) for row in found]


_Named = tuple[str, str | None, str | None]
"""A file's address, its path, and what is wrong with it."""


def _readable_row(
    row: Any, paid: Mapping[int, int], files: Mapping[tuple[int, int], list[_Named]]
) -> JobRow:
    with readable(f"job {row[0]}"):
        return _job_row(*row, paid=paid.get(row[0], 0), files=files)


def _job_row(
    job_id: int,
    batch: str,
    key: str,
    fingerprint: str,
    state: str,
    attempt: int,
    request_id: str | None,
    model: str,
    inputs: str,
    variables: str,
    error: str | None,
    cancel_requested: int,
    created_at: float,
    updated_at: float,
    tags: str | None,
    repeat: int,
    price: float | None,
    *,
    paid: int,
    files: Mapping[tuple[int, int], list[_Named]],
) -> JobRow:
    """A job from its columns, in the order in which they are read."""
    newest = files.get((job_id, attempt), [])
    return JobRow(
        id=job_id,
        batch=batch,
        key=key,
        fingerprint=fingerprint,
        state=State(state),
        attempts=paid,
        request_id=request_id,
        model=model,
        inputs=json.loads(inputs),
        variables=json.loads(variables),
        urls=[url for url, _, _ in newest],
        files=[path for _, path, _ in newest if path is not None],
        error=error,
        cancel_requested=bool(cancel_requested),
        created_at=float(created_at),
        updated_at=float(updated_at),
        tags=tuple(json.loads(tags or "[]")),
        repeat=repeat,
        price=price,
        suspect="; ".join(suspect for _, _, suspect in newest if suspect) or None,
    )
