"""What is written down beside the store, by triggers, while a state machine plays with it.

The store's own code can't forget to report a move here: SQLite writes one row for every update of
a job. And what may have been changed by a step is compared with what was there before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from overnight.lifecycle import State
from overnight.store import dialect
from overnight.store.tables import metadata

_TRIGGER = """
CREATE TRIGGER witness AFTER UPDATE ON jobs BEGIN
    INSERT INTO witnessed VALUES (
        new.id, old.state, new.state, old.attempt, new.attempt, old.delivered, new.fence
    );
END
"""


@dataclass(frozen=True, slots=True)
class Update:
    """One update of a job's row, as SQLite saw it."""

    job_id: int
    old: State
    new: State
    old_attempt: int
    new_attempt: int
    was_delivered: bool
    new_fence: int


class Witness:
    """An empty job table in memory, and everything that happens to it. ``close`` empties it."""

    _engine: Engine | None = None

    def __init__(self) -> None:
        self.connection: Connection = self._shared().connect()
        self._all = self.connection.begin()
        self._raw: Any = self.connection.connection.dbapi_connection

    @classmethod
    def _shared(cls) -> Engine:
        """One engine for a process: making the tables takes longer than an example."""
        if cls._engine is None:
            cls._engine = create_engine("sqlite://", poolclass=StaticPool)
            dialect.prepare(cls._engine, owns_checkpoints=True)
            metadata.create_all(cls._engine)
            with cls._engine.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE witnessed (id, old, new, old_attempt, new_attempt, "
                    "delivered, fence)"
                )
                connection.exec_driver_sql(_TRIGGER)
        return cls._engine

    def close(self) -> None:
        """Undo everything, so that the next one starts with empty tables."""
        self._all.rollback()
        self.connection.close()

    @contextmanager
    def step(self) -> Iterator[Connection]:
        """What a transaction is to the store: all of it, or nothing."""
        # Past SQLAlchemy, whose savepoint takes longer than most of what is done inside.
        self._raw.execute("SAVEPOINT step")
        try:
            yield self.connection
        except BaseException:
            self._raw.execute("ROLLBACK TO step")
            raise
        finally:
            self._raw.execute("RELEASE step")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to a query, straight from the driver: this is asked all the time."""
        return list(self._raw.execute(query))

    def updates(self) -> list[Update]:
        """Every update of a job since the last call, in order."""
        found = self.rows("SELECT * FROM witnessed ORDER BY rowid")
        if found:
            self._raw.execute("DELETE FROM witnessed")
        return [
            Update(id_, State(old), State(new), a, b, bool(delivered), fence)
            for id_, old, new, a, b, delivered, fence in found
        ]

    @property
    def changes(self) -> int:
        """Rows that were ever inserted, updated or deleted: equal means nothing was touched."""
        return int(self._raw.total_changes)
