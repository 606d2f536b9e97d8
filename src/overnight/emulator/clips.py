"""Turns a shot into a real MP4 with PyAV, which comes with the ``demo`` extra.

PyAV is loaded on the first clip, not before: an emulator that serves plain bytes needs none of it.
"""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from overnight.emulator.scene import Scene, Shot
from overnight.emulator.settings import EmulatorError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_CODEC: Final = "libx264"
# One thread and a fixed quantiser: the same shot gives the same bytes on every machine.
_OPTIONS = {"preset": "ultrafast", "qp": "24", "threads": "1", "g": "48"}


def require_pyav() -> None:
    """Raise :class:`EmulatorError` when real clips can't be made here."""
    if importlib.util.find_spec("av") is None:
        raise EmulatorError(
            'Real clips need PyAV: pip install "overnight[demo]", or use --media bytes.'
        )


def render(shot: Shot, path: Path) -> None:
    """Write ``shot`` to ``path`` as H.264 in MP4, index first, so that it plays while it loads.
    Blocks; takes tenths of a second of CPU, so call it in a thread."""
    import av

    muxing = {"movflags": "faststart", "fflags": "bitexact"}
    with av.open(str(path), "w", format="mp4", options=muxing) as container:
        container.metadata["title"] = " ".join(re.findall(r"\w+", shot.prompt))[:200]
        container.metadata["comment"] = f"seed {shot.seed}, {shot.digest}"
        stream = container.add_stream(_CODEC, rate=shot.rate, options=dict(_OPTIONS))
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, shot.rate)
        luma, chroma, _ = av.VideoFrame(shot.width, shot.height, "yuv420p").planes
        scene = Scene(shot, (luma.line_size, chroma.line_size))
        for index in range(shot.frames):
            container.mux(stream.encode(_painted(scene, index, shot)))
        container.mux(stream.encode(None))


def _painted(scene: Scene, index: int, shot: Shot) -> VideoFrame:
    import av

    frame = av.VideoFrame(shot.width, shot.height, "yuv420p")
    for plane, pixels in zip(frame.planes, scene.frame(index), strict=True):
        plane.update(bytes(pixels))
    frame.pts = index
    frame.time_base = Fraction(1, shot.rate)
    return frame
