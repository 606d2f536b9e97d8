"""What can come of a download: a closed set, one kind for each party who has to act on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a look at a file's content said.

    ``suspect``: why it can't be what was asked for, as part of a sentence; None when nothing is
    wrong with it. ``probe``: what it is, as JSON values (``probed`` false: it was not decoded, and
    ``why``). ``damaged``: another download may bring a better one.
    """

    suspect: str | None
    probe: Mapping[str, Any]
    damaged: bool = False


Examine = Callable[[Path, str], Awaitable[Opinion]]
"""Looks at a file (its path, and the suffix that it is to have) before it gets its name."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file is on disk, whole and durable. ``sha256`` in hex; ``content_type`` as sent.

    ``address`` is where it was put, whole, when its place is not on this disk; ``path`` is only
    where it was made then, and may be gone.
    """

    path: Path
    bytes: int
    sha256: str
    content_type: str | None = None
    opinion: Opinion | None = field(default=None, compare=False)
    address: str | None = None

    @property
    def location(self) -> str:
        """What is put on record: where the file is to be found."""
        return str(self.path) if self.address is None else self.address


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


Trouble = Expired | Unfetchable | TryAgain
FetchOutcome = Fetched | Trouble | StorageFault
