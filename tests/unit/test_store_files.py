"""What is on record of files: pages of it, what is missing from it, and what was found out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from overnight.engine.verification import strays
from overnight.lifecycle import Event
from overnight.store import files, queue, standing, suspects, views
from overnight.store.database import Database
from overnight.store.errors import NotFound
from overnight.store.files import RecordedFile, Replacement
from tests.unit.cli_night import Night, fill


@pytest.fixture
def home(database: Database) -> Database:
    """Two batches: one of three jobs that succeeded, one of a single job that is pending."""
    fill(database, jobs=3)
    fill(database, "other", 1)
    worker = Night(database)
    for number, job in enumerate(worker.claim(1, 3)):
        job = worker.move(job, Event.ACCEPTED, request_id=f"req-{number}")
        job = worker.move(worker.move(job, Event.SEEN_RUNNING), Event.FINISHED)
        urls = [f"https://cdn/{number}.mp4?sig=secret"]
        job = worker.write(partial(queue.delivered, job=job, urls=urls, cost=0.05, at=2_002.0))
        file = queue.Stored(0, f"/out/night/{number}.mp4", 10, f"{number:064}", "video/mp4")
        job = worker.write(partial(queue.stored, job=job, file=file, at=2_003.0))
        worker.move(job, Event.COLLECTED)
    worker.end()
    return database


def recorded(database: Database, *batch_ids: int, **more: Any) -> list[RecordedFile]:
    with database.reading() as connection:
        return files.recorded(connection, batch_ids or (1, 2), **more)


def test_files_come_in_pages_each_once(home: Database) -> None:
    assert [file.key for file in recorded(home)] == ["seed0", "seed1", "seed2"]
    first = recorded(home, limit=2)
    rest = recorded(home, after_id=first[-1].id)
    assert [file.key for file in (*first, *rest)] == ["seed0", "seed1", "seed2"]
    assert recorded(home, 2) == []
    with home.reading() as connection:
        assert files.count(connection, [1, 2]) == 3
        assert files.count(connection, [2]) == 0


def test_a_record_has_what_a_check_and_a_repair_need(home: Database) -> None:
    file = recorded(home)[1]
    assert (file.path, file.bytes, file.sha256) == ("/out/night/1.mp4", 10, f"{1:064}")
    assert (file.batch, file.output_dir, file.newest) == ("night", "/out/night", True)
    assert (file.request_id, file.url) == ("req-1", "https://cdn/1.mp4?sig=secret")
    assert file.inputs["598_seed"] == 1
    assert (file.suspect, file.probe) == (None, None)


def test_a_job_without_a_file_is_empty_handed(home: Database) -> None:
    with home.writing() as connection:
        connection.exec_driver_sql("UPDATE artifacts SET path = NULL WHERE job_id = 2")
        connection.exec_driver_sql("DELETE FROM artifacts WHERE job_id = 3")
    with home.reading() as connection:
        found = files.empty_handed(connection, [1, 2])
        assert [job.key for job in found] == ["seed1", "seed2"]
        assert files.empty_handed(connection, [1, 2], after_id=found[0].job_id) == found[1:]
        assert files.empty_handed(connection, [2]) == []


def test_what_has_no_record_is_sorted_out(home: Database) -> None:
    many = {f"/out/night/{n}.mp4" for n in range(1_200)}
    with home.reading() as connection:
        assert files.unrecorded(connection, many) == many - {
            f"/out/night/{n}.mp4" for n in range(3)
        }
        assert files.unrecorded(connection, []) == set()


def test_a_look_is_recorded_for_the_bytes_that_were_looked_at(home: Database) -> None:
    file, other, _ = recorded(home)
    with home.writing() as connection:
        files.looked(connection, file, "nothing moves in it", {"probed": True, "frames": 3})
        connection.exec_driver_sql("UPDATE artifacts SET sha256 = 'x' WHERE id = ?", (other.id,))
        files.looked(connection, other, "it is black", {"probed": True})
    suspect, untouched, _ = recorded(home)
    assert (suspect.suspect, suspect.probe) == (
        "nothing moves in it",
        {"probed": True, "frames": 3},
    )
    assert (untouched.suspect, untouched.probe) == (None, None)


def test_suspects_are_counted_and_listed_for_the_attempt_that_succeeded(home: Database) -> None:
    first, second, _ = recorded(home)
    with home.writing() as connection:
        for file in (first, second):
            files.looked(connection, file, "odd", {"probed": True})
        # The second one's suspect file is of an attempt that was not the last.
        connection.exec_driver_sql("UPDATE jobs SET attempt = 2 WHERE id = ?", (second.job_id,))
    with home.reading() as connection:
        night, other = views.with_suspects(connection, views.all_batches(connection))
        assert (night.suspects, other.suspects) == (1, 0)
        [job] = views.page(connection, views.Filter(suspect=True))
        assert (job.key, job.suspect) == ("seed0", "odd")
        assert views.ids(connection, views.Filter(suspect=True)) == [job.id]


def test_a_replacement_is_recorded_once(home: Database) -> None:
    file = recorded(home)[0]
    by = Replacement("https://new", "/out/night/0~2.mp4", 11, "f" * 64, "video/mp4", None, None)
    with home.writing() as connection:
        assert files.replaced(connection, file, by, at=3_000.0)
        # The record is another one now: whoever still holds the old one is told so.
        assert not files.replaced(connection, file, by, at=3_001.0)
    now = recorded(home)[0]
    assert (now.url, now.path, now.bytes, now.sha256) == (by.url, by.path, 11, "f" * 64)


def test_provenance_is_of_the_newest_attempt(home: Database) -> None:
    with home.reading() as connection:
        of = files.provenance(connection, 1)
        assert (of.batch, of.key, of.manifest_path) == ("night", "seed0", "/m/night.yaml")
        assert [attempt.request_id for attempt in of.attempts] == ["req-0"]
        assert [row.path for row in of.artifacts] == ["/out/night/0.mp4"]
        with pytest.raises(NotFound):
            files.provenance(connection, 99)


# --- strays ---------------------------------------------------------------------------------------


def test_strays_are_what_nobody_knows(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "jobs.yaml", ".part", "deep/c.mp4", ".provenance/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    asked: list[int] = []

    def unrecorded(paths: Any) -> set[str]:
        asked.append(len(paths))
        return set(paths) - {str(tmp_path / "a.mp4")}

    # A folder inside another one is walked once.
    folders = [tmp_path, tmp_path / "deep", tmp_path / "nowhere"]
    found = list(strays(folders, unrecorded, [tmp_path / "jobs.yaml"], export_mark=".set"))
    assert found == [str(tmp_path / "b.mp4"), str(tmp_path / "deep" / "c.mp4")]
    assert asked == [3, 1]


def test_a_large_folder_is_compared_in_portions(tmp_path: Path) -> None:
    for number in range(1_100):
        (tmp_path / f"{number}.mp4").touch()
    asked: list[int] = []

    def unrecorded(paths: Any) -> set[str]:
        asked.append(len(paths))
        return set()

    assert list(strays([tmp_path], unrecorded, [], export_mark=".set")) == []
    assert asked == [500, 500, 100]


@pytest.mark.parametrize(
    ("digests", "came"),
    [
        ({0: f"{1:064}"}, True),
        ({0: f"{2:064}"}, False),
        ({0: None}, False),
        ({0: f"{1:064}", 1: f"{2:064}"}, False),
        ({1: f"{1:064}"}, False),
    ],
)
def test_the_files_of_an_earlier_try_are_known_again(
    home: Database, digests: dict[int, str | None], came: bool
) -> None:
    with home.reading() as connection:
        job = standing.current(connection, 2)
        again = job._replace(attempt=job.attempt + 1)
        assert suspects.came_before(connection, again, digests) is came
        assert not suspects.came_before(connection, job, digests)  # it is no earlier one itself
