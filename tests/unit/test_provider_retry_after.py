"""Retry-After, in seconds and as a date."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.providers.retry_after import LONGEST, retry_after

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

NOON = 1_700_049_600.0
"""Wed, 15 Nov 2023 12:00:00 GMT"""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("99999999999", LONGEST),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Wed, 15 Nov 2023 12:00:30 GMT", 30.0),
        ("Wednesday, 15-Nov-23 12:00:30 GMT", 30.0),
        ("Wed Nov 15 12:00:30 2023", 30.0),
        ("Wed, 15 Nov 2023 11:00:00 GMT", 0.0),
        ("Wed, 15 Nov 9999 12:00:00 GMT", LONGEST),
        ("Wed, 99 Nov 2023 12:00:00 GMT", None),
    ],
)
def test_forms(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOON) == seconds


def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after({}, NOON) is None


def test_a_date_is_read_against_the_server_s_own_clock() -> None:
    headers = {
        "retry-after": "Wed, 15 Nov 2023 12:00:30 GMT",
        "date": "Wed, 15 Nov 2023 12:00:20 GMT",
    }
    assert retry_after(headers, NOON + 86_400) == 10.0
    assert retry_after(headers | {"date": "today"}, NOON) == 30.0


@UNHURRIED
@given(st.text(), st.text(), st.floats(0, 4e9))
def test_any_text_gives_a_sensible_wait_or_none(text: str, date: str, now: float) -> None:
    seconds = retry_after({"retry-after": text, "date": date}, now)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= LONGEST)
