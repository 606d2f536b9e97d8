"""A script as many people write it: asyncio, httpx, and a table of jobs in sqlite3.

One connection to the database, WAL and ``synchronous=FULL``, a commit for each of three steps:
about to submit, submitted with this request id, done with this result. Killed and started again it
goes on with the request ids that it has, and submits whatever has none.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing

from bench.calls import MODEL_PATH, Call, inputs, over_httpx, until_done
from bench.peers.work import Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop

TABLE = """CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, state TEXT, inputs TEXT, request_id TEXT, result TEXT)"""
OPEN = "SELECT id, inputs, request_id FROM jobs WHERE state != 'done'"
DONE = "SELECT count(*) FROM jobs WHERE state = 'done'"


def prepare(connection: sqlite3.Connection, jobs: int) -> None:
    """A table full of pending jobs."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(TABLE)
    rows = ((seed, json.dumps(inputs(seed))) for seed in range(jobs))
    with connection:
        connection.executemany("INSERT INTO jobs VALUES (?, 'pending', ?, NULL, NULL)", rows)


async def run(connection: sqlite3.Connection, call: Call, in_flight: int) -> None:
    """All jobs that are not done, ``in_flight`` at once."""
    rows: Iterator[tuple[int, str, str | None]] = iter(connection.execute(OPEN).fetchall())

    def note(change: str, *values: object) -> None:
        with connection:
            connection.execute(f"UPDATE jobs SET {change} WHERE id = ?", values)  # noqa: S608

    async def share() -> None:
        for number, text, known in rows:
            request_id = known
            if request_id is None:
                note("state = 'submitting'", number)
                request_id = str((await call("POST", MODEL_PATH, json.loads(text)))["request_id"])
                note("state = 'submitted', request_id = ?", request_id, number)
            await until_done(call, request_id)
            result = await call("GET", f"/v1/requests/{request_id}/result", None)
            note("state = 'done', result = ?", json.dumps(result), number)

    await asyncio.gather(*(share() for _ in range(in_flight)))


async def work(
    wish: Asked, connection: sqlite3.Connection, client: Callable[..., Client]
) -> dict[str, float]:
    """The run's figures."""
    async with client(wish.origin) as call:
        watch = Stopwatch()
        await run(connection, call, wish.in_flight)
        return watch.figures(wish.jobs)


Client = AbstractAsyncContextManager[Call]


def main(client: Callable[..., Client] = over_httpx) -> None:
    """Measure once."""
    with asked(__doc__) as wish, closing(sqlite3.connect(wish.folder / "jobs.db")) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        if not wish.resume:
            prepare(connection, wish.jobs)
        figures = on_loop(work(wish, connection, client))
        [(kept,)] = connection.execute(DONE).fetchall()
        hand_over({**figures, "kept": kept})


if __name__ == "__main__":
    main()
