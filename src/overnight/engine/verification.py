"""Holds what is on record against the disk: every file whole, nothing missing, nothing strange.

Nothing here changes a file. What a look at a file's content finds out is recorded, and a sidecar
that is missing is written again.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from overnight.artifacts.bucket import Address, Bucket, BucketError
from overnight.artifacts.outcomes import Opinion
from overnight.artifacts.part import holds
from overnight.artifacts.place import Places, spool_of
from overnight.artifacts.probe import Prober
from overnight.artifacts.pyav import NOT_INSTALLED
from overnight.engine import provenance
from overnight.engine.at_hand import at_hand
from overnight.engine.second_look import difference, was_decoded
from overnight.lifecycle import State
from overnight.store import files
from overnight.store.database import Database
from overnight.store.files import RecordedFile

_AT_ONCE = 4
"""Files read at once: more only makes a disk seek."""
_NAMES = 500
"""Names of a folder that are compared with the record at a time."""


_NOT_THERE = "it is not there"
_OTHER_CONTENT = "its content is not what is on record"


class Finding(StrEnum):
    """What a check of one file came to. The values are the words of ``--json``."""

    WHOLE = "whole"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    SUSPECT = "suspect"
    DIFFERS = "differs"
    """Whole, and a second look inside sees something else than is on record."""
    EMPTY = "without-files"
    """A job succeeded, and no file of it is on record."""
    STRAY = "stray"
    """No record names it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, as the record has it now, and what was found. ``why`` is a part of a sentence,
    None for a whole file."""

    file: RecordedFile
    finding: Finding
    why: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether the file is there, with the bytes on record."""
        return self.finding in (Finding.WHOLE, Finding.SUSPECT, Finding.DIFFERS)

    @property
    def can_be_fetched(self) -> bool:
        """Whether another download would help."""
        return self.finding in (Finding.MISSING, Finding.CHANGED)


class Verifier:
    """Checks recorded files. ``fast``: by their presence and size alone; ``decode``: also by
    another look into each of them."""

    def __init__(
        self, database: Database, prober: Prober, *, fast: bool = False, decode: bool = False
    ) -> None:
        self._database = database
        self._places = Places(spool_of(database.path, "repair"))
        self._spool = spool_of(database.path, "verify")
        self._prober = prober
        self._fast = fast
        self._decode = decode
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self.sidecars = 0
        """Sidecars that were missing and have been written again."""
        self.unprobed = 0
        """Files whose content nobody has looked at, for want of PyAV."""
        self.unwritten: str | None = None
        """Why a sidecar could not be written, if one couldn't."""

    async def check(self, file: RecordedFile) -> Checked:
        """Everything about one file."""
        async with self._turn:
            checked, new = await asyncio.to_thread(self._compare, file), False
            if checked.finding is Finding.WHOLE:
                checked = await self._content(file)
                new = checked.file is not file
            # Where the file itself is gone, so may be the disk that it was on.
            belongs = file.newest and file.state is State.SUCCEEDED
            if checked.is_here and belongs and (new or file.position == 0):
                written = await asyncio.to_thread(self._keep_sidecar, file, anew=new)
                self.sidecars += written
            return checked

    async def _content(self, file: RecordedFile) -> Checked:
        """What is wrong with the content of a file that is whole: as it is on record, unless nobody
        has looked yet or could look properly, or another look is wanted."""
        blind = (file.probe or {}).get("why") == NOT_INSTALLED
        away = Address.parse(file.path) is not None  # what is in a bucket was looked at before
        known = file.probe is not None and not (blind and self._prober.decodes)
        if not self._decode and (self._fast or away or known):
            self.unprobed += blind
            return _by_content(file)
        try:
            async with at_hand(file, self._places, self._spool) as (path, digest):
                if digest not in (None, file.sha256):
                    return Checked(file, Finding.CHANGED, _OTHER_CONTENT)
                opinion = await self._prober.examiner(file.inputs)(path, path.suffix)
        except FileNotFoundError:
            return Checked(file, Finding.MISSING, _NOT_THERE)
        except OSError as error:
            return Checked(file, Finding.UNREADABLE, f"it can't be read: {error.strerror}")
        except BucketError as error:
            return Checked(file, Finding.UNREADABLE, str(error).rstrip("."))
        return await self._judged(file, opinion)

    async def _judged(self, file: RecordedFile, opinion: Opinion) -> Checked:
        """Record what was seen, and say what it comes to. A decoder that gave up this time does not
        take away what is known."""
        self.unprobed += opinion.probe.get("why") == NOT_INSTALLED
        differs = difference(file.probe, opinion.probe)
        if was_decoded(file.probe) and not was_decoded(opinion.probe):
            return Checked(file, Finding.DIFFERS, differs)
        if (opinion.suspect, opinion.probe) != (file.suspect, file.probe):
            await asyncio.to_thread(self._record, file, opinion)
            file = replace(file, suspect=opinion.suspect, probe=opinion.probe)
        if differs is not None:
            also = "" if file.suspect is None else f"; and {file.suspect}"
            return Checked(file, Finding.DIFFERS, f"{differs}{also}")
        return _by_content(file)

    def _record(self, file: RecordedFile, opinion: Opinion) -> None:
        with self._database.writing() as connection:
            files.looked(connection, file, opinion.suspect, opinion.probe)

    def _keep_sidecar(self, file: RecordedFile, *, anew: bool) -> bool:
        """Write it where it is missing, or where there is something ``anew`` to say."""
        try:
            place = self._places.of(file.output_dir)
            missing = not place.has_sidecar(file.batch, file.key)
            if not missing and not anew:
                return False
            with self._database.reading() as connection:
                of = files.provenance(connection, file.job_id)
            provenance.keep(of, place)
        except OSError as error:
            self.unwritten = f"{error.filename or file.output_dir}: {error.strerror}"
            return False
        except BucketError as error:
            self.unwritten = str(error)
            return False
        return missing

    def _compare(self, file: RecordedFile) -> Checked:
        address = Address.parse(file.path)
        if address is None:
            return _compare(file, fast=self._fast)
        try:
            return _compare_object(file, address, self._places.bucket(address), fast=self._fast)
        except BucketError as error:
            return Checked(file, Finding.UNREADABLE, str(error).rstrip("."))


def _by_content(file: RecordedFile) -> Checked:
    """What the record says of the content of a file that is whole."""
    if file.suspect is None:
        return Checked(file, Finding.WHOLE)
    return Checked(file, Finding.SUSPECT, file.suspect)


def _compare(file: RecordedFile, *, fast: bool) -> Checked:
    path = Path(file.path)
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Checked(file, Finding.MISSING, _NOT_THERE)
    except OSError as error:
        return Checked(file, Finding.UNREADABLE, f"it can't be read: {error.strerror}")
    if not stat.S_ISREG(found.st_mode):
        return Checked(file, Finding.CHANGED, "what stands there is no file")
    if found.st_size != file.bytes:
        return _another_size(file, found.st_size)
    if not fast and not holds(path, file.bytes, file.sha256):
        if not os.access(path, os.R_OK):
            return Checked(file, Finding.UNREADABLE, "it can't be read: Permission denied")
        return Checked(file, Finding.CHANGED, _OTHER_CONTENT)
    return Checked(file, Finding.WHOLE)


def _compare_object(file: RecordedFile, address: Address, bucket: Bucket, *, fast: bool) -> Checked:
    """By what the store says of it; its content is read only where nothing says its SHA-256."""
    found = bucket.look(address.key)
    if found is None:
        return Checked(file, Finding.MISSING, _NOT_THERE)
    if found.bytes != file.bytes:
        return _another_size(file, found.bytes)
    if not fast:
        digest = found.sha256
        if digest is None:
            try:
                digest = bucket.sha256(address.key)
            except FileNotFoundError:
                return Checked(file, Finding.MISSING, _NOT_THERE)
        if digest != file.sha256:
            return Checked(file, Finding.CHANGED, _OTHER_CONTENT)
    return Checked(file, Finding.WHOLE)


def _another_size(file: RecordedFile, size: int) -> Checked:
    why = f"it has {size:,} bytes where {file.bytes:,} are on record"
    return Checked(file, Finding.CHANGED, why)


# --- strays ---------------------------------------------------------------------------------------


def strays(
    folders: Collection[Path],
    unrecorded: Callable[[Collection[str]], set[str]],
    ours: Collection[Path],
    *,
    export_mark: str,
) -> Iterator[str]:
    """Files below ``folders`` that no record names, folder by folder. Hidden ones are left out:
    parts, sidecars, what was put aside. ``unrecorded`` sorts out paths that have no record, and
    ``ours`` are files that belong to us in another way. A folder inside that has a file of the name
    ``export_mark`` is an export, which answers for itself."""
    known = {str(path) for path in ours}
    for folder in _outermost(folders):
        for here, inner, names in os.walk(folder):
            if export_mark in names and here != str(folder):
                inner.clear()
                continue
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            paths = [os.path.join(here, name) for name in sorted(names) if name[0] != "."]  # noqa: PTH118 - os.walk speaks in strings, and there may be a million
            for start in range(0, len(paths), _NAMES):
                yield from sorted(unrecorded(paths[start : start + _NAMES]) - known)


def stray_objects(
    folders: Collection[str], unrecorded: Callable[[Collection[str]], set[str]]
) -> Iterator[str]:
    """As :func:`strays`, for the addresses among ``folders``. Raises :class:`BucketError`."""
    places = Places()
    for folder in sorted(set(folders)):
        address = Address.parse(folder)
        if address is None:
            continue
        for page in places.keys(address):
            seen = [one for one in page if "/." not in one.removeprefix(f"{folder}")]
            yield from sorted(unrecorded(seen))


def _outermost(folders: Collection[Path]) -> list[Path]:
    """Each place once: a folder inside another one is walked with it."""
    distinct = sorted(set(folders))
    return [
        one for one in distinct if not any(one != o and one.is_relative_to(o) for o in distinct)
    ]
