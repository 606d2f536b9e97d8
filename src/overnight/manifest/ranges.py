"""Ranges of numbers, as people write them on an axis. Pure and exact.

Three texts count as a range, with spaces wherever they help, and nothing around them:

- ``8-14 (+2)`` and ``14-8 (-2)``: from, to and the step with its sign. The end is included when a
  step lands on it; ``8-14 (+4)`` is 8 and 12.
- ``0.6-2 [8]``: so many values at even distances, both ends among them.
- ``1, 2, .., 10``: two or more numbers that begin a row, two dots, and where the row ends. The end
  must be part of the row. Three dots and the sign ``…`` are the same.

So ``16-9``, ``8-14`` and ``1, 2, 3`` are no ranges, nor is any text with a letter in it. A number
has digits, perhaps a sign before them and a fraction after a point; there are no exponents.

Arithmetic is decimal: a step of 0.1 is that, and the values read as a person would write them.
When all values are whole they are ints, otherwise all are floats.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

MOST_VALUES = 100_000
"""The most values of one range."""
_LONGEST = 200
"""Characters of a range; a longer text is none."""
_PLACES = 5
"""Places kept after the first digit of the distance, where a value has no end in decimals."""

_NUMBER = r"(-?[0-9]{1,15}(?:\.[0-9]{1,12})?)"
_SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,12})?)"
_STEPPED = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*\(\s*([+-])\s*{_SIZE}\s*\)\s*")
_SPACED = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*\[\s*([0-9]{{1,15}})\s*\]\s*")
_CONTINUED = re.compile(
    rf"\s*(-?[0-9.]+(?:\s*,\s*-?[0-9.]*[0-9])*)\s*,\s*(?:\.\.\.?|…)\s*,\s*{_NUMBER}\s*"
)
_ALONE = re.compile(_NUMBER)
_DASHES = str.maketrans("\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "---")
"""Signs that editors and telephones write in place of a hyphen."""


class RangeProblem(ValueError):
    """A range that makes no sense. The text is a sentence for people."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def is_range(text: str) -> bool:
    """Whether a text has one of the three forms; it may still make no sense."""
    if len(text) > _LONGEST:
        return False
    if _STEPPED.fullmatch(text) or _SPACED.fullmatch(text):
        return True
    return _beginning(text) is not None


def meant(text: str) -> str | None:
    """The range that a text seems to mean although it is none: without its step, or with dots or
    a longer dash in place of the hyphen."""
    if len(text) > _LONGEST or is_range(text):
        return None
    plain = re.sub(r"\.\.\.?|…", "-", text.translate(_DASHES))
    candidates = (plain, f"{plain} (+1)", f"{plain} (-1)")
    for candidate in map(str.strip, candidates):
        try:
            read_range(candidate)
        except RangeProblem:
            continue
        return candidate
    return None


def read_range(text: str, *, whole: bool = False) -> list[int | float]:
    """The values of a range. ``whole`` refuses fractions, for inputs that take integers.

    Raises :class:`RangeProblem`, also for a text that is no range.
    """
    if len(text) <= _LONGEST:
        if (found := _STEPPED.fullmatch(text)) is not None:
            start, end, size = (Decimal(found[part]) for part in (1, 2, 4))
            return _stepped(start, end, -size if found[3] == "-" else size, whole)
        if (found := _SPACED.fullmatch(text)) is not None:
            return _spaced(Decimal(found[1]), Decimal(found[2]), int(found[3]), whole)
        if (beginning := _beginning(text)) is not None:
            return _continued(*beginning, whole)
    hint = "write 8-14 (+2), or 0.6-2 [8], or 1, 2, .., 10"
    raise RangeProblem("this is no range", hint)


def stepped(
    start: float, end: float, step: float | None = None, *, whole: bool = False
) -> list[int | float]:
    """The values of ``{from, to, step}``; without a step it is 1, towards the end.

    Raises :class:`RangeProblem`.
    """
    first, last = _decimal("from", start), _decimal("to", end)
    distance = Decimal(1 if last >= first else -1) if step is None else _decimal("step", step)
    return _stepped(first, last, distance, whole)


def _decimal(name: str, value: object) -> Decimal:
    """The number as it is written: the shortest text that means this float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RangeProblem(f"{name} must be a number")
    if not -1e15 <= value <= 1e15 or (value != 0 and abs(value) < 1e-12):
        raise RangeProblem(f"{name} is too large or too small for a range")
    return Decimal(repr(value))


def _beginning(text: str) -> tuple[list[Decimal], Decimal] | None:
    """The numbers before the dots, and the one after them."""
    found = _CONTINUED.fullmatch(text)
    if found is None:
        return None
    written = [part.strip() for part in found[1].split(",")]
    if not all(_ALONE.fullmatch(part) for part in written):
        return None
    return [Decimal(part) for part in written], Decimal(found[2])


def _stepped(start: Decimal, end: Decimal, step: Decimal, whole: bool) -> list[int | float]:
    if step == 0:
        raise RangeProblem("the step is 0, so the range never ends", "give it a step")
    if (end - start) * step < 0:
        hint = f"write the step as {_signed(-step)}, or change the ends over"
        message = f"steps of {_signed(step)} don't lead from {_text(start)} to {_text(end)}"
        raise RangeProblem(message, hint)
    count = int((Fraction(end) - Fraction(start)) / Fraction(step)) + 1
    return _values(start, Fraction(step), count, whole)


def _spaced(start: Decimal, end: Decimal, count: int, whole: bool) -> list[int | float]:
    if count < 1:
        raise RangeProblem("a range has at least one value", "write [2] for both ends")
    if start == end and count > 1:
        raise RangeProblem(f"both ends are {_text(start)}, so the values would all be equal")
    if count == 1:
        if start != end:
            raise RangeProblem("one value can't be both ends", "write [2] for both ends")
        return _values(start, Fraction(0), 1, whole)
    width = Fraction(end) - Fraction(start)
    _check_count(count)
    if whole and start == int(start) and width.denominator == 1 and width % (count - 1):
        raise RangeProblem(
            f"{count} values between {_text(start)} and {_text(end)} are not all whole",
            _whole_counts(abs(int(width)), count),
        )
    return _values(start, width / (count - 1), count, whole)


def _continued(first: list[Decimal], end: Decimal, whole: bool) -> list[int | float]:
    if len(first) < 2:
        hint = f"write {_text(first[0])}, {_text(first[0] + 1)}, .., {_text(end)}"
        raise RangeProblem("two numbers before the dots tell the step", hint)
    step = first[1] - first[0]
    if step == 0:
        raise RangeProblem("the first two numbers are equal, so the range never ends")
    for at, number in enumerate(first):
        if number != first[0] + at * step:
            message = f"the step is {_signed(step)} at first, and {_text(number)} breaks it"
            raise RangeProblem(message, "write a list of the values instead")
    places = (Fraction(end) - Fraction(first[0])) / Fraction(step)
    if places < len(first) - 1:
        raise RangeProblem(
            f"the row is at {_text(first[-1])} already and never comes to {_text(end)}",
            "the last number must come after those before the dots",
        )
    if places.denominator != 1:
        below = first[0] + math.floor(places) * step
        hint = f"the nearest that it does are {_text(below)} and {_text(below + step)}"
        raise RangeProblem(f"steps of {_signed(step)} don't land on {_text(end)}", hint)
    return _values(first[0], Fraction(step), int(places) + 1, whole)


def _values(start: Decimal, step: Fraction, count: int, whole: bool) -> list[int | float]:
    _check_count(count)
    first = Fraction(start)
    exact = [first + at * step for at in range(count)]
    if all(value.denominator == 1 for value in exact):
        return [int(value) for value in exact]
    if whole:
        wrong = next(value for value in exact if value.denominator != 1)
        raise RangeProblem(
            f"this takes whole numbers, and the range has {_rounded(wrong, step)!r} in it",
            "use whole ends and a whole step",
        )
    return [_rounded(value, step) for value in exact]


def _check_count(count: int) -> None:
    if count > MOST_VALUES:
        message = f"the range has {count:,} values; {MOST_VALUES:,} are allowed"
        raise RangeProblem(message, "take a larger step, or fewer values")


def _rounded(value: Fraction, step: Fraction) -> float:
    """The value itself where decimals can write it; else some places more than the step needs."""
    if _ends(value):
        return float(value)
    places = _PLACES - math.floor(math.log10(abs(step)))
    return float(round(value, places)) if places < 300 else float(value)


def _ends(value: Fraction) -> bool:
    """Whether a fraction can be written in decimals: no prime but 2 and 5 divides it."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    # Long decimals (a count of 1024 makes them) are cut like endless ones.
    return rest == 1 and value.denominator <= 10**12


def _whole_counts(width: int, wanted: int) -> str:
    """The counts nearest to the wanted one that divide the distance evenly."""
    fits = [n + 1 for n in range(wanted - 1, 0, -1) if width % n == 0][:1]
    more = range(wanted, min(width, wanted * 10, MOST_VALUES) + 1)
    fits += [n + 1 for n in more if width % n == 0][:1]
    return f"these are: {' or '.join(f'[{count}]' for count in fits)}"


def _text(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(number: Decimal) -> str:
    return _text(number) if number < 0 else f"+{_text(number)}"
