"""How many jobs of a batch are in each state, kept in the transaction that changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select, update

from overnight.lifecycle import State
from overnight.store import dialect
from overnight.store.bulk import Bulk
from overnight.store.errors import readable
from overnight.store.tables import jobs, tallies

_CREATE = dialect.insert_new(tallies, ["batch_id", "state"])
_ADD = Bulk(
    {"batch_id": tallies.c.batch_id, "state": tallies.c.state, "more": tallies.c.jobs},
    lambda given: (
        update(tallies)
        .where(tallies.c.batch_id == given.c.batch_id, tallies.c.state == given.c.state)
        .values(jobs=tallies.c.jobs + given.c.more)
    ),
)


def open_batch(connection: Connection, batch_id: int) -> None:
    """A row a state, so that :func:`shift` only ever updates."""
    connection.execute(
        _CREATE, [{"batch_id": batch_id, "state": state, "jobs": 0} for state in State]
    )


def shift(connection: Connection, batch_id: int, changes: Mapping[State, int]) -> None:
    """Add ``changes`` (jobs a state, signed) to the batch's figures."""
    add(connection, {(batch_id, state): n for state, n in changes.items()})


def add(connection: Connection, changes: Mapping[tuple[int, State], int]) -> None:
    """Add ``changes`` (jobs a batch and state, signed) to the figures."""
    _ADD.run(connection, [(batch, state.value, n) for (batch, state), n in changes.items() if n])


def moved(connection: Connection, moves: Iterable[tuple[int, State, State]]) -> None:
    """For each of ``moves`` a job of that batch went from the one state to the other."""
    changes: Counter[tuple[int, State]] = Counter()
    for (batch_id, source, target), n in Counter(moves).items():
        changes[batch_id, source] -= n
        changes[batch_id, target] += n
    add(connection, changes)


def recount(connection: Connection, batch_id: int) -> dict[State, int]:
    """The same figures by counting rows: slow, for tests and for ``overnight doctor``."""
    counted = connection.execute(
        select(jobs.c.state, func.count()).where(jobs.c.batch_id == batch_id).group_by(jobs.c.state)
    )
    with readable("a job's state"):
        found = {State(state): n for state, n in counted}
    return {state: found.get(state, 0) for state in State}


def total(connection: Connection, batch_id: int) -> int:
    """How many jobs a batch has."""
    return (
        connection.scalar(select(func.sum(tallies.c.jobs)).where(tallies.c.batch_id == batch_id))
        or 0
    )
