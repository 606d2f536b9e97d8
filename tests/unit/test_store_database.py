"""Opening: every wrong file ends in a sentence, never in a traceback or in half a database."""

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from overnight.store import migrations
from overnight.store.database import connect, locate, open_database, revision_of
from overnight.store.database import upgrade as upgrade_database
from overnight.store.errors import (
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseTooNew,
    DatabaseUnusable,
)
from overnight.store.tables import SCHEMA_HEAD, metadata


def test_a_new_database_has_the_newest_schema(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "o.db"), create=True) as database:
        assert revision_of(database) == SCHEMA_HEAD
        with database.reading() as connection:
            pragma = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
            }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "wal_autocheckpoint": 0,
    }


def test_the_head_in_the_code_is_alembics_own() -> None:
    assert migrations.head() == SCHEMA_HEAD


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    by_code = create_engine(f"sqlite:///{tmp_path}/code.db")
    metadata.create_all(by_code)
    with by_code.begin() as connection:
        wanted = _schema(connection)
    by_code.dispose()
    with (
        open_database(str(tmp_path / "o.db"), create=True) as database,
        database.reading() as connection,
    ):
        made = _schema(connection)
    del made["alembic_version"]
    assert made == wanted


def _schema(connection: Connection) -> dict[str, list[str]]:
    """Every table and index with the words that made it; constraints may come in any order."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql != ''")
    return {name: sorted(re.findall(r"\w+", sql)) for name, sql in rows}


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    with connect(str(tmp_path / "o.db"), create=True) as database:
        assert upgrade_database(database) == (None, SCHEMA_HEAD)
        assert upgrade_database(database) == (SCHEMA_HEAD, SCHEMA_HEAD)


@pytest.mark.parametrize(
    "named",
    ["o.db", "./o.db", "sqlite:///{folder}/o.db", "{folder}/o.db", "sqlite+pysqlite:///o.db"],
)
def test_a_path_or_a_url(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(named.format(folder=tmp_path)).database == str(tmp_path / "o.db")


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("postgresql://x/y", "not supported yet"),
        ("nonsense://x/y", "not supported yet"),
        ("://", "not a database URL"),
        ("sqlite://", "outlive"),
        ("sqlite:///:memory:", "outlive"),
    ],
)
def test_other_urls_are_refused_plainly(named: str, sentence: str) -> None:
    with pytest.raises(DatabaseUnusable, match=sentence):
        locate(named)


def test_a_sqlite_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 32, 3))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.32.3")
    with pytest.raises(DatabaseUnusable, match=r"SQLite 3\.32\.3 is too old.* needs 3\.33"):
        open_database(str(tmp_path / "o.db"), create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_database_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="Load a manifest first"):
        open_database(str(tmp_path / "o.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="does not exist"):
        open_database(str(tmp_path / "no" / "o.db"), create=True)
    with pytest.raises(DatabaseUnusable, match="is a folder"):
        open_database(str(tmp_path), create=True)


def test_an_older_and_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    open_database(str(path), create=True).close()
    for revision, error in (("0000", DatabaseOutdated), ("9999", DatabaseTooNew)):
        with sqlite3.connect(path) as raw:
            raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        raw.close()
        with pytest.raises(error, match=revision):
            open_database(str(path))


def test_an_upgrade_refuses_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    open_database(str(path), create=True).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()
    with connect(str(path)) as database, pytest.raises(DatabaseTooNew, match="newer overnight"):
        upgrade_database(database)


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE theirs (x)")
    raw.commit()
    raw.close()
    with pytest.raises(DatabaseUnusable, match="another program"):
        open_database(str(path), create=True)
    raw = sqlite3.connect(path)
    assert [row[0] for row in raw.execute("SELECT name FROM sqlite_master")] == ["theirs"]
    raw.close()


def test_an_empty_database_is_filled_on_create_and_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.touch()
    with pytest.raises(DatabaseOutdated, match="is empty"):
        open_database(str(path))
    open_database(str(path), create=True).close()
