"""Where a batch's files go: a folder of this machine, or a bucket of an object store.

A file is always made in a folder first, the *desk*, with everything that a download is promised
there. For a batch with a folder of its own that is the folder itself, and nothing more is to be
done. For a bucket the desk is a folder beside the database, and a whole file goes on from it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from overnight.artifacts import aside, sidecar
from overnight.artifacts.bucket import Address, Bucket, BucketError
from overnight.artifacts.download import Downloader
from overnight.artifacts.errand import Progress, Target
from overnight.artifacts.outcomes import Examine, Fetched, FetchOutcome
from overnight.artifacts.writers import Writers


class Place(Protocol):
    """The place of one batch's files. ``desk`` is the folder in which they are made.

    What is not ``async`` blocks. Places on this machine raise :class:`OSError` as it comes, others
    :class:`~overnight.artifacts.bucket.BucketError`.
    """

    desk: Path

    async def fetch(
        self,
        downloader: Downloader,
        url: str,
        target: Target,
        *,
        recorded: Fetched | None,
        progress: Progress | None,
        examine: Examine | None,
    ) -> FetchOutcome:
        """As :meth:`~overnight.artifacts.download.Downloader.fetch`, to this place; ``target`` is
        on the desk. Raises nothing but cancellation."""
        ...

    async def settle(self, downloader: Downloader, fetched: Fetched) -> None:
        """``fetched`` is on record: give up what was kept in case of a crash before that."""
        ...

    def location(self, path: Path) -> str:
        """What the record calls the file that is made at ``path``."""
        ...

    def on_desk(self, location: str) -> Path:
        """Where the file that the record calls ``location`` is made."""
        ...

    def inside(self, location: str) -> str:
        """``location`` from this place on, where it lies in it; else as it is."""
        ...

    def add_poster(self, fetched: Fetched, poster: Path) -> None:
        """Put a poster that was made on the desk beside the clip it is of; one of that name that
        is there stays."""
        ...

    def keep_sidecar(self, batch: str, key: str, document: Mapping[str, Any]) -> None:
        """Write a job's sidecar, whole; ``document`` holds ``batch``."""
        ...

    def has_sidecar(self, batch: str, key: str) -> bool:
        """Whether the job has one."""
        ...

    def put_aside(self, location: str) -> str | None:
        """Free the name ``location``: where what stood there is now; None when nothing did."""
        ...

    def put_back(self, put: str, location: str) -> bool:
        """Give it its name again; False when that has been taken meanwhile."""
        ...


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.desk = folder

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
        """See :class:`Place`."""
        return await downloader.fetch(
            url, target, recorded=recorded, progress=progress, examine=examine
        )

    async def settle(self, downloader: Downloader, fetched: Fetched) -> None:
        """See :class:`Place`."""
        await downloader.settle(fetched)

    def location(self, path: Path) -> str:
        """See :class:`Place`."""
        return str(path)

    def on_desk(self, location: str) -> Path:
        """See :class:`Place`."""
        return Path(location)

    def inside(self, location: str) -> str:
        """See :class:`Place`."""
        path = Path(location)
        return (
            path.relative_to(self.desk).as_posix() if path.is_relative_to(self.desk) else location
        )

    def add_poster(self, fetched: Fetched, poster: Path) -> None:
        """See :class:`Place`. It was made where it belongs."""

    def keep_sidecar(self, batch: str, key: str, document: Mapping[str, Any]) -> None:
        """See :class:`Place`."""
        sidecar.write(self.desk, batch, key, document)

    def has_sidecar(self, batch: str, key: str) -> bool:
        """See :class:`Place`."""
        return sidecar.place(self.desk, batch, key).is_file()

    def put_aside(self, location: str) -> str | None:
        """See :class:`Place`."""
        path = Path(location)
        if not (path.exists() or path.is_symlink()):
            return None
        return str(aside.put_aside(path))

    def put_back(self, put: str, location: str) -> bool:
        """See :class:`Place`."""
        return aside.put_back(Path(put), Path(location))


class Places:
    """Every place, by what a batch's ``output.dir`` says. ``spool`` is the folder in which files
    for buckets are made; it holds nothing once all of them are there and on record."""

    def __init__(self, spool: Path | None = None) -> None:
        self._spool = spool
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._places: dict[str, Place] = {}
        self._writers: Writers | None = None

    def of(self, output_dir: str) -> Place:
        """The place that ``output_dir`` names: an absolute folder, or an address. Raises
        :class:`BucketError` for an address that can't be used."""
        if output_dir not in self._places:
            self._places[output_dir] = self._made(output_dir)
        return self._places[output_dir]

    def holding(self, location: str, output_dir: str) -> Place:
        """The place that a recorded file is in: that of its batch, or the one that it had when the
        batch had another. Raises :class:`BucketError`."""
        address, current = Address.parse(location), Address.parse(output_dir)
        if address is None:
            return self.of(output_dir if current is None else str(Path(location).parent))
        if current is not None and location.startswith(f"{current}/"):
            return self.of(output_dir)
        return self.of(str(Address(address.scheme, address.bucket)))

    def bucket(self, address: Address) -> Bucket:
        """The bucket of ``address``. Raises :class:`BucketError`."""
        name = (address.scheme, address.bucket)
        if name not in self._buckets:
            self._buckets[name] = Bucket(address)
        return self._buckets[name]

    def require(self, output_dir: str) -> None:
        """Make sure that files can be written to ``output_dir``. Raises :class:`OSError` for a
        folder and :class:`BucketError` for an address."""
        from overnight.artifacts.object_place import try_out

        address = Address.parse(output_dir)
        if address is not None:
            try_out(self.bucket(address), address)
            return
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass

    def keys(self, address: Address) -> Iterator[list[str]]:
        """The addresses of all objects below ``address``, some at a time. Raises
        :class:`BucketError`."""
        prefix = f"{address.key}/" if address.key else ""
        for page in self.bucket(address).keys(prefix):
            yield [str(Address(address.scheme, address.bucket, key)) for key in page]

    def close(self) -> None:
        """Let the threads go, and take away the folders that are empty now."""
        if self._writers is not None:
            self._writers.close()
        if self._spool is not None and self._spool.is_dir():
            _prune(self._spool)

    def _made(self, output_dir: str) -> Place:
        from overnight.artifacts.object_place import ObjectPlace

        address = Address.parse(output_dir)
        if address is None:
            return Folder(Path(output_dir))
        if self._spool is None:
            raise BucketError(f"Files for {address} need a folder to be made in.")
        if self._writers is None:
            self._writers = Writers()
        mark = hashlib.sha256(output_dir.encode()).hexdigest()[:16]
        return ObjectPlace(address, self.bucket(address), self._spool / mark, self._writers)


def spool_of(database: Path, work: str = "") -> Path:
    """The folder beside a database in which files for buckets are made. ``work`` names one of its
    own for whoever may run beside a worker: the first to be done clears a folder away."""
    return database.with_name(f"{database.name}{work and f'.{work}'}.spool")


def _prune(folder: Path) -> None:
    """Remove ``folder`` and the folders in it, as far as they hold nothing."""
    try:
        for inner in list(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                _prune(inner)
        folder.rmdir()
    except OSError:
        return
