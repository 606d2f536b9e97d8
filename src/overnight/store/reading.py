"""Reading without SQLAlchemy: a connection of the driver's own, and the printed statements.

Importing SQLAlchemy takes longer than a person should wait for ``status``, so the commands that
people type most open the database here. What they read is written once, in
:mod:`overnight.store.views`, and serves whoever has SQLAlchemy's connection just as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from overnight.store import driver, opening
from overnight.store.driver import Reader
from overnight.store.statements_sqlite import TEXTS


def rows(connection: Reader, name: str, **values: Any) -> list[Any]:
    """The rows of a statement that :mod:`overnight.store.statements` has under ``name``; lists
    among ``values`` may have any length.

    The one place that says which database the text is for.
    """
    return list(connection.exec_driver_sql(TEXTS[name], driver.bound(values)))


class Reading:
    """A connection in a transaction that reads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def exec_driver_sql(self, statement: str, parameters: Mapping[str, Any], /) -> Iterable[Any]:
        """Run one statement, as SQLAlchemy's connection would by this name."""
        return self._connection.execute(statement, parameters)


@contextmanager
def reading(named: str) -> Iterator[Reading]:
    """One consistent view of the database that ``named`` points at; never blocks the writer.

    Raises what :func:`overnight.store.database.open_database` does, in the same words.
    """
    driver.require_new_enough()
    path = opening.locate(named)
    opening.require_there(path)
    try:
        connection = driver.connect(path)
        try:
            connection.execute("BEGIN")
            view = Reading(connection)
            opening.require_head(opening.revision(view, str(path)), str(path))
            yield view
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise driver.plainly(error, str(path)) from error
