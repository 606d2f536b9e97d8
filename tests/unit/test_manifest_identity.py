"""Fingerprints and keys: identity is content; keys are readable and safe."""

import hashlib
import random
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.manifest import keys
from overnight.manifest.fingerprint import canonical_json, fingerprint

_SCALAR = st.one_of(st.text(max_size=10), st.integers(), st.booleans())
_INPUTS = st.dictionaries(st.text(min_size=1, max_size=8), _SCALAR, max_size=6)


def test_the_fingerprint_is_what_the_page_says() -> None:
    text = 'overnight job 1\n{"inputs":{"598_cfg":1.5,"600_prompt":"é"},"model":"m","provider":"p"}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert fingerprint("p", "m", {"600_prompt": "é", "598_cfg": 1.5}) == expected


@settings(deadline=None)
@given(_INPUTS, st.randoms())
def test_the_order_of_keys_changes_nothing(inputs: dict[str, Any], rng: random.Random) -> None:
    shuffled = list(inputs.items())
    rng.shuffle(shuffled)
    assert fingerprint("p", "m", dict(shuffled)) == fingerprint("p", "m", inputs)


@settings(deadline=None)
@given(_INPUTS, _INPUTS)
def test_other_content_is_another_job(one: dict[str, Any], two: dict[str, Any]) -> None:
    same = canonical_json(one) == canonical_json(two)
    assert (fingerprint("p", "m", one) == fingerprint("p", "m", two)) is same


def test_model_provider_and_each_character_count() -> None:
    inputs = {"a": "\u00e9"}
    found = {
        fingerprint("p", "m", inputs),
        fingerprint("q", "m", inputs),
        fingerprint("p", "n", inputs),
        fingerprint("p", "m", {"a": "e\u0301"}),
        fingerprint("p", "m", {"a": "\u00e9 "}),
    }
    assert len(found) == 5


def test_infinity_has_no_fingerprint() -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint("p", "m", {"a": float("inf")})


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("seed", 7, "seed7"),
        ("seed", -1, "seed-1"),
        ("cfg", 1.5, "cfg1_5"),
        ("frame_rate", 16, "frame_rate16"),
        ("loop", True, "loop-true"),
        ("subject", "A lighthouse!", "a-lighthouse"),
        ("subject", "An orchard under fresh snow at dawn", "an-orchard-under-fresh"),
        ("ratio", "480x480 (1:1)", "480x480-1-1"),
        ("subject", "夜の東京", "夜の東京"),
        ("subject", "Łódź/../x", "łódź-x"),
        ("subject", "🚀🚀", ""),
        ("shot", {"angle": "low"}, "shot-angle-low"),
        ("empty", None, "empty-null"),
    ],
)
def test_the_word_of_a_value(name: str, value: object, part: str) -> None:
    assert keys.value_part(name, value) == part


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("https://example.org/refs/Cat%20One.v2.png?x=1#y", "cat-20one-v2"),
        ("RunComfy_examples_1235_1.png", "runcomfy-examples-1235-1"),
    ],
)
def test_the_word_of_a_file(address: str, part: str) -> None:
    assert keys.file_part(address) == part


@settings(deadline=None)
@given(st.lists(st.text(max_size=60), max_size=12))
def test_keys_are_safe_file_names(texts: list[str]) -> None:
    parts = [keys.slug(text) for text in texts]
    key = keys.join(parts, "1f3a9c2e" + "0" * 56)
    assert key.endswith("-1f3a9c2e")
    assert len(key) <= keys.LONGEST
    assert len(key.encode()) <= keys.LONGEST_BYTES
    assert not key.startswith("-")
    assert "--" not in key
    assert all(unicodedata.category(char)[0] in "LNM" or char in "-_" for char in key)


def test_composed_and_decomposed_text_have_the_same_word() -> None:
    assert keys.slug("cafe\u0301") == keys.slug("caf\u00e9") == "caf\u00e9"


def test_a_job_without_axes_still_has_a_word() -> None:
    assert keys.join(["", ""], "abcdef0123") == "job-abcdef01"
