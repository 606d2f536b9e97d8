"""HTTP that knows whether a request left: an httpx transport of our own over aiohttp.

Paying twice begins with a wrong guess about one question: did the provider get the request? The
name of an exception does not tell. So aiohttp's tracing tells us instead: it calls
``on_request_headers_sent`` on a request *before* the first byte is handed to the connection, and
only after the connection (TLS included, and a proxy's tunnel) stands. From that follows the only
rule here:

* the call never came: not one byte of the request was handed over, :class:`NotSentError`;
* it came: the provider may have all of it, whatever happened then, :class:`MaybeSentError`.

The rule errs to one side only: a connection that breaks between the call and the write counts as
maybe sent. A proxy's CONNECT is aiohttp's own request and isn't traced, so a tunnel that fails is
not sent either.

aiohttp repeats an idempotent call by itself when a reused connection turns out dead. That is
welcome for free calls; it never does so for POST, and a *fresh* transport reuses nothing anyway.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError
from yarl import URL

from overnight.providers.proxies import Proxies

_WIRE = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError, EOFError)
"""What aiohttp raises for a call that failed. A cancellation is none of these and passes."""

_OUR_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""aiohttp adds these where they lack; a request here says only what its author wrote."""

_KEEPALIVE = 15.0
"""Seconds that an idle connection is kept for the next free call."""

_READ_BUFFER = 256 * 1024
_LONGEST_HEADER = 32 * 1024
"""Signed URLs in a redirect are long; aiohttp's own limit is 8 KiB."""


class NotSentError(httpx.TransportError):
    """The call failed, and surely no byte of the request was handed to a connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MaybeSentError(httpx.TransportError):
    """The call failed after the request was, or may have been, handed to a connection.

    ``status`` is that of an answer which broke off after its head, where whoever raises this saw
    the head.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(slots=True)
class Handover:
    """How far one request came, as aiohttp's tracing tells it."""

    connected: bool = False
    """A connection was made for it, or an open one was given to it."""
    reused: bool = False
    """That connection had carried a request before."""
    started: bool = False
    """Its bytes were about to be handed to the connection: from here on it may have left."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests through aiohttp, and raises only the two errors of this module.

    :param fresh: give every request a connection of its own that nobody used before. Paid calls
        need it: an idle connection may be closing at the other end just as it is written to.
    :param limit: connections open at once; 0 sets no limit.
    :param trust_env: go through the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``
        name. Loopback never does. ``~/.netrc`` is never read.
    :param proxy_login: sign in at that proxy, where its address carries a user name.
    :param tls: for https; left out, httpx's own (certifi, or what ``SSL_CERT_FILE`` names).

    No redirects, no cookies, no decompression (httpx decodes bodies). Time limits in seconds come
    from ``request.extensions["timeout"]``: httpx's ``connect``, ``read`` and ``pool``, and
    ``total`` of our own for the whole call with its body. Looking the name up and waiting for a
    free connection count within ``connect`` plus ``pool``.
    """

    def __init__(
        self,
        *,
        fresh: bool = False,
        limit: int = 0,
        trust_env: bool = False,
        proxy_login: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._fresh = fresh
        self._limit = limit
        self._proxies = Proxies(trust_env=trust_env, login=proxy_login)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still to be streamed; an error of this module if none came.

        The caller closes the response. Whatever else is wrong with the request (a control
        character in a header, say) is a :class:`NotSentError` too.
        """
        handover = Handover()
        try:
            answer = await self._send(request, handover)
        except _WIRE as exc:
            fault = _fault(exc, handover)
        else:
            return httpx.Response(
                answer.status,
                headers=list(answer.raw_headers),
                stream=_Body(answer, handover),
                extensions={"reason_phrase": (answer.reason or "").encode("latin-1", "replace")},
            )
        # Outside the handler: aiohttp's errors carry the request's headers, and with them the
        # token, so ours must not carry aiohttp's as their context.
        raise fault

    async def aclose(self) -> None:
        """Close every connection. Calls after this are not sent."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: httpx.Request, handover: Handover) -> aiohttp.ClientResponse:
        url = URL(str(request.url), encoded=True)
        session = self._open_session()
        return await session.request(
            request.method,
            url,
            headers=[(k.decode("ascii"), v.decode("latin-1")) for k, v in request.headers.raw],
            data=await request.aread() or None,
            allow_redirects=False,
            ssl=self._tls_context() if url.scheme == "https" else True,
            proxy=self._proxies.between(url.scheme, url.host or ""),
            timeout=_limits(request.extensions.get("timeout", {})),
            trace_request_ctx=handover,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the transport is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # True would also read ~/.netrc and send what it finds
                trace_configs=[_tracing()],
                skip_auto_headers=_OUR_OWN_HEADERS,
                read_bufsize=_READ_BUFFER,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        if self._fresh:
            return aiohttp.TCPConnector(limit=self._limit, force_close=True)
        return aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=_KEEPALIVE)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


class _Body(httpx.AsyncByteStream):
    """An answer's body as it arrives; a body that is cut short raises."""

    def __init__(self, answer: aiohttp.ClientResponse, handover: Handover) -> None:
        self._answer = answer
        self._handover = handover

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                chunk = await self._answer.content.readany()
            except _WIRE as exc:
                fault = _fault(exc, self._handover)
                break
            if not chunk:
                return
            yield chunk
        raise fault

    async def aclose(self) -> None:
        # A body read to its end has given its connection back already; any other is cut off.
        self._answer.close()


def _limits(timeout: dict[str, Any]) -> aiohttp.ClientTimeout:
    connect, pool = timeout.get("connect"), timeout.get("pool")
    return aiohttp.ClientTimeout(
        total=timeout.get("total"),
        connect=None if connect is None else connect + (pool or 0.0),
        sock_connect=connect,
        sock_read=timeout.get("read"),
    )


def _tracing() -> aiohttp.TraceConfig:
    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(_on_connection)
    config.on_connection_reuseconn.append(_on_reused_connection)
    config.on_request_headers_sent.append(_on_bytes)
    return config


async def _on_connection(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.connected = True


async def _on_reused_connection(
    _session: object, context: SimpleNamespace, _params: object
) -> None:
    context.trace_request_ctx.connected = True
    context.trace_request_ctx.reused = True


async def _on_bytes(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.started = True


def _fault(exc: Exception, handover: Handover) -> NotSentError | MaybeSentError:
    """Which of the two it is comes from the handover alone; ``exc`` only lends the words."""
    if not handover.started:
        return NotSentError(_why_not_sent(exc, handover))
    return MaybeSentError(_why_lost(exc, handover))


def _why_not_sent(exc: Exception, handover: Handover) -> str:
    if handover.connected:
        return "the connection was lost before the request was written to it"
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {exc.host} can't be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {exc.host} can't be trusted"
        case aiohttp.ClientConnectorSSLError():
            return f"the TLS handshake with {exc.host} failed"
        case aiohttp.ClientConnectorError():
            return f"no connection to {exc.host}:{exc.port}: {system_words(exc.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered {exc.status}"
        case TimeoutError():
            return "no connection in time"
    return f"the request could not be sent ({type(exc).__name__})"


def _why_lost(exc: Exception, handover: Handover) -> str:
    match exc:
        case TimeoutError():
            return "the request was sent, and no whole answer came in time"
        case aiohttp.ClientPayloadError():
            return "the answer broke off before its end"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return "the request was sent, and what came back is not HTTP"
        case aiohttp.ServerDisconnectedError():
            which = "a reused connection" if handover.reused else "the connection"
            return f"the request was sent, then {which} was closed without an answer"
        case OSError():
            words = system_words(exc)
            return f"the request was sent, then the connection was lost: {words}"
    return f"the request was sent, then something went wrong ({type(exc).__name__})"


def system_words(exc: OSError) -> str:
    """What the system calls the error; its class where it has no number."""
    # The text beside the number may be asyncio's own, with an address in it a second time.
    return os.strerror(exc.errno) if exc.errno else type(exc).__name__
