"""Which proxy a call goes through, as the environment says it."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

from yarl import URL

from overnight.providers.loopback import is_loopback


class Proxies:
    """The proxies that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name; none unless
    ``trust_env``. ``login`` says whether to sign in where a proxy's address has a user name."""

    def __init__(self, *, trust_env: bool, login: bool = True) -> None:
        self._found = getproxies() if trust_env else {}
        self._login = login

    def between(self, scheme: str, host: str) -> str | None:
        """The address of the proxy before ``host``; None where there is none, as always before
        this machine."""
        proxy = self._found.get(scheme)
        if proxy is None or is_loopback(host) or proxy_bypass(host):
            return None
        address = proxy if "://" in proxy else f"http://{proxy}"
        return address if self._login else str(URL(address).with_user(None))
