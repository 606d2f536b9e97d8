"""Rows of a table file: one job each. Streamed, so a million rows take no more room than one.

:class:`RowFile` opens ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` and ``.parquet``. How each is
read is in :mod:`overnight.manifest.delimited`, :mod:`overnight.manifest.jsonlines` and
:mod:`overnight.manifest.columnar`; what is common to them is here: new names for columns, the
``where`` condition, the limit, and what a cell means.

Cells of CSV and TSV are texts, exactly as they stand; only who knows the input's type can say what
``007`` is (:func:`cast`). An empty cell, like a null in the other formats, means that the row does
not give this value. A ``where`` takes a cell that spells a number as JSON does for that number,
and ``true`` or ``false`` in any case for the truth value; the cell stays text in the row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from overnight.catalog import nearest
from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.operations import spelled

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""The files that can be read, by the end of their names in any case."""
LONGEST_CELL = 1_000_000
"""Characters of one cell."""
MOST_COLUMNS = 1_000
"""Columns of a file."""
_MOST_DIGITS = 100


class RowProblem(Exception):
    """Something wrong in a file of rows. The text is a sentence for people.

    ``line`` is the line of the text where the row begins and ``row`` its number, both from 1, the
    header not counted as a row; 0 where the problem is the file as a whole, or has no lines.
    """

    def __init__(
        self, message: str, hint: str | None = None, *, line: int = 0, row: int = 0
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line
        self.row = row


class CellProblem(ValueError):
    """A cell that can't be what its input wants. The text is a sentence for people."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Row(NamedTuple):
    """One row. ``number`` counts the file's rows from 1 (rows that ``where`` left out too),
    ``line`` is its first line in the text, 0 in Parquet; None among the values is "not given"."""

    number: int
    line: int
    values: dict[str, Any]


Told = Callable[[RowProblem], None]


class Table(Protocol):
    """A file format: what its columns are, and its rows."""

    path: Path

    def columns(self) -> tuple[str, ...]:
        """Every column's name, in order. Raises :class:`RowProblem`."""

    def rows(self, told: Told) -> Iterator[Row]:
        """All rows. What is wrong with one row is told, and the row left out; raises
        :class:`RowProblem` where reading can't go on."""


class RowFile:
    """The rows of one file that the manifest asks for."""

    def __init__(
        self,
        path: Path,
        *,
        rename: Mapping[str, str] | None = None,
        where: Expression | None = None,
        limit: int | None = None,
    ) -> None:
        """``rename`` leads from a column to the name it gets; ``where`` uses the names after that.

        Raises :class:`RowProblem` for a file that can't be opened, a heading that can't be used, a
        column that is not there. ``limit`` counts the rows that ``where`` lets through.
        """
        self.path = path
        self._table = _open(path)
        self._where = where
        self._limit = limit
        self._rename = dict(rename or {})
        found = self._table.columns()
        self.columns = self._renamed(found)
        for name in sorted(where.names if where is not None else ()):
            if name not in self.columns:
                raise self._unknown(name)

    def rows(self, told: Told | None = None) -> Iterator[Row]:
        """The rows, as a stream; a file can be read several times.

        Without ``told`` the first problem is raised. With it, each row's problem is passed to it
        and the row is left out; :class:`RowProblem` is raised only where reading can't go on.
        """
        tell = _raise if told is None else told
        rows: Iterator[Row] = self._table.rows(tell)
        if self._rename:
            rows = self._with_names(rows)
        if self._where is not None:
            rows = self._chosen(rows, self._where, tell)
        return islice(rows, self._limit)

    def digest(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal. Raises :class:`RowProblem`."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(error) from None

    def _renamed(self, found: tuple[str, ...]) -> tuple[str, ...]:
        for column in self._rename:
            if column not in found:
                raise RowProblem(f'there is no column "{column}"', _columns_hint(column, found))
        names = tuple(self._rename.get(column, column) for column in found)
        twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if twice is not None:
            message = f'two columns are called "{twice}" after rename'
            raise RowProblem(message, "give one of them another name")
        return names

    def _unknown(self, name: str) -> RowProblem:
        if name in self._rename:
            hint = f'rename calls it "{self._rename[name]}"'
        else:
            hint = _columns_hint(name, self.columns)
        return RowProblem(f'where uses "{name}", and there is no such column', hint)

    def _with_names(self, rows: Iterator[Row]) -> Iterator[Row]:
        rename = self._rename
        for row in rows:
            values = {rename.get(column, column): value for column, value in row.values.items()}
            yield Row(row.number, row.line, values)

    @staticmethod
    def _chosen(rows: Iterator[Row], where: Expression, tell: Told) -> Iterator[Row]:
        names = sorted(where.names)
        for row in rows:
            given = row.values
            try:
                if where.holds({name: meant(given.get(name)) for name in names}):
                    yield row
            except ExpressionProblem as problem:
                message = f"where can't be worked out for this row: {problem}"
                tell(RowProblem(message, problem.hint, line=row.line, row=row.number))


def meant(value: Any) -> Any:
    """A cell's value for a condition: the number or the truth value that a text spells."""
    if not isinstance(value, str):
        return value
    number = spelled(value)
    if number is not None:
        return number
    word = value.lower()
    return word == "true" if word in ("true", "false") else value


def cast(text: str, kind: str) -> Any:
    """A cell as an input's type wants it: ``string``, ``integer``, ``number``, ``boolean``,
    ``array`` or ``object`` (JSON Schema's words). Spaces around a number or a word don't matter.

    ``8.0`` is the integer 8. Lists and mappings are written as JSON. Raises :class:`CellProblem`;
    a kind that is not among these leaves the text as it is.
    """
    caster = _CASTS.get(kind)
    return text if caster is None else caster(text.strip())


def unreadable(error: OSError) -> RowProblem:
    """The problem of a file that the system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return RowProblem(
            "there is no such file", "check the path; it is counted from the manifest"
        )
    if isinstance(error, IsADirectoryError):
        return RowProblem("this is a folder, not a file of rows", "give the path of a file")
    if isinstance(error, PermissionError):
        return RowProblem("you may not read this file", "check its permissions")
    return RowProblem(f"the file can't be read ({error.strerror})", "check the path")


def check_heading(names: Iterable[str], *, line: int = 0) -> tuple[str, ...]:
    """Column names that can be told apart. Raises :class:`RowProblem`."""
    heading = tuple(names)
    if len(heading) > MOST_COLUMNS:
        message = f"the file has {len(heading):,} columns; {MOST_COLUMNS:,} are allowed"
        raise RowProblem(message, line=line)
    first: dict[str, int] = {}
    for place, name in enumerate(heading, 1):
        if not name:
            raise RowProblem(f"column {place} has no name", "give each column a name", line=line)
        if name in first:
            message = f'columns {first[name]} and {place} are both called "{name}"'
            raise RowProblem(message, "give each column its own name", line=line)
        first[name] = place
    return heading


def _raise(problem: RowProblem) -> None:
    raise problem


def _open(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        close = nearest(suffix, SUFFIXES)
        hint = f"files of rows end in {', '.join(SUFFIXES)}"
        shown = f"a {suffix} file" if suffix else "a file without a suffix"
        hint = f"did you mean {close}? {hint}" if close else hint
        raise RowProblem(f"{shown} can't be read as rows", hint)
    try:
        path.open("rb").close()
    except OSError as error:
        raise unreadable(error) from None
    # Imported one by one, because pyarrow alone takes longer to import than a plan should.
    if suffix == ".parquet":
        from overnight.manifest.columnar import ParquetTable

        return ParquetTable(path)
    if suffix in (".jsonl", ".ndjson"):
        from overnight.manifest.jsonlines import JsonTable

        return JsonTable(path)
    from overnight.manifest.delimited import DelimitedTable

    return DelimitedTable(path, "\t" if suffix == ".tsv" else ",")


def _columns_hint(word: str, columns: tuple[str, ...]) -> str:
    close = nearest(word, columns)
    if close is not None:
        return f'did you mean "{close}"?'
    shown = ", ".join(columns[:20])
    return f"the file has {shown}{', …' if len(columns) > 20 else ''}"


# --- cells ----------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS or not _INTEGER.fullmatch(text):
        raise CellProblem(f"{_shown(text)} is no whole number", _number_hint(text))
    return int(text.split(".")[0])


def _number(text: str) -> int | float:
    if len(text) <= _MOST_DIGITS and _DECIMAL.fullmatch(text):
        number = int(text) if text.lstrip("+-").isdigit() else float(text)
        if abs(number) < 1e300:
            return number
    raise CellProblem(f"{_shown(text)} is no number", _number_hint(text))


def _boolean(text: str) -> bool:
    word = text.lower()
    if word not in ("true", "false"):
        raise CellProblem(f"{_shown(text)} is neither true nor false", "write true or false")
    return word == "true"


def _json(opening: str, what: str, example: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = json.loads(text, parse_constant=_no_constant) if text[:1] == opening else None
        except (ValueError, RecursionError):
            value = None
        if value is None:
            raise CellProblem(f"{_shown(text)} is no {what}", f"write it as JSON: {example}")
        return value

    return read


def _no_constant(word: str) -> None:
    raise ValueError(word)


_CASTS: dict[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _json("[", "list", '["a", "b"]'),
    "object": _json("{", "mapping", '{"a": 1}'),
}


def _shown(text: str) -> str:
    return f'"{text}"' if len(text) <= 40 else f'"{text[:40]}…"'


def _number_hint(text: str) -> str | None:
    bare = re.sub(r"[ _',]", "", text)
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]{1,2}", text):
        return f"write a point: {text.replace(',', '.')}"
    if len(text) <= _MOST_DIGITS and bare != text and _DECIMAL.fullmatch(bare):
        return f"write it without marks between the digits: {bare}"
    return None
