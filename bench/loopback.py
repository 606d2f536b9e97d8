"""A lean server on loopback that speaks just enough of the Model API, in a process of its own.

    python -m bench.loopback [--service S] [--spread SIGMA] [--latency S] [--file-bytes N]

The emulator behaves like the real API and pays for that; a benchmark of clients wants a server
that is never what is waited for. This one parses a request with two searches and answers from a
prepared text. A job is finished ``--service`` seconds after its submit (log-normal around that
median with ``--spread``, from a seed). With ``--latency`` a call takes that long, give or take a
half: it is carried out in the middle of it, and answered at its end. It keeps count, and tells:
which seeds were bought is read from the bodies of submits. ``GET /stats`` is a JSON object, ``POST
/mark`` begins the counts anew, ``GET /files/NAME.mp4`` is a file of ``--file-bytes``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import math
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, cast

HOST = "127.0.0.1"
_latencies = Random(21)  # noqa: S311 - durations only; not for secrets
_SEED = re.compile(rb'"598_seed": ?([0-9]+)')
_MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"


class Requests:
    """Everything the server knows of the jobs it was given; times of :func:`time.monotonic`."""

    def __init__(self, service: float, spread: float, origin: str) -> None:
        self._service, self._spread, self._origin = service, spread, origin
        # Durations only; not for secrets.
        self._rng = Random(20)  # noqa: S311
        self._finished: list[float] = []
        self._collected: set[int] = set()
        self._bought: set[bytes] = set()
        self.mark()

    def mark(self) -> None:
        """Begin the counts anew; jobs stay."""
        self.counts: dict[str, Any] = dict.fromkeys(
            ("submits", "polls", "results", "received", "sent"), 0
        )
        self._first_poll: float | None = None
        self._lags: list[float] = []
        self._asked_about: set[int] = set()

    def submit(self, body: bytes) -> str:
        if found := _SEED.search(body):
            self._bought.add(found[1])
        number, self.counts["submits"] = len(self._finished), self.counts["submits"] + 1
        spread = self._rng.lognormvariate(0.0, self._spread) if self._spread else 1.0
        self._finished.append(time.monotonic() + self._service * spread)
        return f'{{"request_id":"r{number}"}}'

    def status(self, number: int) -> str:
        now, finished = time.monotonic(), self._finished[number]
        self.counts["polls"] += 1
        self._asked_about.add(number)
        if self._first_poll is None:
            self._first_poll = now
        if now < finished:
            return f'{{"request_id":"r{number}","status":"in_progress"}}'
        if number not in self._collected:
            self._collected.add(number)
            self._lags.append(now - finished)
        return f'{{"request_id":"r{number}","status":"completed"}}'

    def result(self, number: int) -> str:
        self.counts["results"] += 1
        video = f"{self._origin}/files/r{number}.mp4"
        return (
            f'{{"request_id":"r{number}","status":"succeeded","output":{{"video":"{video}"}},'
            '"cost":0.01}'
        )

    def stats(self) -> str:
        """The counts since the mark, how many jobs there are in all, and detection lags.

        ``requests`` counts what was paid for, ``bought`` how many different jobs that were;
        ``received`` and ``sent`` are bytes of HTTP, without those of TCP.
        ``first_poll`` (since the mark) and ``last_finished`` are times of the monotonic clock,
        which is one for all processes of a machine."""
        lags = sorted(self._lags)
        told = {
            **self.counts,
            "requests": len(self._finished),
            "collected": len(self._collected),
            "bought": len(self._bought),
            "asked_about": len(self._asked_about),
            "first_poll": self._first_poll,
            "last_finished": max(self._finished, default=0.0),
            "lag_mean": sum(lags) / len(lags) if lags else 0.0,
            "lag_p99": lags[math.ceil(0.99 * len(lags)) - 1] if lags else 0.0,
        }
        return json.dumps(told)


class Exchange(asyncio.Protocol):
    """One connection: requests come one after the other and are answered as they come."""

    def __init__(self, requests: Requests, file: bytes, latency: float) -> None:
        self._requests, self._file, self._latency = requests, file, latency
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            whole = end + 4 + _length(head)
            if len(self._buffer) < whole:
                return
            first = self._buffer[: self._buffer.find(b"\r\n")]
            body = self._buffer[end + 4 : whole]
            self._requests.counts["received"] += whole
            self._buffer = self._buffer[whole:]
            close = b"\r\nconnection: close" in head
            if self._latency:
                # Without a spread all calls of a client soon go in step.
                half = self._latency / 2 * _latencies.uniform(0.5, 1.5)
                later = asyncio.get_running_loop().call_later
                later(half, self._carry_out, first, body, close, half)
            else:
                self._send(self._answer(first, body), close)

    def _carry_out(self, first: bytes, body: bytes, close: bool, half: float) -> None:
        answer = self._answer(first, body)
        asyncio.get_running_loop().call_later(half, self._send, answer, close)

    def _send(self, answer: bytes, close: bool) -> None:
        assert self._transport is not None
        # Who asked may have been killed meanwhile.
        if not self._transport.is_closing():
            self._requests.counts["sent"] += len(answer)
            self._transport.write(answer)
            if close:
                self._transport.close()

    def _answer(self, first: bytes, sent: bytes) -> bytes:
        method, target, _ = first.decode("latin-1").split(" ")
        kind, status = "application/json", "200 OK"
        path = target.partition("?")[0]
        if path.startswith("/files/"):
            kind, body = "video/mp4", self._file
        else:
            text = self._words(method, path, sent)
            body = (text or '{"error_code":404001}').encode()
            status = status if text is not None else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _words(self, method: str, path: str, sent: bytes) -> str | None:
        requests = self._requests
        if path.startswith("/v1/requests/r"):
            number, _, what = path[len("/v1/requests/r") :].partition("/")
            return (
                requests.status(int(number)) if what == "status" else requests.result(int(number))
            )
        if method == "POST" and path.startswith("/v1/models/"):
            return requests.submit(sent)
        if path == "/mark":
            requests.mark()
            return "{}"
        return requests.stats() if path == "/stats" else None


def _length(head: bytes) -> int:
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


async def serve(service: float, spread: float, latency: float, file_bytes: int) -> None:
    """Serve until the process is ended; print the origin once it listens."""
    loop = asyncio.get_running_loop()
    file = _MP4 + bytes(max(0, file_bytes - len(_MP4)))
    holder: list[Requests] = []
    server = await loop.create_server(
        lambda: Exchange(holder[0], file, latency), HOST, 0, backlog=65_535
    )
    origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    holder.append(Requests(service, spread, origin))
    sys.stdout.write(f"{origin}\n")
    sys.stdout.flush()
    await server.serve_forever()


class Loopback:
    """A running server, from the outside."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def stats(self) -> dict[str, Any]:
        """What the server has counted since the last mark; see :meth:`Requests.stats`."""
        told: dict[str, Any] = json.loads(self._call("GET", "/stats"))
        return told

    def mark(self) -> None:
        """Let the counts begin anew."""
        self._call("POST", "/mark")

    def _call(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"{self.origin}{path}", method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            content: bytes = answer.read()
            return content


@contextmanager
def running(
    service: float = 0.0, spread: float = 0.0, latency: float = 0.0, file_bytes: int = 1024
) -> Iterator[Loopback]:
    """A server of its own process for as long as the block lasts."""
    options = {"service": service, "spread": spread, "latency": latency, "file-bytes": file_bytes}
    given = (f"--{name}={value}" for name, value in options.items())
    command = [sys.executable, "-m", "bench.loopback", *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield Loopback(process.stdout.readline().strip())
        finally:
            process.kill()


def main() -> None:
    """Serve as the command line asks."""
    from bench.stopwatch import more_files

    parser = argparse.ArgumentParser(description="A lean stand-in for the Model API.")
    parser.add_argument("--service", type=float, default=0.0)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--file-bytes", type=int, default=1024)
    asked = parser.parse_args()
    more_files()
    with suppress(ImportError):
        importlib.import_module("uvloop").install()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(asked.service, asked.spread, asked.latency, asked.file_bytes))


if __name__ == "__main__":
    main()
