"""``overnight status``: each batch, and how many of its jobs are where."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.output import Output, iso, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overnight.store.leases import Holder
    from overnight.store.views import Batch


@click.command()
@click.argument("batches", metavar="[BATCH]...", nargs=-1)
@options.db
@options.as_json
def status(batches: tuple[str, ...], db: str, as_json: bool) -> int:
    """Show each BATCH (all without a name): how many jobs there are, and how many in each state."""
    from overnight.store import leases, views
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    with open_database(db) as database, database.reading() as connection:
        found = views.named_batches(connection, batches)
        holder = leases.holder(connection, time.time())
    for batch in found:
        output.record(fields(batch))
    if not as_json:
        _show(output, found, holder, options.again(db))
    return Exit.DONE


def fields(batch: Batch) -> dict[str, Any]:
    """A batch for programs; ``states`` has every state."""
    return {
        "batch": batch.name,
        "total": batch.total,
        "states": {state.value: batch.states[state] for state in State},
        "unsettled": batch.unsettled,
        "manifest": batch.manifest_path,
        "output_dir": batch.output_dir,
        "concurrency": batch.run.get("concurrency"),
        "created_at": iso(batch.created_at),
    }


def _show(output: Output, batches: Sequence[Batch], holder: Holder | None, suffix: str) -> None:
    if not batches:
        output.say("There is no batch yet. Load a manifest with: overnight load FILE")
        return
    # Empty columns say nothing; these four are always of interest.
    always = (State.PENDING, State.RUNNING, State.SUCCEEDED, State.FAILED)
    shown = [s for s in State if s in always or any(batch.states[s] for batch in batches)]
    columns = ["batch", "total", *[state.value for state in shown]]
    rows = [
        [line(batch.name), f"{batch.total:,}", *[f"{batch.states[s]:,}" for s in shown]]
        for batch in batches
    ]
    output.table(columns, rows, numbers=columns[1:])
    for text in _remarks(batches, holder, suffix):
        output.say(text)


def _remarks(batches: Sequence[Batch], holder: Holder | None, suffix: str) -> list[str]:
    """What the figures mean for the reader, and what to type next."""
    remarks = []
    if holder is not None:
        remarks.append(f"A worker is busy with them: process {holder.pid} on {holder.host}.")
    elif any(batch.unsettled for batch in batches):
        remarks.append(f"No worker is running. Go on with: overnight work{suffix}")
    if any(batch.states[State.FAILED] for batch in batches):
        remarks.append(
            f"Look at failed jobs with `overnight jobs --state failed{suffix}`; "
            f"give them another run with `overnight retry{suffix}`."
        )
    if any(batch.states[State.UNKNOWN] for batch in batches):
        remarks.append(
            "Unknown jobs may have been submitted and nobody can tell; they are never bought "
            f"again by themselves: overnight jobs --state unknown{suffix}"
        )
    return remarks
