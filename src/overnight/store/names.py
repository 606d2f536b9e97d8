"""Whose files have which name: a manifest may give several jobs the same one."""

from __future__ import annotations

from sqlalchemy import Connection, select

from overnight.store.tables import IS_HOME, artifacts


def is_taken(connection: Connection, path: str, *, job_id: int) -> bool:
    """Whether a file of another job than this one is recorded as ``path`` with any suffix."""
    # A suffix begins with a dot, and what comes next after a dot is a slash.
    query = (
        select(artifacts.c.id)
        .where(
            IS_HOME,
            artifacts.c.path >= f"{path}.",
            artifacts.c.path < f"{path}/",
            artifacts.c.job_id != job_id,
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None
