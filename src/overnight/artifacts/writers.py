"""Threads that write files: a slow disk must not hold up the event loop, nor the name look-ups
that share the loop's own pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")

_AT_ONCE = 4


class Writers:
    """Runs what blocks, away from the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="download")

    def start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Begin ``work``; whoever starts it waits for it with :func:`settled` at the latest."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run ``work``; a cancellation waits until it has let the file go."""
        future = self.start(work)
        try:
            return await asyncio.shield(future)
        finally:
            await settled(future)

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False)


async def settled(future: asyncio.Future[_T] | None) -> None:
    """Wait for a thread's work, whatever comes of it."""
    if future is not None and not future.done():
        await asyncio.wait([future])
    if future is not None and not future.cancelled():
        future.exception()  # seen: asyncio complains of an error that nobody looked at
