"""How much a request asks for: seconds, frames, pixels, steps, outputs.

Models name these inputs in a few usual ways. They are found by their short names, so that it works
for any schema that has them, and what a request leaves out is the schema's default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from overnight.catalog.aliases import Aliases

if TYPE_CHECKING:
    from overnight.catalog.model import Model

_SECONDS = ("duration", "duration_seconds", "seconds", "video_duration", "length_seconds")
_FRAMES = ("num_frames", "frames", "frame_count", "number_of_frames", "video_frames")
_RATE = ("frame_rate", "fps", "frames_per_second")
_STEPS = ("steps", "num_inference_steps", "inference_steps", "num_steps")
_SIZE = ("widthxheight", "resolution", "size", "image_size", "video_size")
_OUTPUTS = ("num_outputs", "num_images", "num_videos", "number_of_images", "number_of_videos")

_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:s|sec|secs|second|seconds)?\s*", re.IGNORECASE)
_SIZE_TEXT = re.compile(r"(\d{2,5})\s*[x×*]\s*(\d{2,5})")
_LINES_TEXT = re.compile(r"\s*(\d{3,4})\s*p\s*", re.IGNORECASE)
_THOUSANDS_TEXT = re.compile(r"\s*([248])\s*k\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measures:
    """The raw names of a model's inputs that say how much is asked for; None where it has none."""

    seconds: str | None
    frames: str | None
    rate: str | None
    steps: str | None
    size: str | None
    width: str | None
    height: str | None
    outputs: str | None

    @classmethod
    def of(cls, names: Aliases, raw_names: frozenset[str]) -> Measures:
        """Find them among a model's inputs. A name that two inputs share is nobody's."""

        def find(words: tuple[str, ...]) -> str | None:
            for word in words:
                if word in raw_names:
                    return word
                if word in names.owner:
                    return names.owner[word]
            return None

        return cls(
            seconds=find(_SECONDS),
            frames=find(_FRAMES),
            rate=find(_RATE),
            steps=find(_STEPS),
            size=find(_SIZE),
            width=find(("width",)),
            height=find(("height",)),
            outputs=find(_OUTPUTS),
        )


def seconds(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """How long the clip is that a request asks for: its duration, or frames ÷ frames per second.

    None when its inputs don't say. ``inputs`` are under raw names.
    """
    known = model.measures
    if known.seconds is not None:
        return amount(asked(model, inputs, known.seconds))
    rate = amount(asked(model, inputs, known.rate))
    count = amount(asked(model, inputs, known.frames))
    return None if rate is None or count is None else count / rate


def frames(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """How many frames are asked for: their number, or duration × frames per second, or the
    duration alone where the rate is the model's own."""
    known = model.measures
    count = amount(asked(model, inputs, known.frames))
    if count is not None:
        return count
    length = amount(asked(model, inputs, known.seconds))
    if length is None:
        return None
    return length * (amount(asked(model, inputs, known.rate)) or 1.0)


def steps(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """How many steps of the sampler are asked for."""
    return amount(asked(model, inputs, model.measures.steps))


def outputs(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """How many files are asked for; 1 where the model has no such input, None when it has one
    whose value can't be read."""
    name = model.measures.outputs
    return 1.0 if name is None else amount(asked(model, inputs, name))


def pixels(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """Pixels of one frame: from texts such as ``720x480 (3:2)``, ``720p`` or ``4k``, or from
    width × height."""
    known = model.measures
    found = asked(model, inputs, known.size)
    if isinstance(found, str) and (area := _area(found)) is not None:
        return area
    wide = amount(asked(model, inputs, known.width))
    high = amount(asked(model, inputs, known.height))
    return None if wide is None or high is None else wide * high


@lru_cache(maxsize=256)  # a million jobs have a handful of sizes
def _area(text: str) -> float | None:
    if match := _SIZE_TEXT.search(text):
        return float(match[1]) * float(match[2])
    if match := _LINES_TEXT.fullmatch(text):
        return float(match[1]) ** 2 * 16 / 9
    if match := _THOUSANDS_TEXT.fullmatch(text):
        return (float(match[1]) * 960) ** 2 * 9 / 16
    return None


def amount(value: object) -> float | None:
    """A positive number from a number or from a text such as ``5`` or ``5s``; None otherwise."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < math.inf else None


def asked(model: Model, inputs: Mapping[str, Any], raw: str | None) -> Any:
    """What a request asks for under a raw name: its own value, or the schema's default."""
    if raw is None:
        return None
    return inputs[raw] if raw in inputs else model.defaults.get(raw)
