"""``overnight schema``: the grammar for editors, held against real manifests with a validator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from overnight.cli import demo, schema
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.manifest import yaml12

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "manifest.schema.json"
EXAMPLES = [ROOT / "jobs.example.yaml", *sorted(ROOT.glob("docs/examples/*.yaml"))]
VALIDATOR = jsonschema_rs.validator_for(schema.manifest_schema())


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    found = schema.manifest_schema()
    assert (found["$schema"], found["$id"]) == (
        "https://json-schema.org/draft/2020-12/schema",
        schema.ID,
    )
    jsonschema_rs.meta.validate(found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_editors_accept_the_examples(path: Path) -> None:
    document = yaml12.read(path.read_bytes(), path.name)
    assert [error.message for error in VALIDATOR.iter_errors(document.data)] == []


def whole_manifests() -> Iterator[tuple[str, str]]:
    """The manifests that the pages show."""
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        fences = re.findall(
            r"^ *```ya?ml[^\n]*\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for number, text in enumerate(fences):
            if re.search(r"^ *version: 1$", text, re.MULTILINE):
                yield f"{page.name}-{number}", text


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in whole_manifests()])
def test_editors_accept_the_manifests_of_the_pages(text: str) -> None:
    document = yaml12.read(text.encode(), "page.yaml")
    assert [error.message for error in VALIDATOR.iter_errors(document.data)] == []


GOOD = {"version": 1, "model": "a/b", "inputs": {"prompt": "x"}, "matrix": {"seed": [1, 2]}}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"modle": "a/b"},
        {"inputs": ["x"]},
        {"model": 5},
        {"jobs": []},
        {"run": {"concurrency": 0}},
        {"run": {"concurrency": "4"}},
        {"run": {"attemps": 3}},
        {"output": {"dir": 5}},
    ],
)
def test_editors_underline_what_the_parser_refuses(change: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(GOOD)
    assert not VALIDATOR.is_valid({**GOOD, **change})


def test_it_is_printed(capsys: Capture) -> None:
    assert run(["schema"]) == Exit.DONE
    captured = capsys.readouterr()
    assert json.loads(captured.out) == schema.manifest_schema()
    assert captured.err == ""


def test_it_is_written_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["schema", "-o", "s.json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert "# yaml-language-server: $schema=s.json" in captured.err
    assert captured.out == ""
    (tmp_path / "s.json").write_text(json.dumps({"$id": schema.ID, "old": True}))
    assert run(["schema", "-o", "s.json"]) == Exit.DONE
    assert json.loads((tmp_path / "s.json").read_text()) == schema.manifest_schema()
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


@pytest.mark.parametrize("content", ["mine", "{}", '{"$id": "urn:other"}', "[]"])
def test_it_is_written_over_nothing_else(tmp_path: Path, content: str, capsys: Capture) -> None:
    target = tmp_path / "s.json"
    target.write_text(content)
    assert run(["schema", "-o", str(target)]) == Exit.USAGE
    assert target.read_text() == content
    assert "is not a schema that overnight wrote" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: Capture) -> None:
    assert run(["schema", "-o", str(tmp_path / "no" / "s.json")]) == Exit.ERROR
    assert "No such file or directory" in capsys.readouterr().err


def test_the_published_schema_is_the_programs() -> None:
    """After a change of the grammar: ``overnight schema -o docs/manifest.schema.json``."""
    assert PUBLISHED.read_text("utf-8") == schema.text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_first_line_of_an_example_leads_editors_to_the_schema(path: Path) -> None:
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text("utf-8"))
    assert match is not None
    assert (path.parent / match[1]).resolve() == PUBLISHED


def test_the_demos_copy_of_the_example_leads_to_a_schema_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / demo.EXAMPLE
    demo._copy_example(copy)
    first, _, rest = copy.read_text("utf-8").partition("\n")
    assert first == f"# yaml-language-server: $schema={schema.BESIDE}"
    assert (tmp_path / schema.BESIDE).read_text("utf-8") == schema.text()
    assert demo.example().read_text("utf-8").endswith(f"manifest.schema.json\n{rest}")
