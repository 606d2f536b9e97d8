"""The job table of a simulated night: real SQLite in memory, and every change to it seen.

Triggers tell each change of a row to Python, whichever statement made it, so what the invariants
judge does not depend on what the engine believes it wrote. Changes of a transaction that is undone
are forgotten with it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import StaticPool

from overnight.store import group, loading, tally, views
from overnight.store.rows import Batch
from overnight.store.tables import metadata
from tests.simulation.plan import Terms
from tests.simulation.prepared import Prepared


class JobRow(NamedTuple):
    """A row of ``jobs``, as far as the invariants look at it."""

    id: int
    state: str
    attempt: int
    fence: int
    request_id: str | None
    cancel_requested: int
    delivered: int
    tries: int
    deferrals: int
    not_before: float
    updated_at: float


class AttemptRow(NamedTuple):
    """A row of ``attempts``."""

    job_id: int
    number: int
    worker_id: int
    submit_key: str
    request_id: str | None
    intent_at: float
    accepted_at: float | None
    running_at: float | None
    finished_at: float | None
    ended_at: float | None
    outcome: str | None
    error: str | None
    cost: float | None


class ArtifactRow(NamedTuple):
    """A row of ``artifacts``."""

    job_id: int
    attempt: int
    position: int
    path: str | None
    sha256: str | None


class WorkerRow(NamedTuple):
    """A row of ``workers``."""

    id: int
    ended_at: float | None


Row = JobRow | AttemptRow | ArtifactRow | WorkerRow


class Change(NamedTuple):
    """One row before and after; ``before`` is None for a new one, ``after`` for a deleted one."""

    before: Row | None
    after: Row | None


@dataclass(slots=True)
class Done:
    """What came of one operation."""

    value: Any = None
    error: Exception | None = None


_WATCHED: tuple[
    tuple[str, type[JobRow] | type[AttemptRow] | type[ArtifactRow] | type[WorkerRow]], ...
] = (
    ("jobs", JobRow),
    ("attempts", AttemptRow),
    ("artifacts", ArtifactRow),
    ("workers", WorkerRow),
)


@dataclass(frozen=True, slots=True)
class _Transaction:
    """Committed at the end of a ``with`` block, undone when it raises."""

    raw: sqlite3.Connection

    def __enter__(self) -> None:
        self.raw.execute("BEGIN IMMEDIATE")

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        self.raw.execute("COMMIT" if raised is None else "ROLLBACK")


class Table:
    """One database a Python process, made empty again for every night: statements stay compiled.

    ``quick``: run them as :mod:`tests.simulation.prepared` does.
    """

    def __init__(self, *, quick: bool = True) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        self._connection = engine.connect()
        self._changes: list[Change] = []
        raw = cast(sqlite3.Connection, self._connection.connection.dbapi_connection)
        self._raw = raw
        # Transactions are begun and ended below, past SQLAlchemy, which is a good deal cheaper.
        raw.isolation_level = None
        raw.execute("PRAGMA foreign_keys = ON")
        metadata.create_all(self._connection)
        for name, kind in _WATCHED:
            self._watch(name, kind, kind._fields)
        self._empty: bytes = raw.serialize()
        self._quick = (
            cast(Connection, Prepared(self._connection, raw)) if quick else self._connection
        )
        self._transaction = _Transaction(raw)

    def _watch(self, table: str, kind: type[Any], columns: Sequence[str]) -> None:
        new = ", ".join(f"NEW.{column}" for column in columns)
        old = ", ".join(f"OLD.{column}" for column in columns)
        n = len(columns)

        def updated(*values: Any) -> None:
            self._changes.append(Change(kind(*values[:n]), kind(*values[n:])))

        def inserted(*values: Any) -> None:
            self._changes.append(Change(None, kind(*values)))

        def deleted(*values: Any) -> None:
            self._changes.append(Change(kind(*values), None))

        seen = (
            ("UPDATE", updated, f"{old}, {new}"),
            ("INSERT", inserted, new),
            ("DELETE", deleted, old),
        )
        for verb, function, arguments in seen:
            name = f"{verb.lower()}_{table}"
            self._raw.create_function(name, -1, function)
            # A heartbeat is not worth a look: of workers only their end is.
            moment = "UPDATE OF ended_at" if name == "update_workers" else verb
            self._raw.execute(
                f"CREATE TRIGGER {name}_seen AFTER {moment} ON {table} "
                f"BEGIN SELECT {name}({arguments}); END"
            )

    # --- a night's own ------------------------------------------------------------------------

    def begin(self, batches: Sequence[Terms], now: float) -> None:
        """Empty it, and load ``batches``; the jobs' ids run on from 1."""
        self._raw.deserialize(self._empty)
        first = 1
        with self._transaction:
            for number, terms in enumerate(batches, 1):
                header = loading.Header(
                    f"batch{number}",
                    f"/night/{number}.yaml",
                    "0" * 64,
                    terms.run,
                    f"/night/{number}",
                )
                specs = [spec(n) for n in range(first, first + terms.jobs)]
                loading.load(self._connection, header, specs, now=now)
                first += terms.jobs
        self._changes.clear()

    def run(
        self, operations: Sequence[Callable[[Connection], Any]]
    ) -> tuple[list[Done], list[Change]]:
        """One transaction, as the writer does it: where one operation raises, each has its own."""
        try:
            with self._transaction:
                done = [Done(value) for value in group.run(self._quick, operations)]
        except Exception as error:
            self._changes.clear()
            _reraise_storage(error)
            done = [self._alone(operation) for operation in operations]
        changes, self._changes = self._changes, []
        return done, changes

    def _alone(self, operation: Callable[[Connection], Any]) -> Done:
        before = len(self._changes)
        try:
            with self._transaction:
                return Done(operation(self._quick))
        except Exception as error:
            del self._changes[before:]
            _reraise_storage(error)
            return Done(error=error)

    # --- reads ------------------------------------------------------------------------------------

    def batches(self) -> list[Batch]:
        with self._transaction:
            return views.all_batches(self._quick)

    def miscounted(self) -> list[str]:
        """Batches whose figures are not what counting the rows gives."""
        wrong = []
        for batch in self.batches():
            with self._transaction:
                counted = tally.recount(self._connection, batch.id)
            if counted != batch.states:
                wrong.append(f"{batch.name}: tallies {batch.states}, counted {counted}")
        return wrong


def _reraise_storage(error: Exception) -> None:
    """A statement that SQLite refuses is a bug of ours that no operation may swallow."""
    if isinstance(error, DatabaseError) and not isinstance(error, IntegrityError):
        raise error


@dataclass(frozen=True, slots=True)
class _Spec:
    key: str
    fingerprint: str
    inputs: dict[str, Any]
    block: str = ""
    provider: str = "simulated"
    model: str = "night/model"
    priority: int = 0
    rank: int = 0
    tags: tuple[str, ...] = ()
    repeat: int = 1
    name: str | None = None
    price: float | None = None

    @property
    def variables(self) -> dict[str, Any]:
        return {}


@cache
def spec(n: int) -> _Spec:
    """Job ``n``, whose inputs name it, so that the simulated provider knows it again."""
    return _Spec(f"job{n}", hashlib.sha256(b"%d" % n).hexdigest(), {"job": n})
