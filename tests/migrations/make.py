"""Makes the fixture of a schema revision: a database as an old overnight left it, in mid-run.

    python -m tests.migrations.make 0002

writes ``schema_0002.sql`` beside this file. The tables come from the migrations up to that revision
and the rows are written here, column by column; nothing of today's tables is used, so that the
fixture stays what it was. Run it once for a new revision, and never again for an old one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config

from overnight.store import migrations
from overnight.store.database import connect

HERE = Path(__file__).parent
MODEL = "community/wan-2-1/fusionx/image-to-video"

JOBS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("pending", {}, []),
    (
        "pending",
        {"attempt": 1, "deferrals": 1, "not_before": 2000.0, "error": "busy"},
        [{"ended_at": 1990.0, "outcome": "throttled", "error": "busy"}],
    ),
    ("submitting", {"attempt": 1, "fence": 2}, [{}]),
    ("queued", {"attempt": 1, "tries": 1, "fence": 2}, [{"accepted_at": 1910.0}]),
    (
        "running",
        {"attempt": 2, "tries": 2, "fence": 2},
        [
            {"accepted_at": 1800.0, "ended_at": 1850.0, "outcome": "attempt_failed", "error": "x"},
            {"accepted_at": 1910.0, "running_at": 1920.0},
        ],
    ),
    (
        "collecting",
        {"attempt": 1, "tries": 1, "fence": 2},
        [{"accepted_at": 1910.0, "running_at": 1920.0, "finished_at": 1930.0}],
    ),
    (
        "collecting",
        {"attempt": 1, "tries": 1, "fence": 2, "delivered": 1},
        [{"accepted_at": 1910.0, "finished_at": 1930.0, "cost": 0.25}],
    ),
    (
        "unknown",
        {"attempt": 1, "fence": 1, "error": "The connection was lost."},
        [{"ended_at": 1500.0, "outcome": "uncertain", "error": "The connection was lost."}],
    ),
    (
        "succeeded",
        {"attempt": 1, "tries": 1, "fence": 1, "delivered": 1},
        [
            {
                "accepted_at": 1100.0,
                "finished_at": 1200.0,
                "ended_at": 1210.0,
                "outcome": "collected",
            }
        ],
    ),
    (
        "failed",
        {"attempt": 1, "fence": 1, "error": "No such input."},
        [{"ended_at": 1100.0, "outcome": "rejected", "error": "No such input."}],
    ),
    (
        "failed",
        {"attempt": 1, "tries": 1, "fence": 1, "delivered": 1, "error": "No file."},
        [
            {
                "accepted_at": 1100.0,
                "ended_at": 1300.0,
                "outcome": "uncollectable",
                "error": "No file.",
            }
        ],
    ),
    ("cancelled", {}, []),
]
"""A job a line: its state, what else its row says, and its attempts."""

_WITH_FILE = {7: None, 9: "/night/out/seed8.mp4", 11: None}
"""Jobs that were delivered, and where their file is."""


def make(revision: str) -> str:
    """The fixture of ``revision`` as SQL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "old.db"
        _migrate(path, revision)
        raw = sqlite3.connect(path)
        with raw:
            _fill(raw)
            if revision >= "0002":
                _fill_0002(raw)
            if revision >= "0003":
                _fill_0003(raw)
            if revision >= "0004":
                _fill_0004(raw)
            if revision >= "0005":
                _fill_0005(raw)
        dump = "\n".join(raw.iterdump())
        raw.close()
    return dump + "\n"


def _migrate(path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.location()))
    with connect(str(path), create=True) as database, database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _insert(raw: sqlite3.Connection, table: str, **values: Any) -> None:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    raw.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


def _fill(raw: sqlite3.Connection) -> None:
    run = json.dumps({"attempts": 3, "concurrency": 4})
    _insert(
        raw, "batches", id=1, name="night", manifest_path="/night/jobs.yaml",
        manifest_digest="0" * 64, run=run, output_dir="/night/out", created_at=1000.0,
        loaded_at=1000.0,
    )  # fmt: skip
    stopped = {"ended_at": 1600.0, "ended_by": "stopped"}
    for number, ended in ((1, stopped), (2, {})):
        _insert(
            raw, "workers", id=number, host="a-machine.test", pid=number, process_started=1.0,
            version="0.1", started_at=1000.0 * number, heartbeat_at=1000.0 * number, **ended,
        )  # fmt: skip
    for number, (state, values, tries) in enumerate(JOBS, start=1):
        _fill_job(raw, number, state, values, tries)
    for state, n in Counter(state for state, _, _ in JOBS).items():
        _insert(raw, "tallies", batch_id=1, state=state, jobs=n)


def _fill_job(
    raw: sqlite3.Connection,
    number: int,
    state: str,
    values: dict[str, Any],
    tries: list[dict[str, Any]],
) -> None:
    seed = number - 1
    inputs = {
        "600_prompt": "Rain on a tin roof",
        "608_image": "RunComfy_examples_1235_1.png",
        "598_seed": seed,
    }
    fingerprint = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    accepted = bool(tries) and "accepted_at" in tries[-1]
    _insert(
        raw, "jobs", id=number, batch_id=1, block="", key=f"seed{seed}", fingerprint=fingerprint,
        provider="runcomfy", model=MODEL, inputs=json.dumps(inputs),
        variables=json.dumps({"seed": seed}), state=state, created_at=1000.0, updated_at=1950.0,
        request_id=f"request-{number}-{len(tries)}" if accepted else None, **values,
    )  # fmt: skip
    for n, attempt in enumerate(tries, start=1):
        request = f"request-{number}-{n}" if "accepted_at" in attempt else None
        _insert(
            raw, "attempts", job_id=number, number=n, worker_id=values.get("fence", 1),
            submit_key=f"{number:016x}{n:016x}", request_id=request, intent_at=1000.0 + n,
            **attempt,
        )  # fmt: skip
    if number in _WITH_FILE:
        path = _WITH_FILE[number]
        home = {"bytes": 1, "sha256": "0" * 64, "stored_at": 1205.0} if path else {}
        _insert(
            raw, "artifacts", job_id=number, attempt=1, position=0,
            url=f"http://files.test/{number}.mp4", path=path, **home,
        )  # fmt: skip


def _fill_0002(raw: sqlite3.Connection) -> None:
    """What came with 0002: events, a resubmit that was counted, canaries that were through."""
    raw.execute("UPDATE batches SET canary_passed_at = 1400, possible_duplicates = 1")
    raw.execute("UPDATE jobs SET canary = 1 WHERE id = 9")
    raw.execute("UPDATE jobs SET resubmits = 1 WHERE id = 2")
    _insert(raw, "events", at=1400.0, worker_id=1, kind="limit", text="At most 4 at once.")
    _insert(raw, "events", at=1450.0, batch_id=1, job_id=2, kind="resolved", text="resubmit")


def _fill_0003(raw: sqlite3.Connection) -> None:
    """What came with 0003: prices and tags, an order, names of files, and what calls answered."""
    raw.execute(
        "UPDATE batches SET draws = ?, schemas = ?, output = ?",
        (
            json.dumps({"seed": [7, 9]}),
            json.dumps({MODEL: "1" * 64}),
            json.dumps({"dir": "/night/out", "download": 2}),
        ),
    )
    raw.execute("UPDATE jobs SET price = 0.06, rank = 13 - id")
    raw.execute("UPDATE jobs SET tags = ? WHERE id <= 3", (json.dumps(["draft"]),))
    raw.execute("UPDATE jobs SET file_name = 'rain/first' WHERE id = 1")
    raw.execute("UPDATE jobs SET repeat = 2 WHERE id = 12")
    raw.execute(
        "UPDATE attempts SET submit_status = 200, submit_seconds = 0.4,"
        " answered_at = accepted_at, last_call = 'status', last_status = 504, calls = 9,"
        " unanswered = 2 WHERE accepted_at NOTNULL"
    )
    raw.execute(
        "UPDATE attempts SET submit_status = 429, submit_seconds = 0.1, error_code = 'busy'"
        " WHERE job_id = 2"
    )


def _fill_0004(raw: sqlite3.Connection) -> None:
    """What came with 0004: a file that was looked at and found wanting."""
    raw.execute(
        "UPDATE artifacts SET suspect = 'nothing moves in it', probe = ? WHERE path NOTNULL",
        (json.dumps({"probed": True, "kind": "video", "frames": 81, "still": True}),),
    )


def _fill_0005(raw: sqlite3.Connection) -> None:
    """What came with 0005: a local file that was uploaded, and one that was not."""
    kept = json.dumps({"presign": 86400.0, "store": "s3://night/in"})
    raw.execute("UPDATE batches SET assets = ?", (kept,))
    for digit, home in (
        ("a", {"store_key": f"s3://night/in/{'a' * 64}.png", "uploaded_at": 1050.0}),
        ("b", {}),
    ):
        _insert(
            raw, "assets", name=f"{digit * 64}.png", path=f"/night/refs/{digit}.png", bytes=9,
            content_type="image/png", **home,
        )  # fmt: skip


if __name__ == "__main__":
    wanted = sys.argv[1]
    (HERE / f"schema_{wanted}.sql").write_text(make(wanted))
