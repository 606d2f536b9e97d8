"""Opening: every wrong file ends in a sentence, never in a traceback or in half a database."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from overnight.store import migrations
from overnight.store.database import connect, open_database, revision_of
from overnight.store.database import upgrade as upgrade_database
from overnight.store.errors import (
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseTooNew,
    DatabaseUnusable,
    StoreError,
)
from overnight.store.opening import SCHEMA_HEAD, locate
from overnight.store.reading import reading
from overnight.store.tables import metadata


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
    assert locate(named.format(folder=tmp_path)) == tmp_path / "o.db"


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


# --- the two ways of opening one ------------------------------------------------------------------


def _older(path: Path) -> None:
    _with_revision(path, "0000")


def _newer(path: Path) -> None:
    _with_revision(path, "9999")


def _with_revision(path: Path, revision: str) -> None:
    open_database(str(path), create=True).close()
    _raw(path, f"UPDATE alembic_version SET version_num = '{revision}'")


def _without_a_revision(path: Path) -> None:
    open_database(str(path), create=True).close()
    _raw(path, "DELETE FROM alembic_version")


def _of_another_program(path: Path) -> None:
    _raw(path, "CREATE TABLE theirs (x)")


def _damaged(path: Path) -> None:
    open_database(str(path), create=True).close()
    with path.open("r+b") as file:
        file.truncate(8192)


def _with_a_schema_that_is_no_text(path: Path) -> None:
    open_database(str(path), create=True).close()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CREATE TABLE jobs", b"CREATE\xffTABLE\xffjob"))


def _raw(path: Path, statement: str) -> None:
    raw = sqlite3.connect(path)
    raw.execute(statement)
    raw.commit()
    raw.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: None,
        Path.mkdir,
        Path.touch,
        lambda path: path.write_text("A letter to my sister. " * 500),
        _older,
        _newer,
        _without_a_revision,
        _of_another_program,
        _damaged,
        _with_a_schema_that_is_no_text,
    ],
)
def test_reading_without_sqlalchemy_says_the_very_same(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "o.db"
    make(path)
    with pytest.raises(StoreError) as with_it:
        open_database(str(path)).close()
    with pytest.raises(StoreError) as without_it, reading(str(path)):
        pass
    assert type(with_it.value) is type(without_it.value)
    assert str(with_it.value) == str(without_it.value)


def test_reading_names_a_sqlite_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(str(tmp_path / "o.db"), create=True).close()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 32, 3))
    with pytest.raises(DatabaseUnusable, match="is too old"), reading(str(tmp_path / "o.db")):
        pass


def test_trouble_while_reading_is_a_sentence_and_the_connection_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    open_database(str(path), create=True).close()
    sentence = "SQLite says: no such table: absent"
    with pytest.raises(DatabaseUnusable, match=sentence), reading(str(path)) as connection:
        connection.exec_driver_sql("SELECT * FROM absent", {})
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.exec_driver_sql("SELECT 1", {})


def test_a_url_may_say_no_more_than_which_file(tmp_path: Path) -> None:
    for named in ("sqlite:///o.db?timeout=5", "sqlite://host/o.db"):
        with pytest.raises(DatabaseUnusable, match=r"no more than a file.*sqlite:///FILE"):
            locate(named)
