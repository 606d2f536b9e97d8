"""``overnight run`` and ``overnight work``: submit, wait, and bring the files home."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import interrupts, options, problems
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, can_ask, count, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.cli.bill import Cost
    from overnight.cli.due import Bill
    from overnight.cli.session import Outcome, Terms
    from overnight.store.database import Database
    from overnight.store.rows import Batch
    from overnight.store.writer import Operation


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@options.prune
@options.max_jobs
@options.schema_files
@options.go_on
@options.wait_for_account
@options.yes
@options.concurrency
@options.db
@options.as_json
def run(
    manifest: Path,
    prune: bool,
    max_jobs: int | None,
    schema_files: tuple[str, ...],
    go_on: bool,
    wait_for_account: bool,
    yes: bool,
    concurrency: int | None,
    db: str,
    as_json: bool,
) -> int:
    """Load FILE, a manifest or a plan, then work until its batch is done.

    The same command goes on where it stopped, adds what an edit made new, and does nothing once
    all is done. On a terminal it asks before anything new is submitted; elsewhere it needs --yes.
    """
    from overnight.cli import outlook, session
    from overnight.cli.load import load_manifest
    from overnight.cli.wanted import read
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    with problems.recorded(output):
        with outlook.existing(db) as there:
            kept = outlook.frozen(there)
            wanted = read(manifest, kept, max_jobs=max_jobs, schema_files=schema_files)
        with open_database(db, create=True) as database:
            require_no_worker(database)
            prune = prune or wanted.prunes
            check = consent_is_possible(yes=yes, go_on=go_on)
            done = load_manifest(database, wanted, output, prune=prune, check=check)
            suffix = options.again(db)
            flags = options.of_manifest(schema_files, max_jobs)
            again = f"overnight run {shlex.quote(str(manifest))}{flags}{suffix}"
            undertaking = Undertaking(database, [done.batch], output, again, suffix, go_on=go_on)
            terms = session.Terms(concurrency, wait_for_account)
            return undertaking.carry_out(terms, ask=not yes)


def consent_is_possible(*, yes: bool, go_on: bool) -> Callable[[Any, Batch], None]:
    """The last look before a load is made durable: it raises :class:`UserError` where the
    manifest's limit forbids what the run would submit, or nobody could say yes to it."""

    def check(connection: Any, batch: Batch) -> None:
        from overnight.cli import due

        asked = due.due(connection, batch, go_on=go_on)
        asked.require_allowed("Nothing was loaded.")
        if asked.cost.jobs and not yes and not can_ask():
            raise UserError(
                f"{count(asked.cost.jobs, 'job')} of {batch.name} may be paid for "
                f"(cost: {asked.cost.words()}), and there is no terminal to ask at. Add --yes to "
                "go ahead. Nothing was loaded."
            )

    return check


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
    from overnight.cli import summary
    from overnight.store import views
    from overnight.store.reading import reading

    output, suffix = Output(as_json=as_json), options.again(db)
    again = f"{shlex.join(['overnight', 'work', *batches])}{suffix}"
    interrupts.terminate_like_ctrl_c()
    with reading(db) as connection:
        scope = views.named_batches(connection, batches)
        if not any(is_work(batch, go_on=go_on) for batch in scope):
            # Said before anything is imported that work is done with: that takes a second.
            return summary.tell(summary.end(connection, scope, None, again, suffix), output)
    from overnight.cli import session
    from overnight.store.database import open_database

    with open_database(db) as database:
        undertaking = Undertaking(database, scope, output, again, suffix, go_on=go_on)
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
        from overnight.engine.report import Ending

        outcome: Outcome | None = None
        scope = self.scope
        while any(is_work(batch, go_on=self.go_on) for batch in scope):
            unfinished = [batch for batch in scope if batch.unsettled]
            outcome = session.after(outcome, self._work(unfinished, terms, ask=ask))
            if outcome.report.ending is not Ending.DONE or outcome.report.broken:
                break
            # A batch that had nothing to do when this began may have been given jobs since, by
            # somebody who was told that a worker is running.
            scope = [batch for batch in self._now() if is_work(batch, go_on=self.go_on)]
            ask = False
        end = summary.read(self.database, self.scope, outcome, self.again, self.suffix)
        return summary.tell(end, self.output)

    def _now(self) -> Sequence[Batch]:
        """The batches as they are by now."""
        from overnight.store import views

        with self.database.reading() as connection:
            return views.named_batches(connection, [batch.name for batch in self.scope])

    def _work(self, scope: Sequence[Batch], terms: Terms, *, ask: bool) -> Outcome:
        """Say what is going to happen to ``scope``, ask if that is wanted, and do it."""
        from overnight.cli import eventloop, session

        require_no_worker(self.database)
        account = session.users_account()
        session.require_folders(scope)
        bill = self._announce(scope, terms.concurrency)
        if bill.cost.jobs and ask:
            self._ask()
        if self.go_on:
            self._release(scope)
        admit = self._still(scope, bill.cost if ask else None)
        night = session.work(self.database, scope, account, self.output, terms, admit)
        return eventloop.run(night)

    def _announce(self, scope: Sequence[Batch], concurrency: int | None) -> Bill:
        """Say what is going to happen and what it will cost. Raises :class:`UserError` where a
        manifest's limit forbids that."""
        from overnight.cli import due

        with self.database.reading() as connection:
            bill = due.bill(connection, scope, concurrency, go_on=self.go_on)
        for one in bill.dues:
            one.require_allowed(f"Nothing of {line(one.batch.name)} was submitted.")
        self.output.record(bill.fields(), flush=True)
        self.output.note(self._plan(scope, bill))
        if bill.cost.jobs:
            self.output.note(bill.sentence())
        for one in bill.dues:
            if one.limit is not None:
                self.output.note(f"{line(one.batch.name)}: {one.limit.sentence()}")
        return bill

    def _still(self, scope: Sequence[Batch], agreed: Cost | None) -> Operation[None]:
        """Raises :class:`UserError` when jobs have come in, while a question stood on the terminal
        or a moment ago, that the limits forbid or that are more than was ``agreed`` to."""

        def check(connection: Any) -> None:
            from overnight.cli import bill, due
            from overnight.store import views

            batches = views.named_batches(connection, [batch.name for batch in scope])
            dues = [due.due(connection, batch, go_on=self.go_on) for batch in batches]
            for one in dues:
                one.require_allowed(f"Nothing was submitted. Look again: {self.again}")
            now = bill.total(one.cost for one in dues)
            if agreed is not None and now.more_than(agreed):
                raise UserError(
                    f"Others have been loaded or retried meanwhile: now it is "
                    f"{count(now.jobs, 'job')} for {now.words()}, and you were told of "
                    f"{count(agreed.jobs, 'job')} for {agreed.words()}. Nothing was submitted; "
                    f"look again: {self.again}"
                )

        return check

    def _plan(self, scope: Sequence[Batch], bill: Bill) -> str:
        """What is going to happen, in one line."""
        from overnight.cli import due

        started = sum(batch.unsettled - batch.states[State.PENDING] for batch in scope)
        folders = ", ".join(sorted({line(batch.output_dir, 4000) for batch in scope}))
        parts = []
        if bill.cost.jobs:
            parts.append(due.jobs_words(bill.cost.jobs, bill.models))
        if started:
            parts.append(f"{count(started, 'job')} submitted already, to be brought home")
        at_once = bill.forecast.concurrency
        return f"{'; '.join(parts)}; at most {at_once} at once; files go to {folders}."

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


def is_work(batch: Batch, *, go_on: bool) -> bool:
    """Whether there is anything to do. What a halted batch has submitted is brought home; the rest
    of it waits for the user's word (``go_on``)."""
    submits = bool(batch.states[State.PENDING]) and (go_on or batch.halted is None)
    return submits or batch.unsettled > batch.states[State.PENDING]


def require_no_worker(database: Database) -> None:
    """Raise :class:`~overnight.store.errors.AnotherWorker` while one holds the database."""
    from overnight.store import holding
    from overnight.store.errors import AnotherWorker

    with database.reading() as connection:
        holder = holding.holder(connection, time.time())
    if holder is not None:
        raise AnotherWorker(
            f"Another worker (process {holder.pid} on {holder.host}) is working on {database}. "
            "Wait for it, or stop it with Ctrl-C first."
        )
