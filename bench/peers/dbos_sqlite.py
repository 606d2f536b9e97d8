"""DBOS on SQLite: a workflow a job, and in it a step each for submit, polling and the result.

Calls go over bare aiohttp, the fastest there is. The queue lets ``in_flight`` workflows run at
once. DBOS starts its queues with itself, so the clock runs while jobs are enqueued: its docs know
no other way that costs less.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dbos import DBOS

from bench.calls import MODEL_PATH, inputs, over_aiohttp, until_done
from bench.peers.work import PATIENCE, Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop


async def run(wish: Asked) -> dict[str, float]:
    """Enqueue all, and wait for every result."""
    database = f"sqlite:///{wish.folder / 'dbos.sqlite'}"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": database,
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    async with over_aiohttp(wish.origin) as call:

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

        workflow = DBOS.workflow(name="job")(job)
        DBOS.launch()
        queue = await DBOS.register_queue_async(
            "bench", worker_concurrency=wish.in_flight, polling_interval_sec=0.02
        )
        watch = Stopwatch()
        handles = [await queue.enqueue_async(workflow, seed) for seed in range(wish.jobs)]
        async with asyncio.timeout(PATIENCE):
            for handle in handles:
                await handle.get_result(polling_interval_sec=0.1)
        figures = watch.figures(wish.jobs)
        DBOS.destroy()
    return figures


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish:
        hand_over(on_loop(run(wish)))


if __name__ == "__main__":
    main()
