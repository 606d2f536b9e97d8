"""Open the table of a block: its columns by their names, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from overnight.catalog import AmbiguousAlias, Model, nearest
from overnight.manifest.cells import Column
from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.places import InFile, Reporter
from overnight.manifest.rows import RowFile, RowProblem
from overnight.manifest.shapes import RowsShape
from overnight.manifest.yaml12 import Trail


class TableReader:
    """Opens tables, whose paths are counted from ``folder``. ``files`` gathers their paths."""

    def __init__(self, reporter: Reporter, folder: Path, files: set[Path]) -> None:
        self._reporter = reporter
        self._folder = folder
        self._files = files

    def open(self, shape: RowsShape, trail: Trail) -> RowFile | None:
        """The rows that a manifest asks for; None when there is something wrong with them, which
        has been noted."""
        path = (self._folder / Path(shape.file).expanduser()).absolute()
        here: Trail = (*trail, "file")
        try:
            plain = RowFile(path)
            self._files.add(path)
            if not self._check_renamed(shape, plain.columns, trail):
                return None
            here = (*trail, "rename")
            RowFile(path, rename=shape.rename)
            here = (*trail, "where")
            where = self._where(shape, trail)
            if where is None and shape.where is not None:
                return None
            return RowFile(path, rename=shape.rename, where=where, limit=shape.limit)
        except RowProblem as problem:
            self._told(problem, path, here)
            return None

    def _told(self, problem: RowProblem, path: Path, trail: Trail) -> None:
        if problem.line:
            found = InFile(path, problem.line).problem(str(problem), problem.hint)
            self._reporter.problems.append(found)
        else:
            self._reporter.at_value(trail, str(problem), problem.hint)

    def _check_renamed(self, shape: RowsShape, columns: tuple[str, ...], trail: Trail) -> bool:
        missing = [name for name in shape.rename if name not in columns]
        for name in missing:
            close = nearest(name, columns)
            hint = f'did you mean "{close}"?' if close else f"it has {', '.join(columns[:20])}"
            message = f'there is no column "{name}" in {shape.file}'
            self._reporter.at_key((*trail, "rename", name), message, hint)
        return not missing

    def _where(self, shape: RowsShape, trail: Trail) -> Expression | None:
        if shape.where is None:
            return None
        try:
            return Expression(shape.where)
        except ExpressionProblem as error:
            place = self._reporter.column_place((*trail, "where"), error.column)
            self._reporter.problems.append(place.problem(str(error), error.hint))
            return None

    def columns(
        self, file: RowFile, model: Model, taken: Iterable[str], trail: Trail
    ) -> tuple[Column, ...]:
        """The columns by what they mean. ``taken`` are the identities that axes have."""
        found: dict[str, Column] = {}
        for word in file.columns:
            try:
                column = Column(word, model.resolve(word))
            except AmbiguousAlias as error:
                hint = "call it by one of them with rename:"
                self._reporter.at_value((*trail, "file"), f"a column: {error}", hint)
                continue
            other = found.setdefault(column.identity, column)
            if other is not column:
                message = f'the columns "{other.word}" and "{word}" mean the same input'
                self._reporter.at_value((*trail, "file"), message, "rename one of them")
            elif column.identity in taken:
                message = f'the column "{word}" is an axis of this block too'
                hint = "leave the axis out, or give the column another name with rename:"
                self._reporter.at_value((*trail, "file"), message, hint)
        return tuple(found.values())

    def note_unused(
        self, columns: Iterable[Column], used: set[str], model: Model, trail: Trail
    ) -> None:
        """Columns that nothing uses are common. One that looks like an input is worth a word."""
        for column in columns:
            close = nearest(column.word, model.words) if column.raw is None else None
            if close is not None and column.word not in used:
                message = f'nothing uses the column "{column.word}"'
                hint = f"if it is meant for {close}, write rename: {{{column.word}: {close}}}"
                place = self._reporter.value_place((*trail, "file"))
                self._reporter.notes.append(place.problem(message, hint))
