"""What ``overnight doctor`` looks at in the database, and on the disks that it and the results use.

Each check is a generator of findings, and stands alone: one that the database's damage keeps from
being finished says so, and the others go on.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from overnight.cli.findings import Finding, fine, problem, warning
from overnight.cli.output import count, line, local, size, span
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.database import Database
    from overnight.store.rows import Batch
    from overnight.store.writer import Operation

T = TypeVar("T")
Check = Callable[["Database"], Iterator[Finding]]

LEAST_ROOM = 1024**3
"""Bytes below which a disk is called nearly full."""

LARGE_WAL = 256 * 1024**2
"""Bytes of write-ahead log that a worker, which empties it all the time, never lets come about."""

SLACK = 2.0
"""Seconds by which the database may be ahead of the clock without it meaning anything."""

RESTORE = "Stop everything that uses it, keep a copy, and restore a backup."


def examine(db: str, suffix: str, *, quick: bool, offline: bool) -> Iterator[Finding]:
    """Everything about the database that ``--db`` names; ``suffix`` is what another command needs
    to find it. Object storage is asked unless ``offline``."""
    from overnight.store.database import open_database
    from overnight.store.errors import StoreError

    yield _sqlite()
    try:
        database = open_database(db)
    except StoreError as error:
        yield problem("database", str(error))
        return
    with database:
        checks: dict[str, Check] = {
            "database": _opened,
            "integrity": partial(_integrity, quick=quick),
            "figures": _figures,
            "log": _log,
            "workers": partial(_workers, suffix=suffix),
            "clock": _clock,
            "unknown": partial(_unknown, suffix=suffix),
            "halted": partial(_halted, suffix=suffix),
            "duplicates": _duplicates,
            "outputs": partial(_outputs, offline=offline),
            "room": _room,
        }
        for name, check in checks.items():
            yield from _whole(database, name, check)


def _whole(database: Database, name: str, check: Check) -> Iterator[Finding]:
    """The findings of one check; that it can't be finished is one too."""
    from overnight.store.errors import StoreError

    try:
        yield from check(database)
    except StoreError as error:
        yield problem(name, str(error))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # A row that holds what we never write.
        yield problem(name, f"{database} holds something unreadable ({error}).", RESTORE)


def _asked(database: Database, operation: Operation[T]) -> T:
    with database.reading() as connection:
        return operation(connection)


# --- the file -------------------------------------------------------------------------------------


def _sqlite() -> Finding:
    from overnight.store import checkup

    version = checkup.sqlite_version()
    words = ".".join(str(part) for part in version)
    if not checkup.has_wal_bug(version):
        return fine("sqlite", f"SQLite {words}.")
    return fine(
        "sqlite",
        f"SQLite {words}. Before 3.51.3 (3.50.7, 3.44.6) it can damage a database that two "
        "programs write and tidy up at one instant; overnight keeps clear of that with a single "
        "writer, as long as no other program writes to the file.",
    )


def _opened(database: Database) -> Iterator[Finding]:
    from overnight.store import views
    from overnight.store.opening import SCHEMA_HEAD

    batches = _asked(database, views.all_batches)
    jobs = count(sum(batch.total for batch in batches), "job")
    among = f"{len(batches):,} {'batch' if len(batches) == 1 else 'batches'}"
    yield fine("database", f"{database}: schema {SCHEMA_HEAD}, {jobs} in {among}.")


def _integrity(database: Database, *, quick: bool) -> Iterator[Finding]:
    from overnight.store import checkup

    how = "quick check" if quick else "check"
    wrong = _asked(database, partial(checkup.complaints, quick=quick))
    if wrong:
        yield problem("integrity", f"The file is damaged: {'; '.join(wrong)}.", RESTORE)
    else:
        yield fine("integrity", f"SQLite's own {how} finds nothing wrong.")


def _figures(database: Database) -> Iterator[Finding]:
    from overnight.store import checkup

    wrong = _asked(database, checkup.miscounts)
    for one in wrong:
        yield problem(
            "figures",
            f"{one.batch}, kept: {one.kept:,} {one.state}; counted: {one.counted:,}.",
            "Stop the worker, make a backup, and report this: a run may end too early or late.",
        )
    if not wrong:
        yield fine("figures", "The kept figures are those of the rows.")


def _log(database: Database) -> Iterator[Finding]:
    from overnight.store import checkup

    there = checkup.wal_bytes(database)
    if there > LARGE_WAL:
        yield warning(
            "log",
            f"The write-ahead log has grown to {size(there)}.",
            "The next worker folds it into the database; look for a program that reads for hours.",
        )
    else:
        yield fine("log", f"The write-ahead log holds {size(there)}.")


# --- what it holds --------------------------------------------------------------------------------


def _workers(database: Database, *, suffix: str) -> Iterator[Finding]:
    from overnight.store import checkup, holding

    now = time.time()
    alive = _asked(database, partial(holding.holder, now=now))
    stale = _asked(database, partial(checkup.stale_workers, now=now))
    for worker in stale:
        yield warning(
            "workers",
            f"Process {worker.pid} on {worker.host} ended without a word; its last sign of life is "
            f"of {local(worker.heartbeat_at)}.",
            f"The next worker takes over where it was: overnight work{suffix}",
        )
    if alive is not None:
        yield fine("workers", f"Process {alive.pid} on {alive.host} is at work.")
    elif not stale:
        yield fine("workers", "None is running, and the last one ended in order.")


def _clock(database: Database) -> Iterator[Finding]:
    from overnight.store import checkup

    newest = _asked(database, checkup.newest_moment)
    ahead = 0.0 if newest is None else newest - time.time()
    if ahead > SLACK:
        yield warning(
            "clock",
            f"Something in the database happened {span(ahead)} from now, at {local(newest or 0)}.",
            "This machine's clock is behind, or was ahead then; set it before you go on, because "
            "leases and waits go by it.",
        )
    else:
        yield fine("clock", "Nothing in the database lies in the future.")


def _unknown(database: Database, *, suffix: str) -> Iterator[Finding]:
    from overnight.cli.advice import how_to_settle
    from overnight.store import views

    unknown = [batch for batch in _asked(database, views.all_batches) if batch.unknown]
    if unknown:
        jobs = count(sum(batch.unknown for batch in unknown), "job")
        yield warning(
            "unknown",
            f"{jobs} may have been submitted, and nobody can tell.",
            how_to_settle([batch.name for batch in unknown], suffix),
        )
    else:
        yield fine("unknown", "Of every job it is known whether it was submitted.")


def _halted(database: Database, *, suffix: str) -> Iterator[Finding]:
    from overnight.store import views

    halted = [b for b in _asked(database, views.all_batches) if b.halted is not None]
    for batch in halted:
        yield warning(
            "halted",
            f"{batch.name}: {batch.halted}. "
            f"{count(batch.states[State.PENDING], 'job')} not submitted.",
            f"Go on with: overnight work {shlex.quote(batch.name)}{suffix} --continue",
        )
    if not halted:
        yield fine("halted", "No batch is halted.")


def _duplicates(database: Database) -> Iterator[Finding]:
    from overnight.cli.advice import duplicates
    from overnight.store import views

    told = [
        words for b in _asked(database, views.all_batches) if (words := duplicates(b)) is not None
    ]
    for words in told:
        yield warning("duplicates", words, "Compare with your bill at the provider.")
    if not told:
        yield fine("duplicates", "No uncertain submit was repeated.")


# --- disks ----------------------------------------------------------------------------------------


def _outputs(database: Database, *, offline: bool) -> Iterator[Finding]:
    from overnight.store import views

    batches = _asked(database, views.all_batches)
    folders = _folders(batches)
    wrong = [(folder, said) for folder in folders if (said := _unwritable(folder)) is not None]
    for folder, said in wrong:
        yield problem(
            "outputs",
            f"Results can't be written to {folder}: {said}.",
            "Make room for that folder, or give yourself the right to write there.",
        )
    if not wrong:
        yield fine("outputs", f"{count(len(folders), 'folder')} for results, all writable.")
    for address in sorted({one.output_dir for one in batches if _is_address(one)}):
        yield _bucket(address, offline=offline)


def _bucket(address: str, *, offline: bool) -> Finding:
    """Whether results can be put into object storage."""
    from overnight.artifacts.bucket import BucketError
    from overnight.artifacts.place import Places

    if offline:
        return fine("outputs", f"{address}: not asked (--offline).")
    try:
        Places().require(address)
    except BucketError as error:
        return problem("outputs", str(error))
    return fine("outputs", f"{address} takes files.")


def _is_address(batch: Batch) -> bool:
    from overnight.artifacts.bucket import Address

    return Address.parse(batch.output_dir) is not None


def _folders(batches: Sequence[Batch]) -> list[Path]:
    return sorted({Path(batch.output_dir) for batch in batches if not _is_address(batch)})


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written to ``folder``; None when it can, or could once it is made."""
    try:
        if folder.is_dir():
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"room for a word")
            return None
        above = _existing(folder)
        if not above.is_dir():
            return f"{above} is not a folder"
        return None if os.access(above, os.W_OK | os.X_OK) else f"{above} is not yours to write to"
    except OSError as error:
        return line(error.strerror or str(error))


def _existing(folder: Path) -> Path:
    """``folder``, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _room(database: Database) -> Iterator[Finding]:
    from overnight.store import views

    places = [database.path.parent, *_folders(_asked(database, views.all_batches))]
    disks = {path.stat().st_dev: path for path in reversed([_existing(p) for p in places])}
    for path in disks.values():
        free = shutil.disk_usage(path).free
        text = f"{size(free)} free on the disk of {path}."
        if free < LEAST_ROOM:
            yield warning("room", text, "Make room: a run stops when its disk is full.")
        else:
            yield fine("room", text)
