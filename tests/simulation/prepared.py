"""The store's statements without what SQLAlchemy does around each execution.

A night executes some 7,000 statements, nearly all of them the same few dozen, and preparing to run
one takes SQLAlchemy several times as long as SQLite takes to run it. A statement that comes a
second time is therefore compiled here, by SQLAlchemy, and from then on handed straight to SQLite:
the same SQL, the same values, the same rows. Whatever this can't do exactly alike it leaves to
SQLAlchemy, and a test plays nights both ways and compares them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.engine import result_tuple
from sqlalchemy.types import TypeEngine

Parameters = Mapping[str, Any] | list[dict[str, Any]] | None
Process = Callable[[Any], Any]


@dataclass(slots=True)
class Answer:
    """What a statement brought: the part of SQLAlchemy's result that the store makes use of."""

    rowcount: int
    rows: list[Any] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def all(self) -> list[Any]:
        return self.rows

    def first(self) -> Any:
        return self.rows[0] if self.rows else None

    def one(self) -> Any:
        [row] = self.rows
        return row


@dataclass(slots=True)
class _Form:
    """A statement as SQLite takes it, for one set of parameter names."""

    text: str
    names: tuple[str, ...]
    """Of its values, in their order."""
    fixed: dict[str, Any]
    """Values that the statement brings along."""
    processes: list[tuple[int, Process]]
    """What is done to a value before, by its place."""
    row: Callable[[Any], Any] | None
    """Makes a row of what SQLite returns; None where nothing is returned."""
    results: list[tuple[int, Process]]
    """What is done to a column of a row."""

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        given = {**self.fixed, **parameters} if self.fixed else parameters
        values = [given[name] for name in self.names]
        for place, process in self.processes:
            values[place] = process(values[place])
        return values

    def answer(self, cursor: sqlite3.Cursor) -> Answer:
        if self.row is None:
            return Answer(cursor.rowcount)
        if not self.results:
            return Answer(cursor.rowcount, list(map(self.row, cursor)))
        rows = []
        for raw in cursor:
            values = list(raw)
            for place, process in self.results:
                values[place] = process(values[place])
            rows.append(self.row(values))
        return Answer(cursor.rowcount, rows)


class Prepared:
    """Stands in for ``connection``, whose driver's own is ``raw``."""

    def __init__(self, connection: Connection, raw: sqlite3.Connection) -> None:
        self._connection = connection
        self._raw = raw
        self._forms: WeakKeyDictionary[Any, dict[tuple[str, ...], _Form | None]] = (
            WeakKeyDictionary()
        )

    def execute(self, statement: Any, parameters: Parameters = None) -> Any:
        forms = self._forms.get(statement)
        if forms is None:
            # Built for this once, as far as anybody knows.
            self._forms[statement] = {}
            return self._connection.execute(statement, parameters)
        one = parameters[0] if isinstance(parameters, list) else parameters or {}
        names = tuple(one)
        if names not in forms:
            forms[names] = _prepare(statement, names, self._connection)
        form = forms[names]
        if form is None:
            return self._connection.execute(statement, parameters)
        try:
            if isinstance(parameters, list):
                values = [form.values(each) for each in parameters]
                return form.answer(self._raw.executemany(form.text, values))
            return form.answer(self._raw.execute(form.text, form.values(one)))
        except sqlite3.Error:
            # The store knows SQLAlchemy's own errors: it is to fail there again.
            self._connection.execute(statement, parameters)
            raise

    def exec_driver_sql(self, text: str, parameters: Any = None) -> Any:
        """A text that is the driver's already. Reads are handed over as the store does it itself
        where it goes without SQLAlchemy (:class:`overnight.store.reading.Reading`)."""
        if not isinstance(parameters, Mapping):
            return self._connection.exec_driver_sql(text, parameters)
        try:
            return self._raw.execute(text, parameters)
        except sqlite3.Error:
            self._connection.exec_driver_sql(text, parameters)
            raise

    def scalars(self, statement: Any, parameters: Parameters = None) -> list[Any]:
        return [row[0] for row in self.execute(statement, parameters)]

    def scalar(self, statement: Any, parameters: Parameters = None) -> Any:
        row = self.execute(statement, parameters).first()
        return None if row is None else row[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _prepare(statement: Any, names: tuple[str, ...], connection: Connection) -> _Form | None:
    """The form of ``statement`` for parameters of these names; None where it has to be left."""
    if not isinstance(statement, Select | Insert | Update | Delete):
        return None
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    if compiled.insert_prefetch or compiled.update_prefetch or compiled.escaped_bind_names:
        return None
    order = tuple(compiled.positiontup or ())
    fixed = {name: compiled.binds[name] for name in order if name not in names}
    if any(bind.required or bind.callable for bind in fixed.values()):
        return None
    columns = list(statement.exported_columns)
    return _Form(
        compiled.string,
        order,
        {name: bind.value for name, bind in fixed.items()},
        _present(_type(compiled.binds[name], dialect).bind_processor(dialect) for name in order),
        result_tuple([str(column.key) for column in columns]) if columns else None,
        _present(_type(column, dialect).result_processor(dialect, None) for column in columns),
    )


def _type(element: ColumnElement[Any], dialect: Dialect) -> TypeEngine[Any]:
    return element.type.dialect_impl(dialect)


def _present(processes: Iterable[Process | None]) -> list[tuple[int, Process]]:
    """Those that there are, with their places."""
    return [(place, process) for place, process in enumerate(processes) if process is not None]
