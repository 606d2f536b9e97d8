"""A download that was cut goes on, or starts again: over real sockets, against servers that lie."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.artifacts.download import Downloader, Expired, Fetched, StorageFault, TryAgain
from overnight.artifacts.outcomes import Opinion
from overnight.artifacts.part import Part
from overnight.emulator import Call, Emulator
from overnight.emulator import Settings as Emulated
from overnight.providers.retry_after import retry_after
from overnight.providers.transport import AiohttpTransport
from tests.night import MODEL

CLIP = random.Random(7).randbytes(1_000_000)
HALF = len(CLIP) // 2
SILENCE = 0.3
"""Seconds after which the downloader gives an answer up. A server that falls silent, and does not
hang up, makes a cut at an exact place: all that was sent has been read by then."""
MOST = len(CLIP) * 9 // 10
ETAG = '"one"'
LONG_AGO = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Answer:
    """What the server does with one call. ``cut``: bytes of the body after which it hangs up, or
    with ``hangs`` falls silent until the client goes; ``lie`` is about a range; ``status`` other
    than 200 is all there is."""

    cut: int | None = None
    lie: str = ""
    status: int = 200
    hangs: bool = False


@dataclass
class Server:
    """One file, and what is done with each call for it; honest once the plan is used up."""

    content: bytes = CLIP
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": ETAG})
    plan: list[Answer] = field(default_factory=list)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    """Range and If-Range of each call."""
    base: str = ""

    @property
    def ranges(self) -> list[str | None]:
        return [wanted for wanted, _ in self.asked]

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            said = dict(line.split(": ", 1) for line in head[1:] if line)
            self.asked.append((said.get("Range"), said.get("If-Range")))
            how = self.plan.pop(0) if self.plan else Answer()
            await self._answer(writer, how)
            if how.hangs:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went first
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, how: Answer) -> None:
        if how.status != 200:
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % how.status)
            return
        status, headers, body = self._part(how.lie)
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body[: how.cut])
        await writer.drain()

    def _part(self, lie: str) -> tuple[int, dict[str, str], bytes]:
        total, headers = len(self.content), dict(self.headers)
        wanted, guard = self.asked[-1]
        marks = {self.headers.get("ETag"), self.headers.get("Last-Modified")}
        if wanted is None or guard not in marks or lie == "ignored":
            return 200, headers | {"Content-Length": str(total)}, self.content
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= total or lie == "none":
            return 416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"}, b""
        body, first, of = self.content[start:], start, total
        if lie == "start":
            body, first = self.content, 0
        elif lie == "total":
            of += 1
        elif lie == "etag":
            headers["ETag"] = '"another"'
        elif lie == "bytes":
            body = self.content[: total - start]
        elif lie == "multipart":
            return 206, headers | {"Content-Length": str(len(body))}, body
        place = f"bytes {first}-{first + len(body) - 1}/{of}"
        return 206, headers | {"Content-Range": place, "Content-Length": str(len(body))}, body


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Server, Downloader]]:
    made = Server(**settings)
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    made.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.mp4"
    downloader = Downloader(
        AiohttpTransport(),
        retry_after=retry_after,
        plain_http_hosts=frozenset({"127.0.0.1"}),
        read=SILENCE,
    )
    try:
        yield made, downloader
    finally:
        await downloader.aclose()
        server.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def same(outcome: object, content: bytes = CLIP) -> Fetched:
    assert isinstance(outcome, Fetched), outcome
    assert outcome.path.read_bytes() == content
    assert (outcome.bytes, outcome.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return outcome


def overlapping(at: int) -> str:
    return f"bytes={at - 4096}-"


# --- going on -------------------------------------------------------------------------------------


async def test_a_cut_is_gone_on_with_in_the_same_call(tmp_path: Path) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True), Answer(cut=HALF // 2, hangs=True)]) as (
        server,
        downloader,
    ):
        seen: list[int] = []
        target = tmp_path / "a.mp4"
        outcome = await downloader.fetch(
            server.base, target, progress=lambda now, _: seen.append(now)
        )
        fetched = same(outcome)
        assert seen == sorted(seen)
        assert server.ranges[0] is None
        assert server.asked[1] == (overlapping(HALF), ETAG)
        assert server.asked[2] == (overlapping(HALF + HALF // 2 - 4096), ETAG)
        # A second name of the file is kept until it is on record.
        await downloader.settle(fetched)
        assert names(tmp_path) == {"a.mp4"}


async def test_the_next_call_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    plan = [Answer(cut=HALF, hangs=True), Answer(status=503)]
    async with serving(plan=plan) as (server, downloader):
        target = tmp_path / "a.mp4"
        assert isinstance(await downloader.fetch(server.base, target), TryAgain)
        assert names(tmp_path) == {".a.mp4.part", ".a.mp4.part.json"}
        fetched = same(await downloader.fetch(server.base, target))
        assert server.ranges == [None, overlapping(HALF), None, overlapping(HALF)]
        await downloader.settle(fetched)
        assert names(tmp_path) == {"a.mp4"}


async def test_an_old_date_is_as_good_as_an_etag(tmp_path: Path) -> None:
    dated = {"Last-Modified": LONG_AGO, "Date": "Tue, 02 Jan 2024 00:00:00 GMT"}
    async with serving(plan=[Answer(cut=HALF, hangs=True)], headers=dated) as (server, downloader):
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"))
        assert server.asked[1] == (overlapping(HALF), LONG_AGO)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"weak"'},
        {"ETag": "bare"},
        {"ETag": ETAG, "Accept-Ranges": "none"},
        {"Last-Modified": LONG_AGO},
        {"Last-Modified": LONG_AGO, "Date": "Mon, 01 Jan 2024 00:00:30 GMT"},
        {"Last-Modified": "yesterday", "Date": "Tue, 02 Jan 2024 00:00:00 GMT"},
    ],
)
async def test_without_a_mark_to_rely_on_nothing_is_kept(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True)], headers=headers) as (
        server,
        downloader,
    ):
        outcome = await downloader.fetch(server.base, tmp_path / "a.mp4")
        assert isinstance(outcome, TryAgain)
        assert names(tmp_path) == set()
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"))
        assert server.ranges == [None, None]


@pytest.mark.parametrize("lie", ["ignored", "none", "start", "total", "etag", "bytes", "multipart"])
async def test_a_server_that_lies_costs_a_new_start(tmp_path: Path, lie: str) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True), Answer(lie=lie)]) as (
        server,
        downloader,
    ):
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"))
        # Whoever sends the whole file in place of a range has not to be asked again.
        again = [] if lie == "ignored" else [None]
        assert server.ranges == [None, overlapping(HALF), *again]


async def test_another_version_is_fetched_from_its_start(tmp_path: Path) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True), Answer(status=503)]) as (
        server,
        downloader,
    ):
        await downloader.fetch(server.base, tmp_path / "a.mp4")
        server.content, server.headers = CLIP[::-1], {"ETag": '"two"'}
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"), CLIP[::-1])
        assert server.ranges[2:] == [None]


async def test_a_part_from_before_a_restart_of_the_machine_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True), Answer(status=503)]) as (
        server,
        downloader,
    ):
        await downloader.fetch(server.base, tmp_path / "a.mp4")
        part = tmp_path / ".a.mp4.part"
        part.write_bytes(bytes(part.stat().st_size))  # what a power failure may leave
        booted = psutil.boot_time()
        monkeypatch.setattr("overnight.artifacts.part._boot", lambda: booted + 1000)
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"))
        assert server.ranges[2:] == [None]


async def test_an_address_that_works_once_is_not_used_up_by_looking(tmp_path: Path) -> None:
    plan = [Answer(cut=HALF, hangs=True), Answer(status=503), Answer(), Answer(status=403)]
    async with serving(plan=plan) as (server, downloader):
        target = tmp_path / "a.mp4"
        assert isinstance(await downloader.fetch(server.base, target), TryAgain)
        # Asked for once to see that the part is of this version, it has nothing more to give.
        assert isinstance(await downloader.fetch(server.base, target), Expired)
        assert names(tmp_path) == set()
        same(await downloader.fetch(server.base, target))
        assert server.ranges[2:] == [None, overlapping(HALF), None]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"total": 5}', '{"total": "x", "boot": 1}'])
async def test_a_note_that_says_nothing_is_no_note(tmp_path: Path, note: str) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True), Answer(status=503)]) as (
        server,
        downloader,
    ):
        await downloader.fetch(server.base, tmp_path / "a.mp4")
        (tmp_path / ".a.mp4.part.json").write_text(note)
        same(await downloader.fetch(server.base, tmp_path / "a.mp4"))
        assert server.ranges[2:] == [None]


async def test_a_full_disk_gets_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(plan=[Answer(cut=HALF, hangs=True)]) as (server, downloader):
        written = Part.write

        def write(part: Part, *pieces: bytes) -> None:
            if part.bytes > HALF // 2:
                raise OSError(28, "No space left on device")
            written(part, *pieces)

        monkeypatch.setattr(Part, "write", write)
        outcome = await downloader.fetch(server.base, tmp_path / "a.mp4")
        assert isinstance(outcome, StorageFault)
        assert names(tmp_path) == set()


# --- crashes --------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from pathlib import Path
from overnight.artifacts.download import Downloader
from overnight.providers.retry_after import retry_after
from overnight.providers.transport import AiohttpTransport

async def main(url, target, stop):
    d = Downloader(
        AiohttpTransport(), retry_after=retry_after, plain_http_hosts=frozenset({"127.0.0.1"})
    )
    def tell(now, total):
        print(now, flush=True)
    await d.fetch(url, Path(target), progress=tell)
    print("home", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def killed(url: str, target: Path, when: Callable[[bytes], bool]) -> None:
    """A process of its own that fetches, and is killed with -9 once it says the word."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, url, str(target), ""), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while not when(said := await process.stdout.readline()):
                assert said, "it ended before its time"
    finally:
        # Also when the word never came: nothing stays behind of a test that fails.
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()


async def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    async with serving(plan=[Answer(cut=MOST, hangs=True)]) as (server, downloader):
        await killed(server.base, target, lambda said: said.strip() != b"")
        assert names(tmp_path) == {".a.mp4.part", ".a.mp4.part.json"}
        here = (tmp_path / ".a.mp4.part").stat().st_size
        assert 4096 < here <= MOST
        fetched = same(await downloader.fetch(server.base, target))
        assert server.ranges == [None, None, overlapping(here)]
        await downloader.settle(fetched)
        assert names(tmp_path) == {"a.mp4"}


async def test_killed_before_it_was_on_record_it_is_not_fetched_again(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    async with serving() as (server, downloader):
        await killed(server.base, target, lambda said: said == b"home\n")
        inode = target.stat().st_ino
        fetched = same(await downloader.fetch(server.base, target))
        # One call for the head, and its body is not read.
        assert server.ranges == [None, None]
        assert fetched.path == target
        assert target.stat().st_ino == inode
        await downloader.settle(fetched)
        assert names(tmp_path) == {"a.mp4"}


async def test_what_is_on_record_leaves_no_second_name(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    async with serving() as (server, downloader):
        fetched = same(await downloader.fetch(server.base, target))
        assert names(tmp_path) == {"a.mp4", ".a.mp4.part", ".a.mp4.part.json"}
        # The crash came after the record: the next run only sees that.
        assert await downloader.fetch(server.base, target, recorded=fetched) == fetched
        assert names(tmp_path) == {"a.mp4"}
        assert len(server.asked) == 1


# --- a second look --------------------------------------------------------------------------------


def looks(*opinions: Opinion) -> Callable[[Path, str], Awaitable[Opinion]]:
    left = list(opinions)

    async def look(path: Path, suffix: str) -> Opinion:
        assert path.name.startswith(".")
        assert suffix == ".mp4"
        return left.pop(0)

    return look


FINE = Opinion(None, {"probed": True})
BROKEN = Opinion("it is damaged", {"probed": True}, damaged=True)
ODD = Opinion("nothing moves in it", {"probed": True})


@pytest.mark.parametrize(
    ("opinions", "calls", "last"),
    [
        ((FINE,), 1, FINE),
        ((ODD,), 1, ODD),
        ((BROKEN, FINE), 2, FINE),
        ((BROKEN, BROKEN), 2, BROKEN),
    ],
)
async def test_a_damaged_file_is_fetched_once_more_before_it_gets_its_name(
    tmp_path: Path, opinions: tuple[Opinion, ...], calls: int, last: Opinion
) -> None:
    async with serving() as (server, downloader):
        outcome = await downloader.fetch(server.base, tmp_path / "a.mp4", examine=looks(*opinions))
        assert same(outcome).opinion == last
        assert server.ranges == [None] * calls


# --- any combination ------------------------------------------------------------------------------

STEPS = st.one_of(
    st.builds(
        Answer,
        cut=st.one_of(st.none(), st.integers(0, 20_000)),
        lie=st.sampled_from(
            ["", "", "", "ignored", "none", "start", "total", "etag", "bytes", "multipart"]
        ),
    ),
    st.builds(Answer, status=st.sampled_from([403, 429, 503])),
)
MARKS = st.sampled_from(
    [
        {"ETag": ETAG},
        {"ETag": ETAG},
        {"ETag": 'W/"one"'},
        {},
        {"Last-Modified": LONG_AGO, "Date": "Tue, 02 Jan 2024 00:00:00 GMT"},
    ]
)


@settings(max_examples=60)
@given(st.integers(1, 20_000), MARKS, st.lists(STEPS, max_size=6), st.integers(0, 3))
def test_whatever_happens_the_file_is_the_server_s(
    size: int, headers: dict[str, str], plan: list[Answer], changes_after: int
) -> None:
    content = random.Random(size).randbytes(size)

    async def night(folder: Path) -> None:
        async with serving(content=content, headers=headers, plan=plan) as (server, downloader):
            for call in range(20):
                if call == changes_after and "ETag" in headers:
                    server.content = content[::-1] + b"!"
                    server.headers = {"ETag": '"two"'}
                outcome = await downloader.fetch(server.base, folder / "a.mp4")
                # Nothing is ever seen under its own name before it is whole.
                if not isinstance(outcome, Fetched):
                    assert all(name.startswith(".") for name in names(folder))
                    continue
                same(outcome, server.content)
                await downloader.settle(outcome)
                assert names(folder) == {"a.mp4"}
                return
            raise AssertionError("it never came")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(night(Path(folder)))


# --- the emulator ---------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from(
            ["truncate", "range-lies,as=ignored", "range-lies,as=start", "range-lies,as=total",
             "range-lies,as=etag", "range-lies,as=bytes", "http-503", "html", "html,as=mp4",
             "empty", "drop-before", "expired", "redirect"]
        ),
        max_size=5,
    )
)  # fmt: skip
def test_the_emulator_s_faults_cost_calls_and_nothing_else(faults: list[str]) -> None:
    async def night(folder: Path) -> None:
        rules = [f"media:{fault.replace(',', '@1x,', 1) if ',' in fault else fault + '@1x'}"
                 for fault in faults]  # fmt: skip
        async with (
            Emulator(Emulated()) as emulator,
            aiohttp.ClientSession(headers={"Authorization": "Bearer emulator-token"}) as session,
        ):
            url = await submitted(session, emulator)
            async with session.get(url, headers={"Authorization": ""}) as answer:
                content = await answer.read()
            for rule in rules:
                emulator.faults.add(rule)
            downloader = Downloader(
                AiohttpTransport(),
                retry_after=retry_after,
                plain_http_hosts=frozenset({"127.0.0.1"}),
            )
            for _ in range(12):
                outcome = await downloader.fetch(url, folder / "a.mp4")
                if isinstance(outcome, Fetched):
                    break
                url = await fresh(session, emulator)
            same(outcome, content)
            await downloader.settle(same(outcome, content))
            await downloader.aclose()
            assert names(folder) == {"a.mp4"}
            assert emulator.ledger.calls[Call.SUBMIT] == 1

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(night(Path(folder)))


async def submitted(session: aiohttp.ClientSession, emulator: Emulator) -> str:
    inputs = {"600_prompt": "Fog", "608_image": "RunComfy_examples_1235_1.png"}
    async with session.post(f"{emulator.base_url}/v1/models/{MODEL}", json=inputs) as answer:
        assert answer.status == 200
    return await fresh(session, emulator)


async def fresh(session: aiohttp.ClientSession, emulator: Emulator) -> str:
    request = emulator.ledger.accepted[0].request_id
    async with session.get(f"{emulator.base_url}/v1/requests/{request}/result") as answer:
        return str(json.loads(await answer.read())["output"]["video"])
