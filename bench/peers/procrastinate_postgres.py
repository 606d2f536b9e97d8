"""procrastinate on PostgreSQL: a task a job, its request id and result in a table beside it.

The cluster is made for this and thrown away, and its settings are those it comes with (``fsync``
and ``synchronous_commit`` on). Calls go over bare aiohttp. The server's CPU time and memory are
counted with the worker's. After a kill, jobs of workers that have gone are retried, which is the
recipe of its documentation; a task looks first whether it has a request id.
"""

from __future__ import annotations

import json
from typing import Any

import psutil
from procrastinate import App, PsycopgConnector

from bench.calls import MODEL_PATH, Call, inputs, over_aiohttp, until_done
from bench.peers.cluster import cluster, spent
from bench.peers.work import Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop

TABLE = "CREATE TABLE requests (seed int PRIMARY KEY, request_id text, result text)"
KNOWN = "SELECT request_id FROM requests WHERE seed = %(seed)s"
SUBMITTED = "INSERT INTO requests (seed, request_id) VALUES (%(seed)s, %(request_id)s)"
DONE = "UPDATE requests SET result = %(result)s WHERE seed = %(seed)s"
KEPT = "SELECT count(*) AS n FROM requests WHERE result IS NOT NULL"


def declare(app: Any, connector: Any, call: Call) -> Any:
    """One job as a task."""

    async def job(seed: int) -> None:
        known = await connector.execute_query_all_async(KNOWN, seed=seed)
        if known:
            request_id = known[0]["request_id"]
        else:
            request_id = (await call("POST", MODEL_PATH, inputs(seed)))["request_id"]
            await connector.execute_query_async(SUBMITTED, seed=seed, request_id=request_id)
        await until_done(call, request_id)
        result = await call("GET", f"/v1/requests/{request_id}/result", None)
        await connector.execute_query_async(DONE, seed=seed, result=json.dumps(result))

    return app.task(name="job")(job)


async def prepare(app: Any, connector: Any, task: Any, wish: Asked) -> None:
    """The tables, and all jobs waiting in them; or, when resuming, the recipe."""
    if wish.resume:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=0):
            await app.job_manager.retry_job(job)
        return
    await app.schema_manager.apply_schema_async()
    await connector.execute_query_async(TABLE)
    await task.batch_defer_async(*({"seed": seed} for seed in range(wish.jobs)))


async def run(wish: Asked, conninfo: str, server: psutil.Process) -> dict[str, float]:
    """Enqueue all, then work until there is nothing left."""
    connector = PsycopgConnector(conninfo=conninfo, min_size=4, max_size=20)
    app = App(connector=connector)
    async with over_aiohttp(wish.origin) as call, app.open_async():
        task = declare(app, connector, call)
        await prepare(app, connector, task, wish)
        before, _ = spent(server)
        watch = Stopwatch()
        await app.run_worker_async(
            concurrency=wish.in_flight, wait=False, install_signal_handlers=False
        )
        figures = watch.figures(wish.jobs)
        after, memory = spent(server)
        kept = (await connector.execute_query_one_async(KEPT))["n"]
    if kept != wish.jobs and not wish.resume:
        raise RuntimeError(f"only {kept} of {wish.jobs} jobs are done")
    figures["CPU ms/job"] += 1000 * (after - before) / wish.jobs
    figures["peak MB"] += memory
    return {**figures, "kept": kept}


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish, cluster(wish.folder) as (conninfo, server):
        hand_over(on_loop(run(wish, conninfo, server)))


if __name__ == "__main__":
    main()
