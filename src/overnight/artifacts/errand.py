"""One file's way home: answer after answer, until it is whole or nothing more can be had.

A round is one answer. The first one asks for the whole file and learns which version it is; if a
part of that version is here, the next one asks for the rest. The rest is asked for with a few
bytes that are here already, and everything is thrown away when those differ: a server that ignores
a range, or answers with other bytes, costs a new start and never a wrong file.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from overnight.artifacts import heads
from overnight.artifacts.outcomes import (
    Examine,
    Expired,
    Fetched,
    FetchOutcome,
    Opinion,
    StorageFault,
    Trouble,
    TryAgain,
    Unfetchable,
)
from overnight.artifacts.part import Part, PartBusyError, Version
from overnight.artifacts.sink import PageError, Sink
from overnight.artifacts.wire import Wire
from overnight.artifacts.writers import Writers

Target = Path | Callable[[str | None], Path]
"""Where the file goes; a function is given the answer's Content-Type and says where."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are on disk and the total, where that is known."""

Judge = Callable[[httpx.Response, str, bool], Trouble | None]
"""What an answer's head says against it; told the address, and whether a part was asked for."""

OVERLAP = 4096
"""Bytes that are asked for once more when a download goes on, to be compared."""
_ROUNDS = 20
"""Answers that one errand takes in before it leaves the rest to the next one."""

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has used up its quota"}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class _CutError(Exception):
    """The answer ended early. The message says how."""


class _LieError(Exception):
    """The answer is not the rest of what is here, though that was asked for."""


class Errand:
    """One call of :meth:`~overnight.artifacts.download.Downloader.fetch`."""

    def __init__(
        self,
        wire: Wire,
        writers: Writers,
        judge: Judge,
        url: str,
        target: Target,
        *,
        progress: Progress | None,
        examine: Examine | None,
    ) -> None:
        self._wire = wire
        self._writers = writers
        self._judge = judge
        self._url = url
        self._target = target
        self._progress = progress
        self._examine = examine
        self._part: Part | None = None
        self._in_one_piece = False
        """Nothing is gone on with any more: it led to nothing good before."""
        self._examined: Opinion | None = None

    async def run(self) -> FetchOutcome:
        """Round after round. Raises ``httpx.RequestError`` when nobody answers."""
        try:
            for _ in range(_ROUNDS):
                outcome = await self._round()
                if outcome is not None:
                    return outcome
            return TryAgain(f"the file was cut {_ROUNDS} times")
        except PartBusyError as exc:
            return TryAgain(str(exc))
        except OSError as exc:
            assert self._part is not None
            self._part.discard()
            return StorageFault(_storage_sentence(exc, self._part.target.parent))
        finally:
            if self._part is not None:
                self._part.leave()

    async def _round(self) -> FetchOutcome | None:
        """One answer; None when another one has to be asked for."""
        version, tail = await self._rest()
        start = 0 if version is None or self._part is None else self._part.bytes - len(tail)
        async with self._wire.asked(self._url, version, start) as answer:
            if isinstance(answer, Unfetchable):
                return answer
            response, url = answer
            if version is not None and _is_no_rest(response, version, start):
                await self._anew()
                return None
            trouble = self._judge(response, url, version is not None)
            if trouble is not None:
                if version is not None and not isinstance(trouble, TryAgain):
                    # An address that works once would be used up by the look at its version.
                    await self._anew()
                return trouble
            if self._part is None:
                part = await self._open(response)
                if part.finished is not None:
                    return await self._finish(part, response)
                if part.bytes:
                    return None
            elif response.status_code == 200:
                tail = b""
                restart = partial(self._part.restart, self._version_of(response))
                await self._writers.run(restart)
            assert self._part is not None
            return await self._take(self._part, response, tail)

    async def _rest(self) -> tuple[Version | None, bytes]:
        """What to ask for: the version to go on with and the last bytes of what is here."""
        part = self._part
        if part is None or part.version is None or not part.bytes:
            return None, b""
        return part.version, await self._writers.run(partial(part.tail, OVERLAP))

    def _version_of(self, response: httpx.Response) -> Version | None:
        return None if self._in_one_piece else heads.version_of(response)

    async def _open(self, response: httpx.Response) -> Part:
        content_type = response.headers.get("content-type")
        path = self._target if isinstance(self._target, Path) else self._target(content_type)
        self._part = Part(path, read_again=self._examine is not None)
        await self._writers.run(partial(self._part.open, self._version_of(response)))
        return self._part

    async def _anew(self) -> None:
        """Throw away what is here; from now on the file is taken in one piece."""
        assert self._part is not None
        self._in_one_piece = True
        await self._writers.run(partial(self._part.restart, None))

    async def _take(self, part: Part, response: httpx.Response, tail: bytes) -> FetchOutcome | None:
        before = part.bytes
        try:
            await self._fill(part, response, tail)
        except _LieError:
            await self._anew()
            return None
        except (_CutError, httpx.RequestError) as exc:
            if part.version is not None and part.bytes > before:
                return None
            return TryAgain(str(exc) or type(exc).__name__)
        except PageError as exc:
            return Expired(str(exc))
        return await self._finish(part, response)

    async def _fill(self, part: Part, response: httpx.Response, tail: bytes) -> None:
        """Write the body; what had come before a cut is written too."""
        goes_on = bool(tail)
        total = part.version.total if part.version is not None else heads.length(response)
        sink = Sink(
            self._writers, part, lambda: self._tell(part.bytes, total), may_be_page=not goes_on
        )
        try:
            async for piece in response.aiter_bytes():
                block, tail = _after(tail, piece)
                await sink.take(block)
        except httpx.RequestError:
            await sink.drain()
            raise
        else:
            await sink.drain()
        finally:
            await sink.settle()
        if goes_on:
            _require_rest(part, total)
        elif total is not None and response.num_bytes_downloaded != total:
            raise _CutError(f"{response.num_bytes_downloaded} of {total} bytes came")
        elif not part.bytes:
            raise PageError("the server sent an empty file")

    async def _finish(self, part: Part, response: httpx.Response) -> Fetched | None:
        """Give it its name; None when it is damaged and is to be fetched once more."""
        opinion = None
        if self._examine is not None:
            opinion = await self._examine(part.path, part.target.suffix)
            again = self._examined is None and part.finished is None
            self._examined = opinion
            if opinion.damaged and again:
                await self._anew()
                return None
        path = part.finished
        if path is None:
            path = await self._writers.run(part.publish)
        content_type = response.headers.get("content-type")
        return Fetched(path, part.bytes, part.sha256, content_type, opinion)

    def _tell(self, received: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(received, total)


def _is_no_rest(response: httpx.Response, version: Version, start: int) -> bool:
    """Whether the server has no such range, or sends another one."""
    if response.status_code == 206:
        return not heads.continues(response, version, start)
    return response.status_code == 416


def _after(tail: bytes, piece: bytes) -> tuple[bytes, bytes]:
    """What of ``piece`` is new, and what of ``tail`` is still to come before anything is new."""
    seen = piece[: len(tail)]
    if not tail.startswith(seen):
        raise _LieError
    return piece[len(seen) :], tail[len(seen) :]


def _require_rest(part: Part, total: int | None) -> None:
    assert total is not None
    if part.bytes < total:
        raise _CutError(f"{part.bytes} of {total} bytes came")
    if part.bytes > total:
        raise _LieError


def _storage_sentence(exc: OSError, folder: Path) -> str:
    if exc.errno in _FULL:
        what = _FULL[exc.errno]
        return f"The disk that holds {folder} {what}: free some space, then run this again."
    if exc.errno in _CLOSED:
        return (
            f"Files can't be written in {folder}: give yourself the right to, then run this again."
        )
    return f"Files can't be written in {folder}: {exc.strerror or type(exc).__name__}."
