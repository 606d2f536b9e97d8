"""Holds what a file is against what was asked for, and says what is wrong with it. Pure.

Generators round: sizes to whole blocks, frame counts to what their latent space divides by. They
also interpolate and upscale. So everything here is lenient, and says so in ``docs/outputs.md``: a
clip is suspect when it is clearly not what was asked for, not when it is a little off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NODE = re.compile(r"(^|x)\d+_")
_SIZE = re.compile(r"(\d{2,5})\s*[x×*]\s*(\d{2,5})")

FRAMES = 0.10
"""The share of the frames by which a clip may be shorter or longer, and at least four frames:
models make 4n + 1 of any number."""
RATE = 0.10
"""The share by which the rate may be off."""
DURATION = 0.15
"""The share by which the duration may be off, and at least half a second."""
SIDE = 0.05
"""The share by which a side may be off, and at least one block of 16 pixels."""
MULTIPLES = 4
"""Up to so many times the frames, the rate or the size are a step that was added to the workflow
(interpolation, upscaling), and nothing that went wrong."""

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".tif", ".tiff"})
_CLIPS = frozenset({".mp4", ".webm", ".mov", ".mkv", ".avi", ".mpeg", ".mpg", ".m4v"})
_SOUNDS = frozenset({".mp3", ".wav", ".flac", ".ogg", ".m4a", ".aac", ".opus"})
PROBED = _PICTURES | _CLIPS | _SOUNDS
"""Suffixes of what can be decoded."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the inputs of a request say about its file; None where they say nothing."""

    frames: float | None = None
    rate: float | None = None
    duration: float | None = None
    size: tuple[int, int] | None = None


def asked(inputs: Mapping[str, Any]) -> Asked:
    """Read it off inputs as they are sent. Raw names of community models (``602_num_frames``)
    are taken without their nodes; a name that two inputs share says nothing."""
    plain: dict[str, Any] = {}
    for raw, value in inputs.items():
        name = _NODE.sub(r"\1", raw).lower()
        plain[name] = None if name in plain else value

    def number(*names: str) -> float | None:
        return next((n for name in names if (n := _number(plain.get(name))) is not None), None)

    return Asked(
        frames=number("num_frames", "number_of_frames", "frames", "video_frames"),
        rate=number("frame_rate", "fps", "frames_per_second"),
        duration=number("duration", "duration_seconds", "video_duration"),
        size=_size(plain),
    )


def wrong(facts: Mapping[str, Any], inputs: Mapping[str, Any], suffix: str) -> list[str]:
    """Everything that is wrong with a file that was decoded; see
    :func:`overnight.artifacts.decoder.look` for ``facts``. Empty when nothing is."""
    found = _damage(facts)
    if found:
        return found
    if facts["kind"] == "audio":
        return [] if suffix in _SOUNDS else ["it holds sound and no picture"]
    if suffix in _CLIPS and facts["kind"] == "image":
        return ["it is a single picture, and not a clip"]
    wanted = asked(inputs)
    found = _size_off(facts, wanted.size)
    if facts["kind"] == "video" and suffix in _CLIPS and facts["complete"]:
        found += _length_off(facts, wanted)
    return found + _empty(facts)


def damaged(facts: Mapping[str, Any]) -> bool:
    """Whether the bytes themselves are at fault, so that another download may bring better ones."""
    return bool(_damage(facts))


def _damage(facts: Mapping[str, Any]) -> list[str]:
    if error := facts.get("error"):
        return [f"it can't be opened: {error}"]
    if broken := facts.get("broken"):
        counted = f" after {facts['frames']} frames" if "frames" in facts else ""
        return [f"it is damaged{counted}: {broken}"]
    declared, frames = facts.get("declared_frames"), facts.get("frames")
    # A frame or two may stay inside a decoder, or be cut away by an edit list.
    if facts.get("complete") and declared and frames < declared - max(2, FRAMES * declared):
        return [f"it holds {frames} of the {declared} frames that it says it has"]
    return []


def _length_off(facts: Mapping[str, Any], wanted: Asked) -> list[str]:
    found = []
    frames, rate, duration = facts["frames"], facts["rate"], facts["duration"]
    if wanted.frames and _is_off(frames, wanted.frames, max(4.0, FRAMES * wanted.frames)):
        found.append(f"{frames} frames where {wanted.frames:g} were asked for")
    if wanted.rate and rate and _is_off(rate, wanted.rate, RATE * wanted.rate):
        found.append(f"{rate:g} frames per second where {wanted.rate:g} were asked for")
    slack = max(0.5, DURATION * (wanted.duration or 0.0))
    if wanted.duration and duration and abs(duration - wanted.duration) > slack:
        found.append(f"{duration:g} s where {wanted.duration:g} s were asked for")
    return found


def _size_off(facts: Mapping[str, Any], size: tuple[int, int] | None) -> list[str]:
    if size is None:
        return []
    wide, high = facts["width"], facts["height"]
    for times in range(1, MULTIPLES + 1):
        if all(
            abs(have - want * times) <= max(16.0, SIDE * want * times)
            for have, want in zip((wide, high), size, strict=True)
        ):
            return []
    return [f"{wide} × {high} pixels where {size[0]} × {size[1]} were asked for"]


def _empty(facts: Mapping[str, Any]) -> list[str]:
    if not facts["complete"]:
        return []
    if facts["black"]:
        return ["it is black from beginning to end" if "still" in facts else "it is all black"]
    return ["nothing moves in it"] if facts.get("still") else []


def _is_off(have: float, want: float, slack: float) -> bool:
    """Whether a figure is neither about what was asked for nor a small multiple of it."""
    return all(abs(have - want * n) > slack * n for n in range(1, MULTIPLES + 1))


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value.strip().lower().removesuffix("s"))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e9 else None


def _size(plain: Mapping[str, Any]) -> tuple[int, int] | None:
    for name in ("widthxheight", "resolution", "size", "video_size", "image_size"):
        match = _SIZE.search(str(plain.get(name) or ""))
        if match:
            return int(match[1]), int(match[2])
    wide, high = _number(plain.get("width")), _number(plain.get("height"))
    return None if wide is None or high is None else (int(wide), int(high))
