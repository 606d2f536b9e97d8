"""What of a job's inputs may say how long it takes. Nothing is known of models here: which of these
features matter is found from the durations themselves (``durations.py``).

A number counts by its logarithm, for steps, frames and pixels multiply. So does a text that holds
one amount (``5s``) or a size (``720x480 (3:2)``, ``720p``, ``4k``), and a list by its length. Any
other short text, and yes or no, is a category of its own. Long texts are prompts and addresses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

Feature = tuple[str, str | None]
"""An input's name, and None where it counts as a number, or the category that it is in."""

LONGEST = 40
"""Characters of a text that may be a category."""

_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(?:s|sec|secs|second|seconds|fps|steps|frames)?")
_SIZE = re.compile(r"(\d{2,5})\s*[x×*]\s*(\d{2,5})(?:\s*\(\d+:\d+\))?")
_LINES = re.compile(r"(\d{3,4})p")
_THOUSANDS = re.compile(r"(\d{1,2})k")


def features(inputs: Mapping[str, Any]) -> dict[Feature, float]:
    """Every feature of ``inputs``, which are raw names with JSON values: the logarithm of a
    number, and 1.0 for the category."""
    found = {}
    for name, value in inputs.items():
        if (feature := _feature(name, value)) is not None:
            found[feature[0]] = feature[1]
    return found


def value_of(feature: Feature, inputs: Mapping[str, Any]) -> float | None:
    """One feature of ``inputs``; None where a number is missing, 0.0 for another category."""
    name, category = feature
    found = _feature(name, inputs[name]) if name in inputs else None
    if found is not None and found[0] == feature:
        return found[1]
    return None if category is None else 0.0


def _feature(name: str, value: object) -> tuple[Feature, float] | None:
    if isinstance(value, bool):
        return ((name, str(value)), 1.0)
    if isinstance(value, int | float):
        return ((name, None), math.log(value)) if 0 < value < math.inf else None
    if isinstance(value, list):
        return ((name, None), math.log(1 + len(value)))
    if isinstance(value, str) and len(value) <= LONGEST:
        amount = _amount(value)
        return ((name, value), 1.0) if amount is None else ((name, None), amount)
    return None


@lru_cache(maxsize=4096)  # a sweep has a handful of texts
def _amount(text: str) -> float | None:
    """The logarithm of the amount that ``text`` holds; None where it holds none."""
    text = text.strip().lower()
    if match := _SIZE.fullmatch(text):
        amount = float(match[1]) * float(match[2])
    elif match := _LINES.fullmatch(text):
        amount = float(match[1]) ** 2
    elif match := _THOUSANDS.fullmatch(text):
        amount = (1000 * float(match[1])) ** 2
    elif match := _AMOUNT.fullmatch(text):
        amount = float(match[1])
    else:
        return None
    return math.log(amount) if amount > 0 else None
