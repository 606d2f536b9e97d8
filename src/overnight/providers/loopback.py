"""Which hosts are this machine itself: the only ones that plain http may be spoken to."""

from __future__ import annotations

import ipaddress

LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
"""The ways to write this machine that a local server puts into its URLs."""


def is_loopback(host: str) -> bool:
    """Whether ``host`` (without port or brackets) is ``localhost``, ``::1`` or in 127.0.0.0/8.

    A name is never looked up: ``localhost.example.org`` is not loopback, wherever it points.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
