"""One export from beginning to end.

The database is read once and quickly into a spool; then each file is proven and brought into the
folder, while the types of the columns are found; then tables, card and sums are written. Whatever
interrupts this, the same request goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Protocol

from overnight.export import card, failures, remote
from overnight.export.entry import Spool
from overnight.export.errors import ExportError
from overnight.export.folders import FilesOnly, ImageFolder, VideoFolder
from overnight.export.formats import Contents, Format
from overnight.export.gather import Condition, Gathering
from overnight.export.parquet import Parquet
from overnight.export.placing import Placing
from overnight.export.report import Report
from overnight.export.request import Request
from overnight.export.rows import InputNames, Words
from overnight.export.sqlite import Sqlite
from overnight.export.tables import Csv, JsonLines
from overnight.export.target import Target, opened
from overnight.export.webdataset import WebDataset
from overnight.lifecycle import State
from overnight.store.exporting import ExportJob

FILES_ONLY = "files"
FORMATS: dict[str, type[Format]] = {
    "jsonl": JsonLines,
    "csv": Csv,
    "parquet": Parquet,
    "videofolder": VideoFolder,
    "imagefolder": ImageFolder,
    "webdataset": WebDataset,
    "sqlite": Sqlite,
    FILES_ONLY: FilesOnly,
}
"""Every format by its name; :data:`FILES_ONLY` is the one without tables."""


class Watcher(Protocol):
    """Who is told how far it has come."""

    def total(self, files: int, bytes_: int) -> None:
        """So many files will be looked at."""

    def passed(self, bytes_: int) -> None:
        """One more has been; it has so many bytes."""

    def writing(self) -> None:
        """All have been; what is left are tables and shards."""


def export(
    request: Request,
    jobs: Iterable[ExportJob],
    *,
    words: Words,
    watcher: Watcher,
    condition: Condition | None = None,
) -> Report:
    """Make the data set that is asked for, or bring it up to date.

    ``jobs`` are as :func:`overnight.store.exporting.every` gives them; they are taken once, before
    any file is looked at, so the database need not stay open after the last of them. ``condition``
    is true of the jobs that are wanted. Raises :class:`~overnight.export.errors.ExportError`.
    """
    kind = FORMATS[request.format]
    kind.require()
    report = Report()
    with opened(request.root, request.as_json()) as target, ExitStack() as stack:
        stack.callback(remote.close)
        names = InputNames(words)
        gathered = stack.enter_context(Spool(target.scratch()))
        gathering = Gathering(request, gathered, names, report, needs_file=kind.needs_file)
        survey = gathering.take(jobs, condition)
        if not gathering.samples and not _has_failures(request, kind, report):
            raise _nothing(report)
        watcher.total(survey.files, survey.bytes)
        target.change()
        placed = stack.enter_context(Spool(target.scratch()))
        placing = Placing(request, kind(request, survey), target, names, report)
        for entry in gathered:
            placing.place(entry)
            placed.add(entry)
            watcher.passed(entry.size)
        watcher.writing()
        report.as_json_text += placing.columns.as_json()
        _write(Contents(request, placed, placing.columns.types(), report), placing.layout, target)
        stack.close()
        target.finish()
    return report


def _write(contents: Contents, layout: Format, target: Target) -> None:
    if not contents.splits:
        if contents.report.lost:
            raise _lost_all(contents.report)
        # Nothing succeeded, so this is all there is to take along.
        failures.write(contents, target)
        return
    told = layout.write(contents, target)
    if layout.carded:
        failures.write(contents, target)
        card.write(contents, layout, told, target)


def _has_failures(request: Request, kind: type[Format], report: Report) -> bool:
    """Whether failures alone are worth a folder: what was asked for succeeded nowhere."""
    return kind.carded and report.failures > 0 and request.states == {State.SUCCEEDED}


def _nothing(report: Report) -> ExportError:
    reasons = ", ".join(f"{number:,} {words}" for _, number, words in report.reasons())
    told = f" Left out: {reasons}." if reasons else " There are no jobs."
    return ExportError(f"No job fits, so nothing was exported.{told}")


def _lost_all(report: Report) -> ExportError:
    lost = report.lost[0]
    number = len(report.lost)
    return ExportError(
        f"None of the {number:,} files can be exported, beginning with {lost.path}: {lost.detail}."
    )
