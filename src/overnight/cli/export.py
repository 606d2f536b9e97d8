"""``overnight export``: a batch leaves as a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, count, line, size
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.export.report import Report
    from overnight.export.request import Request, Shards
    from overnight.store.database import Database
    from overnight.store.exporting import ExportJob
    from overnight.store.rows import Batch

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FORMATS = ("jsonl", "csv", "parquet", "videofolder", "imagefolder", "webdataset", "sqlite")
"""The formats, spelled out here so that the help imports none of them."""

_SHARDED = ("parquet", "webdataset")
_NAMED = 10
"""Files that can't be exported and are named for people; ``left-out.jsonl`` has them all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line, as it was typed."""

    batches: tuple[str, ...]
    folder: Path
    format: str | None
    files_only: bool
    states: tuple[str, ...]
    where: str | None
    suspect: str
    split: str | None
    link: bool
    shard_size: str | None
    shard_count: int | None


def _what_to_export(command: Decorated) -> Decorated:
    """BATCH… and the options that choose jobs and their split."""
    for decorate in (
        click.option("--split", metavar="SHARES", help="Such as train=0.9,test=0.1; sums to 1."),
        click.option(
            "--suspect",
            type=click.Choice(["no", "yes", "any"]),
            default="no",
            show_default=True,
            help="Leave suspect files out, take only them, or take both.",
        ),
        click.option("--where", metavar="EXPR", help="Only jobs of which this is true: steps > 8."),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice(options.STATES),
            default=[State.SUCCEEDED.value],
            show_default=True,
            help="Jobs in this state are samples.",
        ),
        click.argument("batches", metavar="[BATCH]...", nargs=-1),
    ):
        command = decorate(command)
    return command


def _how_to_export(command: Decorated) -> Decorated:
    """The options that say where to and in what form."""
    for decorate in (
        click.option(
            "--shard-count",
            type=click.IntRange(min=1),
            metavar="N",
            help="Samples of a shard at most; 10,000 otherwise.",
        ),
        click.option("--shard-size", metavar="SIZE", help="Bytes of a shard; 1GB otherwise."),
        click.option(
            "--link/--copy",
            default=True,
            show_default=True,
            help="Hard links where the file system allows them, or copies.",
        ),
        click.option("--files-only", is_flag=True, help="Only the files, without tables."),
        click.option("--format", type=click.Choice(FORMATS), help="How the data set is laid out."),
        click.option(
            "--to",
            "folder",
            required=True,
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="A new folder, an empty one, or that of the same export.",
        ),
    ):
        command = decorate(command)
    return command


@click.command()
@_how_to_export
@_what_to_export
@options.db
@options.as_json
def export(db: str, as_json: bool, **asked: Any) -> int:
    """Export what BATCH made (without a name: every batch) as a data set.

    Each file is compared with what was downloaded. Failed and unknown jobs go to failures.jsonl.
    The same command again brings the folder up to date, or goes on where it was interrupted.
    """
    from overnight.cli import interrupts
    from overnight.export.errors import ExportError
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    interrupts.terminate_like_ctrl_c()
    wish = Asked(**asked)
    try:
        with open_database(db) as database:
            batches = _batches(database, wish)
            request = _request(wish, batches)
            report = _export(database, request, batches, output)
    except ExportError as error:
        raise click.ClickException(str(error)) from None
    output.record(_fields(request, report))
    if not as_json:
        _tell(output, request, report)
    return Exit.JOBS_FAILED if report.lost else Exit.DONE


def _batches(database: Database, wish: Asked) -> list[Batch]:
    from overnight.store import views

    with database.reading() as connection:
        found = views.named_batches(connection, wish.batches)
    if not found:
        raise UserError("There is no batch in this database. Load a manifest first.")
    return found


def _request(wish: Asked, batches: list[Batch]) -> Request:
    from overnight.export.errors import ExportError
    from overnight.export.request import Request, Suspects
    from overnight.export.splits import Splits

    try:
        return Request(
            root=wish.folder,
            format=_format(wish),
            batches=tuple(sorted(batch.name for batch in batches)),
            states=frozenset(State(word) for word in wish.states),
            where=wish.where,
            suspects=Suspects(wish.suspect),
            split=None if wish.split is None else Splits.parse(wish.split),
            shards=_shards(wish),
            copy=not wish.link,
        )
    except ExportError as error:
        raise UserError(str(error)) from None


def _format(wish: Asked) -> str:
    from overnight.export.run import FILES_ONLY

    if wish.files_only and wish.format is not None:
        raise UserError("--files-only makes no tables; leave out --format, or leave it out.")
    if wish.files_only:
        return FILES_ONLY
    if wish.format is None:
        raise UserError(f"Say how: --format {', '.join(FORMATS)}, or --files-only.")
    return wish.format


def _shards(wish: Asked) -> Shards:
    from overnight.export.request import Shards, shard_size

    if wish.shard_size is None and wish.shard_count is None:
        return Shards()
    if wish.format not in _SHARDED:
        raise UserError(f"--shard-size and --shard-count are for {' and '.join(_SHARDED)}.")
    usual = Shards()
    bytes_ = usual.bytes if wish.shard_size is None else shard_size(wish.shard_size)
    return Shards(bytes_, wish.shard_count or usual.samples)


def _export(database: Database, request: Request, batches: list[Batch], output: Output) -> Report:
    from overnight.cli.catalog import users_catalog
    from overnight.cli.exporting import CatalogWords, Where, watching
    from overnight.export.run import export as make

    words = CatalogWords(users_catalog())
    jobs = _jobs(database, [batch.id for batch in batches])
    where = None if request.where is None else Where(request.where, words)
    with watching(output) as watcher:
        return make(
            request,
            jobs if where is None else where.checked(jobs),
            words=words,
            watcher=watcher,
            condition=None if where is None else where.holds,
        )


def _jobs(database: Database, batch_ids: list[int]) -> Iterator[ExportJob]:
    """Every job, from one view of the database, which is let go after the last of them."""
    from overnight.store import exporting

    with database.reading() as connection:
        yield from exporting.every(connection, batch_ids)


# --- what is said ---------------------------------------------------------------------------------


def _fields(request: Request, report: Report) -> dict[str, Any]:
    """The report for programs."""
    tally = report.tally
    return {
        "to": str(request.root.absolute()),
        "format": request.format,
        "batches": list(request.batches),
        "samples": report.samples,
        "bytes": tally.bytes,
        "splits": {name: tally.samples[name] for name in request.splits.names},
        "files": {how: report.placed[how] for how in ("linked", "copied", "kept")},
        "left_out": {reason: number for reason, number, _ in report.reasons()},
        "lost": [lost.as_json() for lost in report.lost],
        "failures": report.failures,
        "as_json_text": report.as_json_text,
    }


def _tell(output: Output, request: Request, report: Report) -> None:
    """The same for people."""
    tally = report.tally
    parts = f", {', '.join(f'{n} {tally.samples[n]:,}' for n in request.splits.names)}"
    done = (
        f"{count(report.samples, 'sample')} ({size(tally.bytes)}{parts if request.split else ''})"
    )
    output.say(f"{done} in {line(str(request.root), 4000)}.")
    if report.placed["copied"] and not request.copy:
        output.say(f"{count(report.placed['copied'], 'file')} could not be linked and were copied.")
    for _, number, words in report.reasons():
        output.say(f"  left out: {number:,} {words}")
    if report.failures and request.format in FORMATS:
        output.say(
            "failures.jsonl has the failed and unknown jobs, ready to be rows of a manifest."
        )
    if report.as_json_text:
        output.say(f"Columns of mixed kinds, as JSON text: {line(', '.join(report.as_json_text))}.")
    for lost in report.lost[:_NAMED]:
        output.note(f"{line(lost.path, 4000)}: {lost.detail}.")
    if len(report.lost) > _NAMED:
        output.note(f"And {len(report.lost) - _NAMED:,} more.")
    if report.lost:
        output.note("`overnight verify` looks at every file and can fetch again what is missing.")
