"""What a request asks a video model for: size, length, seed, and how much work that is.

Inputs are found by their short names, so that it works for any model whose schema has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from overnight.catalog import AmbiguousAlias, Model, measures
from overnight.emulator.scene import Shot

_SIZE = re.compile(r"(\d{2,5})\s*[x×]\s*(\d{2,5})")
_SHAPE = re.compile(r"([1-9]\d?):([1-9]\d?)")
_LINES = re.compile(r"(\d{3,4})p")
_LARGEST = 2048
_LONGEST = 1000


def shot(model: Model, inputs: Mapping[str, Any], digest: str) -> Shot:
    """The clip that a request asks for; what it leaves out is the schema's default."""
    width, height = _size(model, inputs)
    return Shot(
        width=width,
        height=height,
        frames=_frames(model, inputs),
        rate=_rate(model, inputs),
        prompt=str(_value(model, inputs, "prompt") or ""),
        seed=_whole(model, inputs, "seed", 0, None),
        digest=digest,
    )


def work(model: Model, inputs: Mapping[str, Any]) -> float:
    """Steps × frames, as a multiple of what the model's defaults come to."""

    def load(asked: Mapping[str, Any]) -> float:
        steps, frames = measures.steps(model, asked), measures.frames(model, asked)
        return (steps or 1.0) * (frames or 1.0)

    return load(inputs) / load({})


def _frames(model: Model, inputs: Mapping[str, Any]) -> int:
    """The number that is asked for; the length in seconds at the clip's rate, where that is what
    the model asks for."""
    known = model.measures
    if known.frames is None and (length := measures.seconds(model, inputs)) is not None:
        return max(1, min(round(length * _rate(model, inputs)), _LONGEST))
    asked = measures.amount(measures.asked(model, inputs, known.frames))
    return 81 if asked is None else max(1, min(int(asked), _LONGEST))


def _rate(model: Model, inputs: Mapping[str, Any]) -> int:
    asked = measures.amount(measures.asked(model, inputs, model.measures.rate))
    return 16 if asked is None else max(1, min(int(asked), 120))


def _size(model: Model, inputs: Mapping[str, Any]) -> tuple[int, int]:
    for word in ("widthxheight", "resolution", "size"):
        match = _SIZE.search(str(_value(model, inputs, word)))
        if match:
            return _even(int(match[1])), _even(int(match[2]))
    shape = _SHAPE.fullmatch(str(_value(model, inputs, "aspect_ratio")))
    if shape:
        lines = _LINES.fullmatch(str(_value(model, inputs, "resolution")))
        short, wide, high = int(lines[1]) if lines else 480, int(shape[1]), int(shape[2])
        unit = short / min(wide, high)
        return _even(round(unit * wide)), _even(round(unit * high))
    return (
        _even(_whole(model, inputs, "width", 720, _LARGEST)),
        _even(_whole(model, inputs, "height", 480, _LARGEST)),
    )


def _even(size: int) -> int:
    """A frame's colour has half its size, so sizes are even; 16 is the least that encodes well."""
    return max(16, min(size, _LARGEST)) & ~1


def _whole(
    model: Model, inputs: Mapping[str, Any], word: str, default: int, most: int | None
) -> int:
    value = _value(model, inputs, word)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return int(value) if most is None else max(1, min(int(value), most))


def _value(model: Model, inputs: Mapping[str, Any], word: str) -> Any:
    try:
        raw = model.resolve(word)
    except AmbiguousAlias:
        return None
    return None if raw is None else inputs.get(raw, model.defaults.get(raw))
