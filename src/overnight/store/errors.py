"""What can go wrong with the database, each with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoreError(Exception):
    """Base of everything below; the message is written for the user."""


class DatabaseMissing(StoreError):
    """There is no database where one was named."""


class DatabaseUnusable(StoreError):
    """Not SQLite, corrupt, read-only, no room, or not ours."""


class DatabaseOutdated(StoreError):
    """The schema is older than this program; ``overnight db upgrade`` helps."""


class DatabaseTooNew(StoreError):
    """The schema is newer than this program."""


class AnotherWorker(StoreError):
    """Another worker holds this database."""


class LeaseLost(StoreError):
    """Another worker took over while this one was away; nothing more may be written."""


class NotFound(StoreError):
    """No batch or job of that name."""


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Say plainly that a row makes no sense: SQLite can tell that a page is damaged, but not that
    a bit has changed in a value."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatabaseUnusable(
            f"The database is damaged: {what} makes no sense ({error}). Stop everything that uses "
            "it, keep a copy, and restore a backup."
        ) from error
