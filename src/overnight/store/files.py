"""What is recorded of files: for checking them against the disk, and for telling where they are
from. Lists come in keyset pages, so that a million files take no more memory than one page.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select, update

from overnight.assets.reference import references
from overnight.lifecycle import State
from overnight.store import views
from overnight.store.errors import NotFound, readable
from overnight.store.rows import ArtifactRow, Asset, AttemptRow
from overnight.store.tables import IS_HOME, artifacts, attempts, batches, jobs

PAGE = 200
"""Files read at a time."""


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file that was home, whole and durable. ``newest``: of the job's newest attempt;
    ``request_id`` and ``model`` are what its address can be asked for by."""

    id: int
    job_id: int
    batch: str
    output_dir: str
    key: str
    state: State
    newest: bool
    position: int
    request_id: str | None
    model: str
    inputs: Mapping[str, Any]
    url: str
    path: str
    bytes: int
    sha256: str
    content_type: str | None
    suspect: str | None
    probe: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class EmptyHanded:
    """A job that succeeded and has no file on record."""

    job_id: int
    batch: str
    key: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a job's files are from; ``artifacts`` are those of the newest attempt."""

    batch: str
    output_dir: str
    manifest_path: str
    manifest_digest: str
    key: str
    fingerprint: str
    provider: str
    model: str
    inputs: Mapping[str, Any]
    variables: Mapping[str, Any]
    tags: Sequence[str]
    attempts: Sequence[AttemptRow]
    artifacts: Sequence[ArtifactRow]
    sent: Sequence[Asset] = ()
    """The local files that it was sent."""


# --- what there is --------------------------------------------------------------------------------

_OF_RESULT = or_(artifacts.c.attempt == jobs.c.attempt, jobs.c.state != State.SUCCEEDED.value)
"""What an earlier attempt brought is the user's to keep or to delete once a later one succeeded."""

_RECORDED = (
    select(
        artifacts.c.id,
        artifacts.c.job_id,
        batches.c.name.label("batch"),
        batches.c.output_dir,
        jobs.c.key,
        jobs.c.state,
        (artifacts.c.attempt == jobs.c.attempt).label("newest"),
        artifacts.c.position,
        attempts.c.request_id,
        jobs.c.model,
        jobs.c.inputs,
        artifacts.c.url,
        artifacts.c.path,
        artifacts.c.bytes,
        artifacts.c.sha256,
        artifacts.c.content_type,
        artifacts.c.suspect,
        artifacts.c.probe,
    )
    .select_from(artifacts)
    .join(jobs, artifacts.c.job_id == jobs.c.id)
    .join(batches, jobs.c.batch_id == batches.c.id)
    .join(
        attempts,
        and_(attempts.c.job_id == artifacts.c.job_id, attempts.c.number == artifacts.c.attempt),
    )
    .where(IS_HOME, _OF_RESULT)
    .order_by(artifacts.c.id)
)


def recorded(
    connection: Connection, batch_ids: Sequence[int], *, after_id: int = 0, limit: int = PAGE
) -> list[RecordedFile]:
    """Up to ``limit`` recorded files of these batches with an id above ``after_id``, by id; those
    of earlier attempts only of jobs that have no later success."""
    query = _RECORDED.where(artifacts.c.id > after_id, jobs.c.batch_id.in_(batch_ids)).limit(limit)
    found = []
    for row in connection.execute(query):
        with readable(f"the record of {row.path}"):
            values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
            values["state"] = State(row.state)
            values["newest"] = bool(row.newest)
            values["inputs"] = json.loads(row.inputs)
            values["probe"] = None if row.probe is None else json.loads(row.probe)
            found.append(RecordedFile(**values))
    return found


def count(connection: Connection, batch_ids: Sequence[int]) -> int:
    """How many files :func:`recorded` has of these batches."""
    query = select(func.count()).select_from(artifacts).join(jobs)
    of_batches = jobs.c.batch_id.in_(batch_ids)
    return connection.scalar(query.where(IS_HOME, _OF_RESULT, of_batches)) or 0


def empty_handed(
    connection: Connection, batch_ids: Sequence[int], *, after_id: int = 0, limit: int = PAGE
) -> list[EmptyHanded]:
    """Jobs of these batches that succeeded without any file on record, by id."""
    has_file = exists().where(
        artifacts.c.job_id == jobs.c.id, artifacts.c.attempt == jobs.c.attempt, IS_HOME
    )
    query = (
        select(jobs.c.id, batches.c.name, jobs.c.key)
        .join_from(jobs, batches)
        .where(
            jobs.c.batch_id.in_(batch_ids),
            jobs.c.state == State.SUCCEEDED.value,
            jobs.c.id > after_id,
            ~has_file,
        )
        .order_by(jobs.c.id)
        .limit(limit)
    )
    return [EmptyHanded(*row) for row in connection.execute(query)]


def unrecorded(connection: Connection, paths: Collection[str]) -> set[str]:
    """Those of ``paths`` (absolute) that no record of any batch names."""
    wanted, known = sorted(paths), set[str]()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        query = select(artifacts.c.path).where(IS_HOME, artifacts.c.path.in_(some))
        known |= {path for path in connection.scalars(query) if path is not None}
    strange = set(wanted) - known
    return {one for one in strange if not _is_poster(connection, one)}


_POSTER = ".poster.jpg"


def _is_poster(connection: Connection, path: str) -> bool:
    """Whether a recorded clip has this as its poster, which has no record of its own."""
    if not path.endswith(_POSTER):
        return False
    clip = path.removesuffix(_POSTER)
    # A suffix begins with a dot, and what comes next after a dot is a slash.
    query = select(artifacts.c.id).where(
        IS_HOME, artifacts.c.path >= f"{clip}.", artifacts.c.path < f"{clip}/"
    )
    return connection.execute(query.limit(1)).first() is not None


def provenance(connection: Connection, job_id: int) -> Provenance:
    """Everything that a file's provenance says. Raises :class:`NotFound`."""
    row = connection.execute(
        select(
            batches.c.name,
            batches.c.output_dir,
            batches.c.manifest_path,
            batches.c.manifest_digest,
            jobs.c.key,
            jobs.c.fingerprint,
            jobs.c.provider,
            jobs.c.model,
            jobs.c.inputs,
            jobs.c.variables,
            jobs.c.tags,
            jobs.c.attempt,
        )
        .join_from(jobs, batches)
        .where(jobs.c.id == job_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    tries = connection.execute(
        select(*[attempts.c[name] for name in AttemptRow.__slots__])
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.number)
    )
    found = connection.execute(
        select(*[artifacts.c[name] for name in ArtifactRow.__slots__])
        .where(artifacts.c.job_id == job_id, artifacts.c.attempt == row.attempt)
        .order_by(artifacts.c.position)
    )
    with readable(f"job {job_id}"):
        inputs = json.loads(row.inputs)
        return Provenance(
            *row[:8],
            inputs,
            json.loads(row.variables),
            json.loads(row.tags or "[]"),
            [AttemptRow(*one) for one in tries],
            [ArtifactRow(*one) for one in found],
            list(views.assets(connection, [one.name for one in references(inputs)]).values()),
        )


# --- what was found out ---------------------------------------------------------------------------


def looked(
    connection: Connection, file: RecordedFile, suspect: str | None, probe: Mapping[str, Any]
) -> None:
    """Record what a look at the very bytes of ``file`` said."""
    connection.execute(
        update(artifacts)
        .where(artifacts.c.id == file.id, artifacts.c.sha256 == file.sha256)
        .values(suspect=suspect, probe=json.dumps(dict(probe)))
    )


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file that was fetched once more. ``url`` is the address that gave it."""

    url: str
    path: str
    bytes: int
    sha256: str
    content_type: str | None
    suspect: str | None
    probe: Mapping[str, Any] | None


def replaced(connection: Connection, file: RecordedFile, by: Replacement, *, at: float) -> bool:
    """Record that ``file`` was fetched once more; False when its record has changed meanwhile."""
    changed = connection.execute(
        update(artifacts)
        .where(artifacts.c.id == file.id, artifacts.c.path == file.path)
        .values(
            url=by.url,
            path=by.path,
            bytes=by.bytes,
            sha256=by.sha256,
            content_type=by.content_type,
            suspect=by.suspect,
            probe=None if by.probe is None else json.dumps(dict(by.probe)),
            stored_at=at,
        )
    )
    return changed.rowcount == 1
