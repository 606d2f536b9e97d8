"""``overnight init``: a manifest that is right as it is, and never over another file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from overnight.cli import schema
from overnight.cli.catalog import users_catalog
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.manifest import read_manifest

Capture = pytest.CaptureFixture[str]

SEED = "community/wan-2-1/fusionx/image-to-video"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "OVERNIGHT_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_file_can_be_run_as_it_is(home: Path, capsys: Capture) -> None:
    assert run(["init"]) == Exit.DONE
    manifest = read_manifest(home / "jobs.yaml")
    assert len(list(manifest.specs())) == 2
    assert {block.model.id for block in manifest.blocks} == {SEED}
    captured = capsys.readouterr()
    assert captured.out == "Wrote jobs.yaml, and .overnight.schema.json for your editor.\n"
    assert captured.err == "Change it as you like, then: overnight plan jobs.yaml\n"


def test_every_input_of_the_model_is_in_it(home: Path) -> None:
    run(["init"])
    text = (home / "jobs.yaml").read_text()
    model = users_catalog().find(SEED)
    for spec in model.inputs:
        assert f"{model.shortest(spec.name)}:" in text
    assert "# steps: 10   # a whole number from 6 to 20" in text


def test_editors_find_the_grammar_beside_it(home: Path) -> None:
    (home / "night").mkdir()
    run(["init", "-o", "night/sweep.yaml"])
    first = (home / "night" / "sweep.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=.overnight.schema.json"
    assert (home / "night" / schema.BESIDE).read_text() == schema.text()
    assert "overnight plan night/sweep.yaml" in (home / "night" / "sweep.yaml").read_text()


def test_a_file_that_is_there_is_left_alone(home: Path, capsys: Capture) -> None:
    (home / "jobs.yaml").write_text("mine")
    assert run(["init"]) == Exit.USAGE
    assert (home / "jobs.yaml").read_text() == "mine"
    assert names(home) == {"jobs.yaml"}
    assert "jobs.yaml is there already. Give another name with -o FILE." in capsys.readouterr().err


def test_a_schema_that_is_not_ours_is_left_alone(home: Path, capsys: Capture) -> None:
    (home / schema.BESIDE).write_text("mine")
    assert run(["init"]) == Exit.USAGE
    assert names(home) == {schema.BESIDE}
    assert (home / schema.BESIDE).read_text() == "mine"
    assert schema.BESIDE in capsys.readouterr().err


def test_without_a_token_what_is_known_is_used(home: Path, capsys: Capture) -> None:
    assert run(["init", SEED]) == Exit.DONE
    assert "There is no API token" in capsys.readouterr().err
    assert (home / "jobs.yaml").exists()


def test_offline_says_nothing_of_the_provider(capsys: Capture) -> None:
    assert run(["init", SEED, "--offline"]) == Exit.DONE
    assert "token" not in capsys.readouterr().err


def test_an_unknown_model_writes_nothing(home: Path, capsys: Capture) -> None:
    assert run(["init", "lab/still", "--offline"]) == Exit.USAGE
    assert names(home) == set()
    assert "overnight models --refresh" in capsys.readouterr().err


def test_a_file_in_the_place_of_a_model(home: Path, capsys: Capture) -> None:
    assert run(["init", "night.yaml"]) == Exit.USAGE
    assert "overnight init -o night.yaml" in capsys.readouterr().err
    assert names(home) == set()


def test_a_schema_file_needs_no_provider(home: Path, capsys: Capture) -> None:
    given = {"properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
    (home / "s.json").write_text(json.dumps(given))
    assert run(["init", "lab/still", "--schema", "lab/still=s.json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.err == (
        "Change it as you like, then: overnight plan jobs.yaml --schema lab/still=s.json\n"
    )
    catalog = users_catalog(["lab/still=s.json"])
    [spec] = read_manifest(home / "jobs.yaml", catalog).specs()
    assert spec.model == "lab/still"


def test_what_nobody_can_make_up_is_left_to_fill_in(home: Path, capsys: Capture) -> None:
    code = {"type": "string", "pattern": "^[0-9]{7}-[A-F]$"}
    (home / "lab__still.json").write_text(
        json.dumps({"properties": {"licence": code}, "required": ["licence"]})
    )
    assert run(["init", "lab/still", "--schema", "lab__still.json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert "These values are yours to fill in:" in captured.err
    assert "licence is empty (null)" in captured.err
