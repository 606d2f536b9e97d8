"""What changed between two schemas, told to people."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.catalog import bundled_catalog
from overnight.catalog.changes import describe
from overnight.catalog.model import schema_digest

BUNDLED = bundled_catalog().find("community/wan-2-1/fusionx/image-to-video").input_schema


def of(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


STEPS = {"type": "integer", "minimum": 6, "maximum": 20, "default": 10}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (of(a=STEPS), of(a=STEPS, b={"type": "string"}), ["b is new"]),
        (of(a=STEPS), of(("b",), a=STEPS, b={}), ["b is new and required"]),
        (of(), of(a=STEPS), ["a is new, 10 by default"]),
        (of(a=STEPS, b={}), of(a=STEPS), ["b is gone"]),
        (of(a=STEPS), of(a={**STEPS, "maximum": 30}), ["a goes up to 30 (was 20)"]),
        (of(a=STEPS), of(a={**STEPS, "minimum": 1}), ["a starts at 1 (was 6)"]),
        (
            of(a=STEPS),
            of(a={k: v for k, v in STEPS.items() if k != "maximum"}),
            ["a no longer has an upper bound (was 20)"],
        ),
        (
            of(a={"type": "float"}),
            of(a={"type": "float", "minimum": 0}),
            ["a starts at 0 (had no bound)"],
        ),
        (of(a=STEPS), of(a={**STEPS, "default": 8}), ["a is 8 by default (was 10)"]),
        (
            of(a=STEPS),
            of(a={k: v for k, v in STEPS.items() if k != "default"}),
            ["a has no default any more (was 10)"],
        ),
        (of(a=STEPS), of(("a",), a=STEPS), ["a is required now"]),
        (of(("a",), a=STEPS), of(a=STEPS), ["a is no longer required"]),
        (
            of(a={"type": "integer"}),
            of(a={"type": "string"}),
            ["a is of the type string (was integer)"],
        ),
        (
            of(a={"enum": [81, 141]}),
            of(a={"enum": [81, 161]}),
            ["a also takes 161", "a no longer takes 141"],
        ),
        (of(a={"enum": [81]}), of(a={}), ["a takes any value now"]),
        (of(a={}), of(a={"enum": ["x", "y"]}), ['a takes "x" or "y" only']),
        (
            of(a={"type": "string"}),
            of(a={"type": "string", "format": "image_uri"}),
            ["a takes an image file (was no file)"],
        ),
        (of(a={"type": "string"}), of(a={"type": "string", "maxLength": 9}), ["a has other rules"]),
        (
            of(a={"validations": []}),
            of(a={"validations": [{"validation_rule": "file_size_mb<", "validation_value": 5}]}),
            ["a has other limits for files"],
        ),
        (
            of(a=STEPS),
            {**of(a=STEPS), "additionalProperties": False},
            ["its rules for several inputs at once changed"],
        ),
        (of(a=STEPS), {"type": "object"}, ["one of the two schemas can't be read"]),
    ],
)
def test_each_change_has_its_clause(
    old: dict[str, Any], new: dict[str, Any], said: list[str]
) -> None:
    assert describe(old, new) == said


def test_new_words_for_people_are_no_change() -> None:
    old = of(a={**STEPS, "title": "Steps"})
    assert describe(old, of(a={**STEPS, "title": "Sampling steps", "description": "More."})) == []


def test_many_allowed_values_are_counted() -> None:
    old, new = of(a={"enum": [1]}), of(a={"enum": list(range(1, 12))})
    assert describe(old, new) == ["a also takes 10 values"]


@given(st.sampled_from(sorted(BUNDLED["properties"])))
def test_a_schema_without_one_input_says_so_and_only_so(name: str) -> None:
    kept = {k: v for k, v in BUNDLED["properties"].items() if k != name}
    less = {**BUNDLED, "properties": kept}
    assert describe(BUNDLED, less) == [f"{name} is gone"]
    assert describe(BUNDLED, BUNDLED) == []


def test_a_digest_sees_content_not_order() -> None:
    turned = {key: BUNDLED[key] for key in reversed(list(BUNDLED))}
    assert schema_digest(turned) == schema_digest(BUNDLED)
    assert schema_digest(of(a=STEPS)) != schema_digest(of(a={**STEPS, "default": 9}))
