"""``overnight cancel`` and ``overnight retry``: what a person decides about jobs.

Neither talks to the provider. They change the database; a worker that holds it, or the next one,
acts on that.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from overnight.cli import options
from overnight.cli.due import within_limits
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, count
from overnight.cli.rehearsal import (
    confirm,
    living_worker,
    performed,
    rehearsed,
    who_goes_on,
)
from overnight.cli.selection import Selection, options_for_jobs, selected
from overnight.lifecycle import State

if TYPE_CHECKING:
    from collections import Counter

    from overnight.store.holding import Holder
    from overnight.store.writer import Operation


@click.command()
@options_for_jobs
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@options.yes
@options.db
def cancel(
    jobs: tuple[str, ...],
    batches: tuple[str, ...],
    states: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    db: str,
) -> int:
    """Cancel jobs: each JOB (an id, key or request id), or those of a batch or state.

    What was not submitted yet is cancelled at once. What the provider has is marked, and a worker
    asks the provider to cancel it; most providers only can while it waits in their queue.
    """
    from overnight.store import queue
    from overnight.store.database import open_database

    which = selected(jobs, batches, states, everything)
    if which.is_empty:
        raise UserError("Say which jobs to cancel: JOB…, --batch, --state or --all.")

    def change(ids: list[int]) -> Operation[Counter[str]]:
        return partial(queue.cancel, job_ids=ids, now=time.time())

    output = Output()
    with open_database(db) as database:
        ids = which.ids(database)
        planned = rehearsed(database, change(ids))
        if planned["cancelled"] + planned["asked"] + planned["coming"] == 0:
            output.say(f"Nothing to cancel: {_none(planned, 'finished already, or unknown')}.")
            return Exit.DONE
        if dry_run:
            output.say(f"Would cancel: {_cancelled(planned)}. Nothing was changed.")
            return Exit.DONE
        if not which.one_by_one and not yes:
            confirm(f"Cancel {_cancelled(planned)}?")
        done = performed(database, change(ids))
        holder = living_worker(database)
    output.say(f"Cancelled: {_cancelled(done)}.")
    if done["asked"]:
        output.say(_who_asks(holder, options.again(db)))
    return Exit.DONE


@click.command()
@options_for_jobs
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@options.yes
@options.db
def retry(
    jobs: tuple[str, ...],
    batches: tuple[str, ...],
    states: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    db: str,
) -> int:
    """Give jobs another run: each JOB (an id, key or request id), or those of a batch or state.

    Without anything said, every failed job. What the provider delivered already is only fetched
    again; the rest is submitted, and paid for, again by the next `overnight run` or `work`.
    """
    from overnight.store import queue
    from overnight.store.database import open_database

    which = selected(jobs, batches, states, everything)
    if not (which.jobs or which.states or which.everything):
        which = Selection(batches=which.batches, states=(State.FAILED,))

    def change(ids: list[int]) -> Operation[Counter[str]]:
        return partial(queue.retry, job_ids=ids, now=time.time())

    output = Output()
    with open_database(db) as database:
        ids = which.ids(database)
        planned = rehearsed(database, change(ids))
        if not planned["collecting"] + planned["queued"] + planned["pending"]:
            output.say(f"Nothing to retry: {_none(planned, 'neither failed nor cancelled')}.")
            return Exit.DONE
        if dry_run:
            output.say(f"Would retry: {_retried(planned)}. Nothing was changed.")
            return Exit.DONE
        holder = living_worker(database)
        # With a worker there, this alone spends money; otherwise the next run asks.
        if planned["pending"] and holder is not None and not yes:
            confirm(f"A worker is running and starts at once. Retry {_retried(planned)}?")
        done = performed(database, within_limits(change(ids)))
    output.say(f"To be retried: {_retried(done)}.")
    output.say(who_goes_on(holder, "them", options.again(db)))
    return Exit.DONE


# --- in words -------------------------------------------------------------------------------------


def _cancelled(outcome: Counter[str]) -> str:
    parts = []
    if outcome["cancelled"]:
        parts.append(f"{count(outcome['cancelled'], 'job')} before being submitted")
    if outcome["asked"]:
        parts.append(f"{count(outcome['asked'], 'job')} at the provider, where it still can")
    if outcome["coming"]:
        coming = count(outcome["coming"], "finished job")
        parts.append(f"{coming}, of which only another try can be spared: the files come home")
    if outcome["left"]:
        parts.append(f"{outcome['left']:,} left as they are (finished, or unknown)")
    return ", ".join(parts)


def _who_asks(holder: Holder | None, suffix: str) -> str:
    if holder is not None:
        return f"The worker (process {holder.pid} on {holder.host}) asks the provider now."
    return (
        "No worker is running. The next one asks the provider, before anything else: "
        f"overnight work{suffix}"
    )


def _retried(outcome: Counter[str]) -> str:
    parts = []
    if free := outcome["collecting"]:
        parts.append(f"{count(free, 'job')} fetched again, free of charge")
    if free := outcome["queued"]:
        parts.append(f"{count(free, 'job')} looked for again at the provider, free of charge")
    if paid := outcome["pending"]:
        parts.append(f"{count(paid, 'job')} submitted and paid for again")
    if left := outcome["left"]:
        parts.append(f"{left:,} left as they are (neither failed nor cancelled)")
    return ", ".join(parts)


def _none(outcome: Counter[str], why: str) -> str:
    return f"{count(outcome['left'], 'job')}, {why}" if outcome["left"] else "no job fits"
