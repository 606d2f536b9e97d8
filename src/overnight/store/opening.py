"""What ``--db`` names: where that is, whether it is a database of ours, and whether its schema is
the one that this program knows.

Whoever opens one asks here, through SQLAlchemy (:mod:`overnight.store.database`) or without it
(:mod:`overnight.store.reading`).
"""

from __future__ import annotations

import re
from pathlib import Path

from overnight.store import driver
from overnight.store.driver import Reader
from overnight.store.errors import (
    DatabaseMissing,
    DatabaseOutdated,
    DatabaseTooNew,
    DatabaseUnusable,
)

DEFAULT = "overnight.db"

SCHEMA_HEAD = "0005"
"""The revision that this code reads and writes. A test holds it against Alembic's own head."""

# Not compiled here: most people name a path.
_URL = r"(?P<backend>\w+)(?:\+\w+)?://(?P<server>[^/?]*)(?:/(?P<database>[^?]*))?"


def locate(named: str) -> Path:
    """The file that a path or a URL, as given with ``--db``, names; absolute.

    Raises :class:`DatabaseUnusable` for a URL of a kind that is not supported.
    """
    if "://" not in named:
        return Path(named).expanduser().absolute()
    url = re.match(_URL, named)
    if url is None:
        raise DatabaseUnusable(f"{named!r} is not a database URL. Give a path, or sqlite:///FILE.")
    if url["backend"] != "sqlite":
        raise DatabaseUnusable(
            f"{url['backend']} is not supported yet. Give a path, or sqlite:///FILE."
        )
    if url["server"] or url.end() < len(named):
        raise DatabaseUnusable(
            f"{named!r} has to name no more than a file. Give a path, or sqlite:///FILE."
        )
    if not url["database"] or url["database"] == ":memory:":
        raise DatabaseUnusable("A queue must outlive its program: name a file with --db.")
    return Path(url["database"]).absolute()


def require_there(path: Path, *, create: bool = False) -> None:
    """Raise :class:`DatabaseMissing` or :class:`DatabaseUnusable` unless there is a file at
    ``path``, or one can be made there where ``create`` is asked for."""
    if path.is_dir():
        raise DatabaseUnusable(f"{path} is a folder. Name a file with --db.")
    if path.exists():
        return
    if not create:
        raise DatabaseMissing(
            f"There is no database at {path}. Load a manifest first "
            "(`overnight load FILE`), or name another one with --db."
        )
    if not path.parent.is_dir():
        raise DatabaseUnusable(f"The folder {path.parent} does not exist. Make it first.")


def revision(connection: Reader, where: str) -> str | None:
    """The schema revision of a database, which ``where`` names; None for an empty file.

    Raises :class:`DatabaseUnusable` when the file holds somebody else's tables.
    """
    names = {name for (name,) in connection.exec_driver_sql(driver.TABLES, {})}
    if not names:
        return None
    if "alembic_version" not in names or ("jobs" not in names and len(names) > 1):
        raise DatabaseUnusable(
            f"{where} holds tables of another program. Name another file with --db."
        )
    found = list(connection.exec_driver_sql("SELECT version_num FROM alembic_version", {}))
    return None if not found or found[0][0] is None else str(found[0][0])


def require_head(revision: str | None, where: str) -> None:
    """Raise unless ``revision`` is the one that this program reads and writes."""
    if revision == SCHEMA_HEAD:
        return
    if revision is None:
        raise DatabaseOutdated(
            f"{where} is empty. Load a manifest into it with `overnight load FILE`."
        )
    require_known(revision, where)
    raise DatabaseOutdated(
        f"{where} has an older schema ({revision}; this overnight uses {SCHEMA_HEAD}). "
        "Run `overnight db upgrade`; it is quick and keeps everything."
    )


def require_known(revision: str, where: str) -> None:
    """Raise :class:`DatabaseTooNew` for a revision that this program does not know."""
    # Revisions are numbered in order, so that an old program can tell newer from broken.
    if revision > SCHEMA_HEAD:
        raise DatabaseTooNew(
            f"{where} was written by a newer overnight (schema {revision}; this one knows "
            f"{SCHEMA_HEAD}). Upgrade overnight: pip install --upgrade overnight."
        )
