"""A database that was cut, scribbled on, or lost a file beside it: a sentence, or it works.

Nothing here may end in any other exception. What a flipped bit in somebody's prompt does can't be
told without checksums, so "works" means that the store reads and writes without complaint; what
SQLite can tell is told, and ``overnight doctor`` asks it for all of it.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection

from overnight.lifecycle import TABLE, Event, State
from overnight.store import control, holding, leases, loading, queue, tally, views
from overnight.store.database import open_database
from overnight.store.driver import Reader
from overnight.store.errors import DatabaseMissing, DatabaseUnusable, StoreError
from overnight.store.job import Job
from overnight.store.reading import reading
from tests.unit.test_store_queue import HEADER, ME, Spec, load

JOBS = 60
FLIPPED = 25
"""Damaged copies in each part."""


def play(connection: Connection, fence: int) -> None:
    """Something of everything that a worker does."""
    taken = control.look(connection, fence=fence, batch_ids=[1], now=50.0).taken
    claimed = queue.claim(connection, fence=fence, batch_id=1, limit=20, now=50.0)
    for n, job in enumerate([*taken, *claimed]):
        real: Job | queue.Overtaken = job
        for _ in range(n % 6):
            if not isinstance(real, Job) or not TABLE[real.state]:
                break
            event = list(TABLE[real.state])[n % 2]
            if real.state in (State.UNKNOWN, State.FAILED, State.CANCELLED, State.PENDING):
                break
            request_id = f"r-{fence}-{job.id}" if event is Event.ACCEPTED else None
            real = queue.move(connection, real, event, queue.Facts(60.0, request_id=request_id))
        if isinstance(real, Job) and real.state is State.COLLECTING:
            queue.delivered(connection, real, ["https://x.test/a.mp4"], 0.1, 61.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in mid-run, all of it in one file."""
    path = tmp_path_factory.mktemp("whole") / "overnight.db"
    with open_database(str(path), create=True) as database:
        load(database, JOBS)
        with database.writing() as connection:
            play(connection, leases.take(connection, ME, now=10.0))
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "overnight.db"
    shutil.copy(whole, path)
    return path


def read_everything(connection: Reader) -> None:
    for job in views.every(connection, views.Filter()):
        views.detail(connection, job.id)
    views.with_suspects(connection, views.all_batches(connection))
    holding.holder(connection, 1e6)
    holding.last_words(connection, 1)


def read_through_sqlalchemy(path: Path) -> None:
    with open_database(str(path)) as database, database.reading() as connection:
        for batch in views.all_batches(connection):
            tally.recount(connection, batch.id)
        read_everything(connection)


def read_without_it(path: Path) -> None:
    with reading(str(path)) as connection:
        read_everything(connection)


def write_something(path: Path) -> None:
    with open_database(str(path)) as database, database.writing() as connection:
        fence = leases.take(connection, ME, now=1e6)
        play(connection, fence)
        everything = views.ids(connection, views.Filter())
        queue.cancel(connection, everything[:5], now=1e6)
        queue.retry(connection, everything, now=1e6)
        loading.load(connection, HEADER, (Spec(n) for n in range(JOBS + 5)), now=1e6)


def used(path: Path) -> list[StoreError]:
    """Use a database in every way; what was said of it. Anything else than a sentence escapes."""
    said: list[StoreError] = []
    for use in (read_through_sqlalchemy, write_something, read_without_it):
        try:
            use(path)
        except StoreError as error:
            assert str(error)
            assert "Traceback" not in str(error)
            said.append(error)
    return said


def is_intact(path: Path) -> bool:
    raw = sqlite3.connect(path)
    try:
        return bool(raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False
    finally:
        raw.close()


def test_a_whole_one_is_used_without_complaint(copy: Path) -> None:
    assert used(copy) == []
    assert is_intact(copy)


# --- bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(4))
def test_flipped_bits_end_in_a_sentence_or_in_work(whole: Path, tmp_path: Path, part: int) -> None:
    """Each copy has its own seed: bits in one page, in a few, or all over the file."""
    sound = whole.read_bytes()
    said = 0
    for seed in range(part * FLIPPED, (part + 1) * FLIPPED):
        rng = Random(seed)
        data = bytearray(sound)
        pages = [rng.randrange(len(data) // 4096) for _ in range(rng.choice([1, 1, 3, 12]))]
        for page in pages:
            for _ in range(rng.choice([1, 8, 64])):
                data[page * 4096 + rng.randrange(4096)] ^= 1 << rng.randrange(8)
        path = tmp_path / f"flipped-{seed}.db"
        path.write_bytes(data)
        try:
            said += bool(used(path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    # Were none of it noticed, this would have tested nothing.
    assert said > FLIPPED // 10


# --- cuts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.05, 0.25, 0.5, 0.75, 0.95])
def test_a_file_that_was_cut_is_called_damaged(copy: Path, kept: float) -> None:
    size = copy.stat().st_size
    with copy.open("r+b") as file:
        file.truncate(int(size * kept))
    said = used(copy)
    assert any("is damaged" in str(error) for error in said)
    assert all("restore a backup" in str(error) for error in said if "damaged" in str(error))


def test_a_file_that_is_empty_now_says_so(copy: Path) -> None:
    copy.write_bytes(b"")
    said = used(copy)
    assert all("is empty" in str(error) for error in said)
    assert len(said) == 3


def test_a_file_of_something_else_is_left_alone(copy: Path) -> None:
    copy.write_text("A letter to my sister. " * 500)
    said = used(copy)
    assert all("not a SQLite database" in str(error) for error in said)
    assert copy.read_text().startswith("A letter")


def test_a_file_that_went_away_is_missing(copy: Path) -> None:
    copy.unlink()
    assert [type(error) for error in used(copy)] == [DatabaseMissing] * 3


# --- the files beside it --------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from overnight.store import leases
from overnight.store.database import open_database
from tests.storage.test_damage import play
from tests.unit.test_store_queue import ME
database = open_database(sys.argv[1])
with database.writing() as connection:
    play(connection, leases.take(connection, ME, now=1e5))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_in_mid_run(path: Path) -> None:
    """A process that commits and is killed, so that what it wrote stands in the WAL only."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -9, done.stderr
    assert _beside(path, "-wal").stat().st_size > 0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def workers(path: Path) -> int:
    raw = sqlite3.connect(path)
    try:
        return int(raw.execute("SELECT COUNT(*) FROM workers").fetchone()[0])
    finally:
        raw.close()


def test_what_a_killed_process_committed_is_there(copy: Path) -> None:
    killed_in_mid_run(copy)
    assert workers(copy) == 2
    assert used(copy) == []


def test_a_lost_shm_is_made_again(copy: Path) -> None:
    killed_in_mid_run(copy)
    _beside(copy, "-shm").unlink()
    assert workers(copy) == 2
    assert used(copy) == []
    assert is_intact(copy)


def test_a_lost_wal_takes_back_its_commits_and_leaves_the_rest_whole(copy: Path) -> None:
    """Nobody can notice that: the docs say never to delete it."""
    killed_in_mid_run(copy)
    _beside(copy, "-wal").unlink()
    _beside(copy, "-shm").unlink()
    assert workers(copy) == 1
    assert used(copy) == []
    assert is_intact(copy)


@pytest.fixture(params=["cut", "scribbled", "another-overnight", "another-program"])
def wrong_wal(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Iterator[bytes]:
    """A WAL that does not belong to the file it will stand beside."""
    other = tmp_path / "other.db"
    makes: dict[str, Callable[[Path], None]] = {
        "cut": lambda path: _killed_copy(whole, path),
        "scribbled": lambda path: _killed_copy(whole, path),
        "another-overnight": _another_overnight,
        "another-program": _another_program,
    }
    makes[request.param](other)
    wal = _beside(other, "-wal").read_bytes()
    if request.param == "cut":
        wal = wal[: len(wal) // 2]
    if request.param == "scribbled":
        middle = len(wal) // 2
        wal = wal[:middle] + bytes(b ^ 0xFF for b in wal[middle : middle + 64]) + wal[middle + 64 :]
    yield wal


def _killed_copy(whole: Path, path: Path) -> None:
    shutil.copy(whole, path)
    killed_in_mid_run(path)


def _another_overnight(path: Path) -> None:
    with open_database(str(path), create=True) as database:
        load(database, 3)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    killed_in_mid_run(path)


def _another_program(path: Path) -> None:
    script = (
        "import os, signal, sqlite3, sys\n"
        "raw = sqlite3.connect(sys.argv[1])\n"
        "raw.execute('PRAGMA journal_mode = WAL')\n"
        "raw.execute('CREATE TABLE theirs (x)')\n"
        "raw.executemany('INSERT INTO theirs VALUES (?)', [('x' * 500,)] * 200)\n"
        "raw.commit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=False)


def test_a_wrong_wal_ends_in_a_sentence_or_in_a_whole_database(
    copy: Path, wrong_wal: bytes
) -> None:
    """SQLite takes the frames whose checksums are right, wherever they are from."""
    _beside(copy, "-wal").write_bytes(wrong_wal)
    said = used(copy)
    assert said or is_intact(copy)
    assert all(isinstance(error, StoreError) for error in said)


def test_a_row_that_makes_no_sense_is_called_damaged(copy: Path) -> None:
    for column, value in (
        ("inputs", "{not json"),
        ("state", "flying"),
        ("updated_at", "yesterday"),
        ("inputs", b"\xff\xfe"),
    ):
        raw = sqlite3.connect(copy)
        before = raw.execute(f"SELECT {column} FROM jobs WHERE id = 7").fetchone()
        raw.execute(f"UPDATE jobs SET {column} = ? WHERE id = 7", (value,))
        raw.commit()
        with (
            open_database(str(copy)) as database,
            pytest.raises(DatabaseUnusable, match="damaged"),
            database.reading() as connection,
        ):
            list(views.every(connection, views.Filter()))
            list(queue.by_id(connection, [7]))
        raw.execute(f"UPDATE jobs SET {column} = ? WHERE id = 7", before)
        raw.commit()
        raw.close()
