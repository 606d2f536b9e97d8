"""``overnight load``, and the loading that ``overnight run`` begins with."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options, problems
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.meter import metered
from overnight.cli.output import Output, count
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.cli.wanted import Draws, Wanted
    from overnight.store.database import Database
    from overnight.store.holding import Holder
    from overnight.store.loading import Loaded
    from overnight.store.rows import Batch


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load does or would do to a batch; the words are those of
    :class:`overnight.store.loading.Loaded`."""

    batch: str
    new: int
    existing: int
    repeated: int
    gone: int
    gone_pending: int
    pruned: int
    cancelled: int
    dry_run: bool = False

    def sentence(self) -> str:
        """``12 jobs of sweep: 8 new, 4 there already.``, with what else there is to say."""
        parts = [f"{self.new:,} new", f"{self.existing:,} there already"]
        if self.repeated:
            parts.append(f"{self.repeated:,} stand twice in the manifest and are loaded once")
        jobs = count(self.new + self.existing, "job")
        rest = self._about_gone() + self._about_cancelled()
        return f"{jobs} of {self.batch}: {', '.join(parts)}.{rest}"

    def _about_cancelled(self) -> str:
        if not self.cancelled:
            return ""
        verb = "was" if self.cancelled == 1 else "were"
        again = f"overnight retry --state cancelled --batch {shlex.quote(self.batch)}"
        return (
            f" {count(self.cancelled, 'job')} of the manifest {verb} cancelled before and will "
            f"not be submitted; `{again}` brings them back."
        )

    def _about_gone(self) -> str:
        if not self.gone:
            return ""
        verb = "is" if self.gone == 1 else "are"
        text = f" {count(self.gone, 'job')} of the batch {verb} not in the manifest any more"
        if self.pruned:
            return f"{text}, and {self.pruned:,} of them {self._cancelled()}."
        if self.gone_pending:
            return f"{text} and stay; --prune cancels the {self.gone_pending:,} never submitted."
        return f"{text} and stay."

    def _cancelled(self) -> str:
        if self.dry_run:
            return "would be cancelled"
        return "was cancelled" if self.pruned == 1 else "were cancelled"

    def fields(self) -> dict[str, object]:
        """The same for ``--json``."""
        return {
            "event": "load",
            "batch": self.batch,
            "jobs": self.new + self.existing,
            "new": self.new,
            "existing": self.existing,
            "repeated": self.repeated,
            "gone": self.gone,
            "gone_pending": self.gone_pending,
            "pruned": self.pruned,
            "cancelled": self.cancelled,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True)
class Load:
    """What a load did, and the batch as it stands after it."""

    batch: Batch
    loaded: Loaded

    @property
    def figures(self) -> Figures:
        """What it did, to be told."""
        done = self.loaded
        return Figures(
            self.batch.name,
            done.new,
            done.existing,
            done.repeated,
            done.gone,
            done.gone_pending,
            done.pruned,
            done.cancelled,
        )


def load_manifest(
    database: Database,
    wanted: Wanted,
    output: Output,
    *,
    prune: bool = False,
    check: Callable[[Any, Batch], None] = lambda *_: None,
) -> Load:
    """Add what is new of ``wanted`` in one transaction, and say what that was.

    ``check`` is given the transaction and the batch as it would be. When it raises, or a plan
    turns out not to be true any more (:class:`UserError`), nothing has been loaded.
    """
    from overnight.cli.outlook import schema_changes
    from overnight.store import loading, views

    manifest = wanted.manifest
    specs = metered(manifest.specs(), output, "Loading", manifest.count())
    with closing(specs), database.writing() as connection:
        kept = loading.drawn(connection, manifest.name) or {}
        wanted.require_same_draws(kept)
        before = loading.schemas(connection, manifest.name) or {}
        loaded = loading.load(
            connection, _header(wanted, kept), specs, now=time.time(), prune=prune
        )
        _keep_local_files(connection, wanted)
        [batch] = views.named_batches(connection, [manifest.name])
        _require_the_plan(wanted, loaded, batch)
        check(connection, batch)
    done = Load(batch, loaded)
    output.note(done.figures.sentence())
    output.record(done.figures.fields(), flush=True)
    tell_notes(wanted, schema_changes(before, wanted), output)
    return done


def _header(wanted: Wanted, kept: Draws) -> Any:
    """What the database keeps of the batch. Random values that were drawn once stay for good."""
    from overnight.store.loading import Header

    manifest = wanted.manifest
    draws = {
        axis: max(values, kept.get(axis, []), key=len) for axis, values in manifest.draws.items()
    }
    return Header(
        name=manifest.name,
        manifest_path=str(manifest.path),
        manifest_digest=manifest.digest,
        run=manifest.run.as_json(),
        output_dir=str(manifest.output.dir),
        output=manifest.output.as_json(),
        draws=draws,
        schemas=wanted.schemas,
        assets={} if manifest.assets is None else manifest.assets.as_json(),
    )


def _keep_local_files(connection: Any, wanted: Wanted) -> None:
    """Remember where the files are that the jobs send; they are all known once every job is."""
    from overnight.store import assets
    from overnight.store.rows import Asset

    assets.keep(
        connection,
        (
            Asset(
                reference.removeprefix("asset:"), str(file.path), file.size, file.kind.content_type
            )
            for reference, file in wanted.manifest.local_files().items()
        ),
    )


def _require_the_plan(wanted: Wanted, loaded: Loaded, batch: Batch) -> None:
    """Raise :class:`UserError` when the jobs are others than those that were planned, or when more
    of the batch waits to be submitted."""
    from overnight import __version__

    plan = wanted.plan
    if plan is None:
        return
    if loaded.digest_of_jobs != plan.fingerprints:
        raise UserError(
            f"{wanted.file} makes other jobs now than when it was planned, although no file that "
            f"it names has changed: {plan.made_by} made it, and this is overnight {__version__}. "
            "Nothing was loaded; make another plan with -o."
        )
    gone = loaded.gone_waiting - plan.counts.get("gone_to_submit", 0)
    more = batch.states[State.PENDING] - plan.counts["to_submit"]
    if gone > 0 or more > 0:
        raise UserError(
            f"{count(max(gone, more), 'job')} of {batch.name} would be submitted beside those of "
            f"{wanted.file}: others were loaded or retried since it was made. Nothing was loaded; "
            "look at it again, then make another plan with -o."
        )


def tell_notes(wanted: Wanted, changes: Sequence[str], output: Output) -> None:
    """What is worth knowing before jobs are paid for, and is no error."""
    from overnight.cli.plan_words import problem_words

    for words in [*map(problem_words, wanted.manifest.notes), *changes]:
        output.note(f"Note: {words}")
        output.record({"event": "notice", "level": "warning", "text": words})


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@options.prune
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@options.max_jobs
@options.schema_files
@options.db
@options.as_json
def load(
    manifest: Path,
    prune: bool,
    dry_run: bool,
    max_jobs: int | None,
    schema_files: tuple[str, ...],
    db: str,
    as_json: bool,
) -> int:
    """Load the jobs of FILE, a manifest or a plan, into the database, and submit nothing.

    Loading it again adds nothing; after an edit, only what is new is added.
    """
    from overnight.cli import interrupts, outlook
    from overnight.cli.rehearsal import living_worker
    from overnight.cli.wanted import read
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    with problems.recorded(output):
        with outlook.existing(db) as there:
            kept = outlook.frozen(there)
            wanted = read(manifest, kept, max_jobs=max_jobs, schema_files=schema_files)
            prune = prune or wanted.prunes
            if dry_run:
                return _rehearse(wanted, there, output, prune=prune)
        with open_database(db, create=True) as database:
            check = _a_worker_may_submit_it
            done = load_manifest(database, wanted, output, prune=prune, check=check)
            _what_next(living_worker(database), done, output, options.again(db))
    return Exit.DONE


def _rehearse(wanted: Wanted, database: Database | None, output: Output, *, prune: bool) -> Exit:
    """Say what a load would do."""
    from overnight.cli import outlook
    from overnight.cli.sample import Sample

    ahead = outlook.look(wanted, database, Sample(0), output, prune=prune)
    found = ahead.comparison
    figures = Figures(
        wanted.manifest.name,
        found.new,
        found.existing,
        found.repeated,
        found.gone,
        found.gone_pending,
        found.gone_pending if prune else 0,
        found.states.get(State.CANCELLED, 0),
        dry_run=True,
    )
    output.note(f"Would be: {figures.sentence()} Nothing was changed.")
    output.record(figures.fields())
    tell_notes(wanted, ahead.changes, output)
    return Exit.DONE


def _a_worker_may_submit_it(connection: Any, batch: Batch) -> None:
    """Raise :class:`UserError` when a worker that is running, at the end of the load, would submit
    more of ``batch`` than its manifest allows."""
    from overnight.cli import due
    from overnight.store import holding

    if holding.holder(connection, time.time()) is None:
        return
    due.due(connection, batch, go_on=False).require_allowed(
        "Nothing was loaded, because the worker that is running would submit it."
    )


def _what_next(worker: Holder | None, done: Load, output: Output, suffix: str) -> None:
    """Who goes on with what was loaded."""
    if worker is not None and done.loaded.new:
        output.note(
            f"A worker (process {worker.pid} on {worker.host}) holds this database; if it works "
            "on this batch, it submits the new jobs by itself."
        )
    elif worker is None and done.batch.unsettled:
        output.note(f"Nothing was submitted. Go on with: overnight work{suffix}")
