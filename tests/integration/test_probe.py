"""Looking at real files with the real decoder, in its own processes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from overnight.artifacts import decoder, probe
from overnight.artifacts.outcomes import Opinion
from overnight.artifacts.probe import Prober
from overnight.artifacts.pyav import NOT_INSTALLED
from overnight.emulator.clips import render
from overnight.emulator.scene import Shot

SHOT = Shot(160, 96, 24, 8, "fog", 3, "ab" * 32)
ASKED = {"602_num_frames": 24, "609_frame_rate": 8, "602_widthx602_height": "160x96 (5:3)"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    render(SHOT, path)
    return path


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    made = Prober()
    yield made
    await made.aclose()


async def look(prober: Prober, path: Path, inputs: dict[str, Any] | None = None) -> Opinion:
    return await prober.examiner(ASKED if inputs is None else inputs)(path, path.suffix)


def decoders() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "overnight.artifacts.decoder" in child.cmdline()
    ]


async def test_a_clip_as_it_was_asked_for(prober: Prober, clip: Path) -> None:
    opinion = await look(prober, clip)
    assert (opinion.suspect, opinion.damaged) == (None, False)
    known = {name: opinion.probe[name] for name in ("kind", "codec", "width", "height", "frames")}
    assert known == {"kind": "video", "codec": "h264", "width": 160, "height": 96, "frames": 24}
    assert (opinion.probe["rate"], opinion.probe["probed"]) == (8.0, True)
    assert opinion.probe["duration"] == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda shot: replace(shot, frames=12), "12 frames where 24 were asked for"),
        (lambda shot: replace(shot, width=80, height=48), "80 × 48 pixels where 160 × 96"),
        (lambda shot: replace(shot, spoiled="black"), "it is black from beginning to end"),
        (lambda shot: replace(shot, spoiled="frozen"), "nothing moves in it"),
        (lambda shot: replace(shot, rate=12), "12 frames per second where 8"),
    ],
)
async def test_a_clip_that_is_not(
    prober: Prober, tmp_path: Path, spoil: Callable[[Shot], Shot], words: str
) -> None:
    render(spoil(SHOT), tmp_path / "bad.mp4")
    opinion = await look(prober, tmp_path / "bad.mp4")
    assert words in str(opinion.suspect)
    assert not opinion.damaged


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_clip_that_ends_early_is_damaged(
    prober: Prober, clip: Path, tmp_path: Path, share: float
) -> None:
    content = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * share)])
    opinion = await look(prober, tmp_path / "cut.mp4")
    assert opinion.suspect
    assert opinion.damaged


@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>Sign in</html>", b'{"error": "x"}', b"", bytes(5000)]
)
async def test_what_is_no_clip_never_passes(tmp_path: Path, content: bytes, decodes: bool) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    prober = Prober(decodes=decodes)
    opinion = await look(prober, tmp_path / "a.mp4")
    await prober.aclose()
    assert opinion.suspect
    assert opinion.damaged


async def test_a_head_without_a_body_is_damaged(prober: Prober, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" * 9)
    opinion = await look(prober, tmp_path / "a.mp4")
    assert "can't be opened" in str(opinion.suspect)
    assert opinion.damaged


async def test_a_playlist_opens_nothing_else(prober: Prober, clip: Path, tmp_path: Path) -> None:
    """A file that names other files or addresses must not make us read those."""
    for name, text in (
        ("list.mpeg", f"ffconcat version 1.0\nfile {clip}\n"),
        ("list.mp3", f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        opinion = await look(prober, tmp_path / name)
        assert opinion.suspect, name


def picture(path: Path, codec: str, pixels: str, grey: int) -> None:
    frame = av.VideoFrame(64, 48, "rgb24")
    for plane in frame.planes:
        plane.update(bytes([grey]) * plane.buffer_size)
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [(".png", "png", "rgb24"), (".jpg", "mjpeg", "yuvj420p"), (".webp", "libwebp", "yuv420p")],
)
async def test_pictures(
    prober: Prober, tmp_path: Path, suffix: str, codec: str, pixels: str
) -> None:
    for grey, suspect in ((200, None), (0, "it is all black")):
        path = tmp_path / f"{grey}{suffix}"
        picture(path, codec, pixels, grey)
        opinion = await look(prober, path, {"width": 64, "height": 48})
        assert opinion.suspect == suspect
        assert (opinion.probe["kind"], opinion.probe["width"]) == ("image", 64)


async def test_without_pyav_only_the_beginning_is_looked_at(clip: Path) -> None:
    prober = Prober(decodes=False)
    assert await look(prober, clip) == Opinion(None, {"probed": False, "why": NOT_INSTALLED})
    assert decoders() == []
    await prober.aclose()


async def test_what_has_no_pictures_is_left_alone(prober: Prober, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    opinion = await look(prober, tmp_path / "a.json")
    assert opinion.suspect is None
    assert opinion.probe["probed"] is False
    assert decoders() == []


async def test_a_name_with_a_percent_sign_is_one_picture(prober: Prober, tmp_path: Path) -> None:
    """Some readers take it for the pattern of a whole series."""
    picture(tmp_path / "1.png", "png", "rgb24", 200)
    (tmp_path / "1.png").rename(tmp_path / "100%d cotton.png")
    opinion = await look(prober, tmp_path / "100%d cotton.png", {})
    assert (opinion.suspect, opinion.probe["kind"]) == (None, "image")


# --- the decoder as a process ---------------------------------------------------------------------


async def test_a_decoder_that_dies_is_replaced_and_nothing_is_held_against_the_file(
    prober: Prober, clip: Path
) -> None:
    assert (await look(prober, clip)).probe["probed"]
    [process] = decoders()
    process.send_signal(signal.SIGSEGV)
    # Turn by turn: the second decoder takes the next file, the dead one the one after that.
    opinions = [await look(prober, clip) for _ in range(4)]
    died = [opinion for opinion in opinions if not opinion.probe["probed"]]
    assert [opinion.suspect for opinion in opinions] == [None] * 4
    assert [opinion.probe["why"] for opinion in died] == ["the decoder ended with code -11 over it"]


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("PIXELS", 100, "160 × 96 pixels are too many to decode"),
        ("_thumbnail", None, "it takes more memory than a decoder may have"),
    ],
)
def test_what_goes_beyond_the_limits_is_left_undecoded(
    clip: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: object, why: str
) -> None:
    def no_room(_frame: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(decoder, limit, no_room if value is None else value)
    assert decoder.look(str(clip), 5.0) == {"beyond": why}


def test_a_time_that_is_up_at_once_says_nothing_of_the_file(clip: Path) -> None:
    assert decoder.look(str(clip), 0.0) == {"beyond": "it took too long to decode"}


async def test_without_a_process_to_be_had_nothing_is_held_against_the_file(
    prober: Prober, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    opinion = await look(prober, clip)
    why = "no decoder could be started: No such file or directory"
    assert opinion == Opinion(None, {"probed": False, "why": why})


async def test_a_file_that_takes_too_long_is_not_suspect(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_GRACE", 0.0)
    prober = Prober(seconds=0.0)
    opinion = await look(prober, clip)
    await prober.aclose()
    assert opinion == Opinion(None, {"probed": False, "why": "it took too long to decode"})


async def test_no_more_than_two_decoders_ever_run(prober: Prober, clip: Path) -> None:
    opinions = await asyncio.gather(*(look(prober, clip) for _ in range(12)))
    assert [opinion.suspect for opinion in opinions] == [None] * 12
    assert len(decoders()) == 2
    await prober.aclose()
    assert decoders() == []


async def test_a_cancelled_look_leaves_no_process_in_doubt(prober: Prober, clip: Path) -> None:
    looking = asyncio.create_task(look(prober, clip))
    while not decoders():
        await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert decoders() == []
    assert (await look(prober, clip)).suspect is None


async def test_the_decoder_is_told_no_token(
    prober: Prober, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "secret")
    await look(prober, clip)
    [process] = decoders()
    assert "RUNCOMFY_API_TOKEN" not in process.environ()


async def test_a_file_named_like_the_library_is_not_imported(
    prober: Prober, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit('a trap')")
    monkeypatch.chdir(tmp_path)
    assert (await look(prober, clip)).probe["probed"]
