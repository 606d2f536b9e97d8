"""A JPEG beside each clip: made by the real decoder, and never a reason to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from overnight.artifacts import poster
from overnight.artifacts.decoder import draw
from overnight.artifacts.outcomes import Fetched, Opinion
from overnight.artifacts.place import Folder
from overnight.artifacts.probe import Prober
from overnight.emulator.clips import render
from overnight.emulator.scene import Shot

SHOT = Shot(160, 96, 24, 8, "fog", 3, "ab" * 32)


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    made = Prober()
    yield made
    await made.aclose()


def fetched(path: Path, kind: str = "video") -> Fetched:
    return Fetched(path, 1, "0" * 64, opinion=Opinion(None, {"probed": True, "kind": kind}))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_it_is_a_picture_of_the_clip_in_its_size(prober: Prober, tmp_path: Path) -> None:
    render(SHOT, tmp_path / "fog.v2.mp4")
    assert await poster.add(Folder(tmp_path), fetched(tmp_path / "fog.v2.mp4"), prober)
    assert names(tmp_path) == {"fog.v2.mp4", "fog.v2.poster.jpg"}
    with Image.open(tmp_path / "fog.v2.poster.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (160, 96))
        greys = picture.convert("L").tobytes()
    assert max(greys) - min(greys) > 30


async def test_a_black_clip_has_a_black_one(prober: Prober, tmp_path: Path) -> None:
    render(replace(SHOT, spoiled="black"), tmp_path / "a.mp4")
    assert await poster.add(Folder(tmp_path), fetched(tmp_path / "a.mp4"), prober)
    with Image.open(tmp_path / "a.poster.jpg") as picture:
        assert max(picture.convert("L").tobytes()) < 40


async def test_what_has_the_name_keeps_it(prober: Prober, tmp_path: Path) -> None:
    render(SHOT, tmp_path / "a.mp4")
    (tmp_path / "a.poster.jpg").write_bytes(b"somebody else's")
    await poster.add(Folder(tmp_path), fetched(tmp_path / "a.mp4"), prober)
    assert (tmp_path / "a.poster.jpg").read_bytes() == b"somebody else's"
    assert names(tmp_path) == {"a.mp4", "a.poster.jpg"}


@pytest.mark.parametrize("content", [b"", b"not a clip at all" * 99])
async def test_no_poster_is_no_failure(prober: Prober, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert not await poster.add(Folder(tmp_path), fetched(tmp_path / "a.mp4"), prober)
    assert names(tmp_path) == {"a.mp4"}


async def test_none_where_it_can_t_be_written_or_decoded(prober: Prober, tmp_path: Path) -> None:
    render(SHOT, tmp_path / "a.mp4")
    clip = fetched(tmp_path / "a.mp4")
    assert not await poster.add(Folder(tmp_path), clip, Prober(decodes=False))
    assert not await poster.add(Folder(tmp_path), replace(clip, opinion=None), prober)
    assert not await poster.add(Folder(tmp_path), fetched(tmp_path / "a.mp4", "image"), prober)
    assert "error" in draw(str(tmp_path / "a.mp4"), str(tmp_path / "no" / "a.jpg"), 5.0)
    assert names(tmp_path) == {"a.mp4"}
