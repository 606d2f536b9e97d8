"""A recorded file as a path that a decoder can open: itself, or a copy of what is in a bucket."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath

from overnight.artifacts.bucket import Address, Bucket
from overnight.artifacts.place import Places
from overnight.store.files import RecordedFile


@asynccontextmanager
async def at_hand(
    file: RecordedFile, places: Places, spool: Path
) -> AsyncIterator[tuple[Path, str | None]]:
    """The file's path, under its own name, for as long as this is open. What is in a bucket is
    copied to a folder of its own below ``spool``; its SHA-256, in hexadecimal, comes with it, and
    None with a file of this machine, which nobody has read.

    Raises :class:`OSError` (:class:`FileNotFoundError` where there is none) and
    :class:`~overnight.artifacts.bucket.BucketError`.
    """
    address = Address.parse(file.path)
    if address is None:
        yield Path(file.path), None
        return
    bucket = places.bucket(address)
    # One folder a file: names may be equal, and what a killed process left is written over.
    copy = spool / f"look-{file.id}" / PurePosixPath(address.key).name
    try:
        yield copy, await asyncio.to_thread(_copy, bucket, address.key, copy)
    finally:
        # Not in a thread: whatever ends us, the copy goes.
        _clear(copy)


def _copy(bucket: Bucket, key: str, copy: Path) -> str:
    """Write an object to ``copy``; its SHA-256."""
    digest = hashlib.sha256()
    copy.parent.mkdir(parents=True, exist_ok=True)
    with copy.open("wb") as out:
        for block in bucket.blocks(key):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _clear(copy: Path) -> None:
    """Remove the copy, its folder, and the spool when nothing else is in it."""
    with suppress(OSError):
        copy.unlink(missing_ok=True)
        copy.parent.rmdir()
        copy.parent.parent.rmdir()
