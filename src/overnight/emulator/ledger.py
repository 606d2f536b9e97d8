"""What the emulator was asked, counted exactly: the witness of every test about paying twice.

Everything is written down in the same step that makes it true, with no await in between, so that
no reader can see one without the other. ``calls[submit]`` always equals the accepted submits plus
those turned away, those replayed and those that are still being read.
"""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overnight.emulator.routes import Call

MASK = "***"
"""What stands in a kept header in place of the credentials."""


@dataclass(frozen=True, slots=True)
class Received:
    """A submit as it came over the wire, credentials masked. ``at`` is in seconds since start."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submit that was taken and paid. ``at`` is in seconds since start."""

    request_id: str
    model: str
    inputs: Mapping[str, Any]
    body_sha256: str
    at: float
    duplicate_of: str | None
    """The first request that was accepted with the same model and inputs."""


class Ledger:
    """Counts since the start or the last reset."""

    def __init__(self, keep_submits: int) -> None:
        self.accepted: list[Accepted] = []
        self.duplicates: list[Accepted] = []
        self.replayed = 0
        """Submits whose key had been accepted before, answered with that request."""
        self.cancelled: list[str] = []
        self.turned_away: Counter[str] = Counter()
        """Submits that were not accepted, by reason; a fault counts under its own name."""
        self.calls: Counter[Call] = Counter()
        self.faults: Counter[str] = Counter()
        """How often each fault struck, as ``call:fault``."""
        self.media_with_token = 0
        """Media requests that carried credentials: each one is a leak."""
        self.max_open = 0
        """Most requests that were accepted and unfinished at one instant."""
        self.received: deque[Received] = deque(maxlen=keep_submits)
        """The last submits whose body was read, accepted or not."""
        self._firsts: dict[str, str] = {}

    def accept(self, entry: Accepted, digest: str) -> Accepted:
        """Write an accepted submit down; returns it with ``duplicate_of`` filled in."""
        first = self._firsts.setdefault(digest, entry.request_id)
        if first != entry.request_id:
            entry = Accepted(
                entry.request_id, entry.model, entry.inputs, entry.body_sha256, entry.at, first
            )
            self.duplicates.append(entry)
        self.accepted.append(entry)
        return entry

    def saw_open(self, count: int) -> None:
        """Remember ``count`` if no more were ever open at once."""
        self.max_open = max(self.max_open, count)

    def as_json(self, *, brief: bool = False) -> dict[str, Any]:
        """Everything as JSON values; ``brief`` leaves the lists of submits out."""
        counts: dict[str, Any] = {
            "accepted": len(self.accepted),
            "duplicates": len(self.duplicates),
            "replayed": self.replayed,
            "cancelled": len(self.cancelled),
            "turned_away": dict(self.turned_away),
            "calls": {call.value: self.calls[call] for call in Call},
            "faults": dict(self.faults),
            "max_open": self.max_open,
            "media_with_token": self.media_with_token,
        }
        if brief:
            return counts
        return counts | {
            "submits": [_accepted_json(entry) for entry in self.accepted],
            "cancelled_ids": list(self.cancelled),
            "received": [_received_json(entry) for entry in self.received],
        }


def _accepted_json(entry: Accepted) -> dict[str, Any]:
    return {
        "request_id": entry.request_id,
        "model": entry.model,
        "inputs": dict(entry.inputs),
        "body_sha256": entry.body_sha256,
        "at": entry.at,
        "duplicate_of": entry.duplicate_of,
    }


def _received_json(entry: Received) -> dict[str, Any]:
    return {
        "method": entry.method,
        "path": entry.path,
        "headers": [list(pair) for pair in entry.headers],
        "body_base64": base64.b64encode(entry.body).decode("ascii"),
        "at": entry.at,
    }


def mask(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    """Raw headers as text, order and letter case kept, credentials replaced by :data:`MASK`."""
    return tuple(
        (
            name.decode("latin-1"),
            MASK if name.lower() == b"authorization" else value.decode("latin-1"),
        )
        for name, value in headers
    )
