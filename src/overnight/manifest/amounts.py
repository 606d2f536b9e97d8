"""Amounts that carry a unit, as people write them: ``90s``, ``30/min``, ``10%``. Pure.

Each function takes whatever YAML made of the text, gives the amount, or raises
:class:`AmountProblem`. A bare number is never given a unit by guessing: a limit of 30 seconds
where somebody meant 30 minutes would give up on jobs that are paid for.
"""

from __future__ import annotations

import math
import re

DURATION = r"^\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|m|h|d)\s*$"
"""A length of time; what is too short or too long is told apart afterwards."""
RATE = r"^\s*([0-9]{1,7})\s*/\s*(s|sec|min|h|hour|d)\s*$"
"""So many in a stretch of time."""
SHARE = r"^\s*([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*%\s*$"
"""A part of a hundred."""
MOST_JOBS = 1_000_000
"""The largest number of jobs that a setting can mean."""

HIGHEST_PRICE = 10_000
"""US dollars that one job may cost; a price above it is a slip of the keyboard."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 365 * 86400
_RATE_UNITS = {"s": "s", "m": "min", "h": "h", "d": "d"}
_NUMBER = re.compile(r"\s*[0-9]+(\.[0-9]+)?\s*")
_IN_WORDS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:/|per\b)?\s*([a-z]+)\s*", re.IGNORECASE)


class AmountProblem(ValueError):
    """A value that is no such amount. ``wanted`` ends the sentence "it must be …"."""

    def __init__(self, wanted: str, hint: str) -> None:
        super().__init__(f"it must be {wanted}")
        self.wanted = wanted
        self.hint = hint


def seconds(value: object) -> float:
    """The seconds of ``90s``, ``30m``, ``1.5h`` or ``1d``, from 1 to those of a year."""
    found = re.match(DURATION, value) if isinstance(value, str) else None
    if found is None:
        raise AmountProblem("a time with its unit, such as 30m", _duration_hint(value))
    length = round(float(found[1]) * _SECONDS[found[2]], 3)
    if not 1 <= length <= _LONGEST:
        raise AmountProblem("from 1s to 365d", "leave the key out for the usual limit")
    return length


def rate(value: object) -> str:
    """A submit rate in its shortest spelling: ``30/min``, with s, min, h or d for the time."""
    found = re.match(RATE, value) if isinstance(value, str) else None
    if found is None:
        raise AmountProblem("so many submits in a time, such as 30/min", _rate_hint(value))
    if int(found[1]) == 0:
        hint = "a slow rate has a longer time: 10/h, or 5/d"
        raise AmountProblem("at least 1 submit in the time", hint)
    return f"{int(found[1])}/{_RATE_UNITS[found[2][0]]}"


def failures(value: object) -> int | str:
    """A number of failed jobs, 1 to :data:`MOST_JOBS`, or a share of the settled ones in its
    shortest spelling: ``10%``, ``2.5%``, more than none and at most ``100%``."""
    found = re.match(SHARE, value) if isinstance(value, str) else None
    if found is not None:
        _require_sense(float(found[1]), 100, "100%")
        return f"{float(found[1]):g}%"
    if isinstance(value, int) and not isinstance(value, bool):
        _require_sense(value, MOST_JOBS, str(MOST_JOBS))
        return value
    wanted = "a number of jobs or a share, such as 20 or 10%"
    raise AmountProblem(wanted, _failures_hint(value))


def price(value: object) -> float | str:
    """US dollars for one job, from 0 to :data:`HIGHEST_PRICE`, or the text of an expression, which
    is read where the inputs are known."""
    if isinstance(value, str) and value.strip():
        return value
    wanted = "US dollars for one job, or an expression over its inputs"
    hint = "write price: 0.06, or price: 0.05 * num_frames / frame_rate"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AmountProblem(wanted, hint)
    if not 0 <= value <= HIGHEST_PRICE:
        raise AmountProblem(f"from 0 to {HIGHEST_PRICE:,}", hint)
    return value


def figure(value: object) -> int | float:
    """A number that is neither infinite nor a text."""
    example = "{from: 8, to: 14, step: 2}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AmountProblem("a number", f"write it without quotes: {example}")
    if not math.isfinite(value):
        raise AmountProblem("a number", f"write where it begins and ends: {example}")
    return value


def _require_sense(amount: float, most: int, shown: str) -> None:
    if amount <= 0:
        hint = "write 1 to halt at the first failure; leave halt out never to halt"
        raise AmountProblem("more than 0", hint)
    if amount > most:
        raise AmountProblem(f"at most {shown}", "leave halt out never to halt")


def _duration_hint(value: object) -> str:
    if (number := _bare(value)) is not None:
        return f"write a unit: {number}s, {number}m, {number}h or {number}d"
    if (meant := _in_words(value)) is not None:
        return f"did you mean {meant[0]}{meant[1]}?"
    return "write one number and one unit: 90s, 30m, 1.5h or 1d"


def _rate_hint(value: object) -> str:
    if (number := _bare(value)) is not None:
        return f"write the time too: {number}/s, {number}/min, {number}/h or {number}/d"
    meant = _in_words(value)
    if meant is not None and meant[0].isdigit():
        return f"did you mean {meant[0]}/{_RATE_UNITS[meant[1]]}?"
    return "write a whole number, a slash and one of s, min, h, d: 30/min or 500/h"


def _failures_hint(value: object) -> str:
    if isinstance(value, str) and value.strip().isdecimal():
        return f"write {value.strip()} without quotes, or {value.strip()}%"
    if isinstance(value, float) and 0 < value <= 1:
        return f"write a share with its sign: {value * 100:g}%"
    return "write so many failed jobs, or a percentage of those that have settled"


def _bare(value: object) -> str | None:
    """A number that came without a unit, as it may be written before one."""
    if isinstance(value, str):
        return value.strip() if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value) if _NUMBER.fullmatch(str(value)) else None


def _in_words(value: object) -> tuple[str, str] | None:
    """The number and the unit of ``30 minutes``, ``2H`` or ``30 per min``: s, m, h or d."""
    found = _IN_WORDS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    word = found[2].lower()
    for full in ("seconds", "minutes", "hours", "days"):
        # "ms" and "mo" are other units, so more than one letter has to be the word's beginning.
        if full.startswith(word) or (full.startswith(word.removesuffix("s")) and len(word) > 2):
            return found[1], full[0]
    return None
