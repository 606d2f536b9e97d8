"""Bring the newest figures into the pages that show them.

    python -m bench.page [--results bench/results]

Every JSON file that the benchmarks left in ``--results`` is kept in ``docs/figures/``. Then each
table in ``docs/performance.md`` and ``docs/scale.md`` is written anew between its two marks,
``<!-- figures: NAME -->`` and ``<!-- end of figures -->``. A benchmark that did not run keeps its
older figures. A test holds the pages to what is kept.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from bench import scale
from bench.harness import RESULTS, ROOT, markdown

PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "scale.md")
KEPT = scale.KEPT
_TABLE = re.compile(r"<!-- figures: ([a-z_]+) -->\n.*?<!-- end of figures -->\n", re.DOTALL)


NOTHING = "Nothing is kept of this yet: `make figures` measures it.\n"


def keep(results: Path, kept: Path) -> list[str]:
    """Copy what was measured; the names of the benchmarks, in order."""
    kept.mkdir(exist_ok=True)
    found = sorted(results.glob("*.json"))
    for each in found:
        shutil.copyfile(each, kept / each.name)
    return [each.stem for each in found]


def shown(text: str) -> list[str]:
    """What the page has a table of."""
    return [mark[1] for mark in _TABLE.finditer(text)]


def filled(text: str, kept: Path) -> str:
    """The page with each table as the kept figures have it."""

    def written(mark: re.Match[str]) -> str:
        return f"<!-- figures: {mark[1]} -->\n{table(mark[1], kept)}<!-- end of figures -->\n"

    return _TABLE.sub(written, text)


def table(name: str, kept: Path) -> str:
    """One benchmark, or one of the tables that follow from several; a sentence where something is
    missing."""
    try:
        if name in scale.TABLES:
            return scale.TABLES[name](scale.measured(kept))
        return markdown(json.loads((kept / f"{name}.json").read_text()))
    except (FileNotFoundError, scale.NotMeasured):
        return NOTHING


def main() -> int:
    """Keep the figures, write the pages."""
    parser = argparse.ArgumentParser(description="Bring the newest figures into the pages.")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = keep(asked.results, KEPT)
    for page in PAGES:
        page.write_text(filled(page.read_text(), KEPT))
    sys.stdout.write(f"the pages have new figures of: {', '.join(names) or 'nothing'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
