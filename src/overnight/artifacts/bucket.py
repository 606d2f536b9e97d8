"""One bucket of an object store, in the few calls that files need. Needs obstore (the extra `s3`).

An object is there as a whole or not at all, which the stores promise themselves. Nothing is
replaced by :meth:`Bucket.create`; each object says in its own metadata which SHA-256 it has, so
that it can be known again without reading it. Everything here blocks. The credentials are those
that the environment holds, in the store's own variables; none of them is kept or shown here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

T = TypeVar("T")

IN_ONE_CALL = 64 * 1024**2
"""Bytes up to which a file is sent in one call, which the store itself refuses when the name is
taken. A larger one goes up in parts, and its name is looked at just before."""

NOT_INSTALLED = "Object storage needs obstore: pip install 'overnight[s3]', then run this again."

RETRIES = 4
"""Tries after the first one that obstore makes by itself, within half a minute."""

_SHA256 = "sha256"
_ADDRESS = re.compile(r"(s3|gs|az)://([^/]+)(?:/(.*))?", re.DOTALL)
_STATUS = re.compile(r"status code: (\d{3})")
_PASSING = frozenset({408, 409, 425, 429})
"""Refusals that the same call may not meet a little later."""
_KINDS = {"s3": "bucket", "gs": "bucket", "az": "container"}
_HINTS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
"""The variables with which most people say who they are."""


class BucketError(Exception):
    """The store can't be used. The message is a sentence for people; ``passes``: it may work a
    little later without anybody doing anything."""

    def __init__(self, sentence: str, *, passes: bool = False) -> None:
        super().__init__(sentence)
        self.passes = passes


@dataclass(frozen=True, slots=True)
class Address:
    """``s3://bucket/key``: ``scheme`` is s3, gs or az, and ``key`` may be empty."""

    scheme: str
    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """The address that ``text`` is; None when it is none, such as a path."""
        match = _ADDRESS.fullmatch(text)
        return None if match is None else cls(match[1], match[2], (match[3] or "").strip("/"))

    def below(self, relative: str) -> Address:
        """The address of ``relative`` under this one."""
        return Address(self.scheme, self.bucket, f"{self.key}/{relative}".lstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Found:
    """What a store says of an object; ``sha256`` is None where nobody wrote it down."""

    bytes: int
    sha256: str | None


class Bucket:
    """The bucket of ``address``. Raises :class:`BucketError`, as everything here does."""

    def __init__(self, address: Address) -> None:
        self._address = Address(address.scheme, address.bucket)
        self._store = self._asked(lambda: _opened(address.scheme, address.bucket))

    def look(self, key: str) -> Found | None:
        """What stands under ``key``; None when nothing does."""
        import obstore

        def head() -> Found:
            answer = obstore.get(self._store, key, options={"head": True})
            return Found(answer.meta["size"], answer.attributes.get(_SHA256))

        return self._unless_missing(head)

    def create(self, key: str, content: Path | bytes, *, sha256: str, media_type: str) -> bool:
        """Put ``content`` under ``key``; False when that is taken, and nothing was changed."""
        import obstore

        attributes = {_SHA256: sha256, "Content-Type": media_type}
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        how: dict[str, Any] = {"mode": "create"}
        if size > IN_ONE_CALL:
            if self.look(key) is not None:
                return False
            how = {"use_multipart": True}

        def put() -> bool:
            try:
                obstore.put(self._store, key, content, attributes=attributes, **how)
            except obstore.exceptions.AlreadyExistsError:
                return False
            return True

        return self._put(put)

    def replace(self, key: str, content: bytes, media_type: str) -> None:
        """Put ``content`` under ``key``, whatever stood there."""
        import obstore

        attributes = {"Content-Type": media_type}
        self._put(lambda: obstore.put(self._store, key, content, attributes=attributes))

    def read(self, key: str) -> bytes | None:
        """All of a small object; None when there is none."""
        import obstore

        return self._unless_missing(lambda: bytes(obstore.get(self._store, key).bytes()))

    def blocks(self, key: str) -> Iterator[bytes]:
        """An object, piece by piece. Raises :class:`FileNotFoundError` when there is none."""
        import obstore

        pieces = iter(self._asked(lambda: obstore.get(self._store, key).stream()))
        while (piece := self._asked(lambda: next(pieces, None))) is not None:
            yield bytes(piece)

    def sha256(self, key: str) -> str:
        """Of an object's bytes, read from beginning to end. Raises :class:`FileNotFoundError`."""
        digest = hashlib.sha256()
        for block in self.blocks(key):
            digest.update(block)
        return digest.hexdigest()

    def move(self, key: str, place: str) -> None:
        """Give an object another name, with everything that is said of it. ``place`` is free."""
        import obstore

        self._asked(lambda: obstore.copy(self._store, key, place))
        self.remove(key)

    def remove(self, key: str) -> None:
        """Take an object away; nothing is done where there is none."""
        import obstore

        self._unless_missing(lambda: obstore.delete(self._store, key))

    def keys(self, prefix: str) -> Iterator[list[str]]:
        """Every key below the folder ``prefix``, some at a time."""
        import obstore

        pages = iter(self._asked(lambda: obstore.list(self._store, prefix or None, chunk_size=500)))
        while (page := self._asked(lambda: next(pages, None))) is not None:
            yield [meta["path"] for meta in page]

    def holds(self, key: str, wanted: Found) -> bool:
        """Whether the object under ``key`` is the one that is ``wanted``. It is read only where it
        has the right size and nothing says its SHA-256: not every store keeps what it is told."""
        found = self.look(key)
        if found is None or found.sha256 is not None or found.bytes != wanted.bytes:
            return found == wanted
        return self._unless_missing(lambda: self.sha256(key)) == wanted.sha256

    def _put(self, call: Callable[[], T]) -> T:
        try:
            return self._asked(call)
        except FileNotFoundError:
            # Nothing but the bucket itself can be missing where something is written.
            raise BucketError(self._no_bucket()) from None

    def _unless_missing(self, call: Callable[[], T]) -> T | None:
        try:
            return self._asked(call)
        except FileNotFoundError:
            return None

    def _asked(self, call: Callable[[], T]) -> T:
        """Make the call; what the store says against it becomes a sentence."""
        try:
            from obstore import exceptions

            return call()
        except ImportError as error:
            raise BucketError(NOT_INSTALLED) from error
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise BucketError(self._no_bucket()) from None
            raise
        except (exceptions.BaseError, PermissionError) as error:
            # Not chained: what the store's library says can hold addresses that are signed.
            raise self._trouble(error) from None

    def _no_bucket(self) -> str:
        kind = _KINDS[self._address.scheme]
        return f"There is no {kind} {self._address.bucket}: create it, then run this again."

    def _trouble(self, error: Exception) -> BucketError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        said, where, hint = str(error), str(self._address), _HINTS[self._address.scheme]
        code = status(error)
        if lacks_credentials(said):
            return BucketError(
                f"Nothing says who you are to {where}: set {hint}, then run this again."
            )
        if isinstance(error, UnauthenticatedError | PermissionDeniedError | PermissionError) or (
            code in (401, 403)
        ):
            return BucketError(
                f"The store refuses access to {where}: check {hint}, and the rights to read and "
                "write there, then run this again."
            )
        if is_final(code):
            return BucketError(
                f"The store answers {code} for {where}: check its name, region and endpoint, and "
                f"whether {hint} are still good, then run this again."
            )
        what = "does not answer" if code is None else f"answers {code}"
        return BucketError(f"The store of {where} {what}: try again later.", passes=True)


def status(error: Exception) -> int | None:
    """The HTTP status that an error of obstore's tells of, where it does."""
    said = str(error)
    found = _STATUS.search(said)
    if found is None:
        # Amazon's way to say that a bucket is in another region; obstore leaves the number out.
        return 301 if "redirect without LOCATION" in said else None
    return int(found[1])


def is_final(code: int | None) -> bool:
    """Whether a refusal with this HTTP status will go on until somebody does something. An expired
    token is among them: S3 answers it with 400."""
    return code is not None and code < 500 and code not in _PASSING


def lacks_credentials(said: str) -> bool:
    """Whether obstore went to ask the machine it runs on, for want of anything else."""
    asked = ("169.254.169.254", "metadata.google.internal", "MissingAccount", "MissingCredential")
    return any(word in said for word in asked)


def _opened(scheme: str, bucket: str) -> S3Store | GCSStore | AzureStore:
    from obstore import store

    client: ClientConfig = {
        # A large file on a slow line; a silent one is noticed by its connection.
        "timeout": timedelta(minutes=15),
        "connect_timeout": timedelta(seconds=10),
        "allow_http": _plain_http(),
    }
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=30)}
    options: dict[str, Any] = {"client_options": client, "retry_config": retry}
    if scheme == "s3":
        return store.S3Store(bucket, **options)
    if scheme == "gs":
        return store.GCSStore(bucket, **options)
    return store.AzureStore(bucket, **options)


def _plain_http() -> bool:
    """Whether the user allows an endpoint without TLS, as the stores' own tools ask for it."""
    names = ("AWS_ALLOW_HTTP", "ALLOW_HTTP", "AZURE_ALLOW_HTTP")
    return any(os.environ.get(name, "").lower() in ("1", "true") for name in names)
