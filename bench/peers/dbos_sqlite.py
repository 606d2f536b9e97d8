"""DBOS on SQLite: a workflow a job, and in it a step each for submit, polling and the result.

Calls go over bare aiohttp, the fastest there is. The queue lets ``in_flight`` workflows run at
once. DBOS starts its queues with itself, so the clock runs while jobs are enqueued: its docs know
no other way that costs less. The database is in WAL mode, which DBOS does not choose by itself and
which is faster. After a kill it recovers its workflows by itself; jobs are enqueued again under the
same ids, which its docs say changes nothing for those that are there.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

from dbos import DBOS, SetWorkflowID

from bench.calls import MODEL_PATH, Call, inputs, over_aiohttp, until_done
from bench.peers.work import PATIENCE, Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop


def configure(wish: Asked) -> None:
    """DBOS with its database in the wish's folder."""
    path = wish.folder / "dbos.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{path}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )


def workflow(call: Call) -> Any:
    """One job as a workflow of three steps."""

    async def submit(seed: int) -> str:
        answer = await call("POST", MODEL_PATH, inputs(seed))
        return str(answer["request_id"])

    async def poll(request_id: str) -> None:
        await until_done(call, request_id)

    async def result(request_id: str) -> Any:
        return await call("GET", f"/v1/requests/{request_id}/result", None)

    steps = [DBOS.step(name=step.__name__)(step) for step in (submit, poll, result)]

    async def job(seed: int) -> Any:
        request_id = await steps[0](seed)
        await steps[1](request_id)
        return await steps[2](request_id)

    return DBOS.workflow(name="job")(job)


async def run(wish: Asked) -> dict[str, float]:
    """Enqueue all, and wait for every result."""
    configure(wish)
    async with over_aiohttp(wish.origin) as call:
        job = workflow(call)
        DBOS.launch()
        queue = await DBOS.register_queue_async(
            "bench", worker_concurrency=wish.in_flight, polling_interval_sec=0.02
        )
        watch = Stopwatch()
        handles = []
        for seed in range(wish.jobs):
            with SetWorkflowID(f"job-{seed}"):
                handles.append(await queue.enqueue_async(job, seed))
        kept = 0
        async with asyncio.timeout(PATIENCE):
            for handle in handles:
                kept += await handle.get_result(polling_interval_sec=0.1) is not None
        figures = watch.figures(wish.jobs)
        DBOS.destroy()
    return {**figures, "kept": kept}


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish:
        hand_over(on_loop(run(wish)))


if __name__ == "__main__":
    main()
