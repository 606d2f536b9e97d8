"""Fetches again what is missing or was changed. Free: nothing here can submit anything.

The address on record is tried first; when it has expired, the provider is asked for a fresh one by
the request's own id. A changed file is put aside before, and comes back when nothing better does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from overnight.artifacts import download
from overnight.artifacts.bucket import BucketError
from overnight.artifacts.place import Place, Places, spool_of
from overnight.artifacts.probe import Prober
from overnight.engine import posters, provenance
from overnight.engine.collect import StorageError
from overnight.engine.pacing import Pace
from overnight.engine.posters import Posters
from overnight.providers import base
from overnight.store import files
from overnight.store.database import Database
from overnight.store.files import RecordedFile, Replacement

TRIES = 6
"""Answers that bring no file before a file is given up for this time."""

PATIENCE = 3
"""Files in a row that could not be had, after which each of the others is tried once only: where
nobody answers, a folder of ten thousand is not to take days."""

_AT_ONCE = 4
"""Files fetched at once."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What came of one file: ``why_not`` when it could not be had; ``other_bytes`` when what came
    is whole, and not what was on record; ``suspect`` is what is wrong with it; ``aside`` is where
    the changed one is now."""

    why_not: str | None = None
    suspect: str | None = None
    other_bytes: bool = False
    aside: str | None = None


class _NothingToHaveError(Exception):
    """The file can't be had. The message says why."""


class Mender:
    """``connect`` gives the provider; it is called when a fresh address is first needed, because
    only that takes a token. ``with_posters`` are the names of batches whose clips have posters."""

    def __init__(
        self,
        database: Database,
        downloader: download.Downloader,
        prober: Prober,
        connect: Callable[[], base.Provider],
        *,
        pace: Pace | None = None,
        places: Places | None = None,
        with_posters: Collection[str] = (),
    ) -> None:
        self._database = database
        self._downloader = downloader
        self._prober = prober
        self._connect = connect
        self._places = places or Places(spool_of(database.path, "repair"))
        self._provider: base.Provider | None = None
        self._pace = pace or Pace()
        self._rng = Random()  # noqa: S311 - spreads waits
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._in_vain = 0
        self._with_posters = with_posters
        self._posters = Posters(self._places, prober, spool_of(database.path, "posters"))
        self.posters = 0
        """Posters that were missing and have been made."""

    async def keep_poster(self, file: RecordedFile) -> None:
        """Give a clip that is whole its poster, where its batch wants posters and it has none."""
        if file.batch in self._with_posters:
            async with self._turn:
                made = await self._posters.add(file)
            self.posters += made

    async def mend(self, file: RecordedFile) -> Mended:
        """Bring ``file`` home again. Raises :class:`StorageError`, :class:`OSError`, and whatever
        ``connect`` raises; a changed file is where it was then."""
        async with self._turn:
            try:
                mended = await self._mend(file)
            except BucketError as error:
                raise StorageError(str(error)) from error
        self._in_vain = 0 if mended.why_not is None else self._in_vain + 1
        return mended

    async def _mend(self, file: RecordedFile) -> Mended:
        place = self._places.holding(file.path, file.output_dir)
        put = await asyncio.to_thread(place.put_aside, file.path)
        fetched = None
        try:
            url, fetched = await self._fetch(file, place)
        except _NothingToHaveError as error:
            return Mended(why_not=str(error))
        finally:
            if fetched is None and put is not None:
                # Not in a thread: whatever ends us, this is done first.
                place.put_back(put, file.path)
        await asyncio.to_thread(self._record, file, url, fetched)
        await place.settle(self._downloader, fetched)
        await self._renew_poster(file, fetched, place)
        return Mended(
            suspect=None if fetched.opinion is None else fetched.opinion.suspect,
            other_bytes=fetched.sha256 != file.sha256,
            aside=put,
        )

    async def _renew_poster(
        self, file: RecordedFile, fetched: download.Fetched, place: Place
    ) -> None:
        """The poster of a file that was fetched again; one of other content goes aside."""
        if file.batch not in self._with_posters or fetched.opinion is None:
            return
        if fetched.sha256 != file.sha256:
            # The clip is home and on record: a poster is no reason to fail.
            with suppress(OSError, BucketError):
                await asyncio.to_thread(place.put_aside, posters.location(fetched.location))
        now = replace(
            file,
            path=fetched.location,
            bytes=fetched.bytes,
            sha256=fetched.sha256,
            suspect=fetched.opinion.suspect,
            probe=fetched.opinion.probe,
        )
        made = await self._posters.add(now)
        self.posters += made

    async def aclose(self) -> None:
        """Close the provider, if it was needed, and the places."""
        self._places.close()
        if self._provider is not None:
            await self._provider.aclose()

    async def _fetch(self, file: RecordedFile, place: Place) -> tuple[str, download.Fetched]:
        url, reason = file.url, ""
        retry_after: float | None
        tries = TRIES if self._in_vain < PATIENCE else 1
        for failures in range(1, tries + 1):
            outcome = await place.fetch(
                self._downloader,
                url,
                place.on_desk(file.path),
                recorded=None,
                progress=None,
                examine=self._prober.examiner(file.inputs),
            )
            retry_after = None
            match outcome:
                case download.Fetched():
                    return url, outcome
                case download.StorageFault(reason):
                    raise StorageError(reason)
                case download.TryAgain(reason, retry_after):
                    pass
                case download.Expired(reason) | download.Unfetchable(reason):
                    url = await self._fresh_url(file, reason) or url
            if failures < tries:
                await asyncio.sleep(self._pace.next_try(failures, self._rng, retry_after))
        raise _NothingToHaveError(reason if tries == 1 else f"{tries} times in a row: {reason}")

    async def _fresh_url(self, file: RecordedFile, reason: str) -> str | None:
        """The file's address as the provider gives it now; None when it did not say."""
        if file.request_id is None:
            raise _NothingToHaveError(f"{reason}, and there is no request to ask about")
        if self._provider is None:
            self._provider = self._connect()
        outcome = await self._provider.result(base.Request(file.model, file.request_id))
        match outcome:
            case base.Delivered(urls) if file.position < len(urls):
                return urls[file.position]
            case base.NoAnswer():
                return None
            case base.Refused(why):
                raise _NothingToHaveError(
                    f"{reason}, and the provider turns the account away: {why}"
                )
            case base.Gone(why):
                raise _NothingToHaveError(f"{reason}, and the provider has no other address: {why}")
            case _:
                raise _NothingToHaveError(f"{reason}, and the provider names no other address")

    def _record(self, file: RecordedFile, url: str, fetched: download.Fetched) -> None:
        opinion = fetched.opinion
        by = Replacement(
            url=url,
            path=fetched.location,
            bytes=fetched.bytes,
            sha256=fetched.sha256,
            content_type=fetched.content_type or file.content_type,
            suspect=None if opinion is None else opinion.suspect,
            probe=None if opinion is None else opinion.probe,
        )
        record = partial(files.replaced, file=file, by=by, at=time.time())
        with self._database.writing() as connection:
            record(connection)
            of = files.provenance(connection, file.job_id)
        if file.newest:
            provenance.keep(of, self._places.of(of.output_dir))
