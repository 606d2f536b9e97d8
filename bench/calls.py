"""The contenders that keep nothing: submit, poll until done, read the result, forget.

    python -m bench.calls {aiohttp,httpx,httpx-aiohttp,transport} ORIGIN JOBS IN_FLIGHT

``aiohttp`` is the limit: the fastest client there is in Python, called directly. ``httpx`` has its
own pool, ``httpx-aiohttp`` the published transport over aiohttp, ``transport`` is overnight's own
wire, called as its provider calls it: a connection of its own for each submit, and the time limits
that a job's calls have. IN_FLIGHT tasks share the jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from bench.stopwatch import Stopwatch, hand_over, more_files, on_loop

Call = Callable[[str, str, Any], Awaitable[Any]]
"""Method, path and body (or None) to the answer's JSON value."""

MODEL_PATH = "/v1/models/community/wan-2-1/fusionx/image-to-video"
HEADERS = {"Authorization": "Bearer bench", "Accept": "application/json"}


def inputs(seed: int) -> dict[str, Any]:
    """What one job sends; overnight's own contender sends the same."""
    return {
        "600_prompt": "An old fishing boat drifts through the fog at dawn",
        "608_image": "RunComfy_examples_1235_1.png",
        "598_seed": seed,
    }


@asynccontextmanager
async def over_aiohttp(origin: str) -> AsyncIterator[Call]:
    """Calls over bare aiohttp."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(origin, connector=connector, headers=HEADERS) as session:

        async def call(method: str, path: str, body: Any) -> Any:
            async with session.request(method, path, json=body) as answer:
                return await answer.json()

        yield call


@asynccontextmanager
async def over_httpx(origin: str, transport: Any = None) -> AsyncIterator[Call]:
    """Calls over httpx, with its own pool unless ``transport`` is given."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=origin, transport=transport, limits=limits, headers=HEADERS, timeout=60.0
    ) as client:

        async def call(method: str, path: str, body: Any) -> Any:
            return (await client.request(method, path, json=body)).json()

        yield call


@asynccontextmanager
async def over_httpx_aiohttp(origin: str) -> AsyncIterator[Call]:
    """Calls over httpx on the published aiohttp transport."""
    import aiohttp

    published = importlib.import_module("httpx_aiohttp")
    connector = aiohttp.TCPConnector(limit=0)
    session = aiohttp.ClientSession(connector=connector)
    transport = published.AiohttpTransport(client=session)
    async with session, over_httpx(origin, transport) as call:
        yield call


@asynccontextmanager
async def over_own_transport(origin: str) -> AsyncIterator[Call]:
    """Calls over overnight's wire: submits on fresh connections, the rest on shared ones."""
    from overnight.providers.routes import Routes
    from overnight.providers.wire import Ask, Site

    site, headers = Site.of(origin), list(HEADERS.items())
    paid, free = Routes(fresh=True), Routes()

    async def call(method: str, path: str, body: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        ask = Ask(method, site, path, headers, content, connect=10.0, total=60.0)
        return json.loads((await (paid if method == "POST" else free).call(ask)).body)

    try:
        yield call
    finally:
        await paid.aclose()
        await free.aclose()


CLIENTS = {
    "aiohttp": over_aiohttp,
    "httpx": over_httpx,
    "httpx-aiohttp": over_httpx_aiohttp,
    "transport": over_own_transport,
}


async def one_job(call: Call, seed: int) -> Any:
    """Submit, poll until it is done, read the result."""
    request_id = (await call("POST", MODEL_PATH, inputs(seed)))["request_id"]
    await until_done(call, request_id)
    return await call("GET", f"/v1/requests/{request_id}/result", None)


async def until_done(call: Call, request_id: str) -> None:
    """Ask until the status says that it is completed."""
    path = f"/v1/requests/{request_id}/status"
    while (await call("GET", path, None))["status"] != "completed":
        pass


async def run(client: str, origin: str, jobs: int, in_flight: int) -> dict[str, float]:
    """All jobs over one client; the figures of it."""
    async with CLIENTS[client](origin) as call:
        seeds: Iterator[int] = iter(range(jobs))

        async def share() -> None:
            for seed in seeds:
                await one_job(call, seed)

        watch = Stopwatch()
        await asyncio.gather(*(share() for _ in range(in_flight)))
        return watch.figures(jobs)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description="Time calls that nothing is kept of.")
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("origin")
    parser.add_argument("jobs", type=int)
    parser.add_argument("in_flight", type=int)
    asked = parser.parse_args()
    more_files()
    hand_over(on_loop(run(asked.client, asked.origin, asked.jobs, asked.in_flight)))


if __name__ == "__main__":
    main()
