"""What an emulated clip shows: a sky, a sun on its way, a sea that shimmers. Pure bytes.

Frames are yuv420p planes built row by row from whole byte strings, so that no array library is
needed: the still parts are painted once, and a frame is a copy of them with a few hundred slices
replaced. Prompt chooses the colours, seed the sun's path, everything together the sea.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
from dataclasses import dataclass

Yuv = tuple[int, int, int]
Planes = tuple[bytearray, bytearray, bytearray]


@dataclass(frozen=True, slots=True)
class Shot:
    """What was asked for. Sizes are in pixels and even, ``rate`` is in frames per second."""

    width: int
    height: int
    frames: int
    rate: int
    prompt: str
    seed: int
    digest: str
    """SHA-256 of model and all inputs, in hexadecimal."""
    spoiled: str = ""
    """``black`` or ``frozen`` for a clip that shows nothing, or in which nothing moves."""


class Scene:
    """Paints one shot. ``strides`` are the bytes per row of the Y and the U and V planes, which
    an encoder may want longer than the picture is wide."""

    def __init__(self, shot: Shot, strides: tuple[int, int]) -> None:
        self._shot = shot
        self._strides = strides
        mood = hashlib.sha256(shot.prompt.encode()).digest()
        path = hashlib.sha256(str(shot.seed).encode()).digest()
        self._waves = bytes.fromhex(shot.digest)
        hue = mood[0] / 256
        self._zenith = _yuv(hue, 0.70, 0.35 + mood[1] / 1024)
        self._dusk = _yuv(hue + 0.10 + mood[2] / 1024, 0.55, 0.90)
        self._sea = _yuv(hue + 0.03, 0.75, 0.28)
        self._glint = _yuv(hue + 0.12, 0.30, 0.95)
        self._sun = _yuv(hue + 0.14 + mood[3] / 2560, 0.30, 1.0)
        self._horizon = round(shot.height * (0.58 + mood[4] / 1700)) & ~1
        self._radius = round(min(shot.width, shot.height) * (0.07 + path[0] / 4000))
        self._rises = path[1] % 2 == 0
        self._drift = (path[2] / 255 - 0.5) * 0.8
        self._start = 0.25 + path[3] / 512
        self._still = self._backdrop()

    def frame(self, index: int) -> Planes:
        """The planes of frame ``index``, from 0."""
        if self._shot.spoiled == "black":
            luma, *chroma = (len(plane) for plane in self._still)
            dark = bytearray(b"\x10" * luma)
            return dark, bytearray(b"\x80" * chroma[0]), bytearray(b"\x80" * chroma[1])
        if self._shot.spoiled == "frozen":
            index = 0
        y, u, v = (bytearray(plane) for plane in self._still)
        moment = index / max(1, self._shot.frames - 1)
        centre_x = self._shot.width * (self._start + self._drift * moment)
        climb = moment if self._rises else 1 - moment
        centre_y = self._horizon * (1.05 - 0.8 * math.sin(climb * math.pi / 2))
        self._paint_sun((y, u, v), centre_x, centre_y)
        self._paint_sea(y, centre_x, moment)
        return y, u, v

    def _backdrop(self) -> tuple[bytes, bytes, bytes]:
        """The sky's gradient above, the sea's colour below."""
        rows = [self._row(y) for y in range(self._shot.height)]
        luma, chroma = self._strides
        return (
            b"".join(bytes((row[0],)) * luma for row in rows),
            b"".join(bytes((row[1],)) * chroma for row in rows[::2]),
            b"".join(bytes((row[2],)) * chroma for row in rows[::2]),
        )

    def _row(self, y: int) -> Yuv:
        if y < self._horizon:
            return _mix(self._zenith, self._dusk, (y / self._horizon) ** 1.5)
        depth = (y - self._horizon) / max(1, self._shot.height - self._horizon)
        return _mix(_mix(self._sea, self._dusk, 0.35), self._sea, min(1.0, depth * 2))

    def _paint_sun(self, planes: Planes, centre_x: float, centre_y: float) -> None:
        """A soft disc above the horizon: a glow that only lightens, and a core with colour."""
        y, u, v = planes
        for reach, share in ((1.5, 0.25), (1.2, 0.5), (1.0, 1.0)):
            radius = self._radius * reach
            for row in range(max(0, int(centre_y - radius)), self._horizon):
                left, right = self._chord(row, centre_x, centre_y, radius)
                if left < right:
                    light = _mix(self._row(row), self._sun, share)[0]
                    at = row * self._strides[0]
                    y[at + left : at + right] = bytes((light,)) * (right - left)
        for row in range(max(0, int(centre_y - self._radius)) & ~1, self._horizon, 2):
            left, right = (x // 2 for x in self._chord(row, centre_x, centre_y, self._radius))
            if left < right:
                at = row // 2 * self._strides[1]
                u[at + left : at + right] = bytes((self._sun[1],)) * (right - left)
                v[at + left : at + right] = bytes((self._sun[2],)) * (right - left)

    def _chord(self, row: int, x: float, y: float, radius: float) -> tuple[int, int]:
        """Where ``row`` crosses the circle, cut to the picture; empty when it does not."""
        square = radius * radius - (row - y) ** 2
        if square <= 0:
            return 0, 0
        half = math.sqrt(square)
        return max(0, round(x - half)), min(self._shot.width, round(x + half))

    def _paint_sea(self, y: bytearray, centre_x: float, moment: float) -> None:
        """The sun's path on the water: bars that grow towards the viewer and sway."""
        top, bottom = self._horizon + 4, self._shot.height
        step = max(6, (bottom - top) // 24) & ~1
        for number, row in enumerate(range(top, bottom - 2, step)):
            wave = self._waves[number % len(self._waves)]
            sway = math.sin(2 * math.pi * (2 * moment + wave / 256)) * self._radius * 0.4
            half = self._radius * (0.5 + 0.08 * number) * (0.6 + wave / 640)
            left = max(0, round(centre_x + sway - half))
            right = min(self._shot.width, round(centre_x + sway + half))
            if left < right:
                light = _mix(self._sea, self._glint, 0.35 + wave / 640)[0]
                for line in range(row, min(bottom, row + step // 3)):
                    at = line * self._strides[0]
                    y[at + left : at + right] = bytes((light,)) * (right - left)


def _mix(first: Yuv, second: Yuv, share: float) -> Yuv:
    return (
        round(first[0] + (second[0] - first[0]) * share),
        round(first[1] + (second[1] - first[1]) * share),
        round(first[2] + (second[2] - first[2]) * share),
    )


def _yuv(hue: float, saturation: float, value: float) -> Yuv:
    """A colour as studio-range BT.601, which players assume when a file does not say."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, saturation, min(1.0, value))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return (
        round(16 + 219 * luma),
        round(128 + 224 * (b - luma) / 1.772),
        round(128 + 224 * (r - luma) / 1.402),
    )
