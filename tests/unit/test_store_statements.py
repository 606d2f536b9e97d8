"""The printed statements: they are what SQLAlchemy makes of ours today, and no other way of reading
is needed for them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from sqlalchemy import bindparam, literal, select

from overnight.store import dialect, failures, holding, statements, statements_sqlite, views
from overnight.store.database import Database
from overnight.store.driver import Reader
from overnight.store.reading import reading, rows
from overnight.store.tables import jobs
from tests.unit.cli_night import Night, fill


def test_the_print_is_what_the_statements_are_today() -> None:
    kept = Path(statements_sqlite.__file__).read_text(encoding="utf-8")
    assert kept == statements.printed(), "print it anew, as CONTRIBUTING.md says"
    assert list(statements_sqlite.TEXTS) == list(statements.STATEMENTS)


@pytest.mark.parametrize("name", statements.STATEMENTS)
def test_a_printed_text_is_the_statement_but_for_its_white_space(name: str) -> None:
    text = dialect.printed(statements.STATEMENTS[name])
    assert statements_sqlite.TEXTS[name].split() == text.split()
    # Nothing is written into a text that has white space in it, so wrapping lines changes nothing.
    assert not [word for word in re.findall(r"'([^']*)'", text) if " " in word]


def test_every_statement_is_asked_somewhere() -> None:
    asked = "".join(inspect.getsource(module) for module in (views, holding, failures))
    endings = [name for name in statements.STATEMENTS if not name.startswith(("ids_", "count_"))]
    assert [name for name in endings if f'"{name}"' not in asked] == []


def test_a_value_that_is_known_already_is_not_printed_as_a_parameter() -> None:
    by_name = select(jobs.c.id).where(jobs.c.key == bindparam("key"))
    assert dialect.printed(by_name).endswith('WHERE jobs."key" = :key')
    with pytest.raises(AssertionError, match="printed beside the text"):
        dialect.printed(by_name.where(jobs.c.state == literal("failed")))


def test_a_row_reads_the_same_with_sqlalchemy_and_without(database: Database) -> None:
    fill(database, jobs=3, tags=[])
    night = Night(database)
    first = night.claim(1, 2)[0]
    night.succeed(first, "r1")
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET cancel_requested = 1, tags = '[\"a\"]', price = 3 WHERE id = 2"
        )
    with database.reading() as ours, reading(str(database)) as bare:
        either: tuple[Reader, ...] = (ours, bare)
        for reader in either:
            [one, other, _] = views.page(reader, views.Filter())
            assert one.cancel_requested is False
            assert (other.cancel_requested, other.tags) == (True, ("a",))
            assert [type(value) for value in (one.created_at, other.price)] == [float, float]
        assert views.all_batches(ours) == views.all_batches(bare)
        for job_id in (1, 2, 3):
            assert views.detail(ours, job_id) == views.detail(bare, job_id)
        assert holding.holder(ours, 2_000.0) == holding.holder(bare, 2_000.0)
        for name in ("tallies", "workers", "batches"):
            assert list(map(tuple, rows(ours, name))) == rows(bare, name)


def test_one_view_stays_as_it_was_and_holds_nobody_up(database: Database) -> None:
    fill(database, jobs=3)
    with reading(str(database)) as connection:
        assert views.how_many(connection, views.Filter()) == 3
        fill(database, "second", jobs=2)
        assert views.how_many(connection, views.Filter()) == 3
    with reading(str(database)) as connection:
        assert views.how_many(connection, views.Filter()) == 5


def test_a_view_has_the_settings_of_every_connection(database: Database) -> None:
    with database.reading() as ours, reading(str(database)) as bare:
        for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys"):
            asked = f"PRAGMA {name}"
            assert list(map(tuple, ours.exec_driver_sql(asked))) == list(
                bare.exec_driver_sql(asked, {})
            )
        assert list(bare.exec_driver_sql("PRAGMA wal_autocheckpoint", {})) == [(0,)]
