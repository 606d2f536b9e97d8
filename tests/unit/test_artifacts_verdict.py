"""What is clearly not what was asked for is suspect; what is a little off is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.artifacts.verdict import MULTIPLES, Asked, asked, damaged, wrong

ASKED = {
    "600_prompt": "Fog",
    "602_num_frames": 81,
    "609_frame_rate": 16,
    "602_widthx602_height": "480x720 (2:3)",
}
CLIP: dict[str, Any] = {
    "kind": "video",
    "container": "mov,mp4,m4a,3gp,3g2,mj2",
    "codec": "h264",
    "width": 480,
    "height": 720,
    "complete": True,
    "broken": None,
    "black": False,
    "frames": 81,
    "declared_frames": 81,
    "rate": 16.0,
    "duration": 5.06,
    "still": False,
}
PICTURE = {name: CLIP[name] for name in ("width", "height", "complete", "broken", "black")}
PICTURE |= {"kind": "image", "container": "png_pipe", "codec": "png"}


def said(inputs: dict[str, Any] | None = None, suffix: str = ".mp4", **changed: Any) -> str:
    return "; ".join(wrong(CLIP | changed, ASKED if inputs is None else inputs, suffix))


# --- reading the inputs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({}, Asked()),
        (ASKED, Asked(81, 16, None, (480, 720))),
        ({"duration": "5s", "fps": 24}, Asked(None, 24, 5.0)),
        ({"duration": 5, "width": 1024, "height": "576"}, Asked(None, None, 5.0, (1024, 576))),
        ({"resolution": "720p", "duration": "long", "num_frames": True}, Asked()),
        ({"resolution": "1280×720"}, Asked(size=(1280, 720))),
        ({"width": 512}, Asked()),
        ({"num_frames": 0, "fps": -1}, Asked()),
        # Two inputs of that name: nobody can tell which one it is.
        ({"1_num_frames": 8, "2_num_frames": 16}, Asked()),
    ],
)
def test_what_the_inputs_say(inputs: dict[str, Any], wanted: Asked) -> None:
    assert asked(inputs) == wanted


# --- clips ----------------------------------------------------------------------------------------


def test_what_was_asked_for_is_fine() -> None:
    assert said() == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"frames": 77, "declared_frames": 77},
        {"frames": 85, "declared_frames": 85},
        # Interpolated and upscaled by a step of the workflow.
        {"frames": 161, "declared_frames": 161, "rate": 32.0},
        {"width": 960, "height": 1440},
        # Rounded to whole blocks.
        {"width": 496, "height": 704},
        {"declared_frames": None},
        {"rate": None},
        {"frames": 79},
    ],
)
def test_a_little_off_is_fine(changed: dict[str, Any]) -> None:
    assert said(**changed) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"frames": 40, "declared_frames": 40}, "40 frames where 81 were asked for"),
        ({"frames": 120, "declared_frames": 120}, "120 frames where 81 were asked for"),
        ({"rate": 24.0}, "24 frames per second where 16 were asked for"),
        ({"width": 720, "height": 480}, "720 × 480 pixels where 480 × 720 were asked for"),
        ({"width": 240, "height": 360}, "240 × 360 pixels"),
        ({"black": True, "still": True}, "it is black from beginning to end"),
        ({"still": True}, "nothing moves in it"),
        ({"frames": 40}, "it holds 40 of the 81 frames that it says it has"),
        ({"broken": "Invalid data"}, "it is damaged after 81 frames: Invalid data"),
        ({"kind": "image"}, "it is a single picture, and not a clip"),
        ({"kind": "audio"}, "it holds sound and no picture"),
    ],
)
def test_clearly_off_is_said(changed: dict[str, Any], words: str) -> None:
    assert words in said(**changed)


def test_everything_that_is_off_is_said() -> None:
    text = said(frames=40, declared_frames=40, rate=8.0, width=100)
    assert [part.split(" where")[0] for part in text.split("; ")] == [
        "100 × 720 pixels",
        "40 frames",
        "8 frames per second",
    ]


def test_a_duration_is_held_against_the_clip_s() -> None:
    assert said({"duration": 5}) == ""
    assert said({"duration": 10}) == "5.06 s where 10 s were asked for"


def test_a_clip_that_was_not_decoded_to_its_end_is_not_called_short_or_black() -> None:
    assert said(complete=False, frames=12, black=True, still=True) == ""
    assert "pixels" in said(complete=False, frames=12, width=100)


def test_only_what_may_be_the_download_s_fault_is_worth_another() -> None:
    assert damaged({"error": "Invalid data"})
    assert damaged(CLIP | {"broken": "Invalid data"})
    assert damaged(CLIP | {"frames": 40})
    assert not damaged(CLIP | {"black": True, "still": True, "rate": 1.0})


# --- pictures and sounds --------------------------------------------------------------------------


def test_a_picture_has_a_size_and_light() -> None:
    assert wrong(PICTURE, ASKED, ".png") == []
    assert wrong(PICTURE | {"black": True}, ASKED, ".png") == ["it is all black"]
    assert wrong(PICTURE | {"width": 100}, ASKED, ".png") == [
        "100 × 720 pixels where 480 × 720 were asked for"
    ]
    # An animation among pictures is not held against the frames that a clip should have.
    assert wrong(CLIP | {"frames": 3, "declared_frames": None}, ASKED, ".gif") == []


def test_a_sound_is_only_asked_to_be_one() -> None:
    sound = {"kind": "audio", "complete": True, "broken": None}
    assert wrong(sound, {"duration": 500}, ".mp3") == []
    assert wrong(sound | {"broken": "Header missing"}, {}, ".mp3") == [
        "it is damaged: Header missing"
    ]


@given(st.integers(1, 2000), st.integers(1, MULTIPLES), st.floats(-0.05, 0.05))
def test_any_small_multiple_of_the_frames_will_do(frames: int, times: int, off: float) -> None:
    made = max(1, round(frames * times * (1 + off)))
    facts = CLIP | {"frames": made, "declared_frames": made}
    assert wrong(facts, {"num_frames": frames}, ".mp4") == []


@given(st.integers(100, 2000), st.floats(0.0, 0.85))
def test_far_fewer_frames_never_will(frames: int, share: float) -> None:
    made = int(frames * share)
    facts = CLIP | {"frames": made, "declared_frames": made}
    assert wrong(facts, {"num_frames": frames}, ".mp4") != []
