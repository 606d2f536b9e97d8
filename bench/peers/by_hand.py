"""A script as many people write it: asyncio, httpx, and a table of jobs in sqlite3.

One connection to the database, WAL and ``synchronous=FULL``, a commit for each of three steps:
about to submit, submitted with this request id, done with this result.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from bench.calls import MODEL_PATH, inputs, over_httpx, until_done
from bench.peers.work import Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop

TABLE = """CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, state TEXT, inputs TEXT, request_id TEXT, result TEXT)"""


def prepare(connection: sqlite3.Connection, jobs: int) -> None:
    """A table full of pending jobs."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    rows = ((seed, json.dumps(inputs(seed))) for seed in range(jobs))
    with connection:
        connection.executemany("INSERT INTO jobs VALUES (?, 'pending', ?, NULL, NULL)", rows)


async def run(connection: sqlite3.Connection, wish: Asked) -> None:
    """All of them, ``in_flight`` at once."""
    rows: Iterator[tuple[int, str]] = iter(
        connection.execute("SELECT id, inputs FROM jobs WHERE state = 'pending'").fetchall()
    )

    def note(change: str, *values: object) -> None:
        with connection:
            connection.execute(f"UPDATE jobs SET {change} WHERE id = ?", values)  # noqa: S608

    async with over_httpx(wish.origin) as call:

        async def share() -> None:
            for number, text in rows:
                note("state = 'submitting'", number)
                request_id = (await call("POST", MODEL_PATH, json.loads(text)))["request_id"]
                note("state = 'submitted', request_id = ?", request_id, number)
                await until_done(call, request_id)
                result = await call("GET", f"/v1/requests/{request_id}/result", None)
                note("state = 'done', result = ?", json.dumps(result), number)

        await asyncio.gather(*(share() for _ in range(wish.in_flight)))


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish, closing(sqlite3.connect(wish.folder / "jobs.db")) as connection:
        prepare(connection, wish.jobs)
        watch = Stopwatch()
        on_loop(run(connection, wish))
        hand_over(watch.figures(wish.jobs))


if __name__ == "__main__":
    main()
