"""What was fetched from a catalogue, kept on this disk: whole, dated, and forgiving of damage."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.catalog import Catalog, Entry, Origin, UnknownModel
from overnight.catalog.cache import CACHE_VARIABLE, Cached, cache_folder
from overnight.catalog.entry import as_catalogue_json, is_model_id, read_entry
from overnight.catalog.lookup import bundled
from overnight.catalog.model import schema_digest
from overnight.catalog.schema import SchemaError

NOON = 1_795_348_800.0  # 2026-11-22 12:00 UTC
BASE = "https://api.example.org"
SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}}


def raw(model_id: str = "lab/still", **more: Any) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "display_name": "Still",
        "description": "Makes a still.",
        "categories": ["text-to-image"],
        "kind": "image",
        "base_price_usd": 0.03,
        "price_unit": "output",
        "pricing_note": "A flat price.",
        "input_schema": SCHEMA,
        **more,
    }


def entry(model_id: str = "lab/still", **more: Any) -> Entry:
    return read_entry(raw(model_id, **more), origin=Origin.FETCHED, as_of="2000-01-01", place=BASE)


@pytest.fixture
def cache(tmp_path: Path) -> Cached:
    return Cached(tmp_path / "catalogue")


def test_nothing_was_fetched_yet(cache: Cached) -> None:
    assert list(cache.model_ids()) == []
    assert cache.entry("lab/still") is None
    assert cache.schema("0" * 64) is None


def test_what_is_kept_comes_back_with_its_date(cache: Cached) -> None:
    assert cache.keep([entry(), entry("lab/deep/still-日本")], NOON) == 2
    assert list(cache.model_ids()) == ["lab/deep/still-日本", "lab/still"]
    found = cache.entry("lab/still")
    assert found is not None
    assert found.origin is Origin.FETCHED
    assert (found.as_of, found.place) == ("2026-11-22", BASE)
    assert found.price is not None
    assert (found.price.amount, found.price.unit, found.price.note) == (
        0.03,
        "output",
        "A flat price.",
    )
    assert (found.price.as_of, found.price.source) == ("2026-11-22", BASE)
    assert found.input_schema == SCHEMA
    assert (found.display_name, found.kind, found.categories) == (
        "Still",
        "image",
        ("text-to-image",),
    )


def test_nothing_but_whole_files_is_left(cache: Cached, tmp_path: Path) -> None:
    cache.keep([entry(), entry("lab/other")], NOON)
    cache.keep([entry(), entry("lab/other")], NOON)
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["lab%2Fother.json", "lab%2Fstill.json"]


def test_a_failed_write_leaves_what_was_there(
    cache: Cached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep([entry()], NOON)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space"):
        cache.keep([entry(display_name="Other")], NOON)
    found = cache.entry("lab/still")
    assert found is not None
    assert found.display_name == "Still"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["lab%2Fstill.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'{"format": 1}',
        b'{"format": 2, "at": "2026-11-22T12:00:00+00:00", "model": {"model_id": "lab/still"}}',
        b'{"format": 1, "at": "yesterday", "model": {"model_id": "lab/still"}}',
        b'{"format": 1, "at": "2026-11-22T12:00:00+00:00", "model": {"model_id": "lab/Still"}}',
        b'{"format": 1, "at": "2026-11-22T12:00:00+00:00", "model": 5}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_as_good_as_none(cache: Cached, tmp_path: Path, content: bytes) -> None:
    cache.keep([entry(), entry("lab/other")], NOON)
    (tmp_path / "catalogue" / "models" / "lab%2Fstill.json").write_bytes(content)
    assert cache.entry("lab/still") is None
    assert cache.entry("lab/other") is not None
    catalog = Catalog([cache, bundled()])
    with pytest.raises(UnknownModel):
        catalog.find("lab/still")
    cache.keep([entry()], NOON)
    assert cache.entry("lab/still") is not None


def test_a_folder_in_a_files_place_is_as_good_as_none(cache: Cached, tmp_path: Path) -> None:
    (tmp_path / "catalogue" / "models" / "lab%2Fstill.json").mkdir(parents=True)
    assert cache.entry("lab/still") is None


def test_a_replaced_schema_is_kept_under_its_digest(cache: Cached, tmp_path: Path) -> None:
    other = {"type": "object", "properties": {"text": {"type": "string"}}}
    digest = schema_digest(SCHEMA)
    cache.keep([entry()], NOON)
    cache.keep([entry(display_name="Renamed")], NOON)
    assert cache.schema(digest) is None  # nothing was replaced: the model still has it
    cache.keep([entry(input_schema=other)], NOON)
    assert cache.schema(digest) == SCHEMA
    for bad in ("", "..", "../models/lab%2Fstill", digest.upper()):
        assert cache.schema(bad) is None
    (tmp_path / "catalogue" / "schemas" / f"{digest}.json").write_text('{"properties": {}}')
    assert cache.schema(digest) is None


def test_an_id_too_long_for_a_file_is_left_out(cache: Cached) -> None:
    assert cache.keep([entry("lab/" + "x" * 250), entry()], NOON) == 1
    assert list(cache.model_ids()) == ["lab/still"]


def test_each_address_has_its_own_folder(tmp_path: Path) -> None:
    environ = {CACHE_VARIABLE: str(tmp_path)}
    bases = [
        BASE,
        "http://127.0.0.1:8700",
        "http://127.0.0.1:8701",
        "https://x.org/a",
        "https://x.org",
    ]
    folders = {cache_folder(environ, base) for base in bases}
    assert len(folders) == len(bases)
    assert {folder.parent for folder in folders} == {tmp_path / "catalogue"}


def test_without_the_variable_it_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.sep + "caches")
    assert cache_folder({}, BASE).parts[-3:] == ("overnight", "catalogue", "api.example.org")


def test_a_description_without_a_schema_borrows_the_next_ones(cache: Cached) -> None:
    [seed] = bundled().model_ids()
    cache.keep([entry(seed, input_schema=None)], NOON)
    found = Catalog([cache, bundled()]).find(seed)
    assert found.price is not None
    assert found.price.amount == 0.03
    assert "598_steps" in found.by_name
    assert Catalog([cache]).entry(seed).input_schema is None


# --- entries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, [], "lab/still", {}, {"model_id": 5}, {"model_id": "a b"}])
def test_what_names_no_model_is_no_entry(value: object) -> None:
    with pytest.raises(SchemaError):
        read_entry(value, origin=Origin.FETCHED)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a", True),
        ("a/b-c/d.e", True),
        ("日本/モデル", True),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a//b", False),
        ("../a", False),
        ("a/./b", False),
        ("a b", False),
        ("a\nb", False),
        ("a\x1b[31m", False),
        ("x" * 400, False),
    ],
)
def test_what_can_be_a_model_id(text: str, good: bool) -> None:
    assert is_model_id(text) is good


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*raw(), "other"]), junk))
def test_whatever_a_catalogue_says_it_is_an_entry_or_a_schema_error(value: dict[str, Any]) -> None:
    try:
        found = read_entry(value, origin=Origin.FETCHED)
    except SchemaError:
        assert not is_model_id(value.get("model_id"))
        return
    again = read_entry(as_catalogue_json(found), origin=Origin.FETCHED)
    assert repr(again) == repr(found)
