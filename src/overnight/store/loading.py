"""Bringing a manifest's jobs into the table: streamed, in bulk, and the same twice.

A job is known by its fingerprint within its batch, so loading a manifest again adds nothing and
loading an edited one adds what is new. One transaction holds it all: a problem that turns up at
the last job, or a kill, leaves the database as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from overnight.lifecycle import State
from overnight.store import dialect, faults, tally
from overnight.store.faults import Place
from overnight.store.tables import IS_CANARY, batches, jobs

CHUNK = 2_000
"""Rows handed to the database at a time."""


class Spec(Protocol):
    """One job as a manifest gives it. ``inputs`` are raw names and values, exactly as sent."""

    @property
    def block(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def variables(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Header:
    """What a batch is, apart from its jobs. ``run`` is the manifest's block, as JSON values."""

    name: str
    manifest_path: str
    manifest_digest: str
    run: Mapping[str, Any]
    output_dir: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load did. ``repeated`` stand more than once in the manifest and are one job each;
    ``gone`` are in the batch but not in the manifest any more, and stay."""

    batch_id: int
    new: int
    existing: int
    repeated: int
    gone: int


def load(connection: Connection, header: Header, specs: Iterable[Spec], *, now: float) -> Loaded:
    """Add what is new of ``specs`` to the batch of that name; make the batch if there is none.

    Whatever ``specs`` raises passes through, and the caller's transaction undoes everything.
    """
    batch_id, before = _open_batch(connection, header, now)
    seen: set[bytes] = set()
    canaries = _Canaries(int(header.run.get("canary") or 0))
    new = repeated = 0
    stream = iter(specs)
    while chunk := list(islice(stream, CHUNK)):
        rows = list(_fresh(chunk, seen, canaries, batch_id, now))
        repeated += len(chunk) - len(rows)
        new += _insert(connection, rows)
        faults.reach(Place.LOADING)
    tally.shift(connection, batch_id, {State.PENDING: new})
    _mark_canaries(connection, batch_id, canaries.fingerprints)
    existing = len(seen) - new
    return Loaded(batch_id, new, existing, repeated, gone=before - existing)


class _Canaries:
    """The first few jobs of each block, in the manifest's order: the same at every load."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: Counter[str] = Counter()
        self.fingerprints: list[str] = []

    def saw(self, spec: Spec) -> None:
        """Take the job if its block has not had its few yet."""
        if self._each:
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


def _open_batch(connection: Connection, header: Header, now: float) -> tuple[int, int]:
    """The batch's id, and how many jobs it has already."""
    values = {
        "manifest_path": header.manifest_path,
        "manifest_digest": header.manifest_digest,
        "run": json.dumps(dict(header.run), sort_keys=True),
        "output_dir": header.output_dir,
        "loaded_at": now,
    }
    batch_id = connection.scalar(select(batches.c.id).where(batches.c.name == header.name))
    if batch_id is not None:
        connection.execute(batches.update().where(batches.c.id == batch_id).values(values))
        return batch_id, tally.total(connection, batch_id)
    made = connection.execute(batches.insert().values(name=header.name, created_at=now, **values))
    assert made.inserted_primary_key is not None
    batch_id = int(made.inserted_primary_key[0])
    tally.open_batch(connection, batch_id)
    return batch_id, 0


def _fresh(
    chunk: list[Spec], seen: set[bytes], canaries: _Canaries, batch_id: int, now: float
) -> Iterator[dict[str, Any]]:
    """Rows for the specs of ``chunk`` whose fingerprint has not come by yet in this load."""
    for spec in chunk:
        # Half of the digest: a million of these take 80 MB, and 128 bits don't collide.
        mark = bytes.fromhex(spec.fingerprint[:32])
        if mark in seen:
            continue
        seen.add(mark)
        canaries.saw(spec)
        yield {
            "batch_id": batch_id,
            "block": spec.block,
            "key": spec.key,
            "fingerprint": spec.fingerprint,
            "provider": spec.provider,
            "model": spec.model,
            "inputs": _encode(spec.inputs),
            "variables": _encode(spec.variables),
            "state": State.PENDING.value,
            "created_at": now,
            "updated_at": now,
        }


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_INSERT = dialect.insert_new(jobs, ["batch_id", "fingerprint"])


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> int:
    """Insert what is new; returns how many were."""
    if not rows:
        return 0
    try:
        with connection.begin_nested():
            return connection.execute(_INSERT, rows).rowcount
    except IntegrityError:
        return sum(_insert_one(connection, row) for row in rows)


def _insert_one(connection: Connection, row: dict[str, Any]) -> int:
    """Insert one row whose key may be taken: two fingerprints began alike, so say more of it."""
    try:
        with connection.begin_nested():
            return connection.execute(_INSERT, row).rowcount
    except IntegrityError:
        longer = {**row, "key": f"{row['key']}-{row['fingerprint'][8:32]}"}
        return connection.execute(_INSERT, longer).rowcount
