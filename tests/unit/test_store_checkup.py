"""Looking a database over, and copying it while it is written to."""

import errno
import os
import resource
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from overnight.lifecycle import State
from overnight.store import checkup, decisions, dialect, holding, leases
from overnight.store.database import Database, connect, open_database, revision_of
from overnight.store.errors import DatabaseUnusable, StoreError
from overnight.store.opening import SCHEMA_HEAD
from overnight.store.rows import Kind
from tests.unit.cli_night import Night, fill


def raw(database: Database, *statements: str) -> None:
    """Change the file behind everybody's back."""
    connection = sqlite3.connect(database.path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def asked(database: Database, question: Any, **more: Any) -> Any:
    with database.reading() as connection:
        return question(connection, **more)


# --- SQLite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "flawed"),
    [
        *(((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 0), True)),
        *(((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True)),
        *(((3, 51, 3), False), ((3, 52, 0), False), ((4, 0, 0), False)),
    ],
)
def test_which_versions_have_the_flaw(version: tuple[int, ...], flawed: bool) -> None:
    assert checkup.has_wal_bug(version) is flawed


@pytest.mark.parametrize("quick", [True, False])
def test_a_sound_file_has_no_complaints(database: Database, quick: bool) -> None:
    fill(database)
    assert asked(database, checkup.complaints, quick=quick) == []


def test_an_index_that_lost_a_row_is_complained_about(database: Database) -> None:
    fill(database)
    # Leave a row out of an index: the file is well-formed, and wrong.
    raw(
        database,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'WHERE canary', 'WHERE 1') "
        "WHERE name = 'ix_jobs_canary'",
    )
    with open_database(str(database.path)) as anew:
        assert any("ix_jobs_canary" in text for text in asked(anew, checkup.complaints))


def test_the_log_has_a_size_only_while_it_is_there(database: Database, tmp_path: Path) -> None:
    fill(database)
    assert checkup.wal_bytes(database) > 0
    path = database.path
    database.close()
    with open_database(str(path)) as closed:
        closed.close()
        assert checkup.wal_bytes(closed) == 0


# --- rows -----------------------------------------------------------------------------------------


def test_a_figure_that_drifted_is_found(database: Database) -> None:
    fill(database)
    fill(database, "other", 2)
    assert asked(database, checkup.miscounts) == []
    raw(database, "UPDATE tallies SET jobs = 3 WHERE batch_id = 2 AND state = 'failed'")
    assert asked(database, checkup.miscounts) == [checkup.Miscount("other", State.FAILED, 3, 0)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET updated_at = 9000 WHERE id = 2",
        "UPDATE batches SET loaded_at = 9000",
        "UPDATE workers SET heartbeat_at = 9000",
        "UPDATE attempts SET intent_at = 9000",
        "INSERT INTO events (at, kind, text) VALUES (9000, 'halt', 'x')",
    ],
)
def test_the_newest_moment_is_that_of_anything(database: Database, statement: str) -> None:
    assert asked(database, checkup.newest_moment) is None
    fill(database)
    Night(database).claim(1, 1)
    assert asked(database, checkup.newest_moment) == 2_000.0
    raw(database, statement)
    assert asked(database, checkup.newest_moment) == 9_000.0


def test_a_worker_that_lives_or_said_goodbye_is_not_stale(database: Database) -> None:
    worker = Night(database)
    with database.writing() as connection:
        leases.beat(connection, worker.fence, 2_010.0)
    assert asked(database, checkup.stale_workers, now=2_020.0) == []
    [stale] = asked(database, checkup.stale_workers, now=2_010.0 + leases.LEASE)
    assert (stale.pid, stale.heartbeat_at) == (os.getpid(), 2_010.0)
    worker.end()
    assert asked(database, checkup.stale_workers, now=9_000.0) == []


def test_the_last_words_are_the_worker_s_own(database: Database) -> None:
    old = Night(database)
    with database.writing() as connection:
        note = partial(decisions.note, connection, Kind.LIMIT, worker_id=old.fence)
        note("first", at=2_001.0)
        note("second", at=2_002.0)
    said = asked(database, holding.last_words, fence=old.fence)
    assert said.limit.text == "second"
    assert said.pause is None
    old.end()
    new = Night(database)
    assert asked(database, holding.last_words, fence=new.fence) == holding.LastWords(None, None)


# --- backups --------------------------------------------------------------------------------------


def rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT id, key, state, request_id FROM jobs ORDER BY id").fetchall()
    connection.close()
    return found


def test_a_backup_is_one_whole_file_that_opens_like_any_other(
    database: Database, tmp_path: Path
) -> None:
    fill(database, jobs=50)
    worker = Night(database)
    worker.succeed(worker.claim(1, 1)[0], "req-1")
    target = tmp_path / "copies" / "night.db"
    target.parent.mkdir()
    made = checkup.backup(database, target)
    assert made == checkup.Backup(target, target.stat().st_size, SCHEMA_HEAD, 1, 50)
    assert [path.name for path in target.parent.iterdir()] == ["night.db"]
    assert rows(target) == rows(database.path)
    with open_database(str(target)) as copy:
        assert asked(copy, checkup.miscounts) == []


def test_a_backup_is_of_one_moment_though_others_write(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, jobs=300)
    before = rows(database.path)
    monkeypatch.setattr(checkup, "STEP", 10)
    steps: list[int] = []

    class Busy(sqlite3.Connection):
        """The driver's connection, with a write of somebody else between two steps."""

        def backup(self, target: sqlite3.Connection, **options: Any) -> None:
            def between(_status: int, remaining: int, _total: int) -> None:
                steps.append(remaining)
                # A copy that starts again with each write would never end.
                assert len(steps) < 1_000
                raw(database, f"UPDATE jobs SET request_id = 'step {len(steps)}' WHERE id > 100")

            super().backup(target, progress=between, **options)

    engine = create_engine(database.url, connect_args={"factory": Busy})
    dialect.prepare(engine, owns_checkpoints=False)
    with Database(database.url, engine) as busy:
        made = checkup.backup(busy, tmp_path / "copy.db")
    assert rows(made.path) == before
    assert rows(database.path) != before
    # It never started again: what remains only shrinks.
    assert len(steps) > 5
    assert steps == sorted(steps, reverse=True)


def test_a_backup_never_overwrites(database: Database, tmp_path: Path) -> None:
    fill(database)
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    for target in (taken, database.path, tmp_path):
        with pytest.raises(StoreError, match="never overwrites"):
            checkup.backup(database, target)
    dangling = tmp_path / "link.db"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="never overwrites"):
        checkup.backup(database, dangling)
    assert taken.read_text() == "precious"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_came_meanwhile_is_left_alone(
    links: bool, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    target = tmp_path / "copy.db"

    def meanwhile(_: Path, part: Path) -> None:
        target.write_text("somebody else's")
        if links:
            raise FileExistsError(errno.EEXIST, "taken")
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", meanwhile)
    with pytest.raises(StoreError, match="never overwrites"):
        checkup.backup(database, target)
    assert target.read_text() == "somebody else's"
    assert not list(tmp_path.glob(".*.part"))


def test_without_hard_links_it_is_renamed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert rows(checkup.backup(database, tmp_path / "copy.db").path) == rows(database.path)
    assert not list(tmp_path.glob(".*.part"))


def test_where_nothing_can_be_put_it_says_so(database: Database, tmp_path: Path) -> None:
    fill(database)
    with pytest.raises(StoreError, match="does not exist"):
        checkup.backup(database, tmp_path / "no" / "copy.db")


def test_an_empty_file_is_no_database_to_back_up(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    with connect(str(empty)) as nothing, pytest.raises(StoreError, match="nothing to back up"):
        checkup.backup(nothing, tmp_path / "copy.db")


def test_a_damaged_database_gives_no_backup(database: Database, tmp_path: Path) -> None:
    fill(database)
    raw(
        database,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'WHERE canary', 'WHERE 1') "
        "WHERE name = 'ix_jobs_canary'",
    )
    with (
        open_database(str(database.path)) as anew,
        pytest.raises(StoreError, match=r"not sound .*no backup was made"),
    ):
        checkup.backup(anew, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob(".*.part"))


def test_damage_is_blamed_on_the_database(database: Database, tmp_path: Path) -> None:
    fill(database, jobs=400)
    path = database.path
    database.close()
    # The first pages stay, so that it opens; what comes after is nonsense.
    with path.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 40 * 4096))
    with open_database(str(path)) as broken, pytest.raises(StoreError, match=r"sound|damaged"):
        checkup.backup(broken, tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy.db*"))


def test_no_room_is_blamed_on_the_copy(database: Database, tmp_path: Path) -> None:
    fill(database, jobs=400)
    target = tmp_path / "copy.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file may not grow beyond this: to SQLite, a disk that reports an error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    try:
        with pytest.raises(DatabaseUnusable, match=f"^{target}: the disk"):
            checkup.backup(database, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("*copy.db*"))


def test_an_older_schema_can_be_backed_up_before_it_is_upgraded(
    database: Database, tmp_path: Path
) -> None:
    fill(database)
    raw(database, "UPDATE alembic_version SET version_num = '0001'")
    made = checkup.backup(database, tmp_path / "copy.db")
    assert made.revision == revision_of(database) == "0001"
