"""Bringing files home from servers good and bad, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from overnight.artifacts.download import (
    Downloader,
    Expired,
    Fetched,
    StorageFault,
    TryAgain,
    Unfetchable,
)
from overnight.artifacts.part import PARTS, Part
from overnight.providers.retry_after import retry_after
from overnight.providers.transport import AiohttpTransport

CLIP = os.urandom(1000) * 3000
"""3 MB: many blocks."""
DIGEST = hashlib.sha256(CLIP).hexdigest()
DOCS = Path(__file__).parents[2] / "docs" / "providers.md"

Handle = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Store:
    """A raw file server: a handler for each path, and what it was asked."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handle] = {}
        self.requests: list[bytes] = []
        self.heard = asyncio.Event()
        self.base = ""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            self.heard.set()
            await self.handlers[request.split(b" ")[1].decode()](writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went first
        finally:
            writer.close()

    def put(self, path: str, answer: bytes | Handle) -> str:
        async def handle(writer: asyncio.StreamWriter) -> None:
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(writer)

        self.handlers[path] = handle
        return self.base + path


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = Store()
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    made.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@asynccontextmanager
async def downloads(read: float = 5.0) -> AsyncIterator[Downloader]:
    made = Downloader(
        AiohttpTransport(),
        retry_after=retry_after,
        plain_http_hosts=frozenset({"127.0.0.1"}),
        read=read,
        clock=lambda: 0.0,
    )
    try:
        yield made
    finally:
        await made.aclose()


@pytest.fixture
async def downloader() -> AsyncIterator[Downloader]:
    async with downloads() as made:
        yield made


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    named = {"Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n" % (len(body), body) + end


async def reached(event: asyncio.Event, task: asyncio.Task[Any]) -> None:
    """Wait for ``event``; a task that ends before it fails the test rather than hangs it."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert event.is_set(), task


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_file_comes_home_whole(
    store: Store, downloader: Downloader, tmp_path: Path, framing: str
) -> None:
    sent = answer(body=CLIP, Content_Type="video/mp4") if framing == "length" else chunked(CLIP)
    url = store.put("/a.mp4", sent)
    target = tmp_path / "clips" / "a.mp4"
    seen: list[tuple[int, int | None]] = []
    fetched = await downloader.fetch(url, target, progress=lambda *now: seen.append(now))
    assert fetched == Fetched(
        target, len(CLIP), DIGEST, "video/mp4" if framing == "length" else None
    )
    assert target.read_bytes() == CLIP
    assert names(target.parent) == {"a.mp4"}
    counts = [received for received, _ in seen]
    assert counts == sorted(counts)
    assert len(counts) > 3
    assert seen[-1] == (len(CLIP), len(CLIP) if framing == "length" else None)


async def test_no_credentials_go_along(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    url = store.put("/a.mp4?sig=x%2Fy", answer(body=CLIP))
    assert isinstance(await downloader.fetch(url, tmp_path / "a.mp4"), Fetched)
    (request,) = store.requests
    assert request.startswith(b"GET /a.mp4?sig=x%2Fy HTTP/1.1\r\n")
    assert b"authorization" not in request.lower()
    assert b"cookie" not in request.lower()


async def test_the_name_may_depend_on_the_type(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    url = store.put("/a", answer(body=CLIP, Content_Type="video/webm"))
    fetched = await downloader.fetch(
        url, lambda kind: tmp_path / ("a.webm" if kind == "video/webm" else "a.bin")
    )
    assert isinstance(fetched, Fetched)
    assert fetched.path == tmp_path / "a.webm"


async def test_a_recorded_file_is_used_again_only_while_it_is_whole(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    url = store.put("/a.mp4", answer(body=CLIP))
    target = tmp_path / "a.mp4"
    first = await downloader.fetch(url, target)
    assert isinstance(first, Fetched)
    assert await downloader.fetch(url, target, recorded=first) == first
    assert len(store.requests) == 1
    target.write_bytes(CLIP[:-1] + b"?")
    again = await downloader.fetch(url, target, recorded=first)
    assert isinstance(again, Fetched)
    assert again.path == tmp_path / "a~2.mp4"
    assert len(store.requests) == 2


async def test_nothing_is_seen_under_the_final_name_before_it_is_whole(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    on_disk, go_on = asyncio.Event(), asyncio.Event()

    async def in_two_parts(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=CLIP)[: len(CLIP) // 2])
        await writer.drain()
        await go_on.wait()
        writer.write(answer(body=CLIP)[len(CLIP) // 2 :])

    url = store.put("/a.mp4", in_two_parts)
    fetch = asyncio.create_task(
        downloader.fetch(url, tmp_path / "a.mp4", progress=lambda *_: on_disk.set())
    )
    await reached(on_disk, fetch)
    assert names(tmp_path) == {".a.mp4.part"}
    go_on.set()
    assert isinstance(await fetch, Fetched)
    assert names(tmp_path) == {"a.mp4"}


async def test_cancelling_leaves_nothing_behind(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    on_disk = asyncio.Event()

    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=CLIP)[:-10])
        await writer.drain()
        await asyncio.Event().wait()

    url = store.put("/a.mp4", stall)
    fetch = asyncio.create_task(
        downloader.fetch(url, tmp_path / "a.mp4", progress=lambda *_: on_disk.set())
    )
    await reached(on_disk, fetch)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert names(tmp_path) == set()
    store.put("/a.mp4", answer(body=CLIP))  # and the lock is gone too
    assert isinstance(await downloader.fetch(url, tmp_path / "a.mp4"), Fetched)


async def test_many_at_once_all_arrive(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    bodies = [os.urandom(50_000) for _ in range(40)]
    urls = [store.put(f"/{n}.mp4", answer(body=body)) for n, body in enumerate(bodies)]
    outcomes = await asyncio.gather(
        *(downloader.fetch(url, tmp_path / f"{n}.mp4") for n, url in enumerate(urls))
    )
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert [(tmp_path / f"{n}.mp4").read_bytes() for n in range(40)] == bodies
    assert len(names(tmp_path)) == 40


# --- what each answer becomes ---------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    what: str
    sent: tuple[bytes, ...]
    outcome: type


HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
GRID = [
    Row("the whole file, by its length or in chunks", (answer(body=CLIP), chunked(CLIP)), Fetched),
    Row("400, 401, 403, 404, 410", tuple(answer(s, b"x") for s in (400, 401, 403, 404, 410)),
        Expired),
    Row("408, 425, 429, any 5xx",
        tuple(answer(s, b"x") for s in (408, 425, 429, 500, 502, 503, 504)), TryAgain),
    Row("another 4xx", tuple(answer(s, b"x") for s in (402, 405, 406, 416, 451)), Unfetchable),
    Row("a part of the file (206), no content (204), not modified (304)",
        (answer(206, CLIP), answer(204), answer(304)), TryAgain),
    Row("fewer bytes than announced",
        (answer(body=CLIP)[:-1], chunked(CLIP, b""), chunked(CLIP, b"5\r\nab")), TryAgain),
    Row("an empty file", (answer(), chunked(b"")[:-5]), Expired),
    Row("a file without an announced length", (b"HTTP/1.1 200 X\r\n\r\n" + CLIP,), TryAgain),
    Row("an HTML page, whatever it calls itself",
        (answer(body=HTML, Content_Type="text/html"), answer(body=HTML, Content_Type="video/mp4"),
         answer(body=b"\xef\xbb\xbf \n<!-- a --><HTML>"), chunked(b"  <script>x")), Expired),
    Row("JSON or XML where the address ends like a picture, clip or sound",
        tuple(answer(body=b"{}", Content_Type=t) for t in ("application/json", "text/xml")),
        Expired),
    Row("what is not HTTP, or a connection that breaks", (b"hello\r\n\r\n", b""), TryAgain),
    Row("a redirect to anything but https", (answer(302, Location="ftp://a.example/b"),
        answer(302, Location="http://a.example/b"), answer(302), answer(302, Location="file:///x"),
        answer(301, Location="https://u:p@a.example/"), answer(308, Location="/a.mp4")),
        Unfetchable),
]  # fmt: skip
CELLS = [(row, sent) for row in GRID for sent in row.sent]


@pytest.mark.parametrize(
    ("row", "sent"), CELLS, ids=[f"{row.what}-{n}" for n, (row, _) in enumerate(CELLS)]
)
async def test_each_answer_becomes_what_the_table_says(
    store: Store, downloader: Downloader, tmp_path: Path, row: Row, sent: bytes
) -> None:
    url = store.put("/a.mp4", sent)
    outcome = await downloader.fetch(url, tmp_path / "a.mp4")
    assert type(outcome) is row.outcome, outcome
    assert names(tmp_path) == ({"a.mp4"} if row.outcome is Fetched else set())
    if not isinstance(outcome, Fetched):
        assert outcome.reason


def table() -> str:
    """The table as Markdown."""
    words = {Fetched: "fetched", Expired: "expired", TryAgain: "try again"}
    words[Unfetchable] = "unfetchable"
    rows = [f"| {row.what} | {words[row.outcome]} |" for row in GRID]
    return "\n".join(["| the file's server sends | download |", "| --- | --- |", *rows])


def test_the_docs_have_this_table() -> None:
    assert table() in DOCS.read_text("utf-8")


async def test_silence_in_the_middle_ends_a_download(store: Store, tmp_path: Path) -> None:
    async def stall(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=CLIP)[:100])
        await writer.drain()
        await asyncio.Event().wait()

    async with downloads(read=0.1) as downloader:
        outcome = await downloader.fetch(store.put("/a.mp4", stall), tmp_path / "a.mp4")
    assert isinstance(outcome, TryAgain)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("asked", "wait"), [("7", 7.0), ("Thu, 01 Jan 1970 00:00:09 GMT", 9.0), ("x", None)]
)
async def test_the_wait_that_a_server_asks_for_is_handed_on(
    store: Store, downloader: Downloader, tmp_path: Path, asked: str, wait: float | None
) -> None:
    url = store.put("/a.mp4", answer(503, Retry_After=asked))
    outcome = await downloader.fetch(url, tmp_path / "a.mp4")
    assert isinstance(outcome, TryAgain)
    assert outcome.retry_after == wait


async def test_redirects_are_followed_and_counted(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    for n in range(7):
        store.put(f"/{n}", answer(302, Location=f"/{n + 1}"))
    store.put("/5", answer(body=CLIP))
    assert isinstance(await downloader.fetch(store.base + "/0", tmp_path / "a"), Fetched)
    store.put("/5", answer(302, Location="/6"))
    assert await downloader.fetch(store.base + "/0", tmp_path / "b") == Unfetchable(
        "more than 5 redirects"
    )


@pytest.mark.parametrize(
    "url",
    ["http://cdn.example/a.mp4", "ftp://cdn.example/a", "file:///etc/passwd", "", "a.mp4",
     "https://u:p@cdn.example/a", "https://", "http://[bad"],
)  # fmt: skip
async def test_an_address_that_may_not_be_fetched_is_not(url: str, tmp_path: Path) -> None:
    def never(_request: httpx.Request) -> httpx.Response:
        raise AssertionError("it was asked for")

    downloader = Downloader(httpx.MockTransport(never), retry_after=retry_after)
    assert isinstance(await downloader.fetch(url, tmp_path / "a"), Unfetchable)
    await downloader.aclose()


# --- the disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["open", "write", "publish"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full: free some space"),
        (errno.EDQUOT, "has used up its quota"),
        (errno.EACCES, "give yourself the right to"),
        (errno.EROFS, "give yourself the right to"),
        (errno.EIO, "Input/output error"),
    ],
)
async def test_a_disk_that_fails_is_its_own_outcome(
    store: Store,
    downloader: Downloader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    number: int,
    words: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Part, where, fail)
    outcome = await downloader.fetch(store.put("/a.mp4", answer(body=CLIP)), tmp_path / "a.mp4")
    assert isinstance(outcome, StorageFault)
    assert words in outcome.reason
    assert str(tmp_path) in outcome.reason
    assert names(tmp_path) == set()


async def test_a_folder_that_is_a_file_is_a_storage_fault(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "clips").write_bytes(b"")
    url = store.put("/a.mp4", answer(body=CLIP))
    outcome = await downloader.fetch(url, tmp_path / "clips" / "a.mp4")
    assert isinstance(outcome, StorageFault)


async def test_two_downloads_of_one_file_don_t_mix(
    store: Store, downloader: Downloader, tmp_path: Path
) -> None:
    others = [Part(tmp_path / "a.mp4") for _ in range(PARTS)]
    for other in others:
        other.open()
    url = store.put("/a.mp4", answer(body=CLIP))
    outcome = await downloader.fetch(url, tmp_path / "a.mp4")
    assert outcome == TryAgain("other downloads are writing this file")
    others.pop().discard()
    outcome = await downloader.fetch(url, tmp_path / "a.mp4")
    assert isinstance(outcome, Fetched)
    assert outcome.path.read_bytes() == CLIP
    for other in others:
        other.discard()


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
