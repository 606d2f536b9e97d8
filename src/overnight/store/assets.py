"""The local files that jobs send: where each content was last seen on this machine, and whether an
object store has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from overnight.store import dialect
from overnight.store.tables import assets

_AT_ONCE = 500
"""Rows of one statement."""


@dataclass(frozen=True, slots=True)
class Asset:
    """``name`` is what a reference has behind ``asset:``. ``path`` is absolute; ``bytes`` are the
    local file's. ``store_key`` is the object's whole address, and ``uploaded_at`` (seconds since
    1970) when it was seen there; both None before that."""

    name: str
    path: str
    bytes: int
    content_type: str
    store_key: str | None = None
    uploaded_at: float | None = None


def keep(connection: Connection, found: Iterable[Asset]) -> None:
    """Add what is new. A content that is known already is looked for at its new path from now on;
    what is known of its upload stays."""
    rows = list(found)
    columns = ("name", "path", "bytes", "content_type")
    values = [(row.name, row.path, row.bytes, row.content_type) for row in rows]
    for start in range(0, len(rows), _AT_ONCE):
        dialect.insert_many(connection, assets, columns, values[start : start + _AT_ONCE])
        some = rows[start : start + _AT_ONCE]
        connection.execute(_MOVED, [{"of": row.name, "to": row.path} for row in some])


def find(connection: Connection, names: Sequence[str]) -> dict[str, Asset]:
    """Those of ``names`` that are known, by name."""
    found: dict[str, Asset] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows = connection.execute(select(assets).where(assets.c.name.in_(some)))
        found.update((row.name, Asset(*row)) for row in rows)
    return found


def uploaded(connection: Connection, *, name: str, store_key: str, at: float) -> None:
    """Record that the object store has a content."""
    values = {"store_key": store_key, "uploaded_at": at}
    connection.execute(update(assets).where(assets.c.name == name).values(values))


_MOVED = (
    update(assets)
    .where(assets.c.name == bindparam("of"), assets.c.path != bindparam("to"))
    .values(path=bindparam("to"))
)
