"""Whether a provider will be able to fetch an input file: its address is asked, and nobody is told
who asks.

No token, no cookie and no login ever goes out. One HEAD is sent; where that is refused, or says
too little, one GET for the first bytes. What comes back is either the file's facts or a trouble,
and a trouble says whether the file surely can't be had or whether it merely could not be had from
here, now.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

import httpx

from overnight import __version__
from overnight.artifacts.naming import media_type

_MOST_REDIRECTS = 5
_FIRST_BYTES = 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429})
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_RANGE = re.compile(r"bytes\s+\d+-\d+/(\d+)")
_INSIDE = ("localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Reached:
    """The file is there. ``media_type`` is empty and ``size`` (bytes) None where the server does
    not say; ``url`` is where the redirects ended."""

    url: str
    media_type: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """It is not. ``certain``: a provider would fare no better; otherwise it may only be this
    machine's way there, or this moment. ``reason`` reads on from the address: "answers 404"."""

    reason: str
    certain: bool


Look = Reached | Trouble


class Reach:
    """Asks addresses over the transport it is given, which it owns and closes.

    :param transport: raises ``httpx.TransportError``, follows no redirect, sends no login.
    :param connect: seconds until a connection must stand. :param total: seconds for one call.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, connect: float = 10.0, total: float = 20.0
    ) -> None:
        self._transport = transport
        self._timeout = {"connect": connect, "read": total, "total": total}

    async def look(self, url: str) -> Look:
        """What is at ``url``; raises nothing but cancellation."""
        place = _read(url)
        if place is None:
            return Trouble("is not a URL that can be read", certain=True)
        if place.userinfo:
            return Trouble("has a user name or a password in it", certain=True)
        try:
            return await self._follow(place)
        except httpx.RequestError as error:
            return Trouble(f"gives no answer from here: {error}", certain=False)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

    async def _follow(self, place: httpx.URL) -> Look:
        moved = False
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._ask(place)
            if answer.redirect is None:
                return answer.verdict(place, moved=moved)
            moved = True
            onward = _onward(place, answer.redirect)
            if isinstance(onward, Trouble):
                return onward
            place = onward
        return Trouble(f"redirects more than {_MOST_REDIRECTS} times", certain=True)

    async def _ask(self, place: httpx.URL) -> _Answer:
        """HEAD, and GET where HEAD does not tell: some stores sign addresses for GET alone."""
        try:
            head = await self._call("HEAD", place)
        except httpx.RequestError:
            return await self._call("GET", place)
        if head.redirect is not None or (head.status == 200 and head.tells_enough):
            return head
        got = await self._call("GET", place)
        if got.status in (200, 206) and got.size is None:
            return replace(got, size=head.size if head.status == 200 else None)
        return got

    async def _call(self, method: str, place: httpx.URL) -> _Answer:
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"overnight/{__version__}",
        }
        if method == "GET":
            headers["Range"] = f"bytes=0-{_FIRST_BYTES - 1}"
        request = httpx.Request(
            method, place, headers=headers, extensions={"timeout": self._timeout}
        )
        response = await self._transport.handle_async_request(request)
        try:
            start = await _start(response) if method == "GET" else b""
        finally:
            await response.aclose()
        return _Answer.of(response, start)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one call said."""

    status: int
    media_type: str
    size: int | None
    redirect: str | None
    start: bytes

    @classmethod
    def of(cls, response: httpx.Response, start: bytes) -> _Answer:
        headers = response.headers
        redirect = headers.get("location", "") if response.status_code in _REDIRECTS else None
        return cls(
            response.status_code,
            media_type(headers.get("content-type")),
            _size(response),
            redirect,
            start,
        )

    @property
    def tells_enough(self) -> bool:
        return self.size is not None and self.media_type not in _UNSAID

    def verdict(self, place: httpx.URL, *, moved: bool) -> Look:
        """What a last answer means; ``moved`` says that redirects led to it."""
        if self.status in (200, 206) and self._is_page():
            if moved:
                what = f"redirects to a web page at {place.host}, perhaps a login page"
                return Trouble(what, certain=True)
            return Trouble("is a web page, perhaps a login page, and no file", certain=True)
        if self.status == 401:
            return Trouble("answers 401: it wants a login", certain=True)
        if self.status == 407:
            return Trouble("gives no answer from here: a proxy wants a login", certain=False)
        if self.status in _LATER or self.status >= 500:
            return Trouble(f"answers {self.status} at the moment", certain=False)
        if self.status == 416:
            return Trouble("is an empty file", certain=True)
        if self.status not in (200, 206):
            return Trouble(f"answers {self.status}", certain=True)
        if self.size == 0:
            return Trouble("is an empty file", certain=True)
        return Reached(str(place), self.media_type, self.size)

    def _is_page(self) -> bool:
        if self.media_type in _PAGES:
            return True
        text = self.start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        return text.startswith(_PAGE_STARTS)


def is_inside(url: str) -> bool:
    """Whether an address names this machine or a private network, by the address alone (no name is
    looked up): what only this side can reach."""
    place = _read(url)
    if place is None:
        return False
    host = place.host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(_INSIDE[1:]) or "." not in host


def _read(text: str, came_from: httpx.URL | None = None) -> httpx.URL | None:
    """A URL that names a host; None where there is none. httpx escapes what no host can have."""
    try:
        url = httpx.URL(text) if came_from is None else came_from.join(text)
    except (httpx.InvalidURL, ValueError):
        return None
    return url if url.host and "%" not in url.host else None


def _onward(place: httpx.URL, target: str) -> httpx.URL | Trouble:
    """Where a redirect leads, when a provider may go there too."""
    if not target:
        return Trouble("redirects, and does not say where", certain=True)
    onward = _read(target, place)
    if onward is None:
        return Trouble("redirects to an address that can't be read", certain=True)
    if onward.scheme != place.scheme and onward.scheme != "https":
        # A provider may follow it or not; documents promise https alone.
        return Trouble(f"redirects to plain {onward.scheme} at {onward.host}", certain=False)
    if onward.userinfo:
        return Trouble("redirects to an address with a login in it", certain=True)
    if is_inside(str(onward)) and not is_inside(str(place)):
        return Trouble(f"redirects to {onward.host}, inside a private network", certain=True)
    return onward


def _size(response: httpx.Response) -> int | None:
    """The whole file's bytes: of a part's range, or the length of a whole answer."""
    if response.status_code == 206:
        match = _RANGE.match(response.headers.get("content-range", ""))
        return int(match[1]) if match else None
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


async def _start(response: httpx.Response) -> bytes:
    """The first bytes of a body, whatever the server makes of the range."""
    start = b""
    async for block in response.aiter_raw():
        start += block
        if len(start) >= _FIRST_BYTES:
            break
    return start[:_FIRST_BYTES]
