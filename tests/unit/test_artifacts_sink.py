"""How much is gathered before it is written: much on a fast line, little on a slow one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from overnight.artifacts.part import Part
from overnight.artifacts.sink import Sink
from overnight.artifacts.writers import Writers

PIECE = bytes(256 * 1024)


@pytest.fixture
async def writers() -> AsyncIterator[Writers]:
    made = Writers()
    yield made
    made.close()


async def grown(writers: Writers, target: Path, pieces: list[bytes]) -> list[int]:
    """How long the file was after each block that was written."""
    part = Part(target)
    part.open()
    seen: list[int] = []
    sink = Sink(writers, part, lambda: seen.append(part.bytes), may_be_page=False)
    for piece in pieces:
        await sink.take(piece)
    await sink.drain()
    await asyncio.sleep(0)
    assert part.publish().read_bytes() == b"".join(pieces)
    return [length // len(PIECE) for length in seen]


@pytest.mark.parametrize(
    ("soon", "blocks"),
    [(math.inf, [1, 5, 9, 10]), (0.0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])],
    ids=["fast", "slow"],
)
async def test_the_first_piece_is_written_at_once_and_more_together_on_a_fast_line(
    writers: Writers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    soon: float,
    blocks: list[int],
) -> None:
    monkeypatch.setattr("overnight.artifacts.sink._SOON", soon)
    assert await grown(writers, tmp_path / "clip.mp4", [PIECE] * 10) == blocks


async def test_small_pieces_are_gathered_also_on_a_slow_line(
    writers: Writers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overnight.artifacts.sink._SOON", 0.0)
    pieces = [PIECE[:1024]] * 1024
    assert await grown(writers, tmp_path / "clip.mp4", pieces) == [1, 2, 3, 4]
