"""What an export reads of the database, and the SQLite file that the store writes for it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from overnight.export.rows import shown_inputs
from overnight.lifecycle import State
from overnight.store import assets, exporting, views
from overnight.store.database import Database
from overnight.store.errors import DatabaseUnusable
from overnight.store.exporting_sqlite import DatasetFile
from overnight.store.rows import Asset
from tests.unit.export_batch import clip, failed, fill


def everything(database: Database) -> list[exporting.ExportJob]:
    with database.reading() as connection:
        ids = [batch.id for batch in views.all_batches(connection)]
        return list(exporting.every(connection, ids))


def test_jobs_come_by_batch_name_and_then_in_the_order_they_were_loaded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    fill(database, [clip(n) for n in (9, 3, 7)], "second")
    fill(database, [clip(n) for n in (5, 4, 6, 1, 8)], "first")
    fill(database, [clip(n) for n in (9, 3, 7, 2)], "second")
    found = [(job.batch, job.key) for job in everything(database)]
    assert found == [
        *[("first", f"seed{n}") for n in (5, 4, 6, 1, 8)],
        *[("second", f"seed{n}") for n in (9, 3, 7, 2)],
    ]


def test_a_job_comes_with_its_files_and_tries(database: Database) -> None:
    folder = fill(
        database,
        [clip(1, tags=("a", "b"), files={"x/1.mp4": b"one", "x/2.mp4": b"two"}), failed(2)],
    )
    first, second = everything(database)
    assert (first.state, first.tags, first.tries, first.cost) == (
        State.SUCCEEDED,
        ["a", "b"],
        1,
        0.05,
    )
    assert [(file.position, file.path, file.bytes) for file in first.files] == [
        (0, f"{folder}/x/1.mp4", 3),
        (1, f"{folder}/x/2.mp4", 3),
    ]
    assert (first.attempts[0].accepted_at, first.attempts[0].outcome) == (2_001.0, "collected")
    assert (second.state, second.error, second.files) == (State.FAILED, "bad inputs", [])
    assert second.cost is None


def test_attempts_that_cost_nothing_are_no_tries_and_costs_add_up(database: Database) -> None:
    fill(database, [clip(1)])
    with database.writing() as connection:
        for number, outcome, cost in ((2, "throttled", None), (3, "attempt_failed", 0.1)):
            connection.exec_driver_sql(
                "INSERT INTO attempts (job_id, number, worker_id, submit_key, intent_at, outcome,"
                " cost) VALUES (1, ?, 1, 'k', 1, ?, ?)",
                (number, outcome, cost),
            )
    [job] = everything(database)
    assert (len(job.attempts), job.tries, job.cost) == (3, 2, 0.15)


def test_a_damaged_row_is_a_sentence(database: Database) -> None:
    fill(database, [clip(1, probe="{")])
    with pytest.raises(DatabaseUnusable, match="a file of job 1 makes no sense"):
        everything(database)


def write(path: Path) -> bytes:
    with DatasetFile(path, {"key": "TEXT", 'odd "name"': "INTEGER", "state": "TEXT"}) as file:
        for number in range(50):
            file.add_job(number, {"key": f"k{number}", 'odd "name"': number, "state": "x"})
            file.add_attempt(number, {"number": 1, "intent_at": "2026-01-01"})
            file.add_file(number, {"position": 0, "bytes": 3})
        file.finish()
    return path.read_bytes()


def test_equal_rows_make_equal_sqlite_files(tmp_path: Path) -> None:
    assert write(tmp_path / "one.db") == write(tmp_path / "two.db")
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        assert connection.execute('SELECT sum("odd ""name""") FROM jobs').fetchone() == (1225,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_attempt_needs_its_job(tmp_path: Path) -> None:
    wrong = pytest.raises(sqlite3.IntegrityError)
    with DatasetFile(tmp_path / "one.db", {"key": "TEXT"}) as file, wrong:
        file.add_attempt(7, {"number": 1, "intent_at": "2026-01-01"})


def test_local_files_are_told_where_they_were_seen_and_kept_as_they_are_where_nobody_knows(
    database: Database,
) -> None:
    inside, outside, lost = (f"asset:{digit * 64}.png" for digit in "abc")
    inputs = {"image": inside, "images": [outside, lost, "https://host/a.png"]}
    fill(database, [clip(1, inputs=inputs)])
    with database.writing() as connection:
        seen = {inside: "/m/refs/anna.png", outside: "/else/boris.png"}
        assets.keep(
            connection,
            [
                Asset(reference.removeprefix("asset:"), path, 1, "image/png")
                for reference, path in seen.items()
            ],
        )
    [job] = everything(database)
    assert job.inputs == inputs
    assert job.local == seen
    assert shown_inputs(job) == {
        "image": "refs/anna.png",
        "images": ["/else/boris.png", lost, "https://host/a.png"],
    }
