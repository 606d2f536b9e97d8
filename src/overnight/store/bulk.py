"""One statement for what many rows are to be given alike, each row with its own values.

Executing a statement costs several times what SQLite does with one row, and each execution lets go
of Python's lock and has to wait for it again. So what a group of transitions writes to a table is
one statement over a table of values, ``UPDATE … FROM (WITH … AS (VALUES (…), (…)) …) AS given``. It
is written in SQLAlchemy's Core and compiled for one row; more rows repeat its list of values. (The
``WITH`` stands inside because the driver of SQLite counts no rows of what begins with one.)

A number of rows is rounded up to one of a few, with rows that begin with NULL, so that the database
keeps every form of the statement compiled. Such a row is nobody's: ``given``'s first column is
compared with a key, or asked to be there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnClause,
    Connection,
    FromClause,
    bindparam,
    column,
    select,
    values,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert, Update

from overnight.store import dialect

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""How many rows a statement may have; more of them are several statements."""

Write = Callable[[FromClause], Insert | Update]


class Bulk:
    """A write of rows whose values stand as ``columns`` say. ``write`` makes the statement over
    the table of them, whose columns have the names in ``columns``; the first is never NULL."""

    def __init__(self, columns: dict[str, Column[Any]], write: Write) -> None:
        self._columns = columns
        self._write = write
        self._texts: dict[tuple[str, int], str] = {}
        # One NULL says it; the driver takes a number quicker.
        self._nobody = (None, *(0,) * (len(columns) - 1))

    def run(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Write ``rows``; returns how many rows of the table were inserted or changed."""
        changed = 0
        for start in range(0, len(rows), SIZES[-1]):
            some = rows[start : start + SIZES[-1]]
            size = SIZES[bisect_left(SIZES, len(some))]
            given = [value for row in some for value in row]
            given.extend(self._nobody * (size - len(some)))
            changed += dialect.write(connection, self.text(connection, size), tuple(given))
        return changed

    def text(self, connection: Connection, size: int) -> str:
        """The statement for ``size`` rows, as the database of ``connection`` takes it."""
        key = (connection.dialect.name, size)
        if key not in self._texts:
            listed = f"({', '.join('?' * len(self._columns))})"
            one = self._text_of_one(connection)
            self._texts[key] = one.replace(listed, ", ".join([listed] * size), 1)
        return self._texts[key]

    def _text_of_one(self, connection: Connection) -> str:
        # Compiled once: that costs more than a group does.
        key = (connection.dialect.name, 1)
        if key not in self._texts:
            compiled = self.statement(1).compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            assert compiled.positiontup == [f"{name}_0" for name in self._columns]
            self._texts[key] = str(compiled)
        return self._texts[key]

    def statement(self, size: int) -> Insert | Update:
        """The same as SQLAlchemy has it: the values of row ``n`` are called ``NAME_n``."""
        columns: list[ColumnClause[Any]] = [
            column(name, of.type) for name, of in self._columns.items()
        ]
        rows = [
            tuple(bindparam(f"{each.name}_{n}", type_=each.type) for each in columns)
            for n in range(size)
        ]
        listed = values(*columns, name="listed").data(rows).cte("listed", nesting=True)
        return self._write(select(listed).subquery("given"))
