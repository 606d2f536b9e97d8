"""Files of an export that are in a bucket: asked for through the store, and read as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from overnight.artifacts.bucket import Address, Bucket, BucketError
from overnight.export.errors import ExportError, LeftOut
from overnight.export.report import CHANGED, ELSEWHERE, MISSING


def address_of(file: dict[str, Any]) -> Address | None:
    """The address of a recorded file; None for one of this machine.

    Raises :class:`LeftOut` for an address that nobody here can read.
    """
    address = Address.parse(file["path"])
    if address is None and "://" in file["path"]:
        raise LeftOut(ELSEWHERE, "it is neither on this machine nor in a bucket")
    return address


def prove(file: dict[str, Any], address: Address) -> None:
    """Make sure, by what the store says, that the object is what was recorded; it is read only
    where nothing says its SHA-256. Raises :class:`LeftOut` and :class:`ExportError`."""
    with _asked():
        bucket = _bucket(address)
        found = bucket.look(address.key)
        if found is None:
            raise LeftOut(MISSING, "there is no such object")
        if found.bytes != file["bytes"]:
            raise LeftOut(CHANGED, f"{found.bytes} bytes, {file['bytes']} were downloaded")
        digest = bucket.sha256(address.key) if found.sha256 is None else found.sha256
    if digest != file["sha256"]:
        raise LeftOut(CHANGED, "its SHA-256 is not that of what was downloaded")


class Stream:
    """An object to read, piece by piece. Raises :class:`LeftOut` and :class:`ExportError`."""

    def __init__(self, address: Address) -> None:
        with _asked():
            self._blocks = _bucket(address).blocks(address.key)
        self._left = bytearray()

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or fewer at the end; all that is left without a size."""
        while size < 0 or len(self._left) < size:
            with _asked():
                block = next(self._blocks, None)
            if block is None:
                break
            self._left += block
        taken = bytes(self._left if size < 0 else self._left[:size])
        del self._left[: len(taken)]
        return taken


def close() -> None:
    """Let go of the buckets: an export opens them anew, as the environment says then."""
    _opened.cache_clear()


@lru_cache
def _opened(scheme: str, bucket: str) -> Bucket:
    return Bucket(Address(scheme, bucket))


def _bucket(address: Address) -> Bucket:
    return _opened(address.scheme, address.bucket)


@contextmanager
def _asked() -> Iterator[None]:
    try:
        yield
    except BucketError as error:
        raise ExportError(f"{error} The same command goes on from here.") from error
    except FileNotFoundError:
        raise LeftOut(MISSING, "there is no such object") from None
