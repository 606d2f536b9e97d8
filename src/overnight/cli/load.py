"""``overnight load``, and the loading that ``overnight run`` begins with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count

if TYPE_CHECKING:
    from overnight.manifest import Manifest
    from overnight.store.database import Database
    from overnight.store.loading import Loaded
    from overnight.store.views import Batch


@dataclass(frozen=True, slots=True)
class Load:
    """What a load did, and the batch as it stands after it."""

    batch: Batch
    loaded: Loaded

    def sentence(self) -> str:
        """``12 jobs of sweep: 8 new, 4 there already.``, with what else there is to say."""
        done = self.loaded
        parts = [f"{done.new:,} new", f"{done.existing:,} there already"]
        if done.repeated:
            parts.append(f"{done.repeated:,} stand twice in the manifest and are loaded once")
        jobs = count(done.new + done.existing, "job")
        text = f"{jobs} of {self.batch.name}: {', '.join(parts)}."
        if done.gone:
            verb = "is" if done.gone == 1 else "are"
            text += (
                f" {count(done.gone, 'job')} of the batch {verb} not in the manifest any more "
                "and stay."
            )
        return text

    def fields(self) -> dict[str, object]:
        """The same for ``--json``."""
        done = self.loaded
        return {
            "event": "load",
            "batch": self.batch.name,
            "jobs": done.new + done.existing,
            "new": done.new,
            "existing": done.existing,
            "repeated": done.repeated,
            "gone": done.gone,
        }


def load_manifest(
    database: Database,
    manifest: Manifest,
    output: Output,
    *,
    check: Callable[[Batch], None] = lambda _: None,
) -> Load:
    """Add what is new of ``manifest`` in one transaction, and say what that was.

    ``check`` is given the batch as it would be; when it raises, nothing has been loaded.
    """
    from overnight.store import loading, views

    header = loading.Header(
        name=manifest.name,
        manifest_path=str(manifest.path),
        manifest_digest=manifest.digest,
        run=manifest.run.as_json(),
        output_dir=str(manifest.output.dir),
    )
    with database.writing() as connection:
        loaded = loading.load(connection, header, manifest.specs(), now=time.time())
        [batch] = views.named_batches(connection, [manifest.name])
        check(batch)
    done = Load(batch, loaded)
    output.note(done.sentence())
    output.record(done.fields(), flush=True)
    return done


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@options.db
@options.as_json
def load(manifest: Path, db: str, as_json: bool) -> int:
    """Load the jobs of the manifest FILE into the database, and submit nothing.

    Loading it again adds nothing; after an edit, only what is new is added.
    """
    from overnight.cli import interrupts
    from overnight.manifest import read_manifest
    from overnight.store import leases
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    read = read_manifest(manifest)
    with open_database(db, create=True) as database:
        done = load_manifest(database, read, output)
        with database.reading() as connection:
            holder = leases.holder(connection, time.time())
    if holder is not None and done.loaded.new:
        output.note(
            f"A worker (process {holder.pid} on {holder.host}) holds this database; if it works "
            "on this batch, it submits the new jobs by itself."
        )
    elif done.batch.unsettled:
        output.note(f"Nothing was submitted. Go on with: overnight work{options.again(db)}")
    return Exit.DONE
