"""A raw server for tests of the wire: each connection plays a scene, byte for byte."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

TOKEN = "tok-4f9a-secret-value"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Stage:
    """A raw server: every connection plays the next scene; the last scene repeats."""

    def __init__(self, *scenes: Play) -> None:
        self.scenes = list(scenes)
        self.connections = 0
        self.requests: list[bytes] = []
        self.heard = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/call"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scene = self.scenes[min(self.connections, len(self.scenes) - 1)]
        self.connections += 1
        try:
            await scene(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went first
        finally:
            writer.close()

    async def hear(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        self.heard.set()
        return request


@asynccontextmanager
async def on(stage: Stage) -> AsyncIterator[Stage]:
    server = await asyncio.start_server(stage.meet, "127.0.0.1", 0)
    stage.port = server.sockets[0].getsockname()[1]
    try:
        yield stage
    finally:
        server.close()


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(stage: Stage, *answers: bytes, then_close: bool = False) -> None:
    """Add a scene that gives each request of a connection the next answer."""

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await stage.hear(reader)
            writer.write(answer)
            await writer.drain()
        if not then_close:
            await reader.read()  # until the client goes

    stage.scenes.append(scene)


async def reached(event: asyncio.Event, task: asyncio.Task[Any]) -> None:
    """Wait for ``event``; a task that ends before it fails the test rather than hangs it."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert event.is_set(), task


def assert_silent(exc: BaseException) -> None:
    """The token is nowhere in the error, nor in any error it is chained to."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [exc]
    while todo:
        link = todo.pop()
        if link is not None and link not in seen:
            seen.append(link)
            todo += [link.__cause__, link.__context__]
            assert TOKEN not in f"{link} {link!r} {link.args!r} {vars(link)!r}"
    assert TOKEN not in "".join(traceback.format_exception(exc))


def self_signed(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one file. Needs openssl."""
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=t"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both
