"""A manifest of five jobs in a home of its own, and what the verbs say of it: for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overnight.catalog.entry import Origin, read_entry
from overnight.cli import catalog
from overnight.cli.exits import Exit
from overnight.cli.main import run
from tests.unit.cli_night import Capture, lines

MODEL = "community/wan-2-1/fusionx/image-to-video"

MANIFEST = f"""\
version: 1
name: tiny
model: {MODEL}
inputs: {{image: RunComfy_examples_1235_1.png, steps: 8}}
jobs:
  - name: fog
    inputs: {{prompt: "{{{{ what }}}} in the fog"}}
    matrix: {{what: [A lantern, A pier], seed: [1, 2]}}
  - name: lone
    inputs: {{prompt: Käfig im Nebel 🌙, seed: 7}}
run: {{concurrency: 2, price: 0.06}}
output: {{dir: clips}}
"""


def write(home: Path, text: str) -> None:
    (home / "jobs.yaml").write_text(text, encoding="utf-8")


def planned(capture: Capture, *arguments: str) -> dict[str, Any]:
    """The one object that ``plan --json`` prints."""
    assert run(["plan", "jobs.yaml", "--json", *arguments]) == Exit.DONE
    [found] = lines(capture)
    return found


def said(capture: Capture, *arguments: str) -> str:
    assert run(["plan", "jobs.yaml", *arguments]) == Exit.DONE
    captured = capture.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    return captured.out


def loaded(capture: Capture, *arguments: str) -> None:
    assert run(["load", "jobs.yaml", *arguments]) == Exit.DONE
    capture.readouterr()


def fetched(amount: float, **changes: dict[str, Any]) -> None:
    """Let the catalogue have the model at this price; ``changes`` are laid over its inputs."""
    entry = catalog.users_catalog().entry(MODEL)
    assert entry.input_schema is not None
    properties = dict(entry.input_schema["properties"])
    for name, change in changes.items():
        raw = next(raw for raw in properties if raw.endswith(name))
        properties[raw] = {**properties[raw], **change}
    said = {
        "model_id": MODEL,
        "base_price_usd": amount,
        "price_unit": "output",
        "input_schema": {**entry.input_schema, "properties": properties},
    }
    catalog.cached().keep([read_entry(said, origin=Origin.FETCHED)], 1_790_000_000.0)
