"""Not too many free calls open at once, however many jobs are in flight.

Every call under way holds a connection, and a connection is an open file, of which a process may
have few: 256 on some machines, 1024 on most. Jobs in flight are thousands. While the provider
answers, their polls are spread out and few of them meet; once it hangs, each would hold a
connection until its time is up, and then nothing can be opened any more, not even a file that a
result goes into. So free calls wait for their turn here, before their own time limits begin: a
turn that is long in coming is no failure.

Submits never wait here. The step before a paid call is a look at the lease, which must not grow
old in a line; how many of them are under way is limited where jobs are claimed.
"""

from __future__ import annotations

import asyncio
import sys

from overnight.providers.base import (
    CancelOutcome,
    Inputs,
    NoAnswer,
    Provider,
    RecoverOutcome,
    Refused,
    Request,
    ResultOutcome,
    StatusOutcome,
    SubmitOutcome,
    Traits,
)

MOST = 400
"""Free calls at once where files are plenty: at a fifth of a second each, 2,000 a second."""

LEAST = 16

OTHERS = 156
"""Open files that are left to the rest: as many submits as may be under way, the database, files
that are being brought home, the terminal."""


def free_calls() -> int:
    """How many free calls may be open at once in this process, by its limit of open files."""
    if sys.platform == "win32":
        # It has no such limit for sockets, and no such module.
        return MOST
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST
    return max(LEAST, min(MOST, allowed - OTHERS))


class Turnstile:
    """A provider that is asked at most ``at_once`` free things at a time, first come, first served.

    It owns ``provider`` and closes it.
    """

    def __init__(self, provider: Provider, at_once: int) -> None:
        self._provider = provider
        self._turn = asyncio.Semaphore(at_once)

    @property
    def traits(self) -> Traits:
        """The provider's own."""
        return self._provider.traits

    async def submit(self, model: str, inputs: Inputs, *, key: str) -> SubmitOutcome:
        """Passed on at once."""
        return await self._provider.submit(model, inputs, key=key)

    async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
        """Passed on at once: it may be a paid call."""
        return await self._provider.recover(model, inputs, key=key)

    async def status(self, request: Request) -> StatusOutcome:
        """Asked when its turn comes."""
        async with self._turn:
            return await self._provider.status(request)

    async def result(self, request: Request) -> ResultOutcome:
        """Asked when its turn comes."""
        async with self._turn:
            return await self._provider.result(request)

    async def cancel(self, request: Request) -> CancelOutcome:
        """Asked when its turn comes."""
        async with self._turn:
            return await self._provider.cancel(request)

    async def probe(self) -> Refused | NoAnswer | None:
        """Asked when its turn comes."""
        async with self._turn:
            return await self._provider.probe()

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()
