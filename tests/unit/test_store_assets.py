"""The table of local files, and a claim that passes over jobs whose files are not up."""

from __future__ import annotations

from pathlib import Path

from overnight.lifecycle import State
from overnight.store import assets, queue, tally, views
from overnight.store.database import open_database
from overnight.store.job import Job
from overnight.store.rows import Asset
from tests.unit.cli_night import Night, fill


def asset(n: int, path: str = "/refs/a.png") -> Asset:
    return Asset(f"{n:064x}.png", path, 9, "image/png")


def test_kept_found_moved_and_uploaded(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "a.db"), create=True) as database:
        with database.writing() as connection:
            assets.keep(connection, [asset(n) for n in range(1_200)])
            assets.uploaded(connection, name=asset(1).name, store_key="s3://b/1", at=5.0)
            assets.keep(connection, [asset(1, "/moved.png"), asset(2)])
            assets.keep(connection, [])
        with database.reading() as connection:
            names = [asset(n).name for n in range(1_300)]
            found = views.assets(connection, names)
            assert len(found) == 1_200
            one = Asset(asset(1).name, "/moved.png", 9, "image/png", "s3://b/1", 5.0)
            assert found[asset(1).name] == one
            assert found[asset(2).name] == asset(2)
            assert views.assets(connection, []) == {}


def test_a_claim_passes_over_what_is_not_admitted(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "a.db"), create=True) as database:
        fill(database, jobs=10)
        fence = Night(database).fence
        asked: list[str] = []

        def even(job: Job) -> bool:
            asked.append(job.key)
            return int(job.inputs["598_seed"]) % 2 == 0

        with database.writing() as connection:
            claimed = queue.claim(
                connection, fence=fence, batch_id=1, limit=3, now=9.0, admits=even
            )
        assert [job.key for job in claimed] == ["seed0", "seed2", "seed4"]
        assert asked == [f"seed{n}" for n in range(6)]
        with database.reading() as connection:
            [batch] = views.all_batches(connection)
            assert batch.states[State.SUBMITTING] == 3
            assert batch.states == tally.recount(connection, 1)
