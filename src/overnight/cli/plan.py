"""``overnight plan``: what a manifest comes to, before anything is loaded, submitted or paid."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight import __version__
from overnight.cli import options, planfile, problems
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output

if TYPE_CHECKING:
    from overnight.cli.outlook import Outlook


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--show",
    type=click.IntRange(min=0),
    metavar="N",
    default=3,
    show_default=True,
    help="How many jobs to show, spread over the plan.",
)
@click.option(
    "--grep", metavar="RE", help="Show only jobs with this in their key or texts; any case."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="PLAN", help="Write the plan to a file."
)
@click.option(
    "--prune", is_flag=True, help="Tell what `run --prune` would do; a plan with -o keeps it."
)
@options.max_jobs
@options.schema_files
@options.concurrency
@options.db
@options.as_json
def plan(
    manifest: Path,
    show: int,
    grep: str | None,
    out: Path | None,
    prune: bool,
    max_jobs: int | None,
    schema_files: tuple[str, ...],
    concurrency: int | None,
    db: str,
    as_json: bool,
) -> int:
    """Say what running the manifest FILE would do and cost. Nothing is loaded or submitted.

    With -o the plan is written to a file; `overnight run` of that file then does exactly what was
    planned, or says what has changed since.
    """
    from overnight.cli import outlook, plan_fields, plan_words
    from overnight.cli.sample import Sample
    from overnight.cli.wanted import read

    output = Output(as_json=as_json)
    sample = Sample(show, _pattern(grep))
    with problems.recorded(output), outlook.existing(db) as database:
        kept = outlook.frozen(database)
        wanted = read(manifest, kept, max_jobs=max_jobs, schema_files=schema_files)
        wanted.require_same_draws(kept(wanted.manifest.name))
        prune = prune or wanted.prunes
        ahead = outlook.look(wanted, database, sample, output, prune=prune, concurrency=concurrency)
    if out is not None:
        planfile.write(_in_a_file(ahead), out)
    output.record(plan_fields.fields(ahead), flush=True)
    if not as_json:
        flags = options.of_manifest(schema_files, max_jobs)
        plan_words.tell(ahead, output, plan_words.Told(options.again(db), flags, grep, out))
    return Exit.DONE


def _pattern(grep: str | None) -> re.Pattern[str] | None:
    if grep is None:
        return None
    try:
        return re.compile(grep, re.IGNORECASE)
    except re.error as error:
        raise UserError(f"--grep {grep!r} is no regular expression: {error}.") from None


def _in_a_file(ahead: Outlook) -> planfile.PlanFile:
    """The plan as ``-o`` keeps it. Raises :class:`OSError` for a source that can't be read."""
    from overnight.cli.wanted import entry_fields

    wanted, compared = ahead.wanted, ahead.comparison
    manifest = wanted.manifest
    known = wanted.models.values() if manifest.validate else ()
    return planfile.PlanFile(
        batch=manifest.name,
        manifest=str(manifest.path),
        text=manifest.document.text,
        digest=manifest.digest,
        max_jobs=wanted.max_jobs,
        prune=ahead.prune,
        draws=dict(manifest.draws),
        sources=planfile.digests(manifest.sources()),
        models={model.id: entry_fields(model.entry) for model in known},
        fingerprints=compared.digest,
        counts={
            "jobs": ahead.jobs,
            "new": compared.new,
            "existing": compared.existing,
            "repeated": compared.repeated,
            "gone": compared.gone,
            "to_submit": ahead.to_submit,
            "gone_to_submit": ahead.gone_to_submit.jobs,
        },
        cost=ahead.cost.amount,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=f"overnight {__version__}",
    )
