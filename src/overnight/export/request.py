"""What is asked of an export."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from overnight.export.errors import ExportError
from overnight.export.splits import Splits
from overnight.lifecycle import State

SHARD_BYTES = 1_000_000_000
SHARD_SAMPLES = 10_000
"""Bounds of a shard unless others are asked for."""

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([kmgt]?b?)\s*", re.IGNORECASE)
_SMALLEST_SHARD = 1_000


class Suspects(StrEnum):
    """What becomes of files that a look inside found suspect."""

    NO = "no"
    YES = "yes"
    ANY = "any"

    def takes(self, suspect: str | None) -> bool:
        """Whether a file with that finding (None: nothing found) is part of the export."""
        return self is Suspects.ANY or (suspect is not None) == (self is Suspects.YES)


@dataclass(frozen=True, slots=True)
class Shards:
    """Bounds of a shard: bytes of media and number of samples. One larger file is a shard of its
    own."""

    bytes: int = SHARD_BYTES
    samples: int = SHARD_SAMPLES


@dataclass(frozen=True, slots=True)
class Request:
    """One export. ``batches`` are names, sorted; ``where`` is only the text of the condition,
    which whoever hands over the jobs has applied. ``split`` is None where none was asked for."""

    root: Path
    format: str
    batches: tuple[str, ...]
    states: frozenset[State] = frozenset({State.SUCCEEDED})
    where: str | None = None
    suspects: Suspects = Suspects.NO
    split: Splits | None = None
    shards: Shards = field(default_factory=Shards)
    copy: bool = False

    @property
    def splits(self) -> Splits:
        return self.split or Splits.whole()

    def as_json(self) -> dict[str, Any]:
        """What must be the same when an export is made again in the same folder."""
        return {
            "format": self.format,
            "batches": list(self.batches),
            "states": sorted(self.states),
            "where": self.where,
            "suspect": self.suspects.value,
            "split": None if self.split is None else str(self.split),
            "shard_bytes": self.shards.bytes,
            "shard_samples": self.shards.samples,
        }


def shard_size(text: str) -> int:
    """Bytes from ``1GB``, ``500 MB`` or ``1.5gb``. Raises
    :class:`~overnight.export.errors.ExportError`."""
    found = _SIZE.fullmatch(text)
    size = 0 if found is None else int(float(found[1]) * _UNITS.get(found[2].lower(), 0))
    if size < _SMALLEST_SHARD:
        raise ExportError(f"--shard-size can't be {text!r}. Write it like 500MB or 1GB.")
    return size
