"""What a provider's calls are made of, and what carries them: a request out, a whole answer back.

A :class:`Wire` is told what to send and gives the answer once all of it is there. Two carry it:
:class:`~overnight.providers.lines.Lines` writes straight to a connection, which is what nearly
every call takes; :class:`OverTransport` goes through any httpx transport, for calls that need a
proxy. Both say in the same two errors whether a request that failed may have arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import httpx

from overnight.providers.transport import MaybeSentError, NotSentError

LONGEST_BODY = 4 * 1024 * 1024
"""Bytes of an answer that are read; none of an API's is near it."""

_PIECE = 16 * 1024
"""Bytes that are unpacked at a time, so that a small answer can't fill the memory."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where calls go: what comes before a call's own path."""

    origin: str
    """Scheme, host and port as one text: two sites of one origin share connections."""
    scheme: str
    """``http`` or ``https``."""
    host: str
    """Without brackets."""
    port: int
    authority: str
    """What stands in the Host header: the port only where it isn't the scheme's own."""
    prefix: str
    """The path before that of the call, encoded, without a slash at its end; may be empty."""

    @classmethod
    def of(cls, base: str) -> Site:
        """The site at a base URL, scheme and host and any path."""
        url = httpx.URL(base)
        port = url.port or (443 if url.scheme == "https" else 80)
        prefix = url.raw_path.decode("ascii").rstrip("/")
        authority = url.netloc.decode("ascii")
        return cls(f"{url.scheme}://{authority}", url.scheme, url.host, port, authority, prefix)

    @property
    def tls(self) -> bool:
        return self.scheme == "https"


@dataclass(slots=True, repr=False, eq=False)
class Ask:
    """One request. It has no repr: its headers hold the token."""

    method: str
    site: Site
    path: str
    """Path and query as they go out, encoded, beginning with a slash; after the site's prefix."""
    headers: Sequence[tuple[str, str]]
    """All but Host, Content-Length and Connection."""
    body: bytes | None = None
    connect: float | None = None
    """Seconds for the connection: name, TCP, TLS. None sets no limit."""
    total: float | None = None
    """Seconds for the whole call with its answer."""


class Reply(NamedTuple):
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """Unpacked, where it came compressed."""


class Wire(Protocol):
    """Carries calls."""

    def call(self, ask: Ask) -> Awaitable[Reply]:
        """The answer. Raises :class:`~overnight.providers.transport.NotSentError` only when not
        one byte of the request was handed to a connection; every other failure is a
        :class:`~overnight.providers.transport.MaybeSentError` and has the answer's status, if its
        head came."""
        ...

    async def aclose(self) -> None:
        """Close what is open. Calls after this are not sent."""
        ...


@dataclass(slots=True)
class OverTransport:
    """A wire over an httpx transport, called past ``httpx.AsyncClient``: redirects, cookies and
    authentication are layers that a call with a token does better without.

    Whatever httpx error the transport raises is taken for 'maybe sent', unless it is our own
    :class:`~overnight.providers.transport.NotSentError`. It owns the transport and closes it.
    """

    transport: httpx.AsyncBaseTransport = field(repr=False)

    async def call(self, ask: Ask) -> Reply:
        """See :class:`Wire`."""
        request, status = _as_httpx(ask), None
        try:
            response = await self.transport.handle_async_request(request)
            status = response.status_code
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except NotSentError:
            raise
        except httpx.RequestError as exc:
            reason = str(exc) or type(exc).__name__
        else:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return unpacked(status, headers, body)
        # Outside the handler: a stranger's errors may hold the request, and so the token.
        raise MaybeSentError(reason, status=status)

    async def aclose(self) -> None:
        """Close the transport."""
        await self.transport.aclose()


def too_long(status: int) -> MaybeSentError:
    """What is said of an answer that nobody wants to hold."""
    return MaybeSentError(f"the answer is longer than {LONGEST_BODY:,} bytes", status=status)


def unpacked(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """The answer, its body unpacked where ``content-encoding`` says that it is packed.

    Raises :class:`~overnight.providers.transport.MaybeSentError` where it can't be, or is too long.
    """
    encoding = headers.get("content-encoding")
    if encoding is None:
        return Reply(status, headers, body)
    packed = [(b"content-encoding", encoding.encode("latin-1"))]
    response = httpx.Response(status, headers=packed, content=_pieces(body))
    found = bytearray()
    try:
        for piece in response.iter_bytes():
            found += piece
            if len(found) > LONGEST_BODY:
                break
    except httpx.DecodingError:
        raise MaybeSentError("the answer can't be unpacked", status=status) from None
    if len(found) > LONGEST_BODY:
        raise too_long(status)
    return Reply(status, headers, bytes(found))


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))


def _as_httpx(ask: Ask) -> httpx.Request:
    site = ask.site
    return httpx.Request(
        ask.method,
        f"{site.origin}{site.prefix}{ask.path}",
        headers=list(ask.headers),
        content=ask.body,
        extensions={"timeout": {"connect": ask.connect, "total": ask.total}},
    )


async def _read(response: httpx.Response) -> bytes:
    """The body as it came over the wire."""
    body = bytearray()
    async for chunk in _stream(response):
        body += chunk
        if len(body) > LONGEST_BODY:
            raise too_long(response.status_code)
    return bytes(body)


def _stream(response: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)
