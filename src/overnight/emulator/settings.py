"""How an emulator behaves when nothing goes wrong, and the one error for asking it wrongly."""

from __future__ import annotations

import ipaddress
import math
import random
import re
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_TOKEN = "emulator-token"  # noqa: S105 - not a secret: every emulator starts with it
"""The token that an emulator takes unless it is given another one."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|)\s*")


class EmulatorError(Exception):
    """The emulator was asked for something it can't do; the text is for the person who asked."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of durations in seconds, both ends included."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high < math.inf):
            raise EmulatorError(
                f"A time range goes from a smaller to a larger number of seconds, "
                f"not from {self.low:g} to {self.high:g}."
            )

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read ``5``, ``250ms``, ``2s..6s`` or ``1..2m``; a bare number is in seconds.

        Raises :class:`EmulatorError` for anything else.
        """
        low, dots, high = text.partition("..")
        ends = [_TIME.fullmatch(low), _TIME.fullmatch(high if dots else low)]
        if None in ends:
            raise EmulatorError(
                f"{text!r} is no time. Write seconds such as 5 or 250ms, or a range such as 2s..6s."
            )
        first, last = (float(m[1]) * _UNITS[m[2]] for m in ends if m)
        return cls(first, last)

    def draw(self, rng: random.Random) -> float:
        """One duration in seconds, evenly spread over the range."""
        return self.low if self.low == self.high else rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One emulator, as asked for. Money is in US dollars, times are in seconds.

    Raises :class:`EmulatorError` where a value makes no sense, or where ``host`` is anything but
    this machine: the emulator takes money from nobody, and has no business on a network.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port."""
    token: str = field(default=DEFAULT_TOKEN, repr=False)
    slots: int = 4
    """How many requests run at once; the others wait in line."""
    service: Span = Span(0.0, 0.0)
    """How long one request runs."""
    queue_delay: Span = Span(0.0, 0.0)
    """How long a request waits at least, even when a slot is free."""
    service_by_work: bool = False
    """Scale the service time by steps × frames, against the model's own defaults."""
    balance: float = 10_000.0
    price: float = 0.05
    """What each accepted submit takes from the balance."""
    seed: int = 0
    """Of service times and of faults that strike at a rate."""
    media: Literal["clip", "bytes"] = "bytes"
    """Real videos, or small payloads that no player opens."""
    media_ttl: float = 3600.0
    """How long a signed media URL works after the result call that gave it."""
    recovery: Literal["none", "replay", "lookup"] = "none"
    """What an ``Idempotency-Key`` on a submit is good for: nothing, as at RunComfy; sending it
    again gives the first answer; or it can be looked up."""
    fetch_inputs: bool = False
    """Fetch the files that a submit names, and turn it away when one is not there; addresses on
    this machine and data URIs are taken then."""
    keep_submits: int = 1000
    """How many of the last submits are kept as they came over the wire."""

    def __post_init__(self) -> None:
        if not _is_loopback(self.host):
            raise EmulatorError(
                f"The emulator listens on this machine only, so {self.host!r} can't be its host. "
                "Use 127.0.0.1."
            )
        if not 0 <= self.port <= 65535:
            raise EmulatorError(f"{self.port} is no port; use 0 to 65535, where 0 means any.")
        if self.slots < 1:
            raise EmulatorError("The emulator needs at least one slot to run anything.")
        if self.price < 0 or not math.isfinite(self.price + self.balance):
            raise EmulatorError("Price and balance are amounts in US dollars, such as 0.05 and 25.")
        if not self.token.strip() or not self.token.isascii():
            raise EmulatorError("The emulator's token must be plain text that is not empty.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
