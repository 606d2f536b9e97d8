"""The pages with figures say what the figures that are kept say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bench import page, scale
from bench.harness import ROOT, Report, markdown


def kept(folder: Path, name: str, value: float) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    found = Report(name, {"rounds": 1}, ("s",), {"ours": [{"s": value}]}).as_json()
    (folder / f"{name}.json").write_text(json.dumps(found))
    return found


@pytest.mark.parametrize("place", page.PAGES, ids=lambda place: place.name)
def test_a_page_shows_the_figures_that_are_kept(place: Path) -> None:
    text = place.read_text()
    assert page.shown(text)
    assert page.filled(text, page.KEPT) == text, "run `make page`"


def test_every_benchmark_that_is_kept_is_on_a_page() -> None:
    there = {name for place in page.PAGES for name in page.shown(place.read_text())}
    assert {each.stem for each in page.KEPT.glob("*.json")} <= there


def test_the_modules_that_the_page_on_scale_names_are_there() -> None:
    named = re.findall(r"`([a-z_/]+\.py)`", (ROOT / "docs" / "scale.md").read_text())
    assert len(named) > 10
    places = (ROOT / "src" / "overnight", ROOT)
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert missing == []


def test_a_table_is_written_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    found = kept(tmp_path, "night", 2.0)
    text = "before\n<!-- figures: night -->\nold\n<!-- end of figures -->\nafter\n"
    new = page.filled(text, tmp_path)
    assert new == (
        f"before\n<!-- figures: night -->\n{markdown(found)}<!-- end of figures -->\nafter\n"
    )
    assert page.filled(new, tmp_path) == new


@pytest.mark.parametrize("name", ["night", *scale.TABLES])
def test_a_table_without_figures_says_what_to_run(name: str, tmp_path: Path) -> None:
    text = f"<!-- figures: {name} -->\n<!-- end of figures -->\n"
    assert "make figures" in page.filled(text, tmp_path)


def test_a_benchmark_that_did_not_run_keeps_its_figures(tmp_path: Path) -> None:
    results, to = tmp_path / "results", tmp_path / "figures"
    kept(results, "throughput", 1.0)
    kept(results, "load", 3.0)
    kept(to, "reading", 4.0)
    kept(to, "load", 5.0)
    assert page.keep(results, to) == ["load", "throughput"]
    values = {
        each.stem: json.loads(each.read_text())["figures"]["ours"]["s"] for each in to.iterdir()
    }
    assert values == {"load": 3.0, "throughput": 1.0, "reading": 4.0}
