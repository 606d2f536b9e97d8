"""What ``overnight export`` brings together: the condition, the catalogue's words, the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from overnight.catalog import Media, SchemaError, UnknownModel, nearest
from overnight.cli.failures import UserError
from overnight.cli.output import Output, is_terminal, size

if TYPE_CHECKING:
    from rich.progress import Progress

    from overnight.catalog import Catalog, Model
    from overnight.store.exporting import ExportJob


class CatalogWords:
    """The catalogue's names of inputs, for :class:`overnight.export.rows.Words`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._models: dict[str, Model | None] = {}

    def short(self, model: str, raw: str) -> str | None:
        known = self._model(model)
        return known.shortest(raw) if known is not None and raw in known.by_name else None

    def is_image(self, model: str, raw: str) -> bool:
        known = self._model(model)
        return known is not None and raw in known.by_name and _names_image(known, raw)

    def _model(self, name: str) -> Model | None:
        if name not in self._models:
            self._models[name] = None
            # A model that the catalogue lost, or can't read any more, has no words.
            with suppress(UnknownModel, SchemaError):
                self._models[name] = self._catalog.find(name)
        return self._models[name]


def _names_image(model: Model, raw: str) -> bool:
    return model.by_name[raw].media is Media.IMAGE


class Where:
    """A condition over jobs: their inputs by short or raw names, their variables, and
    :data:`FIELDS`. A value that one job lacks is null there; one that no job has is a mistake."""

    def __init__(self, text: str, words: CatalogWords) -> None:
        """Raises :class:`UserError` for a condition that can't be read."""
        from overnight.manifest.expressions import Expression, ExpressionProblem

        try:
            self._expression = Expression(text)
        except ExpressionProblem as problem:
            raise UserError(_sentence("--where can't be read", problem)) from None
        self._words = words
        self._unseen = set(self._expression.names)
        self._seen: dict[str, None] = {}

    def holds(self, job: ExportJob) -> bool:
        """Whether the condition is true of a job. Raises :class:`UserError`."""
        from overnight.manifest.expressions import ExpressionProblem

        values = self._values(job)
        self._unseen.difference_update(values)
        self._seen.update(dict.fromkeys(values))
        asked = {name: values.get(name) for name in self._expression.names}
        try:
            return self._expression.holds(asked)
        except ExpressionProblem as problem:
            start = f"--where can't be worked out for the job {job.key}"
            raise UserError(_sentence(start, problem)) from None

    def checked(self, jobs: Iterable[ExportJob]) -> Iterator[ExportJob]:
        """``jobs``, and at their end a :class:`UserError` when the condition used a name that none
        of them has."""
        yield from jobs
        if not self._unseen or not self._seen:
            return
        name = min(self._unseen)
        close = nearest(name, self._seen)
        hint = f'Did you mean "{close}"?' if close else f"There are {', '.join(self._seen)}."
        raise UserError(f'--where uses "{name}", and no job has such a value. {hint}')

    def _values(self, job: ExportJob) -> dict[str, Any]:
        from overnight.export.rows import shown_inputs

        inputs = shown_inputs(job)
        short = {self._words.short(job.model, raw) or raw: value for raw, value in inputs.items()}
        own = {name: getattr(job, field) for name, field in FIELDS.items()}
        return {**job.variables, **inputs, **short, **own, "tags": list(job.tags)}


FIELDS: Mapping[str, str] = {
    "key": "key",
    "batch": "batch",
    "block": "block",
    "model": "model",
    "state": "state",
    "tags": "tags",
    "attempts": "tries",
    "cost": "cost",
}
"""What a condition may ask of the job itself; these go before an input of the same name."""


def _sentence(start: str, problem: Exception) -> str:
    hint = getattr(problem, "hint", None)
    return f"{start}: {problem}{f' ({hint})' if hint else ''}."


# --- progress -------------------------------------------------------------------------------------

_LINE = 60.0
"""Seconds between two lines where there is no terminal."""
_REDRAW = 0.1


class Silent:
    """Nothing is shown: a program reads."""

    def total(self, files: int, bytes_: int) -> None:
        return

    def passed(self, bytes_: int) -> None:
        return

    def writing(self) -> None:
        return


class Lines:
    """A line a minute, for logs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._files = self._bytes = self._of = 0
        self._due = time.monotonic() + _LINE

    def total(self, files: int, bytes_: int) -> None:
        self._of = files

    def passed(self, bytes_: int) -> None:
        self._files += 1
        self._bytes += bytes_
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE
            done = f"{self._files:,} of {self._of:,} files, {size(self._bytes)}"
            self._output.note(f"{time.strftime('%H:%M:%S')} Exporting: {done}")

    def writing(self) -> None:
        return


class Bar:
    """A bar on a terminal, by bytes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("Exporting", total=None, start=True)
        self._due = 0.0
        self._bytes = 0

    def total(self, files: int, bytes_: int) -> None:
        self._progress.update(self._task, total=bytes_)

    def passed(self, bytes_: int) -> None:
        self._bytes += bytes_
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _REDRAW
            # A terminal that has gone is no reason to stop.
            with suppress(OSError):
                self._progress.update(self._task, completed=self._bytes)
                self._progress.refresh()

    def writing(self) -> None:
        with suppress(OSError):
            self._progress.update(self._task, completed=self._bytes, description="Writing tables")
            self._progress.refresh()


@contextmanager
def watching(output: Output) -> Iterator[Silent | Lines | Bar]:
    """Show how far an export has come while this is open."""
    if output.as_json:
        yield Silent()
        return
    if not is_terminal(sys.stderr):
        yield Lines(output)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), DownloadColumn())
    console = Console(stderr=True, force_terminal=True)
    with Progress(
        *columns,
        TimeRemainingColumn(compact=True),
        console=console,
        auto_refresh=False,
        transient=True,
    ) as progress:
        yield Bar(progress)
