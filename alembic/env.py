"""How Alembic reaches a database: with the connection it is handed, inside its transaction.

`overnight db upgrade` hands one over. A developer who runs the `alembic` command itself gets a
database of their own: OVERNIGHT_DB, or ./overnight.db.
"""

import os

from alembic import context
from sqlalchemy import Connection

from overnight.store.database import connect
from overnight.store.opening import DEFAULT
from overnight.store.tables import metadata

connection = context.config.attributes.get("connection")


def run(conn: Connection) -> None:
    context.configure(connection=conn, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


if connection is not None:
    run(connection)
else:
    with (
        connect(os.environ.get("OVERNIGHT_DB", DEFAULT), create=True) as database,
        database.writing() as own,
    ):
        run(own)
