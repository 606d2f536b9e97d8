"""Looking ahead where there may be no database yet: an empty one in memory stands in for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine

from overnight.store.database import Database
from overnight.store.tables import metadata


@contextmanager
def view(database: Database | None) -> Iterator[Connection]:
    """A connection for reading ``database``; to one without a batch where that is None."""
    if database is not None:
        with database.reading() as connection:
            yield connection
        return
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            metadata.create_all(connection)
            yield connection
    finally:
        engine.dispose()
