"""Rows of a table as what jobs are sent: cells by the model's schema, columns by their names.

Cells that come again and again (a style, a seed) are looked at once; each row is then a
:class:`~overnight.manifest.layout.Step`, like a position of an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from overnight.manifest import keys
from overnight.manifest.block import Choice
from overnight.manifest.checks import Checker
from overnight.manifest.layout import Layout, Step
from overnight.manifest.places import InFile, Place, Reporter
from overnight.manifest.problems import Problem
from overnight.manifest.rows import CellProblem, RowFile, RowProblem, cast

_REMEMBERED = 1_000
"""Cells of one column that are kept ready."""
_SHORT = 40
"""Characters of a cell that may come again; longer ones are prompts."""
_LAST_SHOWN = 200_000
"""The last line of a file that is read once more to be shown beside a problem."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that jobs use. ``word`` is its name after renaming; ``raw`` is None for a
    variable."""

    word: str
    raw: str | None

    @property
    def identity(self) -> str:
        return self.raw or self.word


@dataclass(slots=True)
class InRow:
    """A row of a file: the place of what is wrong in it. There is one for each row, so they are
    not frozen, which would take most of the time of making them."""

    file: Path
    line: int
    row: int

    def problem(self, message: str, hint: str | None = None) -> Problem:
        text = _line(self.file, self.line)
        return InFile(self.file, self.line, text).problem(f"row {self.row}: {message}", hint)

    def at_name(self, name: str, message: str, hint: str | None = None) -> Problem:
        return self.problem(message, hint)

    def character(self, text: str, column: int) -> InRow:
        return self


class Rows:
    """The rows of one block. ``checker`` notes in ``reporter`` what is wrong with a cell."""

    def __init__(
        self,
        file: RowFile,
        columns: tuple[Column, ...],
        checker: Checker,
        reporter: Reporter,
        place: Place,
    ) -> None:
        self.path = file.path
        self.columns = columns
        self.place = place
        self._file = file
        self._checker = checker
        self._reporter = reporter
        self._texts_only = file.path.suffix.lower() in (".csv", ".tsv")

    @property
    def identities(self) -> tuple[str, ...]:
        """What the rows can set."""
        return tuple(column.identity for column in self.columns)

    def cells(
        self, layout: Layout, told: Callable[[Problem], None]
    ) -> Iterator[tuple[list[Step], Place]]:
        """The cells of every row, and the row's place. What is wrong with a row is told, and the
        row left out."""
        makers = [(column.word, _Cells(self, column, layout)) for column in self.columns]

        def tell(problem: RowProblem) -> None:
            told(self._problem(problem))

        try:
            for number, line, values in self._file.rows(tell):
                place = InRow(self.path, line, number)
                found: list[Step] = []
                is_good = True
                for word, maker in makers:
                    value = values.get(word)  # a line of JSON has what it likes
                    if value is None:
                        continue
                    step = maker.known.get(value) if type(value) is str else None
                    made = maker.step(value, place) if step is None else step
                    if isinstance(made, Problem):
                        told(made)
                        is_good = False
                    else:
                        found.append(made)
                if is_good:
                    yield found, place
        except RowProblem as problem:
            told(self._problem(problem))

    def _problem(self, problem: RowProblem) -> Problem:
        if problem.row:
            return InRow(self.path, problem.line, problem.row).problem(str(problem), problem.hint)
        return InFile(self.path, problem.line).problem(str(problem), problem.hint)

    def typed(self, column: Column, value: Any, place: Place) -> Any:
        """A cell as its input wants it: the number or the word that a text spells. Returns a
        :class:`Problem` where it spells none."""
        if column.raw is None or not self._texts_only:
            return value
        try:
            return cast(value, self._checker.model.by_name[column.raw].kind)
        except CellProblem as error:
            return place.problem(f"{column.word}: {error}", error.hint)

    def choice(self, column: Column, value: Any, place: Place) -> Choice | Problem:
        """One cell, checked."""
        choice = self._checker.choice(column.raw, column.word, value, place)
        return choice if choice is not None else self._reporter.problems.pop()

    def is_plain(self, column: Column, value: Any) -> bool:
        """Whether a cell is neither a template nor a prompt with variants, and can't go wrong as
        a variable."""
        return type(value) is str and not self._checker.has_marks(column.raw, value)


class _Cells:
    """The cells of one column as steps."""

    def __init__(self, rows: Rows, column: Column, layout: Layout) -> None:
        model = layout.model
        self._rows = rows
        self._column = column
        self._layout = layout
        self.known: dict[str, Step] = {}
        """Steps of texts that came before; the caller looks here first."""
        self._name = column.word if column.raw is None else model.shortest(column.raw)
        self._word = layout.words[column.identity]
        self._slot = layout.slots.get(column.identity)

    def step(self, value: Any, place: Place) -> Step | Problem:
        """A cell as a step, or what is wrong with it."""
        if self._column.raw is None and self._rows.is_plain(self._column, value):
            part = keys.value_part(self._name, value)
            shown = ((self._name, value),)
            step = Step((), shown, shown, ((self._word, part),))
        else:
            typed = self._rows.typed(self._column, value, place)
            if isinstance(typed, Problem):
                return typed
            choice = self._rows.choice(self._column, typed, place)
            if isinstance(choice, Problem):
                return choice
            step = self._made(choice)
        if type(value) is str and len(value) <= _SHORT and not step.pending:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[value] = step
        return step

    def _made(self, choice: Choice) -> Step:
        slot, value = self._slot, choice.value
        if slot is None or choice.made:
            return self._layout.step([(self._column.identity, choice)])
        identity = self._column.identity
        return Step(
            ((identity, choice.sent, slot, choice.fragment),),
            ((identity, value),),
            ((self._name, value),),
            ((self._word, choice.part),),
        )


def _line(path: Path, number: int) -> str:
    """A line of a file, to be shown; empty where it is too far to look."""
    if not 0 < number <= _LAST_SHOWN:
        return ""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return next(islice(file, number - 1, number), "").rstrip("\r\n")
    except OSError:
        return ""
