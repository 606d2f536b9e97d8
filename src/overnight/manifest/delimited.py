"""CSV and TSV as rows of texts.

Quotes work as in RFC 4180, in both formats: a cell in double quotes may hold separators, line ends
and doubled quotes. The text is UTF-8, with or without a byte order mark, with any line ends; the
first row is the header. What a lenient reader would repair by guessing (a row of another length, a
quote in the middle, bytes that are no UTF-8) is a problem with its line.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from overnight.manifest.rows import (
    LONGEST_CELL,
    Row,
    RowProblem,
    Told,
    check_heading,
    unreadable,
)

_LONGEST_LINE = 8 * LONGEST_CELL
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS = "save it as UTF-8 (Excel calls this CSV UTF-8)"


class DelimitedTable:
    """A file of separated texts."""

    def __init__(self, path: Path, separator: str) -> None:
        self.path = path
        self._separator = separator
        self._columns: tuple[str, ...] | None = None

    def columns(self) -> tuple[str, ...]:
        """The header. Raises :class:`RowProblem`."""
        if self._columns is None:
            with self._open() as file:
                self._columns = self._header(_Lines(file))[1]
        return self._columns

    def rows(self, told: Told) -> Iterator[Row]:
        """Every row under the header; a cell without a character is None."""
        with self._open() as file:
            lines = _Lines(file)
            reader, columns = self._header(lines)
            width = len(columns)
            number, line = 0, lines.count + 1
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise _unparsed(error, line, number + 1) from None
                except _BadLine as bad:
                    raise bad.problem(number + 1) from None
                if cells:  # a blank line makes none
                    number += 1
                    if len(cells) == width:
                        values = {
                            column: cell or None
                            for column, cell in zip(columns, cells, strict=True)
                        }
                        yield Row(number, line, values)
                    else:
                        told(_wrong_length(len(cells), width, line, number))
                line = lines.count + 1

    def _open(self) -> TextIO:
        try:
            with self.path.open("rb") as file:
                beginning = file.read(2)
            if beginning in _UTF16:
                raise RowProblem("the file is UTF-16", _SAVE_AS)
            # Bytes that are no UTF-8 pass as lone surrogates, so that their line can be named.
            return self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        except OSError as error:
            raise unreadable(error) from None

    def _header(self, lines: _Lines) -> tuple[Iterator[list[str]], tuple[str, ...]]:
        csv.field_size_limit(LONGEST_CELL)
        reader = csv.reader(lines, delimiter=self._separator, strict=True)
        try:
            cells = next((row for row in reader if row), None)
        except csv.Error as error:
            raise _unparsed(error, 1, 0) from None
        except _BadLine as bad:
            raise bad.problem(0) from None
        if cells is None:
            raise RowProblem("the file is empty", "its first row names the columns")
        if len(cells) == 1:
            self._check_separator(cells[0], lines.count)
        columns = check_heading((cell.strip() for cell in cells), line=lines.count)
        return reader, columns

    def _check_separator(self, header: str, line: int) -> None:
        if ";" in header and self._separator == ",":
            hint = "save it with commas, or as .tsv with tabs"
            raise RowProblem("the columns are separated by semicolons", hint, line=line)
        if "\t" in header and self._separator == ",":
            hint = "call the file .tsv"
            raise RowProblem("the columns are separated by tabs", hint, line=line)
        if "," in header and self._separator == "\t":
            hint = "call the file .csv"
            raise RowProblem("the columns are separated by commas", hint, line=line)


class _BadLine(Exception):
    """A line that is no text. It passes through the csv module, which knows nothing of rows."""

    def __init__(self, message: str, hint: str | None, line: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line

    def problem(self, row: int) -> RowProblem:
        return RowProblem(str(self), self.hint, line=self.line, row=row)


class _Lines:
    """A text's lines, each checked; ``count`` is how many have been read."""

    def __init__(self, file: TextIO) -> None:
        self.count = 0
        self._read = file.readline

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self._read(_LONGEST_LINE + 1)
        except OSError as error:
            message = f"the file can't be read to its end ({error.strerror})"
            raise _BadLine(message, None, self.count) from None
        if not line:
            raise StopIteration
        self.count += 1
        if not line.isascii():
            self._check_unicode(line)
        if "\0" in line:
            hint = f"perhaps the file is UTF-16: {_SAVE_AS}"
            raise _BadLine("the line has a NUL character in it", hint, self.count)
        if len(line) > _LONGEST_LINE:
            message = f"the line has more than {_LONGEST_LINE:,} characters"
            raise _BadLine(message, None, self.count)
        return line

    def _check_unicode(self, line: str) -> None:
        try:
            line.encode()
        except UnicodeEncodeError as error:
            message = f"the line is not UTF-8 (at character {error.start + 1})"
            raise _BadLine(message, _SAVE_AS, self.count) from None


def _unparsed(error: csv.Error, line: int, row: int) -> RowProblem:
    """A row that the csv module can't take apart, by what its message says."""
    words = str(error)
    if "field limit" in words:
        message = f"a cell has more than {LONGEST_CELL:,} characters"
        hint = "a quote that is never closed makes one cell of the rest of the file"
    elif "unexpected end" in words:
        message, hint = "the row has a quote that is never closed", "close it, or double it"
    elif "expected after" in words:
        message = "the row has a quote in the middle of a cell"
        hint = 'double quotes inside quotes: "a ""red"" fox"'
    else:
        message, hint = f"the row can't be read ({words})", None
    return RowProblem(message, hint, line=line, row=row)


def _wrong_length(found: int, width: int, line: int, row: int) -> RowProblem:
    cells = "1 cell" if found == 1 else f"{found} cells"
    message = f"the row has {cells}, and the header has {width}"
    hint = "a cell that has the separator in it stands in quotes" if found > width else None
    return RowProblem(message, hint, line=line, row=row)
