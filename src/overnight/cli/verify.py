"""``overnight verify``: every file on record against the disk, and what is there besides."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import interrupts, options
from overnight.cli.failures import UserError
from overnight.cli.output import Output, line
from overnight.cli.verify_words import Tally, checking

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from overnight.artifacts.probe import Prober
    from overnight.engine.repair import Mended, Mender
    from overnight.engine.verification import Checked
    from overnight.providers.base import Provider
    from overnight.store.database import Database
    from overnight.store.files import RecordedFile
    from overnight.store.rows import Batch


@click.command()
@click.argument("batches", metavar="[BATCH]...", nargs=-1)
@click.option(
    "--repair",
    is_flag=True,
    help="Fetch again what is missing or changed, and make missing posters; costs nothing.",
)
@click.option("--fast", is_flag=True, help="Look at presence and size only, not at the content.")
@click.option(
    "--decode", is_flag=True, help="Decode every file again, and compare with what is on record."
)
@options.db
@options.as_json
def verify(
    batches: tuple[str, ...], repair: bool, fast: bool, decode: bool, db: str, as_json: bool
) -> int:
    """Check every file of each BATCH (all without a name): there, unchanged, and what it should be.

    Nothing is ever deleted or overwritten: with --repair a changed file is put aside before
    another one is fetched. The exit code is 3 when something is not as it should be.
    """
    from overnight.store import views
    from overnight.store.database import open_database

    output = Output(as_json=as_json)
    _require_sense(fast=fast, decode=decode)
    interrupts.terminate_like_ctrl_c()
    with open_database(db) as database:
        with database.reading() as connection:
            scope = views.named_batches(connection, batches)
        tally = Tally(output, options.again(db))
        asyncio.run(check(database, scope, tally, repair=repair, fast=fast, decode=decode))
    hint = shlex.join(["overnight", "verify", *batches, "--repair"]) + options.again(db)
    code = tally.end(None if repair else hint)
    if tally.stopped is not None:
        raise tally.stopped
    return code


def _require_sense(*, fast: bool, decode: bool) -> None:
    """Raise :class:`UserError` for options that can't be obeyed."""
    from overnight.artifacts import pyav

    if fast and decode:
        raise UserError("--fast looks at no content, and --decode at all of it; leave one out.")
    if decode and not pyav.is_installed():
        raise UserError(f"--decode needs PyAV. Get it with: {pyav.HOW_TO_GET}")


async def check(
    database: Database,
    scope: Sequence[Batch],
    tally: Tally,
    *,
    repair: bool = False,
    fast: bool = False,
    decode: bool = False,
) -> None:
    """Check the batches of ``scope``, and repair what can be; what is found goes to ``tally``."""
    from overnight.artifacts.probe import Prober
    from overnight.engine.verification import Verifier

    ids = [batch.id for batch in scope]
    prober = Prober()
    tally.verifier = Verifier(database, prober, fast=fast, decode=decode)
    try:
        async with _mending(database, prober, scope if repair else None) as mender:
            await _recorded(database, ids, tally, mender)
            tally.posters = 0 if mender is None else mender.posters
    finally:
        await prober.aclose()
    _empty_handed(database, ids, tally)
    await asyncio.to_thread(_strays, database, scope, tally)


async def _recorded(
    database: Database,
    ids: Sequence[int],
    tally: Tally,
    mender: Mender | None,
) -> None:
    """Every file on record, page by page."""
    from overnight.store import files

    with database.reading() as connection:
        expected = files.count(connection, ids)
    with checking(tally.output, expected) as advance:
        last = 0
        while page := _page(database, ids, last):
            last = page[-1].id
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_handled(file, tally, mender)) for file in page]
                for task in tasks:
                    task.add_done_callback(lambda _: advance())
            for task in tasks:
                tally.saw(*task.result())


async def _handled(
    file: RecordedFile, tally: Tally, mender: Mender | None
) -> tuple[Checked, Mended | None]:
    """What is found, and what came of repairing it. When repairing can't go on, as in a folder
    that is closed to us, the rest is checked all the same: the list comes before the reason."""
    from overnight.engine.collect import StorageError
    from overnight.providers.credentials import CredentialsError

    assert tally.verifier is not None
    checked = await tally.verifier.check(file)
    if mender is None or tally.stopped is not None:
        return checked, None
    if checked.is_here:
        await mender.keep_poster(checked.file)
    if not checked.can_be_fetched:
        return checked, None
    try:
        return checked, await mender.mend(checked.file)
    except (StorageError, CredentialsError, OSError) as error:
        tally.stopped = tally.stopped or error
        return checked, None


def _page(database: Database, ids: Sequence[int], after_id: int) -> list[RecordedFile]:
    from overnight.store import files

    with database.reading() as connection:
        return files.recorded(connection, ids, after_id=after_id)


def _empty_handed(database: Database, ids: Sequence[int], tally: Tally) -> None:
    from overnight.store import files

    last = 0
    while True:
        with database.reading() as connection:
            page = files.empty_handed(connection, ids, after_id=last)
        if not page:
            return
        for job in page:
            tally.add(
                "without-files",
                "no file is on record",
                job=job.job_id,
                batch=job.batch,
                key=job.key,
            )
        last = page[-1].job_id


def _strays(database: Database, scope: Sequence[Batch], tally: Tally) -> None:
    from overnight.artifacts.bucket import Address, BucketError
    from overnight.engine.verification import stray_objects, strays
    from overnight.export.target import MARKER
    from overnight.store import files

    ours = {Path(batch.manifest_path) for batch in scope}
    ours |= {database.path.with_name(database.path.name + end) for end in ("", "-wal", "-shm")}
    dirs = {batch.output_dir for batch in scope}
    folders = {Path(one) for one in dirs if Address.parse(one) is None}

    def unrecorded(paths: Collection[str]) -> set[str]:
        # A short look each time: a long one would keep a worker's log from being cleared.
        with database.reading() as connection:
            return files.unrecorded(connection, paths)

    for path in strays(folders, unrecorded, ours, export_mark=MARKER):
        tally.add("stray", "no record names it", path=path)
    try:
        for path in stray_objects(dirs, unrecorded):
            tally.add("stray", "no record names it", path=path)
    except BucketError as error:
        tally.output.note(line(f"Strays were not looked for: {error}", 4000))


# --- repairing ------------------------------------------------------------------------------------


@asynccontextmanager
async def _mending(
    database: Database, prober: Prober, scope: Sequence[Batch] | None
) -> AsyncIterator[Mender | None]:
    """What repairs the batches of ``scope``, and needs no token as long as the addresses on record
    still work; None without batches to repair."""
    if scope is None:
        yield None
        return
    from overnight.artifacts.download import Downloader
    from overnight.engine.repair import Mender
    from overnight.providers.credentials import Account, find_base
    from overnight.providers.redaction import Secret
    from overnight.providers.retry_after import retry_after
    from overnight.providers.transport import AiohttpTransport

    # Only for its hosts: a token is looked for when an address has expired, and not before.
    hosts = Account(find_base(os.environ), Secret(""), "").plain_http_hosts
    downloader = Downloader(
        AiohttpTransport(trust_env=True), retry_after=retry_after, plain_http_hosts=hosts
    )
    with_posters = {batch.name for batch in scope if batch.output.get("poster")}
    mender = Mender(database, downloader, prober, _connect, with_posters=with_posters)
    try:
        yield mender
    finally:
        await mender.aclose()
        await downloader.aclose()


def _connect() -> Provider:
    """Raises :class:`~overnight.providers.credentials.CredentialsError` without a token."""
    from overnight.cli.session import users_account
    from overnight.providers.runcomfy import RunComfy

    return RunComfy.connect(users_account())
