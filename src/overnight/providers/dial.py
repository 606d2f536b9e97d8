"""Opens connections: the name looked up, the first address that answers, TLS.

Nothing of a request is here yet, so every failure is a
:class:`~overnight.providers.transport.NotSentError`. Where a name has several addresses they are
tried in turn, each a quarter of a second after the one before (RFC 8305); the one that answered
takes the next calls straight, until the name is looked up anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import aiohappyeyeballs
import httpx

from overnight.providers.transport import NotSentError, system_words
from overnight.providers.wire import Site

_FRESH = 10.0
"""Seconds for which an address that was found is believed."""

_HEAD_START = 0.25
"""Seconds before the next address of a name is tried beside the one before."""

_P = TypeVar("_P", bound=asyncio.Protocol)


class Dialer:
    """Opens connections to sites. ``tls`` is for https; left out, httpx's own (certifi, or what
    ``SSL_CERT_FILE`` names)."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._known: dict[str, tuple[str, float]] = {}
        """An address that answered, and until when (the loop's time) it is believed."""
        self._looking = asyncio.Lock()

    async def open(self, site: Site, make: Callable[[], _P], within: float | None) -> _P:
        """A connection to ``site`` that ``make``'s protocol stands on, after at most ``within``
        seconds. Raises :class:`~overnight.providers.transport.NotSentError`."""
        try:
            async with asyncio.timeout(within):
                return await self._open(site, make)
        except TimeoutError:
            why = "no connection in time"
            self._forget(site)
        except (OSError, ValueError, RuntimeError) as exc:
            why = f"the request could not be sent ({type(exc).__name__})"
        raise NotSentError(why)

    async def _open(self, site: Site, make: Callable[[], _P]) -> _P:
        address = self._address(site)
        if address is not None:
            try:
                return await self._join(site, make, address)
            except NotSentError:
                self._forget(site)
                if address == site.host:
                    raise
        return await self._join(site, make, await self._look_up(site))

    async def _look_up(self, site: Site) -> socket.socket | str:
        # Hundreds of calls may begin at once; one look is enough for all of them.
        async with self._looking:
            return self._address(site) or await self._race(site)

    def _forget(self, site: Site) -> None:
        self._known.pop(site.origin, None)

    def _address(self, site: Site) -> str | None:
        """The address to take at once, if one is known."""
        known = self._known.get(site.origin)
        if known is None and _is_address(site.host):
            known = self._known[site.origin] = (site.host, float("inf"))
        if known is None or known[1] < asyncio.get_running_loop().time():
            return None
        return known[0]

    async def _race(self, site: Site) -> socket.socket | str:
        """A socket connected to the first address that answers, or the only address."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(site.host, site.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotSentError(f"the name {site.host} can't be resolved") from None
        if len(found) == 1:
            winner, address = None, str(found[0][4][0])
        else:
            try:
                winner = await aiohappyeyeballs.start_connection(
                    found, happy_eyeballs_delay=_HEAD_START
                )
            except (OSError, RuntimeError) as exc:
                raise _no_connection(site, exc) from None
            address = str(winner.getpeername()[0])
        self._known[site.origin] = (address, loop.time() + _FRESH)
        return address if winner is None else winner

    async def _join(self, site: Site, make: Callable[[], _P], to: socket.socket | str) -> _P:
        """The protocol, on a socket that is connected already or on a new one to an address."""
        loop = asyncio.get_running_loop()
        tls = self._context() if site.tls else None
        name = site.host if site.tls else None
        try:
            if isinstance(to, str):
                _, line = await loop.create_connection(
                    make, to, site.port, ssl=tls, server_hostname=name
                )
            else:
                _, line = await loop.create_connection(make, sock=to, ssl=tls, server_hostname=name)
        except ssl.SSLCertVerificationError:
            why = f"the certificate of {site.host} can't be trusted"
        except ssl.SSLError:
            why = f"the TLS handshake with {site.host} failed"
        except OSError as exc:
            raise _no_connection(site, exc) from None
        else:
            return line
        raise NotSentError(why)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _no_connection(site: Site, exc: Exception) -> NotSentError:
    why = system_words(exc) if isinstance(exc, OSError) else type(exc).__name__
    return NotSentError(f"no connection to {site.host}:{site.port}: {why}")
