"""The emulator's files over a real socket: signed URLs, ranges, and real clips."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import av
import pytest

from overnight.emulator import DEFAULT_TOKEN, Call, Emulator, Settings

MODEL = "community/wan-2-1/fusionx/image-to-video"
INPUTS = {
    "600_prompt": "a heron in the reeds",
    "608_image": "RunComfy_examples_1235_1.png",
    "602_widthx602_height": "480x480 (1:1)",
    "609_frame_rate": 12,
}
AUTH = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}


async def media_url(emulator: Emulator, session: aiohttp.ClientSession, **inputs: Any) -> str:
    """The URL of a new request's file."""
    address = f"{emulator.base_url}/v1/models/{MODEL}"
    async with session.post(address, json=INPUTS | inputs, headers=AUTH) as answer:
        result_url = (await answer.json())["result_url"]
    return await fresh_url(session, result_url)


async def fresh_url(session: aiohttp.ClientSession, result_url: str) -> str:
    async with session.get(result_url, headers=AUTH) as answer:
        return str((await answer.json())["output"]["video"])


async def fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


async def test_a_clip_is_the_video_that_was_asked_for(session: aiohttp.ClientSession) -> None:
    async with Emulator(Settings(media="clip")) as emulator:
        url = await media_url(emulator, session)
        # Asked for at once by several, made once.
        content, *others = await asyncio.gather(*(fetch(session, url) for _ in range(3)))
        same = await fetch(session, await media_url(emulator, session))
        other = await fetch(session, await media_url(emulator, session, **{"598_seed": 2}))
    assert others == [content, content]
    assert same == content
    assert other != content
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (len(frames), frames[0].width, frames[0].height) == (81, 480, 480)
        assert stream.average_rate == 12
        assert container.metadata["title"] == INPUTS["600_prompt"]


async def test_plain_bytes_are_small_and_different(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    first, same, other = [
        await fetch(session, await media_url(emulator, session, **{"598_seed": seed}))
        for seed in (1, 1, 2)
    ]
    assert first == same != other
    assert 1000 < len(first) < 10_000


async def test_head_tells_what_get_brings(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    url = await media_url(emulator, session)
    content = await fetch(session, url)
    async with session.head(url) as head:
        assert head.status == 200
        assert head.headers["Content-Length"] == str(len(content))
        assert head.headers["Accept-Ranges"] == "bytes"
        assert head.headers["Content-Type"] == "video/mp4"
        assert hashlib.sha256(content).hexdigest().startswith(head.headers["ETag"].strip('"'))
        assert await head.read() == b""


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99", 0, 99), ("100-", 100, 4095), ("-10", 4086, 4095), ("4000-9999", 4000, 4095),
     ("-9999", 0, 4095), ("4095-4095", 4095, 4095)],
)  # fmt: skip
async def test_a_range_is_part_of_the_file(
    emulator: Emulator, session: aiohttp.ClientSession, asked: str, first: int, last: int
) -> None:
    url = await media_url(emulator, session)
    content = await fetch(session, url)
    assert len(content) == 4096
    async with session.get(url, headers={"Range": f"bytes={asked}"}) as part:
        assert part.status == 206
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/4096"
        assert await part.read() == content[first : last + 1]


@pytest.mark.parametrize("asked", ["4096-", "5000-6000", "-0"])
async def test_a_range_past_the_end_can_t_be_met(
    emulator: Emulator, session: aiohttp.ClientSession, asked: str
) -> None:
    url = await media_url(emulator, session)
    async with session.get(url, headers={"Range": f"bytes={asked}"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == "bytes */4096"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=9-3", "lines=1-2", "bytes=0-1,5-6", "junk"])
async def test_a_range_that_makes_no_sense_is_ignored(
    emulator: Emulator, session: aiohttp.ClientSession, asked: str
) -> None:
    url = await media_url(emulator, session)
    async with session.get(url, headers={"Range": asked}) as answer:
        assert (answer.status, len(await answer.read())) == (200, 4096)


async def test_if_range_guards_a_resume(emulator: Emulator, session: aiohttp.ClientSession) -> None:
    url = await media_url(emulator, session)
    async with session.head(url) as head:
        etag = head.headers["ETag"]
    for guard, status in ((etag, 206), ('"another"', 200)):
        headers = {"Range": "bytes=5-", "If-Range": guard}
        async with session.get(url, headers=headers) as answer:
            assert answer.status == status


async def test_a_url_works_only_as_it_was_signed(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    url = await media_url(emulator, session)
    path, query = url.split("?")
    for wrong in (
        path,
        f"{path}?{query}0",
        f"{path}x?{query}",
        url.replace("expires=", "expires=9"),
    ):
        async with session.get(wrong) as answer:
            assert answer.status == 403
            assert answer.content_type == "application/xml"


async def test_a_url_ends_with_its_time(session: aiohttp.ClientSession) -> None:
    now = [50.0]
    async with Emulator(Settings(media_ttl=60), clock=lambda: now[0]) as emulator:
        url = await media_url(emulator, session)
        assert await fetch(session, url)
        now[0] += 61
        async with session.get(url) as answer:
            assert answer.status == 403
        result_url = (
            f"{emulator.base_url}/v1/requests/{emulator.ledger.accepted[0].request_id}/result"
        )
        assert await fetch(session, await fresh_url(session, result_url))


async def test_a_token_sent_to_media_is_a_leak_that_is_counted(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    url = await media_url(emulator, session)
    await fetch(session, url)
    assert emulator.ledger.media_with_token == 0
    async with session.get(url, headers=AUTH) as answer:
        assert answer.status == 200
    assert (emulator.ledger.media_with_token, emulator.ledger.calls[Call.MEDIA]) == (1, 2)
