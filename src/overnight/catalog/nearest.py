"""The known word that somebody most likely meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 200
"""Characters compared; comparing two long texts takes the product of their lengths."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word of ``known`` that looks most like ``word``, upper and lower case taken as equal.

    None where nothing is close enough to be worth suggesting. Equally close words are decided by
    the order of ``known``.
    """
    spellings: dict[str, str] = {}
    for candidate in known:
        spellings.setdefault(candidate[:_LONGEST].casefold(), candidate)
    close = difflib.get_close_matches(word[:_LONGEST].casefold(), spellings, n=1, cutoff=0.6)
    return spellings[close[0]] if close else None
