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
    from overnight.cli.session import Terms
    from overnight.store.database import Database
    from overnight.store.views import Batch


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@options.go_on
@options.wait_for_account
@options.yes
@options.concurrency
@options.db
@options.as_json
def run(
    manifest: Path,
    go_on: bool,
    wait_for_account: bool,
    yes: bool,
    concurrency: int | None,
    db: str,
    as_json: bool,
) -> int:
    """Load the manifest FILE, then work until its batch is done.

    The same command goes on where it stopped, adds what an edit made new, and does nothing once
    all is done. On a terminal it asks before anything new is submitted; elsewhere it needs --yes.
    """
    from overnight.cli import session
    from overnight.cli.load import load_manifest
    from overnight.manifest import read_manifest
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    read = read_manifest(manifest)

    def consent_is_possible(batch: Batch) -> None:
        pending = batch.states[State.PENDING] if go_on or batch.halted is None else 0
        if pending and not yes and not can_ask():
            raise UserError(
                f"{count(pending, 'job')} of {batch.name} may be paid for, and there is no "
                "terminal to ask at. Add --yes to go ahead. Nothing was loaded."
            )

    with open_database(db, create=True) as database:
        require_no_worker(database)
        done = load_manifest(database, read, output, check=consent_is_possible)
        again = f"overnight run {shlex.quote(str(manifest))}{options.again(db)}"
        undertaking = Undertaking(
            database, [done.batch], output, again, options.again(db), go_on=go_on
        )
        return undertaking.carry_out(session.Terms(concurrency, wait_for_account), ask=not yes)


@click.command()
@click.argument("batches", metavar="[BATCH]...", nargs=-1)
@options.go_on
@options.wait_for_account
@options.yes
@options.concurrency
@options.db
@options.as_json
def work(
    batches: tuple[str, ...],
    go_on: bool,
    wait_for_account: bool,
    yes: bool,
    concurrency: int | None,
    db: str,
    as_json: bool,
) -> int:
    """Work on each BATCH that is loaded (all without a name) until it is done.

    On a terminal it asks before anything new is submitted. Elsewhere it goes ahead: what is
    loaded was loaded to be worked on.
    """
    from overnight.cli import session
    from overnight.store import views
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    with open_database(db) as database:
        with database.reading() as connection:
            scope = views.named_batches(connection, batches)
        again = f"{shlex.join(['overnight', 'work', *batches])}{options.again(db)}"
        undertaking = Undertaking(database, scope, output, again, options.again(db), go_on=go_on)
        ask = not yes and can_ask()
        return undertaking.carry_out(session.Terms(concurrency, wait_for_account), ask=ask)


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
    go_on: bool = False
    """Batches that a rule has halted go on, on the user's word."""

    def carry_out(self, terms: Terms, *, ask: bool) -> Exit:
        """Work until there is an end, and tell it; returns the exit code."""
        from overnight.cli import session, summary

        unfinished = [batch for batch in self.scope if batch.unsettled]
        outcome = None
        if any(self._is_work(batch) for batch in unfinished):
            require_no_worker(self.database)
            account = session.users_account()
            session.require_folders(unfinished)
            self.output.note(self._plan(unfinished, terms.concurrency))
            if ask and self._to_submit(unfinished):
                self._ask()
            if self.go_on:
                self._release(unfinished)
            outcome = asyncio.run(
                session.work(self.database, unfinished, account, self.output, terms)
            )
        end = summary.read(self.database, self.scope, outcome, self.again, self.suffix)
        return summary.tell(end, self.output)

    def _submits(self, batch: Batch) -> bool:
        return bool(batch.states[State.PENDING]) and (self.go_on or batch.halted is None)

    def _is_work(self, batch: Batch) -> bool:
        """Whether there is anything to do: what a halted batch has submitted is brought home."""
        return self._submits(batch) or batch.unsettled > batch.states[State.PENDING]

    def _to_submit(self, scope: Sequence[Batch]) -> list[Batch]:
        return [batch for batch in scope if self._submits(batch)]

    def _plan(self, scope: Sequence[Batch], concurrency: int | None) -> str:
        """What is going to happen, and what it may cost, in one or two lines."""
        submitted = self._to_submit(scope)
        pending = sum(batch.states[State.PENDING] for batch in submitted)
        started = sum(batch.unsettled - batch.states[State.PENDING] for batch in scope)
        at_once = concurrency or max(int(batch.run.get("concurrency", 1)) for batch in scope)
        folders = ", ".join(sorted({line(batch.output_dir, 4000) for batch in scope}))
        parts = []
        if pending:
            jobs = count(pending, "job")
            parts.append(f"{jobs} to submit, which may be paid for, to {self._models(submitted)}")
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

    def _release(self, scope: Sequence[Batch]) -> None:
        """Let the halted batches of ``scope`` go on."""
        from overnight.store import decisions

        for batch in scope:
            with self.database.writing() as connection:
                released = decisions.go_on(connection, batch.id, now=time.time())
            if released:
                self.output.note(f"{batch.name} goes on. It was halted: {batch.halted}.")


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
