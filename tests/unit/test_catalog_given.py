"""Schemas from files: every form that is taken, and every way to get it wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from overnight.catalog import Catalog, Origin
from overnight.catalog.given import Given, GivenSchemaError, read_schema_file
from overnight.catalog.lookup import bundled

SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}}
SEED = "community/wan-2-1/fusionx/image-to-video"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("s.json", "s.json", {"model_id": "lab/still", "input_schema": SCHEMA}),
        ("s.json", "s.json", {"models": [{"model_id": "lab/still", "input_schema": SCHEMA}]}),
        ("s.json", "s.json", [{"model_id": "lab/still", "input_schema": SCHEMA}]),
        ("lab/still=s.json", "s.json", SCHEMA),
        ("lab/still=s.json", "s.json", {"input_schema": SCHEMA}),
        ("lab/still=s.json", "s.json", {"model_id": "x/y", "input_schema": SCHEMA}),
        ("lab__still.json", "lab__still.json", SCHEMA),
        ("lab/still=a=b.json", "a=b.json", SCHEMA),
        ("a=b.json", "a=b.json", {"model_id": "lab/still", "input_schema": SCHEMA}),
    ],
)
def test_each_form_gives_the_model(text: str, name: str, value: Any) -> None:
    write(name, value)
    entry = read_schema_file(text)
    assert (entry.model_id, entry.input_schema) == ("lab/still", SCHEMA)
    assert (entry.origin, entry.place) == (Origin.FILE, name)
    assert Catalog([Given([text])]).find("lab/still").by_name["prompt"].kind == "string"


def test_a_price_in_the_file_is_read_and_has_no_date() -> None:
    price = {"base_price_usd": 0.02, "price_unit": "second"}
    write("s.json", {"model_id": "lab/still", "input_schema": SCHEMA, **price})
    listed = read_schema_file("s.json").price
    assert listed is not None
    assert (listed.amount, listed.unit, listed.as_of, listed.source) == (
        0.02,
        "second",
        None,
        "s.json",
    )


def test_a_byte_order_mark_is_no_fault(here: Path) -> None:
    (here / "s.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(SCHEMA).encode())
    assert read_schema_file("lab/still=s.json").model_id == "lab/still"


def test_a_given_schema_wins_over_the_bundled_one() -> None:
    write("s.json", {"model_id": SEED, "input_schema": SCHEMA})
    catalog = Catalog([Given(["s.json"]), bundled()])
    assert [spec.name for spec in catalog.find(SEED).inputs] == ["prompt"]
    assert catalog.model_ids() == [SEED]


@pytest.mark.parametrize(
    ("text", "content", "said"),
    [
        ("none.json", None, "The schema file none.json can't be read"),
        (".", None, "The schema file . can't be read: Is a directory"),
        ("s.json", b"\xff\xff", "s.json is not UTF-8"),
        ("s.json", b'{"a": 1,\n  oops}', "s.json:2:3 is not JSON"),
        ("s.json", b"", "s.json:1:1 is not JSON"),
        ("s.json", b"[" * 100_000, "s.json is not JSON that can be read"),
        ("s.json", b"5", "s.json must hold a JSON object"),
        ("s.json", b"[]", "s.json holds 0 models"),
        ("s.json", b'{"models": [{}, {}]}', "s.json holds 2 models"),
        ("s.json", b'{"input_schema": {"properties": {}}}', "s.json names no model_id"),
        ("s.json", b"{}", "s.json names no model_id"),
        ("s.json", b'{"properties": {}}', "s.json is a schema alone, and its name is no model's"),
        ("a b=s.json", b'{"properties": {}}', "what stands before the equals sign"),
        ("../x=s.json", b'{"properties": {}}', "what stands before the equals sign"),
        ("__.json", b'{"properties": {}}', "__.json: / is not a model's id"),
        ("s.json", b'{"model_id": "a b", "input_schema": {}}', "is not a model's id"),
        ("s.json", b'{"model_id": "a/b"}', "s.json can't be used. The schema of a/b has no prop"),
        (
            "s.json",
            b'{"model_id": "a/b", "input_schema": {"properties": {"x": 5}}}',
            "The schema of the input x is not an object",
        ),
        (
            "s.json",
            b'{"model_id": "a/b", "input_schema": {"properties": {"x": {"pattern": "("}}}}',
            "its input x has rules that are not JSON Schema",
        ),
    ],
)
def test_what_is_wrong_with_a_file_in_a_sentence(
    text: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        Path(text.rpartition("=")[2]).write_bytes(content)
    with pytest.raises(GivenSchemaError) as caught:
        read_schema_file(text)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [70, 300, 450])
def test_a_schema_nested_without_end_is_refused(depth: int) -> None:
    deep = '{"items":' * depth + "{}" + "}" * depth
    Path("s.json").write_text(f'{{"properties": {{"x": {deep}}}}}')
    with pytest.raises(GivenSchemaError, match=r"s\.json can't be used"):
        read_schema_file("lab/still=s.json")


def test_two_files_for_one_model_are_refused() -> None:
    write("a.json", {"model_id": "lab/still", "input_schema": SCHEMA})
    write("b.json", {"model_id": "lab/still", "input_schema": SCHEMA})
    with pytest.raises(GivenSchemaError, match=r"a\.json and b\.json both describe lab/still"):
        Given(["a.json", "b.json"])


def test_a_file_that_is_no_schema_by_its_size_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.catalog.given.LARGEST", 10)
    (here / "s.json").write_text(" " * 11)
    with pytest.raises(GivenSchemaError, match="larger than 10 bytes"):
        read_schema_file("s.json")
