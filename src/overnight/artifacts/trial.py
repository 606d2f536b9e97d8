"""Tries the store of local files before anything depends on it: is it there, and may we write?

The store is asked to replace an object that does not exist, which it has to refuse: but only after
it has looked at who asks, and whether they may write there. So nothing is written. A store that
does not know such a condition is given an empty object, which is taken away again.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from overnight.artifacts.publish import ObjectStorePublisher, StoreTrouble, trouble

if TYPE_CHECKING:
    from obstore.store import S3Store

PATIENCE = 60.0
"""Seconds after which a store counts as one that does not answer."""

_NO_SUCH_VERSION = '"overnight-check"'
"""An ETag that no object has."""


class Trial(ObjectStorePublisher):
    """A publisher that publishes nothing."""

    async def attempt(self, url: str) -> str | None:
        """Try ``s3://bucket/prefix``. None when nothing was written; else the key, below the
        prefix, of an empty object that could not be taken away again.

        Raises :class:`~overnight.artifacts.publish.StoreTrouble` when nothing could be published
        there.
        """
        url = url.rstrip("/")
        key = f"overnight-check-{uuid.uuid4().hex}"
        try:
            async with asyncio.timeout(PATIENCE):
                store = self._store(url)
                written = await self._replaces(store, key, url)
                return key if written and not await _removed(store, key) else None
        except TimeoutError:
            text = f"The store {url} gave no answer within {PATIENCE:.0f} seconds."
            raise StoreTrouble(text) from None

    async def _replaces(self, store: S3Store, key: str, url: str) -> bool:
        """Whether an object is there now."""
        import obstore
        from obstore.exceptions import BaseError, PreconditionError

        try:
            await obstore.put_async(
                store, key, b"", mode={"e_tag": _NO_SUCH_VERSION}, use_multipart=False
            )
        except PreconditionError as error:
            if "NoSuchBucket" in str(error):
                raise trouble(url, FileNotFoundError()) from None
            return False
        except (BaseError, OSError, ValueError) as error:
            if not any(f"status code: {code}" in str(error) for code in (400, 501)):
                raise trouble(url, error, has_keys=self._has_keys) from None
            await self._write(store, key, url)
        return True

    async def _write(self, store: S3Store, key: str, url: str) -> None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            await obstore.put_async(store, key, b"", use_multipart=False)
        except (BaseError, OSError, ValueError) as error:
            raise trouble(url, error, has_keys=self._has_keys) from None


async def _removed(store: S3Store, key: str) -> bool:
    import obstore
    from obstore.exceptions import BaseError

    try:
        await obstore.delete_async(store, key)
    except (BaseError, OSError):
        return False
    return True
