"""Asks a file server for a file, or for the rest of one, and follows where it sends us.

No token, no cookie and no user name goes along, and nothing but https is asked, except from hosts
that the caller names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from overnight import __version__
from overnight.artifacts.outcomes import Unfetchable
from overnight.artifacts.part import Version

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Wire:
    """Asks over ``transport``, which raises ``httpx.TransportError`` for what the wire did and
    follows no redirect. ``connect`` and ``read`` are seconds."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        plain_http_hosts: frozenset[str],
        *,
        connect: float,
        read: float,
    ) -> None:
        self._transport = transport
        self._plain_http_hosts = plain_http_hosts
        self._timeout = {"connect": connect, "read": read}

    @asynccontextmanager
    async def asked(
        self, url: str, version: Version | None = None, start: int = 0
    ) -> AsyncIterator[tuple[httpx.Response, str] | Unfetchable]:
        """The answer, and the address that gave it. With ``version`` only the bytes from ``start``
        on are asked for, as long as the file still is that version."""
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"overnight/{__version__}",
        }
        if version is not None:
            headers |= {"Range": f"bytes={start}-", "If-Range": version.validator}
        place = self._allowed(url, None)
        for _ in range(_MOST_REDIRECTS + 1):
            if isinstance(place, Unfetchable):
                yield place
                return
            response = await self._transport.handle_async_request(self._request(place, headers))
            try:
                if response.status_code not in _REDIRECTS:
                    yield response, str(place)
                    return
                place = self._allowed(response.headers.get("location", ""), place)
            finally:
                await response.aclose()
        yield Unfetchable(f"more than {_MOST_REDIRECTS} redirects")

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _request(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Request:
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
