"""Statements that go past SQLAlchemy's machinery do exactly what they do with it."""

import sqlite3
from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import Connection, bindparam, create_engine, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool

from overnight.lifecycle import State
from overnight.store.tables import jobs, metadata, tallies
from tests.simulation.night import run
from tests.simulation.prepared import Answer, Prepared
from tests.simulation.table import Table

FEW = 40
"""Jobs of a small night."""

THREE = [{"batch_id": 1, "state": state, "jobs": 5} for state in list(State)[:3]]
NEW = insert(tallies)
WHOLE = select(tallies).order_by(tallies.c.state)
ADD = (
    update(tallies)
    .where(tallies.c.batch_id == 1, tallies.c.state == bindparam("of"))
    .values(jobs=tallies.c.jobs + bindparam("more"))
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An empty database, as SQLAlchemy has it."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as plain:
        metadata.create_all(plain)
        yield plain
    engine.dispose()


@pytest.fixture
def prepared(connection: Connection) -> Prepared:
    """The same database, which has seen the statements once."""
    raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    quick = Prepared(connection, raw)
    quick.execute(NEW, THREE)
    quick.execute(ADD, {"of": State.FAILED, "more": 1})
    quick.execute(WHOLE)
    return quick


@pytest.mark.parametrize("seed", range(8))
def test_a_night_is_the_same_without_it(table: Table, seed: int) -> None:
    assert run(seed, table, FEW) == run(seed, Table(quick=False), FEW)


def test_rows_have_the_same_values_and_names(connection: Connection, prepared: Prepared) -> None:
    answer = prepared.execute(WHOLE)
    assert type(answer) is Answer
    assert answer.all() == list(answer) == connection.execute(WHOLE).all()
    assert answer.first().jobs == 5
    assert prepared.scalar(WHOLE) == 1
    assert prepared.scalars(WHOLE) == [1, 1, 1]


def test_values_become_what_the_columns_hold(connection: Connection, prepared: Prepared) -> None:
    query = select(jobs.c.delivered, jobs.c.not_before).where(jobs.c.delivered == bindparam("is"))
    row: dict[str, Any] = {column.name: 0 for column in jobs.columns if not column.nullable}
    connection.execute(insert(jobs), row | {"batch_id": 1, "delivered": True, "not_before": 3})
    for _ in range(2):
        [found] = prepared.execute(query, {"is": True})
    assert type(prepared.execute(query, {"is": True})) is Answer
    assert found == (True, 3.0)
    assert type(found.delivered) is bool
    assert prepared.execute(query, {"is": False}).first() is None


def test_what_changed_is_counted(prepared: Prepared) -> None:
    pending, other = THREE[0]["state"], "none such"
    assert prepared.execute(ADD, {"of": pending, "more": 2}).rowcount == 1
    assert prepared.execute(ADD, {"of": other, "more": 2}).rowcount == 0
    assert prepared.execute(ADD, [{"of": pending, "more": n} for n in (1, 2)]).rowcount == 2
    assert {row.state: row.jobs for row in prepared.execute(WHOLE)}[pending] == 10


def test_other_parameters_make_another_statement(prepared: Prepared) -> None:
    anywhere = update(tallies).where(tallies.c.batch_id == bindparam("b"))
    for n in (1, 2, 3):
        assert prepared.execute(anywhere, {"b": 1, "jobs": n}).rowcount == 3
    assert prepared.execute(anywhere, {"b": 1, "jobs": 4, "batch_id": 2}).rowcount == 3
    assert {(row.batch_id, row.jobs) for row in prepared.execute(WHOLE)} == {(2, 4)}


def test_an_error_is_sqlalchemys(prepared: Prepared) -> None:
    for again in (THREE[0], THREE):
        with pytest.raises(IntegrityError):
            prepared.execute(NEW, again)


def test_a_list_of_values_is_left_to_sqlalchemy(prepared: Prepared) -> None:
    some = select(tallies.c.jobs).where(tallies.c.batch_id.in_(bindparam("ids", expanding=True)))
    found = [len(prepared.scalars(some, {"ids": ids})) for ids in ([1], [1, 2], [])]
    assert found == [3, 3, 0]
