"""The far end of the wire: a raw server that plays one fault on every request it gets.

Nothing here is an HTTP library's idea of an answer: each fault is the bytes, or the lack of them,
that a client really meets. What a call would honestly be answered is given to the fault, which may
send it, cut it, or ignore it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of HTTP: its bytes are made from these."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """What goes over the wire."""
        named = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {v}" for name, v in named.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


@dataclass(frozen=True, slots=True)
class Says:
    """The request is read, and answered with this."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Cuts:
    """The request is read; half of the honest body comes, then an orderly end."""


@dataclass(frozen=True, slots=True)
class Closes:
    """The request is read; then an orderly end without a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Resets:
    """The connection is reset: once the request has arrived and been read, or unread."""

    reads: bool


@dataclass(frozen=True, slots=True)
class Silent:
    """The request is read, and nothing ever comes."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """Nobody listens at the port."""


Fault = Says | Cuts | Closes | Resets | Silent | Refuses


def words(status: int, /, **said: object) -> Says:
    """An answer in JSON."""
    return Says(Answer(status, json.dumps(said).encode(), {"Content-Type": "application/json"}))


def own(status: int, code: int, **headers: str) -> Says:
    """An error in the API's own words. ``Retry_After`` and the like become headers."""
    body = {"error_code": code, "error_message": "not this time"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "application/json"}
    return Says(Answer(status, json.dumps(body).encode(), kind | named))


def page(status: int, **headers: str) -> Says:
    """A web page, as a gateway writes one."""
    body = f"<!DOCTYPE html><html><body><h1>{status}</h1></body></html>".encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(Answer(status, body, {"Content-Type": "text/html"} | named))


class FarEnd:
    """One listening socket. ``honest`` is what each request would be answered without the fault;
    ``requests`` are those that arrived, read or not."""

    def __init__(self, fault: Fault, honest: Callable[[str], Answer]) -> None:
        self._fault = fault
        self._honest = honest
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._meetings: set[asyncio.Task[None]] = set()
        self.requests: list[str] = []
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FarEnd]:
        """Play until the end of the block. Who is refused meets a port where nobody listens."""
        if not isinstance(self._fault, Refuses):
            self._socket.listen()
            self._meet(asyncio.create_task(self._welcome()))
        try:
            yield self
        finally:
            for task in self._meetings:
                task.cancel()
            await asyncio.gather(*self._meetings, return_exceptions=True)
            self._socket.close()

    def _meet(self, task: asyncio.Task[None]) -> None:
        self._meetings.add(task)

    async def _welcome(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setblocking(False)
            self._meet(asyncio.create_task(self._play(connection)))

    async def _play(self, connection: socket.socket) -> None:
        try:
            await self._on(connection)
        finally:
            connection.close()

    async def _on(self, connection: socket.socket) -> None:
        loop, fault = asyncio.get_running_loop(), self._fault
        if isinstance(fault, Resets) and not fault.reads:
            # Arrived, for sure, and left in the system's buffer.
            await _arrived(connection)
            self.requests.append("unread")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        request = await _read(connection)
        self.requests.append(request)
        match fault:
            case Says(answer):
                await loop.sock_sendall(connection, answer.bytes())
            case Cuts():
                whole = self._honest(request)
                sent = whole.bytes()[: -(len(whole.body) // 2)]
                await loop.sock_sendall(connection, sent)
            case Resets():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            case Silent():
                await asyncio.Event().wait()
            case Closes() | Refuses():
                pass


async def _arrived(connection: socket.socket) -> None:
    """Return once there is something to read, and read nothing."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(connection)


async def _read(connection: socket.socket) -> str:
    """The whole request; its first line."""
    loop, received = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in received:
        received += await _more(loop, connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += await _more(loop, connection)
    return head.split(b"\r\n")[0].decode()


async def _more(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    some = await loop.sock_recv(connection, 65536)
    if not some:
        raise EOFError("the client left before its request was whole")
    return some
