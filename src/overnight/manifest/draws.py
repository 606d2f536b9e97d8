"""Values drawn at random for an axis, and kept: ``{random: 4}`` and ``{random: 4, from: 42}``.

What was drawn once is used again by every later reading of the batch's manifest; when more values
are wanted, more are drawn, and the first ones stay. With ``from`` the values are the same on every
machine: each is SHA-256 of the axis's name, what it may be, the seed and a counter.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from overnight.catalog import InputSpec, Kind

LARGEST = 2**32 - 1
"""The largest number drawn where nothing else limits it: seeds are 32 bits wide nearly always."""
_GRAIN = 10_000
"""Steps of a range of fractions."""
_MISSES = 1_000
"""Values in a row that were there already, before the rest is taken for unreachable."""


class DrawProblem(ValueError):
    """Values that can't be drawn. The text is a sentence for people."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Domain:
    """What may be drawn: one of ``options``, or ``low + n * step`` for ``size`` numbers."""

    size: int
    low: float | int = 0
    step: float | int = 1
    options: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """The domain in words, part of what the values with ``from`` depend on."""
        if self.options:
            return json.dumps(self.options, ensure_ascii=False)
        return f"{self.low} + {self.step} * {self.size}"

    def at(self, number: int) -> Any:
        """The value of a number below :attr:`size`."""
        if self.options:
            return self.options[number]
        value = self.low + number * self.step
        return round(value, 9) if isinstance(value, float) else value

    def holds(self, value: Any) -> bool:
        """Whether a value could have been drawn from here."""
        if self.options:
            return value in self.options
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return numeric and self.low <= value <= self.low + (self.size - 1) * self.step


def domain(spec: InputSpec | None, name: str) -> Domain:
    """What an input may be, by its schema; a whole number of 32 bits for a variable, and for an
    input of which nothing is known.

    Raises :class:`DrawProblem` for inputs of which no value can be made up.
    """
    if spec is None or (spec.kind is Kind.ANY and not spec.enum):
        return Domain(LARGEST + 1)
    if spec.enum:
        return Domain(len(spec.enum), options=spec.enum)
    if spec.kind is Kind.BOOLEAN:
        return Domain(2, options=(False, True))
    if spec.kind is Kind.INTEGER:
        low = 0 if spec.minimum is None else int(-(-spec.minimum // 1))
        high = max(low, LARGEST) if spec.maximum is None else int(spec.maximum // 1)
        return Domain(max(0, high - min(low, high) + 1), min(low, high))
    if spec.kind is Kind.NUMBER and spec.minimum is not None and spec.maximum is not None:
        width = spec.maximum - spec.minimum
        return Domain(_GRAIN + 1, float(spec.minimum), width / _GRAIN)
    hint = f"write its values: {name}: [first, second]"
    raise DrawProblem(f"the schema doesn't say from what {name} could be drawn", hint)


class Draws:
    """The random values of one manifest. ``kept`` are those of earlier readings."""

    def __init__(self, kept: Mapping[str, list[Any]]) -> None:
        self.values: dict[str, list[Any]] = {name: list(values) for name, values in kept.items()}
        self.used: dict[str, list[Any]] = {}
        """What this manifest asks for, to be kept with its batch."""

    def take(self, name: str, what: Domain, n: int, seed: int | None) -> list[Any]:
        """``n`` different values for the axis of that name. Raises :class:`DrawProblem`.

        Axes of one name share their values, so that two blocks that draw seeds can be compared.
        """
        key = name if seed is None else f"{name} from {seed} in {what.text}"
        if n > what.size:
            message = f"{name} can only be one of {what.size} values, and {n} are to be drawn"
            raise DrawProblem(message, "draw fewer, or leave random out and list them")
        known = self.values.setdefault(key, [])
        self.used[key] = known
        fitting = [value for value in known if what.holds(value)]
        if len(fitting) < n:
            fitting += _more(known, what, n - len(fitting), _numbers(key, what.size, seed))
        return fitting[:n]


def _more(known: list[Any], what: Domain, n: int, numbers: Iterator[int]) -> list[Any]:
    """Draw ``n`` values that are not among the known ones, and add them there."""
    seen = {json.dumps(value) for value in known}
    found: list[Any] = []
    misses = 0
    while len(found) < n:
        value = what.at(next(numbers) if misses < _MISSES else _first_free(what, seen))
        mark = json.dumps(value)
        if mark in seen:
            misses += 1
            continue
        seen.add(mark)
        found.append(value)
        misses = 0
    known += found
    return found


def _first_free(what: Domain, seen: set[str]) -> int:
    """A number whose value is not there yet; chance takes too long to find the last few."""
    return next(n for n in range(what.size) if json.dumps(what.at(n)) not in seen)


def _numbers(key: str, size: int, seed: int | None) -> Iterator[int]:
    if seed is None:
        while True:
            yield secrets.randbelow(size)
    at = 0
    while True:
        digest = hashlib.sha256(f"overnight draw\n{key}\n{at}".encode()).digest()
        yield int.from_bytes(digest, "big") % size
        at += 1
