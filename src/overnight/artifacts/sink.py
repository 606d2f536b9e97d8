"""Takes in what comes off the wire in pieces, and has it written in blocks.

The event loop only keeps the pieces, as they came: writing and hashing happen in a thread, and no
byte is copied on the way there. Blocks are small enough that little is lost when we are killed, and
large enough to be worth a hop to a thread.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial

from overnight.artifacts import heads
from overnight.artifacts.part import Part
from overnight.artifacts.writers import Writers, settled

_BLOCK = 1024 * 1024
"""Bytes from which on a thread is given what there is. So much again, or a little more, is being
written meanwhile. Smaller ones cost more hops and more waits for Python's lock; larger ones are
slower again (``docs/performance.md``)."""
_LITTLE = 256 * 1024
_SOON = 0.2
"""So many bytes go to the thread too when they are the first, or once so many seconds have gone by
since the last ones: on a slow line little is lost when we are killed, and the file is seen to
grow."""


class PageError(Exception):
    """The answer is no file. The message says what it is."""


class Sink:
    """Gathers what comes in pieces, and writes it in blocks; the next one is gathered meanwhile.

    Reading must not wait for long: when the other side hangs up, what nobody has read is lost.
    ``tell`` is called each time that a block has been written.
    """

    def __init__(
        self, writers: Writers, part: Part, tell: Callable[[], None], *, may_be_page: bool
    ) -> None:
        self._writers = writers
        self._part = part
        self._tell = tell
        self._may_be_page = may_be_page
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._clock = asyncio.get_running_loop().time
        self._since = -math.inf
        """When the last block went to the thread."""
        self._writing: asyncio.Future[None] | None = None

    async def take(self, piece: bytes) -> None:
        """Take a piece. Raises :class:`PageError`."""
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= _BLOCK or (
            self._gathered >= _LITTLE and self._clock() - self._since >= _SOON
        ):
            await self._write()

    async def drain(self) -> None:
        """Write everything, and wait for it. Raises :class:`PageError`."""
        if self._gathered:
            await self._write()
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def settle(self) -> None:
        """Wait until the part is not written any more, whatever came of it."""
        await settled(self._writing)

    async def _write(self) -> None:
        if self._may_be_page and heads.is_page(_start(self._pieces)):
            raise PageError("the server sent a web page in place of a file")
        self._may_be_page = False
        if self._writing is not None:
            await asyncio.shield(self._writing)
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        self._since = self._clock()
        self._writing = self._writers.start(partial(self._part.write, *pieces))
        self._writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[None]) -> None:
        if not writing.cancelled() and writing.exception() is None:
            self._tell()


def _start(pieces: list[bytes]) -> bytes:
    """As much of the beginning as shows whether it is a page."""
    start = b""
    for piece in pieces:
        start += piece[: heads.START]
        if len(start) >= heads.START:
            break
    return start[: heads.START]
