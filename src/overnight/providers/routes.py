"""A wire for each call: straight to the site, or through the proxy that the environment names."""

from __future__ import annotations

from collections.abc import Awaitable

from overnight.providers.lines import Lines
from overnight.providers.proxies import Proxies
from overnight.providers.transport import AiohttpTransport
from overnight.providers.wire import Ask, OverTransport, Reply, Wire


class Routes:
    """Calls as the environment wants them; a :class:`~overnight.providers.wire.Wire`. Nothing is
    opened before the first call.

    :param fresh: give every request a connection of its own that nobody used before, as paid
        calls need it.
    :param trust_env: go through the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``
        name. Loopback never does.
    """

    def __init__(self, *, fresh: bool = False, trust_env: bool = False) -> None:
        self._proxies = Proxies(trust_env=trust_env)
        self._straight = Lines(fresh=fresh)
        self._around = OverTransport(AiohttpTransport(fresh=fresh, trust_env=trust_env))

    def call(self, ask: Ask) -> Awaitable[Reply]:
        """See :class:`~overnight.providers.wire.Wire`."""
        proxy = self._proxies.between(ask.site.scheme, ask.site.host)
        wire: Wire = self._straight if proxy is None else self._around
        return wire.call(ask)

    async def aclose(self) -> None:
        """Close both ways."""
        try:
            await self._straight.aclose()
        finally:
            await self._around.aclose()
