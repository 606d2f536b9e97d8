"""``overnight db``: the database's schema, and copies of it."""

from __future__ import annotations

from pathlib import Path

import click

from overnight.cli import interrupts, options
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, size
from overnight.cli.run import require_no_worker


@click.group()
def db() -> None:
    """Look after the database: its schema, and backups of it."""


@db.command()
@options.db
def upgrade(db: str) -> int:
    """Bring the database to the schema that this program uses; keeps everything.

    Not while a worker is running: it would find another database than it knows.
    """
    from overnight.store.database import connect, revision_of
    from overnight.store.database import upgrade as upgrade_database

    output = Output()
    with connect(db) as database:
        if revision_of(database) is not None:
            require_no_worker(database)
        before, after = upgrade_database(database)
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
    from overnight.store.opening import SCHEMA_HEAD

    output = Output(as_json=as_json)
    with connect(db) as database:
        revision = revision_of(database)
        output.record({"database": str(database), "schema": revision, "newest": SCHEMA_HEAD})
        if not as_json:
            remark = "the newest" if revision == SCHEMA_HEAD else f"this program: {SCHEMA_HEAD}"
            output.say(f"{database}: schema {revision or 'none'} ({remark})")
    return Exit.DONE


@db.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@options.db
@options.as_json
def backup(file: Path, db: str, as_json: bool) -> int:
    """Copy the database to the new FILE, as it is at this moment; a worker may go on meanwhile.

    The copy is checked before it gets its name, and nothing is ever overwritten.
    """
    from overnight.store import checkup
    from overnight.store.database import connect

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    with connect(db) as database:
        made = checkup.backup(database, file)
    output.record(
        {
            "backup": str(made.path),
            "bytes": made.bytes,
            "schema": made.revision,
            "batches": made.batches,
            "jobs": made.jobs,
        }
    )
    batches = f"{made.batches:,} {'batch' if made.batches == 1 else 'batches'}"
    output.say(
        f"{made.path}: {size(made.bytes)}, {count(made.jobs, 'job')} in {batches}, "
        f"schema {made.revision}; checked and whole."
    )
    return Exit.DONE
