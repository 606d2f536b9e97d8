"""What ``overnight verify`` says: what it found, file by file, and how far it has come."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, is_terminal, line

if TYPE_CHECKING:
    from overnight.engine.repair import Mended
    from overnight.engine.verification import Checked, Verifier

SHOWN = 20
"""Findings of one kind that a person is shown; ``--json`` has them all."""

LINE = 60.0
"""Seconds between two lines of progress where there is no terminal."""

ORDER = ("missing", "changed", "unreadable", "differs", "without-files", "suspect", "stray")
"""What is told first."""


@dataclass(slots=True)
class Tally:
    """What was found, counted; the first few of each kind are kept to be shown."""

    output: Output
    suffix: str
    counts: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    posters: int = 0
    shown: dict[str, list[str]] = field(default_factory=dict)
    verifier: Verifier | None = None
    stopped: Exception | None = None
    """Why repairing ended before its time; to be raised once everything has been said."""

    def saw(self, checked: Checked, mended: Mended | None) -> None:
        """One recorded file."""
        finding, why = checked.finding.value, checked.why or ""
        if mended is not None and mended.why_not is None:
            self.repaired += 1
            self._tell_repaired(checked, mended)
            if mended.suspect is None:
                return
            finding, why = "suspect", mended.suspect
        elif mended is not None:
            why = f"{why}; it can't be fetched: {mended.why_not}"
        if finding == "whole":
            self.counts["whole"] += 1
            return
        file = checked.file
        self.add(finding, why, path=file.path, job=file.job_id, batch=file.batch, key=file.key)

    def _tell_repaired(self, checked: Checked, mended: Mended) -> None:
        file = checked.file
        place = mended.aside
        text = f"{file.path}: fetched again ({checked.why})"
        if mended.other_bytes:
            text += "; its content is not what was on record before"
        if place is not None:
            text += f"; the changed one is {place}"
        self.output.note(line(text, 4000))
        self.output.record(
            {"event": "repaired", "was": checked.finding.value, "batch": file.batch,
             "job": file.job_id, "key": file.key, "path": file.path, "why": checked.why,
             "other_bytes": mended.other_bytes, "aside": place}, flush=True,
        )  # fmt: skip

    def add(
        self,
        finding: str,
        why: str,
        *,
        path: str | None = None,
        job: int | None = None,
        batch: str | None = None,
        key: str | None = None,
    ) -> None:
        """Something that is not as it should be."""
        self.counts[finding] += 1
        about = {"batch": batch, "job": job, "key": key, "path": path, "why": why}
        self.output.record({"event": "file", "finding": finding} | about, flush=True)
        kept = self.shown.setdefault(finding, [])
        if len(kept) < SHOWN:
            see = "" if job is None else f" (overnight show {job}{self.suffix})"
            kept.append(f"  {line(path or f'{key} of {batch}', 4000)}: {line(why)}{see}")

    def end(self, hint: str | None) -> Exit:
        """Say it all; returns the exit code. ``hint`` is the command that repairs."""
        wrong = sum(self.counts[finding] for finding in ORDER)
        code = Exit.JOBS_FAILED if wrong else Exit.DONE
        if self.stopped is not None:
            code = Exit.ERROR
        sidecars = 0 if self.verifier is None else self.verifier.sidecars
        unprobed = 0 if self.verifier is None else self.verifier.unprobed
        figures = {name.replace("-", "_"): self.counts[name] for name in ("whole", *ORDER)}
        self.output.record(
            {"event": "end"} | figures
            | {"repaired": self.repaired, "sidecars": sidecars, "unprobed": unprobed,
               "posters": self.posters, "exit": code},
            flush=True,
        )  # fmt: skip
        for text in self._sentences(sidecars, unprobed, hint):
            self.output.say(text)
        return code

    def _sentences(self, sidecars: int, unprobed: int, hint: str | None) -> Iterator[str]:
        from overnight.artifacts.pyav import HOW_TO_GET

        for finding in ORDER:
            if not self.counts[finding]:
                continue
            yield f"{finding}:"
            yield from self.shown[finding]
            if self.counts[finding] > SHOWN:
                yield f"  and {self.counts[finding] - SHOWN:,} more; --json lists them all"
        parts = [f"{count(self.counts['whole'], 'file')} whole"]
        parts += [f"{self.counts[name]:,} {name}" for name in ORDER if self.counts[name]]
        if self.repaired:
            parts.append(f"{self.repaired:,} repaired")
        yield f"{', '.join(parts)}."
        if self.posters:
            were = _was(self.posters)
            yield f"{count(self.posters, 'poster')} {were} missing and {were} made."
        if sidecars:
            gone = count(sidecars, "provenance file")
            yield f"{gone} had gone and {_was(sidecars)} written again."
        if self.verifier is not None and self.verifier.unwritten is not None:
            yield f"Provenance files can't be written: {line(self.verifier.unwritten)}."
        if unprobed:
            yield (
                f"{count(unprobed, 'file')} {_was(unprobed)} not decoded, because PyAV is not "
                f"installed. Get it with: {HOW_TO_GET}"
            )
        if hint and (self.counts["missing"] or self.counts["changed"]):
            yield f"Fetch them again, at no cost, with: {hint}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


# --- progress -------------------------------------------------------------------------------------


@contextmanager
def checking(output: Output, expected: int) -> Iterator[Callable[[], None]]:
    """Shows how many of ``expected`` files are done: a bar on a terminal, a line a minute
    elsewhere, nothing for programs. What it yields is called for each file."""
    if output.as_json:
        yield lambda: None
    elif is_terminal(sys.stderr):
        with _bar(expected) as advance:
            yield advance
    else:
        yield _lines(output, expected)


@contextmanager
def _bar(expected: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Checking"),
        BarColumn(30),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} files"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=expected)

        def advance() -> None:
            # A terminal that has gone is no reason to stop.
            with suppress(OSError):
                progress.advance(task)

        yield advance


def _lines(output: Output, expected: int) -> Callable[[], None]:
    done, due = 0, time.monotonic() + LINE

    def advance() -> None:
        nonlocal done, due
        done += 1
        if time.monotonic() >= due:
            output.note(f"{done:,} of {count(expected, 'file')} checked")
            due = time.monotonic() + LINE

    return advance
