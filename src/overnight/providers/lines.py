"""A wire straight onto connections: what nearly every call of a job takes.

A call through an HTTP client for all purposes costs ten times the bytes that it moves, and a night
has many calls. A provider's are of the plainest kind, so this is all that they need: the request
written at once, the answer read by :mod:`overnight.providers.reading`, connections kept for the
next free call.

Whether a request was sent is not concluded from errors but stands in the order of things: opening
a connection ends in a :class:`~overnight.providers.transport.NotSentError` or a connection, and
from :meth:`~overnight.providers.line.Line.ask` on it is a
:class:`~overnight.providers.transport.MaybeSentError`.
"""

from __future__ import annotations

import asyncio
import ssl

from overnight.providers.dial import Dialer
from overnight.providers.line import Line
from overnight.providers.transport import MaybeSentError, NotSentError
from overnight.providers.wire import Ask, Reply, Site

_KEEPALIVE = 15.0
"""Seconds that an idle connection is kept for the next free call."""


class Lines:
    """Calls without a proxy; a :class:`~overnight.providers.wire.Wire`.

    :param fresh: give every request a connection of its own that nobody used before. Paid calls
        need it: an idle connection may be closing at the other end just as it is written to, and
        then nobody can tell whether the request arrived.
    :param tls: for https; left out, httpx's own (certifi, or what ``SSL_CERT_FILE`` names).

    Without ``fresh``, a GET that finds its kept connection dead is sent once more on a new one;
    no other method ever is.
    """

    def __init__(self, *, fresh: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._fresh = fresh
        self._dialer = Dialer(tls)
        self._idle: dict[str, list[Line]] = {}
        self._open: set[Line] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def call(self, ask: Ask) -> Reply:
        """See :class:`~overnight.providers.wire.Wire`."""
        if self._closed:
            raise NotSentError("the transport is closed")
        request = _written(ask, last=self._fresh)
        until = None if ask.total is None else asyncio.get_running_loop().time() + ask.total
        kept = self._take(ask.site)
        if kept is not None:
            try:
                return await self._speak(kept, ask.site, request, until)
            except MaybeSentError:
                if kept.heard or kept.late or ask.method != "GET":
                    raise
        try:
            line = await self._dial(ask, until)
            return await self._speak(line, ask.site, request, until)
        except NotSentError as exc:
            if kept is None:
                raise
            why = exc.reason  # the second time; the first may have arrived
        raise MaybeSentError(why)

    async def aclose(self) -> None:
        """Close every connection and wait until they are closed."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._idle.clear()
        while self._open:
            gone = [line.gone() for line in self._open]
            for line in list(self._open):
                line.hang_up()
            await asyncio.gather(*gone)

    async def _dial(self, ask: Ask, until: float | None) -> Line:
        """A new connection, in the time that the call has for that and still has at all."""
        loop, within = asyncio.get_running_loop(), ask.connect
        if until is not None:
            left = until - loop.time()
            within = left if within is None else min(within, left)
        line = await self._dialer.open(ask.site, lambda: Line(loop, self._open), within)
        line.join()
        if self._closed:
            line.hang_up()
        return line

    async def _speak(self, line: Line, site: Site, request: bytes, until: float | None) -> Reply:
        waiting = line.ask(request, until)
        try:
            reply = await waiting
        except asyncio.CancelledError:
            line.hang_up()
            raise
        self._put_by(site, line)
        return reply

    def _take(self, site: Site) -> Line | None:
        """The connection that was put by last, if one still stands."""
        idle = self._idle.get(site.origin)
        while idle:
            line = idle.pop()
            if line.open and not line.older_than(_KEEPALIVE):
                return line
            line.hang_up()
        return None

    def _put_by(self, site: Site, line: Line) -> None:
        if self._fresh or self._closed or not line.open:
            line.hang_up()
            return
        line.rest()
        self._idle.setdefault(site.origin, []).append(line)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_KEEPALIVE, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody has needed for long, and look again while anything is left."""
        self._sweeper = None
        for origin, lines in list(self._idle.items()):
            old = [line for line in lines if not line.open or line.older_than(_KEEPALIVE)]
            for line in old:
                line.hang_up()
            self._idle[origin] = [line for line in lines if line.open]
        if any(self._idle.values()):
            self._sweeper = asyncio.get_running_loop().call_later(_KEEPALIVE, self._sweep)


def _written(ask: Ask, *, last: bool) -> bytes:
    """The request as it goes out; ``last`` asks the server to close the connection after it.

    Raises :class:`~overnight.providers.transport.NotSentError` where a line of it would become
    two, or has characters that can't go into one.
    """
    site, body = ask.site, ask.body or b""
    lines = [f"{ask.method} {site.prefix}{ask.path} HTTP/1.1", f"Host: {site.authority}"]
    lines += [f"{name}: {value}" for name, value in ask.headers]
    if body or ask.method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    if last:
        lines.append("Connection: close")
    head = "\r\n".join(lines)
    # Not by catching an error of encode(): it would hold the whole head, and so the token.
    if not head.isascii() or not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise NotSentError("the request has characters that can't be sent in a header")
    return f"{head}\r\n\r\n".encode("ascii") + body
