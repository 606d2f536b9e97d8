"""Clips are real videos: what was asked for, different where it differs, equal where it doesn't."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av
import pytest

from overnight.catalog import Model, bundled_catalog
from overnight.emulator import Emulator, EmulatorError, Settings
from overnight.emulator.asked import shot, work
from overnight.emulator.clips import render
from overnight.emulator.models import emulated_catalog
from overnight.emulator.scene import Shot

SEED_MODEL = "community/wan-2-1/fusionx/image-to-video"


@pytest.fixture
def model() -> Model:
    return bundled_catalog().find(SEED_MODEL)


def small(prompt: str = "a heron", seed: int = 1, digest: str = "ab" * 32) -> Shot:
    return Shot(96, 64, 9, 12, prompt, seed, digest)


def made(path: Path, wanted: Shot) -> bytes:
    render(wanted, path)
    return path.read_bytes()


@pytest.mark.parametrize(("width", "height"), [(480, 480), (96, 64), (134, 250), (16, 16)])
def test_a_clip_decodes_to_what_was_asked(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "clip.mp4"
    render(Shot(width, height, 9, 12, "a heron", 4, "cd" * 32), path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 12
        assert (stream.frames, len(frames)) == (9, 9)
        assert {(frame.width, frame.height) for frame in frames} == {(width, height)}
        first, last = (bytes(frames[n].planes[0]) for n in (0, -1))
    assert first != last, "nothing moves"
    assert len(set(first)) > 8, "nothing to see"


def test_any_prompt_makes_a_clip(tmp_path: Path) -> None:
    prompt = "夜の灯台 \x00 \u202e🐋\n" * 500
    render(small(prompt=prompt), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.metadata["title"].startswith("夜の灯台 夜の灯台")


def test_equal_shots_are_equal_bytes(tmp_path: Path) -> None:
    assert made(tmp_path / "a.mp4", small()) == made(tmp_path / "b.mp4", small())


@pytest.mark.parametrize(
    "other", [small(prompt="a barn owl"), small(seed=2), small(digest="ba" * 32)]
)
def test_another_prompt_seed_or_input_is_another_picture(tmp_path: Path, other: Shot) -> None:
    def first_frame(wanted: Shot) -> list[bytes]:
        path = tmp_path / "clip.mp4"
        render(wanted, path)
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            return [bytes(plane) for plane in frame.planes]

    assert first_frame(small()) != first_frame(other)


def test_a_request_is_read_by_its_short_names_and_defaults(model: Model) -> None:
    inputs: dict[str, Any] = {
        "600_prompt": "a heron",
        "602_widthx602_height": "540x960 (9:16)",
        "602_num_frames": 141,
        "609_frame_rate": 24,
    }
    asked = shot(model, inputs, "ef" * 32)
    assert (asked.width, asked.height, asked.frames, asked.rate) == (540, 960, 141, 24)
    assert (asked.prompt, asked.seed) == ("a heron", 96860978)
    plain = shot(model, {}, "ef" * 32)
    assert (plain.width, plain.height, plain.frames, plain.rate) == (720, 480, 81, 16)


def test_a_model_without_such_inputs_gets_an_ordinary_clip() -> None:
    model = Model.from_schema("x/y", {"properties": {"text": {"type": "string"}}})
    asked = shot(model, {"text": "hello"}, "ef" * 32)
    assert (asked.width, asked.height, asked.frames, asked.rate) == (720, 480, 81, 16)
    assert work(model, {"text": "hello"}) == 1.0


def test_work_is_steps_times_frames_against_the_defaults(model: Model) -> None:
    assert work(model, {}) == 1.0
    assert work(model, {"598_steps": 20}) == 2.0
    assert work(model, {"598_steps": 20, "602_num_frames": 141}) == pytest.approx(2 * 141 / 81)


async def test_without_pyav_clips_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmulatorError, match=r'pip install "overnight\[demo\]"'):
        await Emulator(Settings(media="clip")).start()
    async with Emulator(Settings(media="bytes")) as emulator:
        assert emulator.base_url


@pytest.mark.parametrize(
    ("inputs", "size", "frames", "rate"),
    [
        ({}, (852, 480), 64, 16),
        ({"duration": 8, "fps": 10}, (852, 480), 80, 10),
        ({"resolution": "360p", "aspect_ratio": "9:16"}, (360, 640), 64, 16),
        ({"aspect_ratio": "1:1"}, (480, 480), 64, 16),
    ],
)
def test_a_length_in_seconds_and_an_aspect_ratio_are_understood(
    inputs: dict[str, object], size: tuple[int, int], frames: int, rate: int
) -> None:
    model = emulated_catalog().find("emulator/lantern/text-to-video")
    asked = shot(model, {"prompt": "a kite", **inputs}, "ef" * 32)
    assert ((asked.width, asked.height), asked.frames, asked.rate) == (size, frames, rate)
