"""procrastinate on PostgreSQL: a task a job, its request id and result in a table beside it.

The cluster is made for this and thrown away: its own folder, a socket in it, no port, and its
settings as they come (``fsync`` and ``synchronous_commit`` on). Calls go over bare aiohttp. The
server's CPU time and memory are counted with the worker's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from procrastinate import App, PsycopgConnector

from bench.calls import MODEL_PATH, inputs, over_aiohttp, until_done
from bench.peers.work import Asked, asked
from bench.stopwatch import Stopwatch, hand_over, on_loop

TABLE = "CREATE TABLE requests (seed int PRIMARY KEY, request_id text, result text)"
SUBMITTED = "INSERT INTO requests (seed, request_id) VALUES (%(seed)s, %(request_id)s)"
DONE = "UPDATE requests SET result = %(result)s WHERE seed = %(seed)s"


def _binaries() -> Path:
    """Where Debian puts PostgreSQL's programs, the newest first; else where the path leads.

    Raises :class:`RuntimeError`."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    if found := shutil.which("postgres"):
        places.append(Path(found).resolve())
    if not places:
        raise RuntimeError("PostgreSQL is not installed: there is no `postgres`")
    return places[0].parent


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """How to connect to a new PostgreSQL in ``folder``, and its first process."""
    binaries, data = _binaries(), folder / "data"
    data.mkdir()
    # It refuses to run as root; then it runs as the user that its package made.
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        for place in (folder, data):
            shutil.chown(place, "postgres", "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **user}
    initdb: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "bench", "-A", "trust"]
    subprocess.run(initdb, check=True, cwd=folder, **quiet)  # noqa: S603
    options: list[str | Path] = [
        "-k",
        folder,
        "-c",
        "listen_addresses=",
        "-c",
        "max_connections=200",
    ]
    server: list[str | Path] = [binaries / "postgres", "-D", data, *options]
    with subprocess.Popen(server, cwd=folder, **quiet) as process:  # noqa: S603
        try:
            ready: list[str | Path] = [binaries / "pg_isready", "-q", "-h", folder, "-t", "1"]
            while subprocess.run(ready, check=False, **quiet).returncode:  # noqa: S603
                if process.poll() is not None:
                    raise RuntimeError("PostgreSQL ended while it was starting")
            yield f"host={folder} user=bench dbname=postgres", psutil.Process(process.pid)
        finally:
            process.terminate()


def _server(process: psutil.Process) -> tuple[float, float]:
    """Seconds of CPU and MB (RSS, shared pages once a process) of all of PostgreSQL."""
    seconds = memory = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
            memory += each.memory_full_info().pss / 1e6
    return seconds, memory


async def run(wish: Asked, conninfo: str, server: psutil.Process) -> dict[str, float]:
    """Enqueue all, then work until there is nothing left."""
    connector = PsycopgConnector(conninfo=conninfo, min_size=4, max_size=20)
    app = App(connector=connector)
    async with over_aiohttp(wish.origin) as call, app.open_async():

        async def job(seed: int) -> None:
            request_id = (await call("POST", MODEL_PATH, inputs(seed)))["request_id"]
            await connector.execute_query_async(SUBMITTED, seed=seed, request_id=request_id)
            await until_done(call, request_id)
            result = await call("GET", f"/v1/requests/{request_id}/result", None)
            await connector.execute_query_async(DONE, seed=seed, result=json.dumps(result))

        task = app.task(name="job")(job)
        await app.schema_manager.apply_schema_async()
        await connector.execute_query_async(TABLE)
        await task.batch_defer_async(*({"seed": seed} for seed in range(wish.jobs)))
        before, _ = _server(server)
        watch = Stopwatch()
        await app.run_worker_async(
            concurrency=wish.in_flight, wait=False, install_signal_handlers=False
        )
        figures = watch.figures(wish.jobs)
        spent, memory = _server(server)
        await _require_done(connector, wish.jobs)
    figures["CPU ms/job"] += 1000 * (spent - before) / wish.jobs
    figures["peak MB"] += memory
    return figures


async def _require_done(connector: Any, jobs: int) -> None:
    count = "SELECT count(*) AS n FROM requests WHERE result IS NOT NULL"
    done = (await connector.execute_query_one_async(count))["n"]
    if done != jobs:
        raise RuntimeError(f"only {done} of {jobs} jobs are done")


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish, cluster(wish.folder) as (conninfo, server):
        hand_over(on_loop(run(wish, conninfo, server)))


if __name__ == "__main__":
    main()
