"""Brings a result's file home, whole or not at all, and says what came of it.

Downloads are free and never carry a token. A file counts as whole only when the server's own
framing says so (a length, or chunks with an end) and it does not look like a web page: a login
page saved as ``.mp4`` is worth less than an error. Trouble with the server, with the URL and with
the disk are three outcomes, because they are three different people's to solve.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from overnight import __version__
from overnight.artifacts.naming import MEDIA_SUFFIXES, media_type, suffix_in
from overnight.artifacts.part import Part, PartBusyError, holds

_T = TypeVar("_T")

Target = Path | Callable[[str | None], Path]
"""Where the file goes; a function is given the answer's Content-Type and says where."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are on disk and the total, where that is known."""

RetryAfter = Callable[[httpx.Headers, float], float | None]
"""Reads Retry-After out of headers, given the Unix time: seconds, or None."""

_BLOCK = 256 * 1024
_MOST_REDIRECTS = 5
_WRITERS = 4
"""Threads that write: a slow disk must not hold up the event loop, nor the name look-ups that
share the loop's own pool."""

_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""How stores answer a URL that is no longer signed, or whose object is gone. 400 is among them:
S3 and Google say so of an expired token."""
_LATER = frozenset({408, 425, 429})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_WORDS = frozenset({"application/json", "application/xml", "text/xml", "application/problem+json"})
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title")

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has used up its quota"}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file is on disk, whole and durable. ``sha256`` in hex; ``content_type`` as sent."""

    path: Path
    bytes: int
    sha256: str
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """This URL gives no file, or none any more: it is refused, or answered with a page or with
    nothing. The result may have a fresh one. Whoever asks again should count how often."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unfetchable:
    """This URL will never give the file."""

    reason: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now. ``retry_after`` is in seconds, where the server asked for some."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class StorageFault:
    """Our own disk or folder can't take the file: no fault of the job's. A sentence for people."""

    reason: str


FetchOutcome = Fetched | Expired | Unfetchable | TryAgain | StorageFault
_Trouble = Expired | Unfetchable | TryAgain


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
        self._transport = transport
        self._retry_after = retry_after
        self._plain_http_hosts = plain_http_hosts
        self._timeout = {"connect": connect, "read": read}
        self._clock = clock
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="download")

    async def fetch(
        self,
        url: str,
        target: Target,
        *,
        recorded: Fetched | None = None,
        progress: Progress | None = None,
    ) -> FetchOutcome:
        """Fetch ``url`` to ``target`` and say what came of it; raises nothing but cancellation.

        Nothing that is there is overwritten: where ``target`` is taken by other bytes, the
        :class:`Fetched` names another path. With ``recorded``, a file that still holds just what
        it records is the answer, and no call is made.
        """
        if recorded is not None and await self._off_loop(
            partial(holds, recorded.path, recorded.bytes, recorded.sha256)
        ):
            return recorded
        try:
            return await self._follow(url, target, progress)
        except httpx.RequestError as exc:
            return TryAgain(str(exc) or type(exc).__name__)

    async def aclose(self) -> None:
        """Close the transport and let the writing threads go."""
        self._writers.shutdown(wait=False)
        await self._transport.aclose()

    async def _follow(self, url: str, target: Target, progress: Progress | None) -> FetchOutcome:
        place: httpx.URL | _Trouble = self._allowed(url, None)
        for _ in range(_MOST_REDIRECTS + 1):
            if not isinstance(place, httpx.URL):
                return place
            response = await self._transport.handle_async_request(self._request(place))
            try:
                if response.status_code not in _REDIRECTS:
                    return await self._take(response, str(place), target, progress)
                place = self._allowed(response.headers.get("location", ""), place)
            finally:
                await response.aclose()
        return Unfetchable(f"more than {_MOST_REDIRECTS} redirects")

    def _request(self, url: httpx.URL) -> httpx.Request:
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"overnight/{__version__}",
        }
        return httpx.Request("GET", url, headers=headers, extensions={"timeout": self._timeout})

    def _allowed(self, text: str, came_from: httpx.URL | None) -> httpx.URL | Unfetchable:
        """The URL, when it is one that may be fetched from; redirects obey the same rule."""
        try:
            url = httpx.URL(text) if came_from is None else came_from.join(text)
        except (httpx.InvalidURL, ValueError):
            return Unfetchable("the file's address is not a URL")
        if not url.host or (came_from is not None and not text):
            return Unfetchable("the file's address names no place")
        if url.userinfo:
            return Unfetchable("the file's address carries a user name")
        if url.scheme == "https" or (url.scheme == "http" and url.host in self._plain_http_hosts):
            return url
        return Unfetchable(f"the file's address is {url.scheme}, and only https is fetched")

    async def _take(
        self, response: httpx.Response, url: str, target: Target, progress: Progress | None
    ) -> FetchOutcome:
        trouble = self._trouble(response, url)
        if trouble is not None:
            return trouble
        content_type = response.headers.get("content-type")
        path = target if isinstance(target, Path) else target(content_type)
        part = Part(path)
        try:
            await self._off_loop(part.open)
            trouble = await self._fill(part, response, progress)
            if trouble is not None:
                return trouble
            final = await self._off_loop(part.publish)
            return Fetched(final, part.bytes, part.sha256, content_type)
        except PartBusyError as exc:
            return TryAgain(str(exc))
        except OSError as exc:
            return StorageFault(_storage_sentence(exc, path.parent))
        finally:
            part.discard()

    def _trouble(self, response: httpx.Response, url: str) -> _Trouble | None:
        """What the head of the answer says against it."""
        status, headers = response.status_code, response.headers
        if status in _EXPIRED:
            return Expired(f"the server answered {status}")
        if status in _LATER or status >= 500:
            wait = self._retry_after(headers, self._clock())
            return TryAgain(f"the server answered {status}", wait)
        if status != 200:
            kind = Unfetchable if status >= 400 else TryAgain
            return kind(f"the server answered {status} in place of a file")
        kind_sent = media_type(headers.get("content-type"))
        if kind_sent in _PAGES or (kind_sent in _WORDS and suffix_in(url) in MEDIA_SUFFIXES):
            return Expired(f"the server sent {kind_sent} in place of a file")
        if "content-length" not in headers and "chunked" not in headers.get(
            "transfer-encoding", ""
        ):
            return TryAgain("the server does not say how long the file is, so a cut can't be seen")
        return None

    async def _fill(
        self, part: Part, response: httpx.Response, progress: Progress | None
    ) -> Expired | TryAgain | None:
        """Write the body; the next block is read while the last one is written."""
        total = _length(response)
        writing: asyncio.Future[None] | None = None
        try:
            async for block in response.aiter_bytes(_BLOCK):
                if writing is None:
                    if _is_page(block):
                        return Expired("the server sent a web page in place of a file")
                else:
                    await asyncio.shield(writing)
                    _tell(progress, part.bytes, total)
                writing = self._start(partial(part.write, block))
            if writing is not None:
                await asyncio.shield(writing)
        finally:
            await _settled(writing)
        _tell(progress, part.bytes, total)
        if total is not None and response.num_bytes_downloaded != total:
            return TryAgain(f"{response.num_bytes_downloaded} of {total} bytes came")
        return None if part.bytes else Expired("the server sent an empty file")

    def _start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._writers, work)

    async def _off_loop(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in a writing thread; a cancellation waits until it has let the file go."""
        future = self._start(work)
        try:
            return await asyncio.shield(future)
        finally:
            await _settled(future)


async def _settled(future: asyncio.Future[_T] | None) -> None:
    """Wait for a thread's work, whatever comes of it."""
    if future is not None and not future.done():
        await asyncio.wait([future])
    if future is not None and not future.cancelled():
        future.exception()  # seen: asyncio complains of an error that nobody looked at


def _tell(progress: Progress | None, received: int, total: int | None) -> None:
    if progress is not None:
        progress(received, total)


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _is_page(start: bytes) -> bool:
    text = start[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith(b"<!--"):
        text = text.partition(b"-->")[2].lstrip()
    return text.startswith(_PAGE_STARTS)


def _storage_sentence(exc: OSError, folder: Path) -> str:
    if exc.errno in _FULL:
        what = _FULL[exc.errno]
        return f"The disk that holds {folder} {what}: free some space, then run this again."
    if exc.errno in _CLOSED:
        return (
            f"Files can't be written in {folder}: give yourself the right to, then run this again."
        )
    return f"Files can't be written in {folder}: {exc.strerror or type(exc).__name__}."
