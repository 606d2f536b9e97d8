"""Holds what a second look into a file finds against what the first one put on record. Pure.

The bytes have been compared before. So a difference is not the file's: the record was changed, or
it was made by a decoder that reads the file in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALWAYS = ("kind", "container", "codec", "width", "height", "declared_frames", "rate", "duration")
_OF_THE_WHOLE = ("frames", "broken", "black", "still")
"""What depends on how far the decoder came before its time was up."""


def was_decoded(probe: Mapping[str, Any] | None) -> bool:
    """Whether a look went into the content."""
    return probe is not None and bool(probe.get("probed"))


def difference(recorded: Mapping[str, Any] | None, seen: Mapping[str, Any]) -> str | None:
    """What is not as it was, as part of a sentence; None where nothing is, or nothing was known."""
    if recorded is None or not was_decoded(recorded):
        return None
    if not was_decoded(seen):
        return f"it was decoded before, and can't be now: {seen.get('why')}"
    whole = recorded.get("complete") and seen.get("complete")
    names = (*_ALWAYS, *_OF_THE_WHOLE) if whole or "complete" not in seen else _ALWAYS
    pairs = ((name, seen.get(name), recorded.get(name)) for name in (*names, "error"))
    told = [
        f"{name.replace('_', ' ')}: {_said(now)}, and {_said(then)} on record"
        for name, now, then in pairs
        if now != then
    ]
    return "; ".join(told) or None


def _said(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
