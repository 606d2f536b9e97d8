"""What an export reads: every job of some batches with its attempts and files, as a stream.

Batches come in the order of their names and jobs in the order in which they were loaded, so that
the same database always gives the same stream, and a batch that grows only adds at its end. Jobs
are read in keyset pages: a million of them take no more memory than one page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, and_, select

from overnight.assets.reference import references
from overnight.lifecycle import UNCOUNTED, State
from overnight.store import views
from overnight.store.errors import readable
from overnight.store.tables import artifacts, attempts, batches, jobs

PAGE = 500
"""Jobs read at a time."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of a result. ``path`` is absolute; it, ``bytes`` and ``sha256`` are None until the
    file is home. ``suspect`` says what is wrong with its content, ``probe`` what a look inside
    found; None where nobody has looked."""

    position: int
    path: str | None
    bytes: int | None
    sha256: str | None
    content_type: str | None
    suspect: str | None
    probe: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ExportAttempt:
    """One try. Times are seconds since 1970, ``cost`` is in US dollars, ``outcome`` is an event of
    the lifecycle; None where it has not come to that."""

    number: int
    request_id: str | None
    intent_at: float
    accepted_at: float | None
    running_at: float | None
    finished_at: float | None
    ended_at: float | None
    outcome: str | None
    error: str | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class ExportJob:
    """A job with its whole history. ``inputs`` are as kept; ``files`` are those of the newest
    attempt, ``output_dir`` is the batch's folder. ``manifest_path`` is absolute. ``local`` leads
    from each reference among the inputs to the absolute path at which the local file was seen last;
    one that nobody knows of is missing there."""

    id: int
    batch: str
    output_dir: str
    block: str
    key: str
    fingerprint: str
    model: str
    inputs: Mapping[str, Any]
    variables: Mapping[str, Any]
    tags: Sequence[str]
    repeat: int
    state: State
    request_id: str | None
    error: str | None
    attempts: Sequence[ExportAttempt] = field(default_factory=tuple)
    files: Sequence[ExportFile] = field(default_factory=tuple)
    manifest_path: str = ""
    local: Mapping[str, str] = field(default_factory=dict)

    @property
    def tries(self) -> int:
        """Attempts that may have been paid for."""
        return sum(attempt.outcome not in _UNCOUNTED for attempt in self.attempts)

    @property
    def cost(self) -> float | None:
        """US dollars for all attempts together, as far as the provider told; None if it didn't."""
        told = [attempt.cost for attempt in self.attempts if attempt.cost is not None]
        return round(sum(told), 9) if told else None


_UNCOUNTED = frozenset(event.value for event in UNCOUNTED)

_JOB = (
    jobs.c.id,
    batches.c.name.label("batch"),
    batches.c.output_dir,
    batches.c.manifest_path,
    jobs.c.block,
    jobs.c.key,
    jobs.c.fingerprint,
    jobs.c.model,
    jobs.c.inputs,
    jobs.c.variables,
    jobs.c.tags,
    jobs.c.repeat,
    jobs.c.state,
    jobs.c.request_id,
    jobs.c.error,
)
_ATTEMPT = tuple(attempts.c[name] for name in ExportAttempt.__slots__)
_FILE = (
    artifacts.c.position,
    artifacts.c.path,
    artifacts.c.bytes,
    artifacts.c.sha256,
    artifacts.c.content_type,
    artifacts.c.suspect,
    artifacts.c.probe,
)


def every(connection: Connection, batch_ids: Sequence[int]) -> Iterator[ExportJob]:
    """Every job of these batches, in whatever state."""
    named = select(batches.c.id).where(batches.c.id.in_(batch_ids)).order_by(batches.c.name)
    for batch_id in list(connection.scalars(named)):
        last = 0
        while page := _page(connection, batch_id, last):
            yield from page
            last = page[-1].id


def _page(connection: Connection, batch_id: int, after_id: int) -> list[ExportJob]:
    rows = connection.execute(
        select(*_JOB)
        .join_from(jobs, batches)
        .where(jobs.c.batch_id == batch_id, jobs.c.id > after_id)
        .order_by(jobs.c.id)
        .limit(PAGE)
    ).all()
    if not rows:
        return []
    job_ids = [row.id for row in rows]
    tries = _attempts(connection, job_ids)
    files = _files(connection, job_ids)
    read = [_job(row, tries.get(row.id, []), files.get(row.id, [])) for row in rows]
    return _with_local_files(connection, read)


def _with_local_files(connection: Connection, page: list[ExportJob]) -> list[ExportJob]:
    """The jobs, each knowing where the local files are that it sends."""
    sent = [references(job.inputs) for job in page]
    names = list(dict.fromkeys(one.name for some in sent for one in some))
    known = views.assets(connection, names)
    return [
        replace(job, local={str(one): known[one.name].path for one in some if one.name in known})
        if some
        else job
        for job, some in zip(page, sent, strict=True)
    ]


def _attempts(connection: Connection, job_ids: Sequence[int]) -> dict[int, list[ExportAttempt]]:
    found: dict[int, list[ExportAttempt]] = {}
    rows = connection.execute(
        select(attempts.c.job_id, *_ATTEMPT)
        .where(attempts.c.job_id.in_(job_ids))
        .order_by(attempts.c.job_id, attempts.c.number)
    )
    for job_id, *values in rows:
        found.setdefault(job_id, []).append(ExportAttempt(*values))
    return found


def _files(connection: Connection, job_ids: Sequence[int]) -> dict[int, list[ExportFile]]:
    found: dict[int, list[ExportFile]] = {}
    newest = and_(artifacts.c.job_id == jobs.c.id, artifacts.c.attempt == jobs.c.attempt)
    rows = connection.execute(
        select(artifacts.c.job_id, *_FILE)
        .join_from(artifacts, jobs, newest)
        .where(artifacts.c.job_id.in_(job_ids))
        .order_by(artifacts.c.job_id, artifacts.c.position)
    )
    for job_id, *values, probe in rows:
        with readable(f"a file of job {job_id}"):
            read = None if probe is None else dict(json.loads(probe))
        found.setdefault(job_id, []).append(ExportFile(*[*values, read]))
    return found


def _job(row: Any, tries: list[ExportAttempt], files: list[ExportFile]) -> ExportJob:
    with readable(f"job {row.id}"):
        return ExportJob(
            id=row.id,
            batch=row.batch,
            output_dir=row.output_dir,
            block=row.block,
            key=row.key,
            fingerprint=row.fingerprint,
            model=row.model,
            inputs=dict(json.loads(row.inputs)),
            variables=dict(json.loads(row.variables)),
            tags=[str(tag) for tag in json.loads(row.tags or "[]")],
            repeat=int(row.repeat),
            state=State(row.state),
            request_id=row.request_id,
            error=row.error,
            attempts=tries,
            files=files,
            manifest_path=row.manifest_path,
        )
