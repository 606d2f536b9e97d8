"""A database of each schema there ever was, left in mid-run, upgrades and finishes its night."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.catalog import bundled_catalog
from overnight.emulator import Emulator, Settings
from overnight.engine.report import Ending
from overnight.lifecycle import State
from overnight.store import migrations, tally, views
from overnight.store.database import Database, connect, open_database, revision_of
from overnight.store.database import upgrade as upgrade_database
from overnight.store.errors import DatabaseOutdated
from overnight.store.opening import SCHEMA_HEAD
from tests.migrations.make import HERE, JOBS, MODEL
from tests.night import Night
from tests.unit.test_store_database import _schema

REVISIONS = sorted(path.stem.removeprefix("schema_") for path in HERE.glob("schema_*.sql"))


@pytest.fixture(params=REVISIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The file of an old database; its request ids and folders are those of the fixture."""
    path = tmp_path / "overnight.db"
    raw = sqlite3.connect(path)
    raw.executescript((HERE / f"schema_{request.param}.sql").read_text())
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone()[0] == request.param
    raw.close()
    yield path


def test_there_is_a_fixture_of_every_revision_but_those_to_come() -> None:
    scripts = migrations.location() / "versions"
    known = sorted(path.name[:4] for path in scripts.glob("0*.py"))
    assert known[-1] == SCHEMA_HEAD
    assert known == REVISIONS


def test_an_old_schema_is_named_with_what_to_type(old: Path) -> None:
    raw = sqlite3.connect(old)
    [revision] = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    raw.close()
    if revision == SCHEMA_HEAD:
        open_database(str(old)).close()
        return
    with pytest.raises(DatabaseOutdated, match="overnight db upgrade"):
        open_database(str(old))


def test_an_upgraded_database_has_the_schema_of_a_new_one(old: Path, tmp_path: Path) -> None:
    with (
        open_database(str(tmp_path / "new.db"), create=True) as fresh,
        fresh.reading() as connection,
    ):
        wanted = _schema(connection)
    with connect(str(old)) as database:
        upgrade_database(database)
        assert revision_of(database) == SCHEMA_HEAD
        with database.reading() as connection:
            assert _schema(connection) == wanted
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_an_upgrade_keeps_every_row(old: Path) -> None:
    raw = sqlite3.connect(old)
    before = {name: raw.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES}
    columns = {
        name: [row[1] for row in raw.execute(f"PRAGMA table_info({name})")] for name in _TABLES
    }
    raw.close()
    with connect(str(old)) as database:
        upgrade_database(database)
    raw = sqlite3.connect(old)
    for name in _TABLES:
        kept = raw.execute(f"SELECT {', '.join(columns[name])} FROM {name}").fetchall()
        assert kept == before[name], name
    raw.close()


_TABLES = ("batches", "jobs", "attempts", "artifacts", "workers", "tallies")


async def test_an_upgraded_database_finishes_its_night(old: Path, tmp_path: Path) -> None:
    """It was left decades ago, as its times say; what the provider has is asked for all the same,
    before anything is given up for taking too long."""
    async with Emulator(Settings()) as emulator:
        _accept_what_it_had(old, emulator, tmp_path)
        with connect(str(old)) as database:
            upgrade_database(database)
            n = Night(tmp_path, database)
            report = await n.run(emulator)
            assert report.ending is Ending.DONE
            assert n.states == {
                # Both pending ones, all four that the provider had, and the one from before.
                State.SUCCEEDED: 7,
                # The one that the dead worker was submitting joins the one that was unknown.
                State.UNKNOWN: 2,
                State.FAILED: 2,
                State.CANCELLED: 1,
            }
            _check(database, n)
        ledger = emulator.ledger
        # Two were submitted by this run; nothing that the provider had was bought again.
        assert (len(ledger.accepted), len(ledger.duplicates)) == (4 + 2, 0)


def _accept_what_it_had(path: Path, emulator: Emulator, folder: Path) -> None:
    """Let the emulator have what the fixture's jobs in flight were accepted as, under its ids."""
    model = bundled_catalog().find(MODEL)
    assert model is not None
    raw = sqlite3.connect(path)
    with raw:
        raw.execute("UPDATE batches SET output_dir = ?", (str(folder / "out"),))
        in_flight = "SELECT id, inputs, request_id FROM jobs WHERE fence = 2 AND request_id NOTNULL"
        for job_id, inputs, request_id in raw.execute(in_flight).fetchall():
            accepted = emulator.service.accept(model, json.loads(inputs), inputs.encode()).id
            for table in ("jobs", "attempts"):
                raw.execute(
                    f"UPDATE {table} SET request_id = ? WHERE request_id = ?",
                    (accepted, request_id),
                )
            # An address from before, which the storage does not take any more.
            expired = f"{emulator.base_url}/media/{accepted}/output.mp4?expired"
            raw.execute("UPDATE artifacts SET url = ? WHERE job_id = ?", (expired, job_id))
    raw.close()


def _check(database: Database, n: Night) -> None:
    with database.reading() as connection:
        assert tally.recount(connection, 1) == n.batch.states
        history = [views.detail(connection, job_id) for job_id in range(1, len(JOBS) + 1)]
    for (state, _, tries), job in zip(JOBS, history, strict=True):
        # What was tried before is still told.
        assert len(job.attempts) == len(tries) + (state == "pending")
        assert [a.outcome for a in job.attempts[: len(tries) - 1]] == [
            a["outcome"] for a in tries[:-1]
        ]
        if state in ("pending", "queued", "running", "collecting"):
            assert job.job.state is State.SUCCEEDED
            assert job.attempts[-1].outcome == "collected"
            [file] = job.job.files
            assert Path(file).stat().st_size > 0
