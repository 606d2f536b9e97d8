"""Bringing a manifest's jobs into the table: streamed, in bulk, and the same twice.

A job is known by its fingerprint within its batch, so loading a manifest again adds nothing and
loading an edited one adds what is new. What is no part of a job's identity (its priority, its
place in the order, its tags, its price, the name of its file) follows the manifest for as long as
that still has an effect. One transaction holds it all: a problem that turns up at the last job, or
a kill, leaves the database as it was. What a load would do is told by
:func:`overnight.store.comparison.compare`, which only reads.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, case, exists, select, update

from overnight.lifecycle import State
from overnight.store import dialect, faults, queue, sorting, tally
from overnight.store.comparison import batch_id_of, gone_and_waiting
from overnight.store.errors import readable
from overnight.store.faults import Place
from overnight.store.sorting import Sorted, Sorter, Spec, encode, encoded_tags
from overnight.store.tables import IS_CANARY, IS_PENDING, artifacts, batches, jobs


@dataclass(frozen=True, slots=True)
class Header:
    """What a batch is, apart from its jobs; the mappings are JSON values.

    ``run``, ``output`` and ``assets`` are the manifest's blocks. ``draws`` are the values of each
    random axis, which every later load is to repeat. ``schemas`` leads from each model to the
    SHA-256 of the input schema that its jobs were checked against.
    """

    name: str
    manifest_path: str
    manifest_digest: str
    run: Mapping[str, Any]
    output_dir: str
    output: Mapping[str, Any] = field(default_factory=dict)
    draws: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load did.

    ``repeated`` stand more than once in the manifest and are one job each. ``gone`` are in the
    batch but not in the manifest any more; of these, ``gone_pending`` wait and were never
    submitted, and ``pruned`` were cancelled by this load. ``changed`` are those of ``existing``
    whose priority, order, tags, price or file name the manifest now gives otherwise.
    """

    batch_id: int
    new: int
    existing: int
    repeated: int
    gone: int
    gone_pending: int = 0
    pruned: int = 0
    changed: int = 0
    gone_waiting: int = 0
    """Jobs that are ``gone`` and still wait after this load: a run submits them too."""
    cancelled: int = 0
    """Those of ``existing`` that were cancelled: a load does not bring them back."""
    digest_of_jobs: str = field(default="", compare=False)
    """SHA-256 over the fingerprints as they came; see :attr:`Sorter.digest`."""


def load(
    connection: Connection,
    header: Header,
    specs: Iterable[Spec],
    *,
    now: float,
    prune: bool = False,
) -> Loaded:
    """Add what is new of ``specs`` to the batch of that name; make the batch if there is none.

    ``prune`` cancels what waits, was never submitted, and is not in the manifest any more.
    Whatever ``specs`` raises passes through, and the caller's transaction undoes everything.
    """
    batch_id, before = _open_batch(connection, header, now)
    sorter = Sorter(connection, batch_id, sorting.last_id(connection))
    canaries = _Canaries(int(header.run.get("canary") or 0))
    changed = cancelled = 0
    with dialect.room_for_many(connection):
        for found in sorter.chunks(specs):
            canaries.saw(found)
            _insert(connection, found.fresh, batch_id, now)
            changed += _follow(connection, found)
            cancelled += sum(row.state == State.CANCELLED for _, row in found.known)
            faults.reach(Place.LOADING)
    tally.shift(connection, batch_id, {State.PENDING: sorter.new})
    _mark_canaries(connection, batch_id, canaries.fingerprints)
    gone = before - sorter.existing
    waiting = gone_and_waiting(connection, batch_id, sorter) if gone else []
    prunable = [job.id for job in waiting if job.never_submitted]
    if prune:
        queue.cancel_waiting(connection, batch_id, prunable, now=now)
    return Loaded(
        batch_id,
        sorter.new,
        sorter.existing,
        sorter.repeated,
        gone,
        gone_pending=len(prunable),
        pruned=len(prunable) if prune else 0,
        changed=changed,
        gone_waiting=len(waiting) - (len(prunable) if prune else 0),
        cancelled=cancelled,
        digest_of_jobs=sorter.digest,
    )


# --- what a batch keeps ---------------------------------------------------------------------------


def drawn(connection: Connection, batch_name: str) -> Mapping[str, list[Any]] | None:
    """The random values that the loads of a batch have drawn, by axis; None without the batch."""
    text = connection.scalar(select(batches.c.draws).where(batches.c.name == batch_name))
    return None if text is None else _mapping(text, batch_name)


def schemas(connection: Connection, batch_name: str) -> Mapping[str, str] | None:
    """The SHA-256 of the schema that each model's jobs were checked against when the batch was
    loaded last; None without the batch."""
    text = connection.scalar(select(batches.c.schemas).where(batches.c.name == batch_name))
    return None if text is None else _mapping(text, batch_name)


def _mapping(text: str, batch_name: str) -> dict[str, Any]:
    with readable(f"batch {batch_name!r}"):
        return dict(json.loads(text))


# --- canaries -------------------------------------------------------------------------------------


class _Canaries:
    """The first few jobs of each block, in the manifest's order: the same at every load."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: Counter[str] = Counter()
        self.fingerprints: list[str] = []

    def saw(self, found: Sorted) -> None:
        """Take the jobs whose block has not had its few yet."""
        if not self._each:
            return
        for spec in found.specs:
            self._taken[spec.block] += 1
            if self._taken[spec.block] <= self._each:
                self.fingerprints.append(spec.fingerprint)


def _mark_canaries(connection: Connection, batch_id: int, fingerprints: list[str]) -> None:
    """Mark these jobs of the batch, new or not, and no others: a manifest may ask for canaries,
    or for other ones, after its jobs were loaded."""
    of_batch = update(jobs).where(jobs.c.batch_id == batch_id)
    connection.execute(of_batch.where(IS_CANARY).values(canary=False))
    for start in range(0, len(fingerprints), 500):
        some = fingerprints[start : start + 500]
        connection.execute(of_batch.where(jobs.c.fingerprint.in_(some)).values(canary=True))


# --- rows -----------------------------------------------------------------------------------------


def _open_batch(connection: Connection, header: Header, now: float) -> tuple[int, int]:
    """The batch's id, and how many jobs it has already."""
    values = {
        "manifest_path": header.manifest_path,
        "manifest_digest": header.manifest_digest,
        "run": json.dumps(dict(header.run), sort_keys=True),
        "output_dir": header.output_dir,
        "output": json.dumps(dict(header.output), sort_keys=True, ensure_ascii=False),
        "assets": json.dumps(dict(header.assets), sort_keys=True, ensure_ascii=False),
        "loaded_at": now,
    }
    # An axis or a model that left the manifest may come back, and its jobs are there still.
    draws = {**(drawn(connection, header.name) or {}), **header.draws}
    checked = {**(schemas(connection, header.name) or {}), **header.schemas}
    values |= {"draws": encode(draws), "schemas": encode(checked)}
    batch_id = batch_id_of(connection, header.name)
    if batch_id is not None:
        connection.execute(batches.update().where(batches.c.id == batch_id).values(values))
        return batch_id, tally.total(connection, batch_id)
    made = connection.execute(batches.insert().values(name=header.name, created_at=now, **values))
    assert made.inserted_primary_key is not None
    batch_id = int(made.inserted_primary_key[0])
    tally.open_batch(connection, batch_id)
    return batch_id, 0


_COLUMNS = (
    "batch_id",
    "block",
    "key",
    "fingerprint",
    "provider",
    "model",
    "inputs",
    "variables",
    "state",
    "priority",
    "created_at",
    "updated_at",
    "rank",
    "tags",
    "repeat",
    "file_name",
    "price",
)


def _row(spec: Spec, key: str, batch_id: int, now: float) -> tuple[Any, ...]:
    """A new job's values for :data:`_COLUMNS`."""
    return (
        batch_id,
        spec.block,
        key,
        spec.fingerprint,
        spec.provider,
        spec.model,
        encode(spec.inputs),
        encode(spec.variables),
        "pending",
        spec.priority,
        now,
        now,
        spec.rank,
        encoded_tags(spec.tags),
        spec.repeat,
        spec.name,
        spec.price,
    )


def _insert(connection: Connection, fresh: Sequence[Spec], batch_id: int, now: float) -> None:
    """Insert jobs that the batch has not.

    Two keys are the same where two fingerprints begin alike. The second is passed over at first,
    and comes in under a key that says more of its fingerprint.
    """
    rows = [_row(spec, spec.key, batch_id, now) for spec in fresh]
    if dialect.insert_many(connection, jobs, _COLUMNS, rows) == len(rows):
        return
    there = sorting.known(connection, batch_id, [spec.fingerprint for spec in fresh])
    left = [spec for spec in fresh if spec.fingerprint not in there]
    longer = [_row(s, f"{s.key}-{s.fingerprint[8:32]}", batch_id, now) for s in left]
    inserted = dialect.insert_many(connection, jobs, _COLUMNS, longer)
    assert inserted == len(left), "24 more digits of a fingerprint tell any two jobs apart"


# --- what follows the manifest --------------------------------------------------------------------


def _follow(connection: Connection, found: Sorted) -> int:
    """Bring what is no part of a job's identity to what the manifest says now; how many changed.

    Tags are labels, and follow at any time. The rest is for submitting and fetching, and follows
    while the job is pending; a name only until a file has been recorded under the old one.
    """
    tagged: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for spec, row in found.known:
        tags = encoded_tags(spec.tags)
        wanted = (spec.priority, spec.rank, tags, spec.price, spec.name)
        if wanted == row[3:]:
            continue
        if row.state == State.PENDING:
            names = ("set_priority", "set_rank", "set_tags", "set_price", "set_file_name")
            waiting.append({"of_id": row.id, **dict(zip(names, wanted, strict=True))})
        elif tags != row.tags:
            tagged.append({"of_id": row.id, "set_tags": tags})
    if waiting:
        connection.execute(_SET_WAITING, waiting)
    if tagged:
        connection.execute(_SET_TAGS, tagged)
    return len(waiting) + len(tagged)


_HAS_FILE = exists().where(artifacts.c.job_id == jobs.c.id, artifacts.c.path.is_not(None))
_SET_TAGS = update(jobs).where(jobs.c.id == bindparam("of_id")).values(tags=bindparam("set_tags"))
_SET_WAITING = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_id"), IS_PENDING)
    .values(
        priority=bindparam("set_priority"),
        rank=bindparam("set_rank"),
        tags=bindparam("set_tags"),
        price=bindparam("set_price"),
        file_name=case((_HAS_FILE, jobs.c.file_name), else_=bindparam("set_file_name")),
    )
)
