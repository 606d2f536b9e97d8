"""Brings a result's file home, whole or not at all, and says what came of it.

Downloads are free and never carry a token. A file counts as whole only when the server's own
framing says so (a length, or chunks with an end) and it does not look like a web page: a login
page saved as ``.mp4`` is worth less than an error. Trouble with the server, with the URL and with
the disk are three outcomes, because they are three different people's to solve.

A download that was cut, by the server or by a crash, is gone on with where the server can show
that it still has the same bytes; see :mod:`~overnight.artifacts.errand`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import httpx

from overnight.artifacts import heads
from overnight.artifacts.errand import Errand, Progress, Target
from overnight.artifacts.heap import keep_freed
from overnight.artifacts.outcomes import (
    Examine,
    Expired,
    Fetched,
    FetchOutcome,
    Opinion,
    StorageFault,
    Trouble,
    TryAgain,
    Unfetchable,
)
from overnight.artifacts.part import forget, holds
from overnight.artifacts.wire import Wire
from overnight.artifacts.writers import Writers

__all__ = [
    "Downloader",
    "Examine",
    "Expired",
    "FetchOutcome",
    "Fetched",
    "Opinion",
    "Progress",
    "RetryAfter",
    "StorageFault",
    "Target",
    "TryAgain",
    "Unfetchable",
]

RetryAfter = Callable[[httpx.Headers, float], float | None]
"""Reads Retry-After out of headers, given the Unix time: seconds, or None."""


class Downloader:
    """Fetches files over the transport it is given, which it owns and closes.

    :param transport: raises ``httpx.TransportError`` for what the wire did, follows no redirect.
    :param retry_after: reads a Retry-After header.
    :param plain_http_hosts: hosts that may be fetched from without TLS; all others need https.
    :param connect: seconds until a connection must stand. :param read: seconds of silence that
        end a download. There is no limit for a whole download: long ones are fine.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        retry_after: RetryAfter,
        plain_http_hosts: frozenset[str] = frozenset(),
        connect: float = 10.0,
        read: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        keep_freed()
        self._wire = Wire(transport, plain_http_hosts, connect=connect, read=read)
        self._retry_after = retry_after
        self._clock = clock
        self._writers = Writers()

    async def fetch(
        self,
        url: str,
        target: Target,
        *,
        recorded: Fetched | None = None,
        progress: Progress | None = None,
        examine: Examine | None = None,
    ) -> FetchOutcome:
        """Fetch ``url`` to ``target`` and say what came of it; raises nothing but cancellation.

        Nothing that is there is overwritten: where ``target`` is taken by other bytes, the
        :class:`Fetched` names another path. With ``recorded``, a file that still holds just what
        it records is the answer, and no call is made. ``examine`` looks at the file before it gets
        its name; one that it calls damaged is fetched a second time, in one piece.
        """
        if recorded is not None and await self._writers.run(
            partial(holds, recorded.path, recorded.bytes, recorded.sha256)
        ):
            await self.settle(recorded)
            return recorded
        errand = Errand(
            self._wire,
            self._writers,
            self._judge,
            url,
            target,
            progress=progress,
            examine=examine,
        )
        try:
            return await errand.run()
        except httpx.RequestError as exc:
            return TryAgain(str(exc) or type(exc).__name__)

    async def settle(self, fetched: Fetched) -> None:
        """``fetched`` is on record: give up what was kept in case of a crash before that."""
        await self._writers.run(partial(forget, fetched.path))

    async def aclose(self) -> None:
        """Close the transport and let the writing threads go."""
        self._writers.close()
        await self._wire.aclose()

    def _judge(self, response: httpx.Response, url: str, ranged: bool) -> Trouble | None:
        def wait(headers: httpx.Headers) -> float | None:
            return self._retry_after(headers, self._clock())

        return heads.trouble(response, url, wait, ranged)
