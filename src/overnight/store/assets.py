"""The local files that jobs send: where each content was last seen on this machine, and whether an
object store has it. :func:`overnight.store.views.assets` reads them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, update

from overnight.store import dialect
from overnight.store.rows import Asset
from overnight.store.tables import assets

_AT_ONCE = 500
"""Rows of one statement."""


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


def uploaded(connection: Connection, *, name: str, store_key: str, at: float) -> None:
    """Record that the object store has a content."""
    values = {"store_key": store_key, "uploaded_at": at}
    connection.execute(update(assets).where(assets.c.name == name).values(values))


_MOVED = (
    update(assets)
    .where(assets.c.name == bindparam("of"), assets.c.path != bindparam("to"))
    .values(path=bindparam("to"))
)
