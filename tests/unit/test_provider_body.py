"""The body of a submit: JSON in the form that the API's own documents show."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overnight.providers.runcomfy import one_a_line

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    plain | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=5
)


@given(st.dictionaries(texts, values, max_size=5))
def test_it_is_what_the_standard_library_writes_with_an_empty_indent(
    inputs: dict[str, Any],
) -> None:
    wanted = json.dumps(inputs, ensure_ascii=False, indent=0, allow_nan=False)
    assert one_a_line(inputs) == wanted


def test_a_kind_of_text_or_number_is_written_as_what_it_is() -> None:
    class Word(str):
        __slots__ = ()

    assert one_a_line({Word("a"): Word("b"), "c": 1}) == '{\n"a": "b",\n"c": 1\n}'
