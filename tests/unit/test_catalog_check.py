"""Values against a model's schema: canonical form, verdicts, and the sentences about them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.catalog import (
    Catalog,
    Entry,
    Kind,
    Media,
    Model,
    SchemaError,
    UnknownModel,
    bundled_catalog,
    nearest,
)

SEED = bundled_catalog().find("community/wan-2-1/fusionx/image-to-video")
GOOD = {"600_prompt": "a boat", "608_image": "RunComfy_examples_1235_1.png"}


def one(schema: dict[str, Any], name: str = "x") -> Model:
    return Model.from_schema("test/model", {"properties": {name: schema}})


def verdict(raw: str, value: object) -> tuple[str, str | None] | None:
    problem = SEED.check(raw, value)
    return None if problem is None else (problem.message, problem.hint)


@pytest.mark.parametrize(
    ("raw", "value", "message", "hint"),
    [
        ("598_steps", 40, "598_steps is 40, but it must be from 6 to 20", None),
        (
            "598_steps",
            "8",
            '598_steps is the text "8", but it must be a whole number',
            "write 8 without quotes",
        ),
        (
            "598_steps",
            7.5,
            "598_steps is the number 7.5, but it must be a whole number",
            None,
        ),
        ("598_steps", True, "598_steps is true, but it must be a whole number", None),
        (
            "598_steps",
            None,
            "598_steps is empty (null), but it must be a whole number",
            "give it a value or leave it out",
        ),
        ("598_cfg", float("nan"), "598_cfg is .nan, but it must be a number", None),
        ("598_cfg", float("-inf"), "598_cfg is -.inf, but it must be a number", None),
        ("598_cfg", False, "598_cfg is false, but it must be a number", None),
        ("598_cfg", "high", '598_cfg is the text "high", but it must be a number', None),
        ("602_num_frames", 100, "602_num_frames is 100, but it must be 81 or 141", None),
        (
            "600_prompt",
            5,
            "600_prompt is the number 5, but it must be text",
            'write it in quotes: "5"',
        ),
        ("600_prompt", ["a"], '600_prompt is ["a"], but it must be text', None),
        (
            "608_image",
            "http://example.org/a.png",
            "608_image is a plain http address, but it must be https",
            "write https:// in its place",
        ),
    ],
)
def test_what_is_wrong_in_a_sentence(
    raw: str, value: object, message: str, hint: str | None
) -> None:
    assert verdict(raw, value) == (message, hint)


def test_a_long_list_of_allowed_values_goes_into_the_hint() -> None:
    problem = SEED.check("602_widthx602_height", "480x480")
    assert problem is not None
    assert problem.message.endswith("but it must be one of 10 values")
    assert problem.hint is not None
    assert problem.hint.startswith('did you mean "480x480 (1:1)"? allowed: "480x480 (1:1)", ')


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("598_steps", 6),
        ("598_steps", 20),
        ("598_cfg", 0.6),
        ("598_seed", 10**30),
        ("600_prompt", ""),
        ("600_prompt", "16:9 no 東京 👩‍🚀"),
        ("608_image", "https://example.org/a%20b.png?x=1"),
        ("608_image", "RunComfy_examples_7_2.jpg"),
    ],
)
def test_good_values_pass(raw: str, value: object) -> None:
    assert verdict(raw, value) is None


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("cat.png", "is a local path"),
        ("./refs/cat.png", "is a local path"),
        ("C:\\refs\\cat.png", "is a local path"),
        ("data:image/png;base64,AAAA", "is a data: address"),
        ("s3://bucket/cat.png", "is a s3: address"),
        ("file:///cat.png", "is a file: address"),
        ("", "is empty"),
        ("https://", "is a URL without a host"),
        ("https:///cat.png", "is a URL without a host"),
        ("https://[", "is not a URL that can be read"),
        ("https://example.org/a b.png", "has a space or a line break"),
        ("https://me:secret@example.org/a.png", "has a user name or a password"),
    ],
)
def test_addresses_that_a_provider_can_not_fetch(address: str, part: str) -> None:
    found = verdict("608_image", address)
    assert found is not None
    assert found[0].startswith(f"608_image {part}")
    assert "secret" not in found[0]


def test_text_that_utf8_can_not_hold_is_refused() -> None:
    found = verdict("600_prompt", "a\ud800b")
    assert found is not None
    assert "surrogate" in found[0]


@settings(deadline=None)
@given(st.integers(min_value=-(10**18), max_value=10**18))
def test_whole_floats_are_integers_where_the_schema_says_number(number: int) -> None:
    if float(number) != number:
        return
    for raw in ("598_seed", "598_cfg"):
        folded = SEED.canonical(raw, float(number))
        assert folded == number
        assert isinstance(folded, int)


def test_canonical_leaves_everything_else_alone() -> None:
    assert SEED.canonical("598_cfg", 1.5) == 1.5
    assert SEED.canonical("598_cfg", True) is True
    assert SEED.canonical("600_prompt", "e\u0301") == "e\u0301"
    assert repr(SEED.canonical("598_cfg", -0.0)) == "0"
    assert SEED.canonical("598_cfg", 10**22) == 1e22
    assert isinstance(SEED.canonical("598_cfg", 10**22), float)


def test_lists_of_numbers_are_folded_too() -> None:
    model = one({"type": "array", "items": {"type": "float"}})
    assert repr(model.canonical("x", [1.0, 2.5])) == "[1, 2.5]"
    problem = model.check("x", [1, "two"])
    assert problem is not None
    assert problem.message == 'x[1] is the text "two", but it must be a number'


def test_a_whole_request() -> None:
    assert SEED.problems(GOOD) == []
    assert SEED.problems({**GOOD, "598_steps": 8.0, "598_cfg": 2}) == []
    found = SEED.problems({"600_prompt": 1, "598_sed": 7, "598_steps": 5})
    assert [(p.name, p.hint) for p in found] == [
        ("608_image", None),
        ("600_prompt", 'write it in quotes: "1"'),
        ("598_sed", 'did you mean "598_seed"?'),
        ("598_steps", None),
    ]


def test_what_the_server_fills_in() -> None:
    assert SEED.defaults["598_steps"] == 10
    assert SEED.defaults["602_num_frames"] == 81
    assert SEED.required == ("600_prompt", "608_image")


@pytest.mark.parametrize(
    ("schema", "name", "media"),
    [
        ({"type": "string", "format": "image_uri"}, "x", Media.IMAGE),
        ({"type": "string", "format": "video_uri"}, "x", Media.VIDEO),
        ({"type": "array", "format": "image_uris", "items": {"type": "string"}}, "x", Media.IMAGE),
        ({"type": "array", "items": {"type": "string", "format": "audio_uri"}}, "x", Media.AUDIO),
        ({"type": "string"}, "img_url", Media.IMAGE),
        ({"type": "string"}, "12_image_2", Media.IMAGE),
        ({"type": "string", "title": "Start Video URL"}, "x", Media.VIDEO),
        ({"type": "string"}, "image_size", None),
        ({"type": "string"}, "prompt", None),
        ({"type": "string", "enum": ["a"]}, "image", None),
        ({"type": "boolean"}, "image", None),
    ],
)
def test_which_inputs_are_files(schema: dict[str, Any], name: str, media: Media | None) -> None:
    assert one(schema, name).by_name[name].media is media


def test_each_address_of_a_list_is_checked() -> None:
    model = one({"type": "array", "format": "image_uris", "items": {"type": "string"}})
    assert model.check("x", ["https://example.org/a.png"]) is None
    assert model.check("x", ["https://example.org/a.png", "b.png"]) is not None


def test_schemas_of_other_models_are_tolerated() -> None:
    limit = {"validation_rule": "file_size_mb<", "validation_value": 50, "validation_error": "big"}
    model = Model.from_schema(
        "m",
        {
            "properties": {
                "strength": {"type": "float", "minimum": None, "maximum": 1, "required": True},
                "image_url": {"type": "string", "format": "image_uri", "validations": [limit]},
                "odd": {"type": "mystery"},
                "free": {},
                "maybe": {"type": ["string", "null"]},
                "blank": {"type": "integer", "nullable": True},
            }
        },
    )
    assert model.by_name["strength"].kind is Kind.NUMBER
    assert model.by_name["image_url"].validations == (limit,)
    assert model.by_name["odd"].kind is Kind.ANY
    body = {"strength": 1, "odd": [1], "free": None, "maybe": None, "blank": None}
    assert model.problems(body) == []
    problem = model.check("strength", 2)
    assert problem is not None
    assert problem.message == "strength is 2, but it must be at most 1"


@pytest.mark.parametrize(
    ("rules", "value", "part"),
    [
        ({"type": "string", "maxLength": 2}, "abc", "must be at most 2 characters long"),
        ({"type": "string", "minLength": 2}, "a", "must be at least 2 characters long"),
        ({"type": "string", "pattern": "^a"}, "b", 'must match the pattern "^a"'),
        ({"type": "integer", "multipleOf": 8}, 9, "must be a multiple of 8"),
        ({"type": "number", "exclusiveMinimum": 0}, 0, "must be more than 0"),
        ({"type": "number", "exclusiveMaximum": 1}, 1, "must be less than 1"),
        ({"type": "array", "maxItems": 1}, [1, 2], "must have at most 1 entries"),
        ({"type": "array", "minItems": 1}, [], "must have at least 1 entries"),
        ({"type": "string", "const": "a"}, "b", 'must be "a"'),
        ({"type": "array", "uniqueItems": True}, [1, 1], 'rule "uniqueItems"'),
        ({"type": "object"}, 1, "must be a mapping"),
    ],
)
def test_other_rules_have_sentences(rules: dict[str, Any], value: object, part: str) -> None:
    problem = one(rules).check("x", value)
    assert problem is not None
    assert part in problem.message


@pytest.mark.parametrize(
    "schema", [None, [], {}, {"properties": []}, {"properties": {"a": "integer"}}]
)
def test_a_schema_that_is_none_is_an_error(schema: object) -> None:
    with pytest.raises(SchemaError, match=r"\.$"):
        Model.from_schema("m", schema)


def test_rules_that_are_not_json_schema_are_an_error_when_they_are_needed() -> None:
    model = one({"type": "string", "pattern": "("})
    with pytest.raises(SchemaError, match="its input x has rules that are not JSON Schema"):
        model.check("x", "a")


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UnknownModel) as caught:
        bundled_catalog().find("community/wan-2-1/fusion/image-to-video")
    assert caught.value.hint.startswith('did you mean "community/wan-2-1/fusionx/image-to-video"?')
    for way in ("overnight models --refresh", "--schema FILE", "validate: off"):
        assert way in caught.value.hint
    with pytest.raises(UnknownModel) as caught:
        bundled_catalog().find("zzz")
    assert caught.value.hint.startswith("known models: community/")
    with pytest.raises(UnknownModel):
        bundled_catalog().find("../schema")


def test_the_first_source_that_has_a_model_decides() -> None:
    class Given:
        def __init__(self, title: str) -> None:
            self.title = title

        def model_ids(self) -> list[str]:
            return ["m"]

        def entry(self, model_id: str) -> Entry | None:
            schema = {"properties": {"a": {"title": self.title}}}
            return Entry("m", schema) if model_id == "m" else None

    catalog = Catalog([Given("first"), Given("second")])
    assert catalog.find("m").inputs[0].title == "first"
    assert catalog.find("m") is catalog.find("m")
    assert catalog.model_ids() == ["m"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("sed", "seed"), ("STEPS", "steps"), ("zzzz", None), ("x" * 5000, None)],
)
def test_nearest(word: str, meant: str | None) -> None:
    assert nearest(word, ["seed", "steps", "cfg"]) == meant
