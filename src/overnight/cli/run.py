"""``overnight run`` and ``overnight work``: submit, wait, and bring the files home."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import interrupts, options
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, can_ask, count, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.database import Database
    from overnight.store.views import Batch


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@options.yes
@options.concurrency
@options.db
@options.as_json
def run(manifest: Path, yes: bool, concurrency: int | None, db: str, as_json: bool) -> int:
    """Load the manifest FILE, then work until its batch is done.

    The same command goes on where it stopped, adds what an edit made new, and does nothing once
    all is done. On a terminal it asks before anything new is submitted; elsewhere it needs --yes.
    """
    from overnight.cli.load import load_manifest
    from overnight.manifest import read_manifest
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    read = read_manifest(manifest)

    def consent_is_possible(batch: Batch) -> None:
        if batch.states[State.PENDING] and not yes and not can_ask():
            raise UserError(
                f"{count(batch.states[State.PENDING], 'job')} of {batch.name} may be paid for, "
                "and there is no terminal to ask at. Add --yes to go ahead. Nothing was loaded."
            )

    with open_database(db, create=True) as database:
        require_no_worker(database)
        done = load_manifest(database, read, output, check=consent_is_possible)
        again = f"overnight run {shlex.quote(str(manifest))}{options.again(db)}"
        return Undertaking(database, [done.batch], output, again, options.again(db)).carry_out(
            ask=not yes, concurrency=concurrency
        )


@click.command()
@click.argument("batches", metavar="[BATCH]...", nargs=-1)
@options.yes
@options.concurrency
@options.db
@options.as_json
def work(
    batches: tuple[str, ...], yes: bool, concurrency: int | None, db: str, as_json: bool
) -> int:
    """Work on each BATCH that is loaded (all without a name) until it is done.

    On a terminal it asks before anything new is submitted. Elsewhere it goes ahead: what is
    loaded was loaded to be worked on.
    """
    from overnight.store import views
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    with open_database(db) as database:
        with database.reading() as connection:
            scope = views.named_batches(connection, batches)
        words = shlex.join(["overnight", "work", *batches])
        again = f"{words}{options.again(db)}"
        return Undertaking(database, scope, output, again, options.again(db)).carry_out(
            ask=not yes and can_ask(), concurrency=concurrency
        )


@dataclass(frozen=True, slots=True)
class Undertaking:
    """Working on ``scope``: the question before it, and the summary after it."""

    database: Database
    scope: Sequence[Batch]
    output: Output
    again: str
    """The command that goes on with it."""
    suffix: str
    """What another command needs to find the database."""

    def carry_out(self, *, ask: bool, concurrency: int | None) -> Exit:
        """Work until there is an end, and tell it; returns the exit code."""
        from overnight.cli import session, summary

        unfinished = [batch for batch in self.scope if batch.unsettled]
        outcome = None
        if unfinished:
            require_no_worker(self.database)
            account = session.users_account()
            session.require_folders(unfinished)
            self.output.note(self._plan(unfinished, concurrency))
            if ask and any(batch.states[State.PENDING] for batch in unfinished):
                self._ask()
            outcome = asyncio.run(
                session.work(self.database, unfinished, account, self.output, concurrency)
            )
        end = summary.read(self.database, self.scope, outcome, self.again, self.suffix)
        return summary.tell(end, self.output)

    def _plan(self, scope: Sequence[Batch], concurrency: int | None) -> str:
        """What is going to happen, and what it may cost, in one or two lines."""
        pending = sum(batch.states[State.PENDING] for batch in scope)
        started = sum(batch.unsettled for batch in scope) - pending
        at_once = concurrency or max(int(batch.run.get("concurrency", 1)) for batch in scope)
        folders = ", ".join(sorted({line(batch.output_dir, 4000) for batch in scope}))
        parts = []
        if pending:
            jobs = count(pending, "job")
            parts.append(f"{jobs} to submit, which may be paid for, to {self._models(scope)}")
        if started:
            parts.append(f"{count(started, 'job')} submitted already, to be brought home")
        return f"{'; '.join(parts)}; at most {at_once} at once; files go to {folders}."

    def _models(self, scope: Sequence[Batch]) -> str:
        from overnight.store import views

        which = views.Filter([batch.id for batch in scope], [State.PENDING])
        with self.database.reading() as connection:
            first = views.page(connection, which)
        # The first page is enough to know what kind of jobs these are.
        return ", ".join(dict.fromkeys(line(job.model) for job in first))

    def _ask(self) -> None:
        """Raises :class:`UserError` on a no."""
        if not click.confirm("Submit them?", err=True):
            raise UserError(
                f"Nothing was submitted; the jobs stay loaded. Go on at any time: {self.again}"
            )


def require_no_worker(database: Database) -> None:
    """Raise :class:`~overnight.store.errors.AnotherWorker` while one holds the database."""
    from overnight.store import leases
    from overnight.store.errors import AnotherWorker

    with database.reading() as connection:
        holder = leases.holder(connection, time.time())
    if holder is not None:
        raise AnotherWorker(
            f"Another worker (process {holder.pid} on {holder.host}) is working on {database}. "
            "Wait for it, or stop it with Ctrl-C first."
        )
