"""``overnight models``: the list, the search, one model in full, and the example to paste."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.catalog import Catalog, Entry, Model, Origin
from overnight.catalog.cache import Cached, cache_folder
from overnight.catalog.entry import read_entry
from overnight.catalog.wording import takes
from overnight.cli import catalog, fetch, starter
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.emulator.models import emulated_catalog
from overnight.manifest import read_manifest, yaml12
from overnight.providers.catalogue import Page
from overnight.providers.credentials import DEFAULT_BASE

Capture = pytest.CaptureFixture[str]

SEED = "community/wan-2-1/fusionx/image-to-video"
SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "OVERNIGHT_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetched(*models: dict[str, Any], base: str = DEFAULT_BASE) -> None:
    """Put models into the cache as if they had been fetched on 2026-11-22."""
    entries = [read_entry(m, origin=Origin.FETCHED, place=base) for m in models]
    Cached(cache_folder(os.environ, base)).keep(entries, 1_795_348_800.0)


STILL = {
    "model_id": "lab/still",
    "display_name": "Still life",
    "description": "Paints fruit.",
    "categories": ["text-to-image"],
    "kind": "image",
    "base_price_usd": 0.0125,
    "price_unit": "output",
    "pricing_note": "A flat price.",
    "input_schema": SCHEMA,
}


def test_the_list_without_a_network(capsys: Capture) -> None:
    fetched(STILL)
    assert run(["models"]) == Exit.DONE
    captured = capsys.readouterr()
    head, seed, still = captured.out.splitlines()
    assert head.split() == ["model", "price", "as", "of", "makes"]
    assert seed.split() == [SEED, "unknown", "bundled", "image-to-video"]
    assert still.split() == [
        *("lab/still", "$0.0125", "an", "output", "2026-11-22", "text-to-image"),
    ]
    assert captured.err == ""


def test_before_a_fetch_it_says_that_there_is_more(capsys: Capture) -> None:
    assert run(["models"]) == Exit.DONE
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert "overnight models --refresh" in captured.err


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (["STILL"], ["lab/still"]),
        (["fruit"], ["lab/still"]),
        (["text-to-image"], ["lab/still"]),
        (["life", "lab"], ["lab/still"]),
        (["fruit video"], []),
        (["wan"], [SEED]),
        (["list", "show"], []),
    ],
)
def test_a_search_wants_every_word(capsys: Capture, search: list[str], found: list[str]) -> None:
    fetched(STILL)
    assert run(["models", *search, "--json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert [json.loads(line)["model"] for line in captured.out.splitlines()] == found
    assert ("No model that is known here" in captured.err) is (not found)


def test_a_damaged_file_of_the_cache_is_no_fault_of_the_list(capsys: Capture) -> None:
    fetched(STILL, {**STILL, "model_id": "lab/whole"})
    [file] = cache_folder(os.environ, DEFAULT_BASE).rglob("lab%2Fstill.json")
    file.write_text("{")
    assert run(["models", "lab", "--json"]) == Exit.DONE
    assert [json.loads(text)["model"] for text in capsys.readouterr().out.splitlines()] == [
        "lab/whole"
    ]
    assert run(["models", "show", "lab/still"]) == Exit.USAGE
    assert 'did you mean "lab/still"' not in capsys.readouterr().err.lower()


def test_another_address_has_another_catalogue(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(STILL)
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://127.0.0.1:8700/v1")
    assert run(["models", "--json"]) == Exit.DONE
    assert [json.loads(line)["model"] for line in capsys.readouterr().out.splitlines()] == [SEED]


def test_words_of_a_catalogue_can_not_steer_a_terminal(capsys: Capture) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\u202e"
    fetched({**STILL, "display_name": evil, "description": evil, "price_unit": evil})
    assert run(["models"]) == Exit.DONE
    assert run(["models", "show", "lab/still"]) == Exit.DONE
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\u202e" not in captured.out


def test_show_says_what_each_input_takes(capsys: Capture) -> None:
    assert run(["models", "show", SEED]) == Exit.DONE
    out = capsys.readouterr().out
    for said in (
        "9 inputs (* must be given)",
        "image *",
        "the https address of an image",
        "at most 50 MB",
        "a whole number from 6 to 20; 10 by default",
        "also 598_cfg, guidance_scale",
        "81 or 141; 81 by default",
        "bundled with overnight",
    ):
        assert said in out


def test_show_for_programs(capsys: Capture) -> None:
    assert run(["models", "show", SEED, "--json"]) == Exit.DONE
    [shown] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = next(one for one in shown["inputs"] if one["short"] == "steps")
    assert (steps["name"], steps["minimum"], steps["maximum"], steps["default"]) == (
        "598_steps",
        6,
        20,
        10,
    )
    image = next(one for one in shown["inputs"] if one["short"] == "image")
    assert (image["media"], image["required"], image["max_bytes"]) == ("image", True, 50 * 2**20)
    assert shown["schema_digest"] == catalog.users_catalog().find(SEED).schema_digest
    assert shown["price"] is None


def test_the_example_of_show_can_be_pasted(capsys: Capture, home: Path) -> None:
    run(["models", "show", SEED])
    pasted = capsys.readouterr().out.split("To begin with:\n\n")[1]
    (home / "jobs.yaml").write_text(pasted)
    assert len(list(read_manifest(home / "jobs.yaml").specs())) == 2


def test_an_unknown_model_says_how_to_get_it(capsys: Capture) -> None:
    assert run(["models", "show", "lab/still"]) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    for way in ("overnight models --refresh", "--schema FILE", "validate: off"):
        assert way in captured.err


def test_a_schema_that_can_not_be_used_is_a_sentence(capsys: Capture) -> None:
    fetched({**STILL, "input_schema": {"properties": {"x": {"pattern": "("}}}}, {"model_id": "b/c"})
    for name in ("lab/still", "b/c"):
        assert run(["models", "show", name]) == Exit.USAGE
        assert "Give another one with --schema FILE." in capsys.readouterr().err


def test_a_schema_file_is_in_front_of_everything(capsys: Capture, home: Path) -> None:
    fetched(STILL)
    other = {"properties": {"text": {"type": "string"}}}
    (home / "lab__still.json").write_text(json.dumps(other))
    assert run(["models", "show", "lab/still", "--schema", "lab__still.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert ([one["name"] for one in shown["inputs"]], shown["from"]) == (["text"], "file")


def test_without_a_token_refresh_says_so(capsys: Capture) -> None:
    assert run(["models", "--refresh"]) == Exit.ERROR
    assert "No API token found" in capsys.readouterr().err


def test_an_earlier_schema_is_found_by_its_digest() -> None:
    shipped = catalog.users_catalog().find(SEED)
    assert catalog.earlier_schema(SEED, shipped.schema_digest) == shipped.input_schema
    fetched(STILL)
    fetched({**STILL, "input_schema": {"properties": {"text": {"type": "string"}}}})
    before = Model.from_schema("lab/still", SCHEMA).schema_digest
    assert catalog.earlier_schema("lab/still", before) == SCHEMA
    assert catalog.earlier_schema("lab/still", "0" * 64) is None


# --- manifests to begin with ----------------------------------------------------------------------


@pytest.mark.parametrize("model_id", emulated_catalog().model_ids())
@pytest.mark.parametrize("make", [starter.block, starter.manifest])
def test_a_manifest_to_begin_with_passes_the_checks(home: Path, model_id: str, make: Any) -> None:
    known = emulated_catalog()
    (home / "jobs.yaml").write_text(make(known.find(model_id)))
    specs = list(read_manifest(home / "jobs.yaml", known).specs())
    assert specs
    assert {spec.model for spec in specs} == {model_id}


class Only:
    """A source of one model."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def model_ids(self) -> list[str]:
        return [self._entry.model_id]

    def entry(self, model_id: str) -> Entry | None:
        return self._entry if model_id == self._entry.model_id else None


numbers = st.integers(-50, 50)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """The schema of one input, of any kind that catalogues have."""
    kind = draw(st.sampled_from(["string", "integer", "float", "boolean", "array", "enum", "file"]))
    if kind in ("integer", "float"):
        low = draw(numbers)
        return {"type": kind, "minimum": low, "maximum": low + draw(st.integers(0, 9))}
    if kind == "enum":
        options = st.text(st.characters(codec="utf-8"), max_size=8)
        return {"type": "string", "enum": draw(st.lists(options, min_size=1, max_size=3))}
    if kind == "array":
        return {"type": "array", "items": {"type": "string"}, "minItems": draw(st.integers(0, 1))}
    if kind == "file":
        return {"type": "string", "format": draw(st.sampled_from(["image_uri", "video_uri"]))}
    return {"type": kind, "title": draw(st.text(max_size=10))}


words = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    properties=st.dictionaries(words.map("i_{}".format), inputs(), min_size=1, max_size=5),
    about=st.text(st.characters(codec="utf-8"), max_size=80),
    name=words,
)
def test_any_schemas_manifest_passes_the_checks(
    home: Path, properties: dict[str, Any], about: str, name: str
) -> None:
    schema = {"properties": properties, "required": list(properties)}
    entry = Entry(f"lab/{name}", schema, description=about)
    model = Model.from_entry(entry)
    for text in (starter.block(model), starter.manifest(model)):
        (home / "jobs.yaml").write_text(text, encoding="utf-8")
        [spec] = read_manifest(home / "jobs.yaml", Catalog([Only(entry)])).specs()
        assert set(spec.inputs) == set(properties)


texts = st.text(st.characters(codec="utf-8"))


@given(texts | st.integers() | st.booleans() | st.none() | st.lists(texts, max_size=3))
def test_a_value_is_written_so_that_it_is_read_back(value: object) -> None:
    document = yaml12.read(f"value: {starter.yaml(value)}\n".encode(), "x.yaml")
    assert document.data == {"value": value}


def test_what_an_input_takes_in_words() -> None:
    cases = {
        "a whole number, at least 0": {"type": "integer", "minimum": 0},
        "a number, at most 2": {"type": "float", "maximum": 2},
        "text, at most 5,000 characters": {"type": "string", "maxLength": 5000},
        "true or false": {"type": "boolean"},
        "a list": {"type": "array"},
        "a mapping": {"type": "object"},
        "anything": {},
        '"a", "b" or "c"': {"enum": ["a", "b", "c"]},
        "one of 1, 2, 3, 4": {"enum": [1, 2, 3, 4]},
        "a list, each entry the https address of an image": {
            "type": "array",
            "format": "image_uris",
        },
    }
    for words_, schema in cases.items():
        assert takes(Model.from_schema("a/b", {"properties": {"x": schema}}).inputs[0]) == words_


# --- what a refresh tells -------------------------------------------------------------------------


def refreshed(
    monkeypatch: pytest.MonkeyPatch, *models: dict[str, Any], total: int | None = None
) -> int:
    """Run ``models --refresh`` against a catalogue of these models."""
    page = Page(models, len(models) if total is None else total)
    monkeypatch.setattr(fetch, "ask", lambda _: page)
    return run(["models", "--refresh"])


def test_a_first_refresh_has_news(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert refreshed(monkeypatch, STILL) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.err == "1 model fetched: 1 new.\n"
    assert "lab/still" in captured.out


def test_a_changed_schema_is_told_not_swallowed(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fetched(STILL, {**STILL, "model_id": "lab/other"})
    schema = {"properties": {"prompt": {"type": "string", "default": "a pear"}, "n": {}}}
    now = {**STILL, "input_schema": schema, "base_price_usd": 0.02}
    assert refreshed(monkeypatch, now, {**STILL, "model_id": "lab/other"}) == Exit.DONE
    assert capsys.readouterr().err == (
        "2 models fetched: 0 new, 1 with other inputs, 1 with another price.\n"
        'lab/still: prompt is "a pear" by default (had none); n is new; costs $0.02 an output '
        "(was $0.0125 an output).\n"
    )


def test_many_changes_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    models = [{**STILL, "model_id": f"lab/m{n}"} for n in range(40)]
    fetched(*models)
    refreshed(monkeypatch, *({**m, "price_unit": "second"} for m in models))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "40 models fetched: 0 new, 40 with another price."
    assert len(told) == 32
    assert told[-1] == "… and 10 models more."


def test_what_is_missing_of_a_catalogue_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert refreshed(monkeypatch, STILL, total=700) == Exit.DONE
    assert "1 model fetched (the provider speaks of 700): 1 new." in capsys.readouterr().err


def test_entries_that_can_not_be_read_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    spaced: dict[str, Any] = {"model_id": "a b"}
    odd: dict[str, Any] = {"model_id": "a/b", "input_schema": 5, "base_price_usd": "much"}
    assert refreshed(monkeypatch, spaced, odd, STILL) == Exit.DONE
    out = capsys.readouterr().out
    assert "lab/still" in out
    assert [row.split()[:2] for row in out.splitlines()[1:2]] == [["a/b", "unknown"]]


def test_a_cache_that_can_not_be_written_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, home: Path
) -> None:
    (home / "cache").write_text("in the way")
    assert refreshed(monkeypatch, STILL) == Exit.ERROR
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Put that right, then type the same command again." in captured.err
