"""What an address is signed with does not reach the record."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.providers.redaction import unsigned

SIGNED = "https://b.s3.test/in/a.png?X-Amz-Credential=AKIA%2Fx&X-Amz-Signature=5ec4e7"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"can't fetch {SIGNED} now", "can't fetch https://b.s3.test/in/a.png?… now"),
        (f'{{"url": "{SIGNED}"}}', '{"url": "https://b.s3.test/in/a.png?…"}'),
        (f"at {quote(SIGNED, safe='')}", None),
        ("X-Amz-Signature=5ec4e7", "X-Amz-Signature=***"),
        ("took data:image/png;base64,5ec4e7== in", "took data:image/png;base64,… in"),
        ("A prompt? Yes: 5 of 6. See https://x.test/a", None),
    ],
)
def test_what_is_cut(text: str, kept: str | None) -> None:
    found = unsigned(text)
    assert "5ec4e7" not in found
    assert found == (text if kept is None and "5ec4e7" not in text else kept or found)


@given(st.text(st.characters(exclude_characters=":="), max_size=200))
def test_text_without_an_address_stays(text: str) -> None:
    assert unsigned(text) == text


@given(st.text(max_size=200))
def test_cutting_twice_changes_no_more(text: str) -> None:
    assert unsigned(unsigned(text)) == unsigned(text)
