"""Which split a sample belongs to: a function of its fingerprint alone.

The fingerprint is hashed to a number from 0 to 1, and the splits' shares divide that line. So a
sample stays where it is however much the batch grows, and equal jobs of two batches never stand on
two sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from overnight.export.errors import ExportError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SHARE = re.compile(r"[0-9]{0,3}\.?[0-9]{1,20}")
_EXAMPLE = "Write it like --split train=0.9,test=0.1."
_LINE = 2**64


@dataclass(frozen=True, slots=True)
class Splits:
    """Names, each with where its part of the line from 0 to 1 ends; the last ends at 1."""

    ends: tuple[tuple[str, Fraction], ...]

    @classmethod
    def whole(cls) -> Splits:
        """Everything is ``train``, the name that loaders give to what has no other."""
        return cls((("train", Fraction(1)),))

    @classmethod
    def parse(cls, text: str) -> Splits:
        """From ``train=0.9,test=0.1``: shares above 0 that sum to exactly 1.

        Raises :class:`~overnight.export.errors.ExportError`.
        """
        ends: list[tuple[str, Fraction]] = []
        end = Fraction(0)
        for name, share in _parts(text):
            if name in (taken for taken, _ in ends):
                raise ExportError(f"--split names {name} twice. {_EXAMPLE}")
            end += share
            ends.append((name, end))
        if end != 1:
            raise ExportError(f"The shares of --split sum to {float(end):g}, and must sum to 1.")
        return cls(tuple(ends))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.ends)

    def of(self, fingerprint: str) -> str:
        """The split of the job with that fingerprint."""
        digest = hashlib.sha256(f"split {fingerprint}".encode()).digest()
        place = Fraction(int.from_bytes(digest[:8], "big"), _LINE)
        return next(name for name, end in self.ends if place < end)

    def __str__(self) -> str:
        shares, before = [], Fraction(0)
        for name, end in self.ends:
            shares.append(f"{name}={float(end - before):.12g}")
            before = end
        return ",".join(shares)


def _parts(text: str) -> Iterator[tuple[str, Fraction]]:
    for part in text.split(","):
        name, equals, share = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(name) or not _SHARE.fullmatch(share):
            raise ExportError(
                f"--split can't read {part.strip()!r}. {_EXAMPLE} Names are lower-case words."
            )
        value = Fraction(Decimal(share))
        if value <= 0:
            raise ExportError(f"The share of {name} must be more than 0. {_EXAMPLE}")
        yield name, value
