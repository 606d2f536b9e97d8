"""The files that results point to: made on first need, kept in a folder, served with Range.

A media URL is signed and expires, as presigned URLs do. It needs no token, and must not get one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

from overnight.catalog import Model
from overnight.emulator.asked import shot
from overnight.emulator.clips import render
from overnight.emulator.queue import Phase, Request
from overnight.emulator.scene import Shot
from overnight.emulator.service import Service

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PLAIN_SIZE = 4096
# Looks like the start of an MP4 to a quick look at the first bytes; no player opens it.
_PLAIN_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41"
_RENDERS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class File:
    """One media file, whole."""

    content: bytes
    etag: str


class Media:
    """Makes, keeps and finds the files of one emulator; :meth:`close` removes them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._secret = secrets.token_bytes(16)
        self._folder = TemporaryDirectory(prefix="overnight-emulator-")
        self._rendering = asyncio.Semaphore(_RENDERS_AT_ONCE)
        self._making: dict[str, asyncio.Task[bytes]] = {}

    def close(self) -> None:
        """Remove every file."""
        self._folder.cleanup()

    def url(self, base: str, request: Request) -> str:
        """A fresh signed URL of a finished request's file."""
        expires = int(self._service.wall(self._service.now()) + self._service.settings.media_ttl)
        name = f"clip-{request.digest[:10]}.mp4"
        query = f"expires={expires}&sig={self._sign(request, name, str(expires))}"
        return f"{base}/media/{request.id}/{name}?{query}"

    def allows(self, request: Request, name: str, query: Mapping[str, str]) -> bool:
        """Whether a media URL is one of ours, still works, and its file exists by now."""
        expires = query.get("expires", "")
        right = self._sign(request, name, expires)
        return (
            hmac.compare_digest(right.encode(), query.get("sig", "").encode())
            and int(expires) > self._service.wall(self._service.now())
            and request.phase is Phase.COMPLETED
        )

    def expire(self, request: Request) -> None:
        """Make every URL that was given out for a request useless."""
        request.generation += 1

    async def file(self, request: Request, model: Model) -> File:
        """The request's file, made now if it never was. Equal inputs give equal bytes."""
        if self._service.settings.media == "bytes":
            content = _plain(request.digest)
        else:
            content = await self._clip(request, model)
        return File(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

    async def _clip(self, request: Request, model: Model) -> bytes:
        name = f"{request.digest}{_spoiled(request)}.mp4"
        task = self._making.get(name)
        if task is None:
            task = asyncio.create_task(self._read_or_render(name, request, model))
            self._making[name] = task
            task.add_done_callback(lambda _: self._making.pop(name, None))
        # One client that goes away must not take the file from the others that wait for it.
        return await asyncio.shield(task)

    async def _read_or_render(self, name: str, request: Request, model: Model) -> bytes:
        path = Path(self._folder.name, name)
        async with self._rendering:
            return await asyncio.to_thread(_read_or_render, path, request, model)

    async def settle(self) -> None:
        """Wait for files that are being made, so that the folder can be removed."""
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def _sign(self, request: Request, name: str, expires: str) -> str:
        text = f"{request.id}/{name}/{request.generation}/{expires}"
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()[:32]


def _read_or_render(path: Path, request: Request, model: Model) -> bytes:
    if not path.exists():
        part = path.with_suffix(".part")
        asked = shot(model, request.inputs, request.digest)
        render(_spoil(asked, _spoiled(request)), part)
        part.replace(path)
    return path.read_bytes()


def _spoiled(request: Request) -> str:
    """How the clip differs from what was asked for, by the fault that stuck to the request."""
    return request.options["as"] if request.fault == "bad-clip" else ""


def _spoil(asked: Shot, how: str) -> Shot:
    if how == "short":
        return replace(asked, frames=max(1, asked.frames // 2))
    if how == "small":
        return replace(asked, width=_half(asked.width), height=_half(asked.height))
    return replace(asked, spoiled=how)


def _half(side: int) -> int:
    """Even, and no smaller than what encodes well."""
    return max(16, side // 4 * 2)


def _plain(digest: str) -> bytes:
    filling = hashlib.shake_256(bytes.fromhex(digest)).digest(_PLAIN_SIZE - len(_PLAIN_HEAD))
    return _PLAIN_HEAD + filling


def answer(request: web.BaseRequest, file: File) -> web.Response:
    """``file`` as asked for: whole, the one range of a Range header, or only its headers.

    Ranges follow RFC 9110: a range that can't be met is 416, an If-Range that names another
    version gives the whole file, and a header that makes no sense is ignored.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": file.etag,
        "Cache-Control": "private",
    }
    size = len(file.content)
    status, content = 200, file.content
    wanted = _wanted(request, file)
    if wanted is not None:
        first, last = wanted
        if first >= size or first > last:
            headers["Content-Range"] = f"bytes */{size}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        status, content = 206, content[first : last + 1]
    # aiohttp keeps the length of the body for a HEAD and sends none of it.
    return web.Response(body=content, status=status, headers=headers, content_type="video/mp4")


def _wanted(request: web.BaseRequest, file: File) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None for the whole file."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if request.headers.get("If-Range", file.etag) != file.etag:
        return None
    size = len(file.content)
    if not match[1]:
        length = int(match[2])
        # The last zero bytes are a range that can't be met, wherever they begin.
        return (max(0, size - length), size - 1) if length else (size, size)
    last = int(match[2]) if match[2] else size - 1
    if match[2] and last < int(match[1]):
        return None
    return int(match[1]), min(last, size - 1)
