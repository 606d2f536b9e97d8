"""``overnight status``: each batch, and how many of its jobs are where."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.advice import duplicates, how_to_settle, suspects
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, iso, line, local
from overnight.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overnight.store.holding import Holder, LastWords
    from overnight.store.rows import Batch, EventRow


@dataclass(frozen=True, slots=True)
class Busy:
    """The living worker, and what it last said of its limit and of pauses."""

    holder: Holder
    words: LastWords


@click.command()
@click.argument("batches", metavar="[BATCH]...", nargs=-1)
@options.db
@options.as_json
def status(batches: tuple[str, ...], db: str, as_json: bool) -> int:
    """Show each BATCH (all without a name): how many jobs there are, and how many in each state."""
    from overnight.store import holding, views
    from overnight.store.reading import reading

    output = Output(as_json=as_json)
    with reading(db) as connection:
        found = views.with_suspects(connection, views.named_batches(connection, batches))
        holder = holding.holder(connection, time.time())
        busy = None
        if holder is not None:
            busy = Busy(holder, holding.last_words(connection, holder.fence))
    for batch in found:
        output.record(fields(batch, busy))
    if not as_json:
        _show(output, found, busy, options.again(db))
    return Exit.DONE


def fields(batch: Batch, busy: Busy | None) -> dict[str, Any]:
    """A batch for programs; ``states`` has every state. The worker is the database's own: it is
    the same for every batch."""
    return {
        "batch": batch.name,
        "total": batch.total,
        "states": {state.value: batch.states[state] for state in State},
        "unsettled": batch.unsettled,
        "unknown": batch.unknown,
        "possible_duplicates": batch.possible_duplicates,
        "suspect": batch.suspects,
        "halted": batch.halted,
        "waits_for_canaries": batch.waits_for_canaries,
        "manifest": batch.manifest_path,
        "output_dir": batch.output_dir,
        "concurrency": batch.run.get("concurrency"),
        "created_at": iso(batch.created_at),
        "worker": None if busy is None else {"host": busy.holder.host, "pid": busy.holder.pid},
        "limit": None if busy is None else _event(busy.words.limit),
        "pause": None if busy is None else _event(busy.words.pause),
    }


def _event(event: EventRow | None) -> dict[str, Any] | None:
    return None if event is None else {"at": iso(event.at), "text": event.text}


def _show(output: Output, batches: Sequence[Batch], busy: Busy | None, suffix: str) -> None:
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
    remarks = [text for batch in batches for text in _of_batch(batch, suffix)]
    for text in remarks + _of_worker(batches, busy, suffix) + _of_jobs(batches, suffix):
        output.say(text)


def _of_batch(batch: Batch, suffix: str) -> list[str]:
    """What a rule of the manifest has done to a batch, and what it may have been charged."""
    remarks = []
    name = line(batch.name)
    pending = batch.states[State.PENDING]
    if batch.halted is not None and pending:
        remarks.append(
            f"{name} is halted: {line(batch.halted)}. {count(pending, 'job')} not submitted; go on "
            f"in spite of it with: overnight work {shlex.quote(batch.name)}{suffix} --continue"
        )
    if batch.waits_for_canaries and pending:
        remarks.append(f"{name}: its canary jobs must succeed before the rest is submitted.")
    if (twice := duplicates(batch)) is not None:
        remarks.append(twice)
    return remarks


def _of_worker(batches: Sequence[Batch], busy: Busy | None, suffix: str) -> list[str]:
    """Whether somebody works on them, and how that goes."""
    if busy is None:
        if any(b.unsettled > (b.states[State.PENDING] if b.halted else 0) for b in batches):
            return [f"No worker is running. Go on with: overnight work{suffix}"]
        return []
    remarks = [f"A worker is busy with them: process {busy.holder.pid} on {busy.holder.host}."]
    if busy.words.limit is not None:
        said = busy.words.limit
        remarks.append(f"{line(said.text)} ({local(said.at)})")
    if busy.words.pause is not None:
        said = busy.words.pause
        remarks.append(f"{line(said.text)} ({local(said.at)})")
    return remarks


def _of_jobs(batches: Sequence[Batch], suffix: str) -> list[str]:
    """What to do about jobs that ended badly."""
    remarks = []
    if any(batch.states[State.FAILED] for batch in batches):
        remarks.append(
            f"Look at failed jobs with `overnight jobs --state failed{suffix}`; "
            f"give them another run with `overnight retry{suffix}`."
        )
    unknown = [batch for batch in batches if batch.unknown]
    if unknown:
        jobs = count(sum(batch.unknown for batch in unknown), "job")
        remarks.append(
            f"{jobs} may have been submitted and nobody can tell; unknown jobs are never bought "
            f"again by themselves: overnight jobs --state unknown{suffix}"
        )
        remarks.append(how_to_settle([batch.name for batch in unknown], suffix))
    return remarks + suspects(batches, suffix)
