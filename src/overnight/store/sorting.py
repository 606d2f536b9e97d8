"""Which jobs of a manifest's stream a batch has already, which are new, and which came twice.

A job is known by its fingerprint within its batch. A stream may hold a million of them, so it is
sorted a chunk at a time: one question to the database for each chunk, and one bit of memory for
each job that the batch had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, bindparam, func, select

from overnight.store import dialect
from overnight.store.tables import jobs

CHUNK = 2_000
"""Specs that are sorted, and rows that are written, at a time."""


class Spec(Protocol):
    """One job as a manifest gives it. ``inputs`` are raw names and values, exactly as sent.

    ``rank`` is the place within a ``priority``, ascending; ``repeat`` counts jobs of equal inputs
    from 1; ``name`` is the wanted path of its files below the output folder, without a suffix, and
    None for the key; ``price`` is in US dollars, None when it can't be known.
    """

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
    @property
    def priority(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def repeat(self) -> int: ...
    @property
    def name(self) -> str | None: ...
    @property
    def price(self) -> float | None: ...


encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""JSON as the database keeps it."""


@lru_cache(maxsize=1024)
def encoded_tags(tags: Sequence[str]) -> str | None:
    """A job's tags as the database keeps them; None for none."""
    return encode(list(tags)) if tags else None


class Known(NamedTuple):
    """A job that the batch has: what it is found by, and what may follow the manifest."""

    fingerprint: str
    id: int
    state: str
    priority: int
    rank: int
    tags: str | None
    price: float | None
    file_name: str | None


@dataclass(slots=True)
class Sorted:
    """One chunk: specs that the batch has not, and those that it has, each with its row. What came
    by before, in this chunk or an earlier one, is in neither."""

    specs: list[Spec] = field(default_factory=list)
    """Both, in the order they came."""
    fresh: list[Spec] = field(default_factory=list)
    known: list[tuple[Spec, Known]] = field(default_factory=list)


class Sorter:
    """Sorts one stream for one batch; ``batch_id`` is None for a batch that is not there yet.

    ``last_id`` is the newest id of any job before the stream began. Whoever inserts what is fresh
    does so before the next chunk is sorted, and each new row has a higher id. ``inserts`` is False
    where nothing is inserted: then the fresh ones are remembered here.
    """

    def __init__(
        self, connection: Connection, batch_id: int | None, last_id: int, *, inserts: bool = True
    ) -> None:
        self._connection = connection
        self._batch_id = batch_id
        self._last_id = last_id
        self._seen = bytearray(last_id // 8 + 1)
        self._fresh: set[int] | None = None if inserts else set()
        self._digest = hashlib.sha256()
        self.new = self.existing = self.repeated = 0

    @property
    def digest(self) -> str:
        """SHA-256 over the fingerprints of the stream as they came, repeated ones too, each with a
        line end behind it."""
        return self._digest.hexdigest()

    def chunks(self, specs: Iterable[Spec]) -> Iterator[Sorted]:
        """The stream, sorted. Whatever ``specs`` raises passes through."""
        stream = iter(specs)
        while chunk := list(islice(stream, CHUNK)):
            yield self._sort(chunk)

    def _sort(self, chunk: list[Spec]) -> Sorted:
        fingerprints = [spec.fingerprint for spec in chunk]
        self._digest.update("\n".join([*fingerprints, ""]).encode())
        rows: Mapping[str, Known] = {}
        if self._batch_id is not None:
            rows = known(self._connection, self._batch_id, fingerprints)
        first: dict[str, Spec] = {}
        for spec in chunk:
            first.setdefault(spec.fingerprint, spec)
        self.repeated += len(chunk) - len(first)
        found = Sorted()
        for spec in first.values():
            row = rows.get(spec.fingerprint)
            if not self._is_first(spec.fingerprint, row):
                self.repeated += 1
                continue
            found.specs.append(spec)
            if row is None:
                found.fresh.append(spec)
            else:
                found.known.append((spec, row))
        self.new += len(found.fresh)
        self.existing += len(found.known)
        return found

    def _is_first(self, fingerprint: str, row: Known | None) -> bool:
        """Whether this is the first time that the stream holds the job; it is marked as seen."""
        if row is None:
            if self._fresh is not None:
                # 64 bits of it: a million of these differ, and take 80 MB.
                mark = int(fingerprint[:16], 16)
                if mark in self._fresh:
                    return False
                self._fresh.add(mark)
            return True
        if row.id > self._last_id:
            return False
        byte, bit = row.id >> 3, 1 << (row.id & 7)
        if self._seen[byte] & bit:
            return False
        self._seen[byte] |= bit
        return True

    def came_by(self, job_id: int) -> bool:
        """Whether a job that the batch had before has been in the stream."""
        return job_id > self._last_id or bool(self._seen[job_id >> 3] & 1 << (job_id & 7))


def known(connection: Connection, batch_id: int, fingerprints: Sequence[str]) -> dict[str, Known]:
    """Which of these fingerprints a batch has, and what it has of each."""
    wanted = {"batch": batch_id, "wanted": encode(fingerprints)}
    return {row[0]: Known._make(row) for row in connection.execute(_KNOWN, wanted).all()}


# Not a join: the planner, which can't tell how long the list is, may walk the batch for each text.
_KNOWN = select(*[jobs.c[name] for name in Known._fields]).where(
    jobs.c.batch_id == bindparam("batch"),
    jobs.c.fingerprint.in_(select(dialect.texts("wanted").c.value)),
)


def last_id(connection: Connection) -> int:
    """The newest id of any job; 0 without jobs."""
    return int(connection.scalar(select(func.max(jobs.c.id))) or 0)
