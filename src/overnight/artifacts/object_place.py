"""A bucket as the place of a batch's files: made on the desk, then put there whole.

A file is on its way in four steps: whole on the desk; an object under its final key, which the
store shows only once all of it has come; on record; gone from the desk. A crash between two of them
is mended by going through them again: the file on the desk is not fetched twice, and an object that
is there with the same size and SHA-256 is the very one that was meant.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from overnight.artifacts import aside, naming, sidecar
from overnight.artifacts.bucket import Address, Bucket, BucketError, Found
from overnight.artifacts.download import Downloader
from overnight.artifacts.errand import Progress, Target
from overnight.artifacts.outcomes import (
    Examine,
    Fetched,
    FetchOutcome,
    StorageFault,
    TryAgain,
)
from overnight.artifacts.writers import Writers

TRIAL = ".overnight-was-here"
"""The object that is written, and taken away again, to see whether that can be done."""


class ObjectPlace:
    """See :class:`~overnight.artifacts.place.Place`. ``writers`` do what waits for the store."""

    def __init__(self, address: Address, bucket: Bucket, desk: Path, writers: Writers) -> None:
        self.desk = desk
        self._address = address
        self._bucket = bucket
        self._writers = writers

    async def fetch(
        self,
        downloader: Downloader,
        url: str,
        target: Target,
        *,
        recorded: Fetched | None = None,
        progress: Progress | None = None,
        examine: Examine | None = None,
    ) -> FetchOutcome:
        """See :class:`~overnight.artifacts.place.Place`."""
        try:
            if recorded is not None and await self._writers.run(partial(self._has, recorded)):
                return recorded
            outcome = await downloader.fetch(url, target, progress=progress, examine=examine)
            if not isinstance(outcome, Fetched):
                return outcome
            address = await self._writers.run(partial(self._deliver, outcome))
            return replace(outcome, address=str(address))
        except BucketError as error:
            return TryAgain(str(error)) if error.passes else StorageFault(str(error))
        except OSError as error:
            said = error.strerror or type(error).__name__
            return StorageFault(f"What is to go to {self._address} can't be read again: {said}.")

    async def settle(self, downloader: Downloader, fetched: Fetched) -> None:
        """See :class:`~overnight.artifacts.place.Place`."""
        await downloader.settle(fetched)
        with suppress(OSError):
            await asyncio.to_thread(fetched.path.unlink, missing_ok=True)

    def location(self, path: Path) -> str:
        """See :class:`~overnight.artifacts.place.Place`."""
        return str(self._at(path))

    def on_desk(self, location: str) -> Path:
        """See :class:`~overnight.artifacts.place.Place`."""
        inside = self.inside(location)
        if Address.parse(inside) is None and ".." not in PurePosixPath(inside).parts:
            return self.desk.joinpath(*PurePosixPath(inside).parts)
        # It was recorded while the batch had another place.
        return self.desk / PurePosixPath(location).name

    def inside(self, location: str) -> str:
        """See :class:`~overnight.artifacts.place.Place`."""
        return location.removeprefix(f"{self._address}/")

    def add_poster(self, fetched: Fetched, poster: Path) -> None:
        """See :class:`~overnight.artifacts.place.Place`."""
        content = poster.read_bytes()
        path = PurePosixPath(self._require_ours(fetched.location).key)
        self._bucket.create(
            str(path.with_name(naming.poster_name(path.name))),
            content,
            sha256=hashlib.sha256(content).hexdigest(),
            media_type="image/jpeg",
        )
        poster.unlink()

    def keep_sidecar(self, batch: str, key: str, document: Mapping[str, Any]) -> None:
        """See :class:`~overnight.artifacts.place.Place`."""
        place, said = self._sidecar(batch, key)
        told = sidecar.content(document)
        if said != told:
            self._bucket.replace(place, told, "application/json")

    def has_sidecar(self, batch: str, key: str) -> bool:
        """See :class:`~overnight.artifacts.place.Place`."""
        return self._sidecar(batch, key)[1] is not None

    def put_aside(self, location: str) -> str | None:
        """See :class:`~overnight.artifacts.place.Place`."""
        here = self._require_ours(location)
        if self._bucket.look(here.key) is None:
            return None
        path = PurePosixPath(here.key)
        put, number = path.parent / aside.FOLDER / path.name, 1
        while self._bucket.look(str(put)) is not None:
            number += 1
            put = put.with_name(f"{path.stem}~{number}{path.suffix}")
        self._bucket.move(here.key, str(put))
        return str(replace(here, key=str(put)))

    def put_back(self, put: str, location: str) -> bool:
        """See :class:`~overnight.artifacts.place.Place`."""
        there, here = self._require_ours(put), self._require_ours(location)
        if self._bucket.look(here.key) is not None:
            return False
        self._bucket.move(there.key, here.key)
        return True

    def _has(self, recorded: Fetched) -> bool:
        """Whether the object on record is there and is what the record says."""
        address = Address.parse(recorded.location)
        if address is None or (address.scheme, address.bucket) != self._ours:
            return False
        return self._bucket.holds(address.key, Found(recorded.bytes, recorded.sha256))

    def _deliver(self, fetched: Fetched) -> Address:
        """Put a whole file under its key, or under the next one that is free."""
        meant, number = self._at(fetched.path), 1
        wanted = Found(fetched.bytes, fetched.sha256)
        path = PurePosixPath(meant.key)
        key = meant.key
        while not self._created(key, fetched):
            if self._bucket.holds(key, wanted):
                return replace(meant, key=key)  # it came before, and a crash before its record
            if self._bucket.look(key) is None:
                # Another name would be refused as this one was, and the next one, without an end.
                raise BucketError(f"{replace(meant, key=key)} can't be written now.", passes=True)
            number += 1
            key = str(path.with_name(f"{path.stem}~{number}{path.suffix}"))
        if not self._bucket.holds(key, wanted):
            raise BucketError(f"{replace(meant, key=key)} is not what was put there.", passes=True)
        return replace(meant, key=key)

    def _created(self, key: str, fetched: Fetched) -> bool:
        media_type = fetched.content_type or _type(fetched.path.name)
        return self._bucket.create(key, fetched.path, sha256=fetched.sha256, media_type=media_type)

    def _sidecar(self, batch: str, key: str) -> tuple[str, bytes | None]:
        """The key of a job's sidecar, and what it says now."""
        names = sidecar.names(batch, key)
        first, second = (self._address.below(f"{sidecar.FOLDER}/{name}").key for name in names)
        said = self._bucket.read(first)
        if said is None or sidecar.batch_in(said) in (None, batch):
            return first, said
        return second, self._bucket.read(second)

    @property
    def _ours(self) -> tuple[str, str]:
        return self._address.scheme, self._address.bucket

    def _at(self, path: Path) -> Address:
        return self._address.below(path.relative_to(self.desk).as_posix())

    def _require_ours(self, location: str) -> Address:
        address = Address.parse(location)
        if address is None or (address.scheme, address.bucket) != self._ours:
            raise BucketError(f"{location} is not in {self._address}, where the batch's files are.")
        return address


def try_out(bucket: Bucket, address: Address) -> None:
    """Make sure that files can be put below ``address``. Raises :class:`BucketError`."""
    key = address.below(TRIAL).key
    bucket.replace(key, b"Written to see whether it can be.\n", "text/plain")
    # The right to write is all that is needed; without the right to delete it stays.
    with suppress(BucketError):
        bucket.remove(key)


def _type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
