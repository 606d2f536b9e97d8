"""``README.md``: what loaders have to be told, and a data card that is made from the batch.

Nothing in it says when or where the export was made, so equal exports have equal cards. What only
a person can know, such as a licence, is left for a person to add.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from overnight.export.failures import FAILURES, LEFT_OUT
from overnight.export.formats import Contents, Format
from overnight.export.report import VALUES_SHOWN, Tally
from overnight.export.target import CARD, SUMS, Target

_LONGEST_VALUE = 60
"""Characters of an axis value in the card."""


def write(contents: Contents, layout: Format, told: dict[str, Any], target: Target) -> None:
    """Write the card. ``told`` is its front matter, for loaders."""
    text = "\n".join(_lines(contents, layout, told)) + "\n"
    target.write(CARD, lambda file: _put(file, text))


def _put(file: Any, text: str) -> None:
    file.write(text.encode("utf-8", "replace"))


def _lines(contents: Contents, layout: Format, told: dict[str, Any]) -> Iterator[str]:
    tally = contents.report.tally
    if told:
        head = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=100)
        yield from ("---", head.rstrip(), "---")
    yield f"# {_plain(', '.join(contents.request.batches))}"
    yield ""
    number = _count(contents.report.samples, "sample")
    yield f"{number}, {_size(tally.bytes)}, exported by overnight."
    yield ""
    yield from _table(("split", "samples"), [(s, f"{tally.samples[s]:,}") for s in contents.splits])
    yield from _origin(tally)
    yield from _axes(tally)
    yield from _left_out(contents)
    yield from ("## Reading it", "", "```python", *layout.usage(contents), "```", "")
    yield (
        f"`{SUMS}` lists every file: `sha256sum -c {SUMS}` says whether each is what it was. Some "
        "loaders pass over a missing file without a word, so check before you train."
    )
    yield ""
    yield "## Licence"
    yield ""
    yield "Not stated. Whoever publishes this says so here, having read the terms of the models."


def _origin(tally: Tally) -> Iterator[str]:
    yield from ("## Where it comes from", "")
    models = [(f"`{_plain(name)}`", f"{number:,}") for name, number in sorted(tally.models.items())]
    yield from _table(("model", "samples"), models)
    if len(tally.batches) > 1:
        batches = [(_plain(name), f"{number:,}") for name, number in sorted(tally.batches.items())]
        yield from _table(("batch", "samples"), batches)
    if tally.first is not None:
        yield f"Generated from {tally.first} to {tally.last}."
    if tally.cost is not None:
        yield f"The provider charged {tally.cost:.2f} US dollars for these jobs."
    else:
        yield "The provider did not say what these jobs cost."
    yield ""


def _axes(tally: Tally) -> Iterator[str]:
    if not tally.axes:
        return
    yield from ("## What varies", "")
    rows = []
    for name, values in sorted(tally.axes.items()):
        listed = ", ".join(_plain(value, _LONGEST_VALUE) for value in sorted(values, key=_in_order))
        many = len(values) > VALUES_SHOWN
        rows.append((_plain(name), f"more than {VALUES_SHOWN}" if many else listed))
    yield from _table(("axis", "values"), rows)


def _in_order(value: str) -> tuple[bool, float, str]:
    """Numbers by their size, then words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _left_out(contents: Contents) -> Iterator[str]:
    report = contents.report
    yield from ("## What is left out", "")
    reasons = report.reasons()
    if not reasons:
        yield "Nothing: every job of the batch is here."
    yield from (f"- {number:,} {words}" for _, number, words in reasons)
    yield ""
    if report.failures:
        yield f"`{FAILURES}` has the failed and unknown jobs with their inputs."
    if report.lost:
        yield f"`{LEFT_OUT}` names each file that should have been here."
    if report.as_json_text:
        columns = ", ".join(f"`{_plain(name)}`" for name in report.as_json_text)
        yield f"These columns hold JSON as text, because their values differ in kind: {columns}."
    yield ""


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"| {head[0]} | {head[1]} |"
    yield "| --- | --- |"
    yield from (f"| {one} | {other} |" for one, other in rows)
    yield ""


def _plain(text: str, longest: int = 200) -> str:
    """Text from a manifest as one line that Markdown leaves as it is."""
    line = " ".join(text.split())
    short = line if len(line) <= longest else line[: longest - 1] + "…"
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in short)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _size(number: int) -> str:
    value = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
