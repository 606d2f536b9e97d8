"""Parquet as rows of plain values, through pyarrow, which is an extra: ``overnight[parquet]``.

Types are kept where JSON has them: numbers, texts, truth values, lists, and structs as mappings.
Decimals become numbers; dates and times become texts in ISO 8601; a length of time becomes its
seconds. NaN, which some tools write for an empty cell, is an empty cell.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from overnight.manifest.rows import LONGEST_CELL, Row, RowProblem, Told, check_heading

_BATCH = 2_000
"""Rows that are in memory at a time; with long texts they may be large."""


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def columns(self) -> tuple[str, ...]:
        """The schema's top-level names. Raises :class:`RowProblem`."""
        with self._open() as file:
            return check_heading(file.schema_arrow.names)

    def rows(self, told: Told) -> Iterator[Row]:
        """Every row; a null is None."""
        with self._open() as file:
            columns = check_heading(file.schema_arrow.names)
            number = 0
            for batch in self._batches(file):
                cells = [
                    _cells(name, column)
                    for name, column in zip(columns, batch.columns, strict=True)
                ]
                for row in zip(*cells, strict=True):
                    number += 1
                    try:
                        values = {
                            column: _plain(value)
                            for column, value in zip(columns, row, strict=True)
                        }
                    except _NoPlainValue as error:
                        told(RowProblem(str(error), error.hint, row=number))
                    else:
                        yield Row(number, 0, values)

    def _open(self) -> Any:
        parquet = _pyarrow("pyarrow.parquet")
        with _told_as(_damaged()):
            return parquet.ParquetFile(self.path)

    def _batches(self, file: Any) -> Iterator[Any]:
        with _told_as(_damaged()):
            batches = file.iter_batches(batch_size=_BATCH)
        while True:
            with _told_as(_damaged()):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def _cells(name: str, column: Any) -> list[Any]:
    # Not every date of Parquet is one of Python's: there are years after 9999.
    hint = "write the column as text or as numbers"
    with _told_as(RowProblem(f'the column "{name}" has values that can\'t be read', hint)):
        cells: list[Any] = column.to_pylist()
    return cells


def _pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        hint = "install it with: pip install 'overnight[parquet]'"
        raise RowProblem("reading Parquet needs pyarrow, which is not here", hint) from None


@contextmanager
def _told_as(problem: RowProblem) -> Iterator[None]:
    """Whatever pyarrow raises, as this problem: its own exception, or for some kinds of damage
    Python's that fits best."""
    try:
        yield
    except (
        *(_pyarrow("pyarrow").ArrowException, ArithmeticError, LookupError, MemoryError),
        *(NotImplementedError, OSError, TypeError, ValueError),
    ):
        raise problem from None


def _damaged() -> RowProblem:
    hint = "check that it was written to its end"
    return RowProblem("the file can't be read as Parquet", hint)


class _NoPlainValue(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def _plain(value: Any) -> Any:
    """A value as JSON could hold it. Raises :class:`_NoPlainValue`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if len(value) > LONGEST_CELL:
            raise _NoPlainValue(f"a cell has more than {LONGEST_CELL:,} characters")
        return value
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    return _other(value)


def _finite(value: float) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise _NoPlainValue("a cell is infinite", "leave the cell empty")
    return value


def _other(value: object) -> Any:
    """Types that JSON does not have."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            return _finite(float(value))
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    if isinstance(value, bytes):
        hint = "give the path or the address of a file instead"
        raise _NoPlainValue("a cell holds bytes, which no input takes", hint)
    raise _NoPlainValue(f"a cell holds a {type(value).__name__}, which no input takes")
