"""Publishes local files: each content once, in the user's own object store, under its own name.

An object is named for the content that it has, so one that is there already is never uploaded
again, and whatever is read from the disk is hashed before it leaves: a file that was edited since
the manifest was loaded is never sent in place of the one that was meant.

A signed address is as good as a password for as long as it works. It is made for one submit and
kept nowhere; nor is what an object store says of an error, which may quote a signature.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overnight.artifacts import aws
from overnight.artifacts.bucket import is_final, lacks_credentials, status
from overnight.assets import pictures
from overnight.assets.local import unreadable
from overnight.assets.pictures import PictureProblem
from overnight.assets.reference import Reference

if TYPE_CHECKING:
    from obstore.store import S3Store

HOW_TO_GET = 'pip install "overnight[s3]"'

_AT_ONCE = 3
"""Files in memory at the same time, each of 200 MB at most."""
_TIMEOUT = timedelta(minutes=15)
"""For one upload: 100 MB take that long at 1 Mbit/s."""
_CONNECT = timedelta(seconds=10)
_RETRIES = 3


class FileLost(Exception):
    """The file is not what it was when the manifest was loaded, or not there. A sentence."""


class StoreTrouble(Exception):
    """The object store can't be used now. A sentence."""


class StoreRefused(StoreTrouble):
    """The object store turns this user away, and will go on to do so. A sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a reference stands for. ``bytes`` are the local file's."""

    reference: Reference
    path: Path
    bytes: int
    content_type: str


def is_installed() -> bool:
    """Whether files can be uploaded here. Loads nothing."""
    return importlib.util.find_spec("obstore") is not None


class ObjectStorePublisher:
    """Publishes as ``settings`` say, the database's copy of a manifest's ``assets`` block:
    ``store`` with ``presign`` (seconds) or ``public_base``, or ``data_uri``."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, home: Callable[[], Path] = Path.home
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._home = home
        self._stores: dict[str, S3Store] = {}
        self._has_keys = True
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def publish(self, source: Source, settings: Mapping[str, Any]) -> str | None:
        """Make sure that the content is where it can be fetched; returns the object's address
        (``s3://…``), None where no store has a part in it.

        Raises :class:`FileLost` and :class:`StoreTrouble`.
        """
        if settings.get("data_uri"):
            async with self._slots:
                await asyncio.to_thread(content, source)
            return None
        url = str(settings["store"]).rstrip("/")
        store = self._store(url)
        if not await self._has(store, source, url):
            async with self._slots:
                await self._put(store, source, url)
        return f"{url}/{source.reference.name}"

    async def address(self, source: Source, settings: Mapping[str, Any]) -> str:
        """An address of the content for one submit: a secret, unless the store is public.

        Raises :class:`FileLost` and :class:`StoreTrouble`.
        """
        if settings.get("data_uri"):
            async with self._slots:
                return await asyncio.to_thread(_data_uri, source)
        if base := settings.get("public_base"):
            return f"{str(base).rstrip('/')}/{source.reference.name}"
        import obstore
        from obstore.exceptions import BaseError

        url = str(settings["store"]).rstrip("/")
        lasts = timedelta(seconds=float(settings["presign"]))
        try:
            return await obstore.sign_async(self._store(url), "GET", source.reference.name, lasts)
        except (BaseError, OSError, ValueError) as error:
            raise trouble(url, error, has_keys=self._has_keys) from None

    def _store(self, url: str) -> S3Store:
        if url not in self._stores:
            self._stores[url] = self._connect(url)
        return self._stores[url]

    def _connect(self, url: str) -> S3Store:
        if not is_installed():
            raise StoreRefused(f"Uploading to {url} needs obstore. Install it: {HOW_TO_GET}")
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        try:
            access = aws.access(self._environ, self._home())
            self._has_keys = access.has_keys
            return S3Store(
                bucket,
                prefix=prefix or None,
                config=dict(access.config),  # type: ignore[arg-type] # keys are checked by obstore
                client_options={
                    "allow_http": access.allow_http,
                    "timeout": _TIMEOUT,
                    "connect_timeout": _CONNECT,
                },
                retry_config={"max_retries": _RETRIES, "retry_timeout": _TIMEOUT},
            )
        except aws.PlainHttp:
            text = "The S3 endpoint in the environment is plain http; it must be https."
            raise StoreRefused(text) from None
        except (BaseError, ValueError, RuntimeError) as error:
            raise trouble(url, error, has_keys=self._has_keys) from None

    async def _has(self, store: S3Store, source: Source, url: str) -> bool:
        """Whether the store has the content. One that does not say so to this user is asked to
        take it."""
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError

        try:
            found = await obstore.head_async(store, source.reference.name)
        except (FileNotFoundError, PermissionDeniedError):
            return False  # without the right to list, S3 says 403 of what is not there
        except (BaseError, OSError, ValueError) as error:
            raise trouble(url, error, has_keys=self._has_keys) from None
        return source.reference.max_side is not None or found["size"] == source.bytes

    async def _put(self, store: S3Store, source: Source, url: str) -> None:
        import obstore
        from obstore.exceptions import BaseError

        body = await asyncio.to_thread(content, source)
        try:
            await obstore.put_async(
                store,
                source.reference.name,
                body,
                attributes={"Content-Type": sent_type(source)},
                use_multipart=False,  # an upload that is cut off leaves nothing behind
            )
        except (BaseError, OSError, ValueError) as error:
            raise trouble(url, error, has_keys=self._has_keys) from None


def content(source: Source) -> bytes:
    """The very bytes that a reference means. Blocks. Raises :class:`FileLost`."""
    path, reference = source.path, source.reference
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        raise FileLost(
            f"The file {path} is not there any more. Put it back, or load the manifest with the "
            "place where it is now; then retry the job."
        ) from None
    except (OSError, ValueError):
        raise FileLost(f"{path} {unreadable(path)}. Check its permissions.") from None
    if hashlib.sha256(found).hexdigest() != reference.sha256:
        raise FileLost(
            f"The file {path} was edited after the manifest was loaded. Load the manifest again "
            "for jobs with the file as it is now, or put the old one back and retry the job."
        )
    if reference.max_side is None:
        return found
    if not pictures.is_installed():
        raise FileLost(f"Pillow, which scales pictures, is gone: {pictures.HOW_TO_GET}")
    try:
        return pictures.scaled(found, reference.max_side)
    except PictureProblem as problem:
        raise FileLost(f"The file {path} {problem}.") from None


def sent_type(source: Source) -> str:
    """The content type of what is sent."""
    if source.reference.max_side is None:
        return source.content_type
    return "image/jpeg" if source.reference.suffix == ".jpg" else "image/png"


def _data_uri(source: Source) -> str:
    return f"data:{sent_type(source)};base64,{base64.b64encode(content(source)).decode('ascii')}"


def trouble(url: str, error: Exception, *, has_keys: bool = True) -> StoreTrouble:
    """An error of the store as a sentence. Its own words are left out: they may quote keys and
    signatures."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if not has_keys and lacks_credentials(str(error)):
        return StoreRefused(
            f"The store {url} can't be used: there are no AWS keys in the environment or the "
            "profile, and this machine has no role of its own."
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StoreRefused(
            f"The store {url} turned the upload away. Check the AWS credentials in the "
            "environment or the profile, and that they may write there."
        )
    if isinstance(error, FileNotFoundError):
        return StoreRefused(f"There is no such bucket: {url}. Make it, or correct assets.store.")
    if is_final(code := status(error)):
        return StoreRefused(
            f"The store {url} answers {code}. Check the bucket's region and the endpoint, and "
            "whether the AWS credentials have expired."
        )
    return StoreTrouble(f"The store {url} could not be reached, or gave no proper answer.")
