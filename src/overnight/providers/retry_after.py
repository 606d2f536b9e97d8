"""How long an answer asks us to wait: the Retry-After header, in both of its forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 24 * 3600.0
"""Seconds; whoever asks for more is waited for this long, then asked again."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, between 0 and :data:`LONGEST`; None where nothing usable is said.

    ``headers`` must find names in lower case. ``now`` is the Unix time at which the answer came;
    a date is read against the answer's own ``Date`` where it has one, so that a clock that is
    wrong here or there does no harm (RFC 9110, 10.2.3).
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = _unix(text)
        if until is None:
            return None
        said = _unix(headers.get("date", ""))
        seconds = until - (now if said is None else said)
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST)


def _unix(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
        # HTTP's dates are in UTC, also in the old form that does not say so.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
