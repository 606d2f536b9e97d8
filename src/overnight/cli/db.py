"""``overnight db``: the database's schema."""

from __future__ import annotations

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.output import Output


@click.group()
def db() -> None:
    """Look after the database's schema."""


@db.command()
@options.db
def upgrade(db: str) -> int:
    """Bring the database to the schema that this program uses; keeps everything."""
    from overnight.store import migrations
    from overnight.store.database import connect

    output = Output()
    with connect(db) as database:
        before, after = migrations.upgrade(database)
        if before == after:
            output.say(f"{database} has the newest schema already ({after}).")
        else:
            output.say(f"{database}: schema {before or 'none'} upgraded to {after}.")
    return Exit.DONE


@db.command()
@options.db
@options.as_json
def current(db: str, as_json: bool) -> int:
    """Show the database's schema, and the one that this program uses."""
    from overnight.store.database import connect, revision_of
    from overnight.store.tables import SCHEMA_HEAD

    output = Output(as_json=as_json)
    with connect(db) as database:
        revision = revision_of(database)
        output.record({"database": str(database), "schema": revision, "newest": SCHEMA_HEAD})
        if not as_json:
            remark = "the newest" if revision == SCHEMA_HEAD else f"this program: {SCHEMA_HEAD}"
            output.say(f"{database}: schema {revision or 'none'} ({remark})")
    return Exit.DONE
