"""``overnight jobs``: a list of jobs, by batch and state; and a job's fields for ``--json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, iso, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.rows import JobRow

PEOPLE_READ = 50
"""Rows that a person is shown unless ``--limit`` says otherwise; programs get everything."""


@click.command()
@click.option(
    "--state", "states", multiple=True, type=click.Choice(options.STATES), help="Only these."
)
@click.option("--batch", "batches", multiple=True, metavar="BATCH", help="Only of these batches.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only those with one of these.")
@click.option("--suspect", is_flag=True, help="Only those that succeeded with a suspect file.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"At most so many; {PEOPLE_READ} unless --json is given, which lists all.",
)
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="ID", help="Only those behind this."
)
@options.db
@options.as_json
def jobs(
    states: tuple[str, ...],
    batches: tuple[str, ...],
    tags: tuple[str, ...],
    suspect: bool,
    limit: int | None,
    after: int,
    db: str,
    as_json: bool,
) -> int:
    """List jobs in the order they were loaded."""
    from overnight.store import views
    from overnight.store.reading import reading

    output = Output(as_json=as_json)
    with reading(db) as connection:
        found = views.named_batches(connection, batches)
        which = views.Filter(
            batch_ids=[batch.id for batch in found] if batches else (),
            states=[State(word) for word in states],
            suspect=suspect,
            tags=tags,
        )
        wanted = [State(word) for word in states] or list(State)
        total = sum(batch.states[state] for batch in found for state in set(wanted))
        if suspect:
            total = sum(batch.suspects for batch in views.with_suspects(connection, found))
        if tags:
            total = views.how_many(connection, which)
        if as_json:
            for row in views.every(connection, which, after_id=after, limit=limit):
                output.record(fields(row))
        else:
            shown = limit or PEOPLE_READ
            # One more than is shown tells whether there is a next page.
            rows = views.every(connection, which, after_id=after, limit=shown + 1)
            _show(output, list(rows), shown, total)
    return Exit.DONE


def fields(job: JobRow) -> dict[str, Any]:
    """A job for programs. ``inputs`` are exactly what is sent to the model."""
    return {
        "id": job.id,
        "batch": job.batch,
        "key": job.key,
        "fingerprint": job.fingerprint,
        "state": job.state.value,
        "attempts": job.attempts,
        "request_id": job.request_id,
        "model": job.model,
        "inputs": job.inputs,
        "variables": job.variables,
        "tags": list(job.tags),
        "repeat": job.repeat,
        "price": job.price,
        "urls": job.urls,
        "files": job.files,
        "suspect": job.suspect,
        "error": job.error,
        "cancel_requested": job.cancel_requested,
        "created_at": iso(job.created_at),
        "updated_at": iso(job.updated_at),
    }


def _show(output: Output, rows: list[JobRow], limit: int, total: int) -> None:
    if not rows:
        output.say("No job fits.")
        return
    page = rows[:limit]
    output.table(
        ["id", "batch", "key", "state", "attempts", "files, or what is wrong"],
        [
            [
                str(job.id),
                line(job.batch),
                line(job.key),
                job.state.value,
                str(job.attempts),
                _remark(job),
            ]
            for job in page
        ],
        numbers=["id", "attempts"],
    )
    if total > len(page):
        following = f" --after {page[-1].id} goes on," if len(rows) > limit else ""
        output.note(
            f"{len(page):,} of {count(total, 'job')};{following} --limit N shows more, --json all."
        )


def _remark(job: JobRow) -> str:
    if job.cancel_requested:
        return "to be cancelled at the provider"
    if job.error is not None:
        return line(job.error)
    if job.suspect is not None:
        return f"suspect: {line(job.suspect)}"
    return ", ".join(_short(path) for path in job.files)


def _short(path: str) -> str:
    """A path from the current folder where it lies inside, absolute elsewhere."""
    absolute = Path(path)
    here = Path.cwd()
    return line(str(absolute.relative_to(here) if absolute.is_relative_to(here) else path), 4000)
