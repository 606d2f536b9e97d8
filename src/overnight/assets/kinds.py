"""What kind of file a content is, by its first bytes, whatever its name says. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from overnight.assets import magic

LONGEST = magic.LONGEST
"""Bytes that are enough."""


@dataclass(frozen=True, slots=True)
class Kind:
    """``suffix`` begins with a dot; ``content_type`` is what a server says of such a file."""

    suffix: str
    content_type: str

    @property
    def media(self) -> Literal["image", "video", "audio"]:
        """What it is to a model."""
        for word in ("image", "video", "audio"):
            if self.content_type.startswith(word):
                return word
        raise AssertionError(self.content_type)


PNG = Kind(".png", "image/png")
JPEG = Kind(".jpg", "image/jpeg")
_MP4 = Kind(".mp4", "video/mp4")
_BRANDS = {
    b"avif": Kind(".avif", "image/avif"),
    b"avis": Kind(".avif", "image/avif"),
    b"heic": Kind(".heic", "image/heic"),
    b"heix": Kind(".heic", "image/heic"),
    b"mif1": Kind(".heic", "image/heic"),
    b"qt  ": Kind(".mov", "video/quicktime"),
    b"M4A ": Kind(".m4a", "audio/mp4"),
}
"""What the brand of an ISO container says of it; every other brand is a video."""


def _is(suffix: str) -> Callable[[bytes], bool]:
    return lambda start: magic.problem(start, suffix) is None


def _is_mp3(start: bytes) -> bool:
    return start.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"))


_KNOWN: tuple[tuple[Callable[[bytes], bool], Kind], ...] = (
    (_is(".png"), PNG),
    (_is(".jpg"), JPEG),
    (_is(".webp"), Kind(".webp", "image/webp")),
    (_is(".gif"), Kind(".gif", "image/gif")),
    (_is(".tif"), Kind(".tif", "image/tiff")),
    (_is(".webm"), Kind(".webm", "video/webm")),
    (_is(".avi"), Kind(".avi", "video/x-msvideo")),
    (lambda start: start.startswith(b"\x00\x00\x01\xba"), Kind(".mpg", "video/mpeg")),
    (_is(".wav"), Kind(".wav", "audio/wav")),
    (lambda start: start.startswith(b"fLaC"), Kind(".flac", "audio/flac")),
    (_is(".ogg"), Kind(".ogg", "audio/ogg")),
    (_is_mp3, Kind(".mp3", "audio/mpeg")),
)


def kind(start: bytes) -> Kind | None:
    """The kind of a file that begins with ``start``; None when no image, video or sound that is
    known here begins like that."""
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], _MP4)
    if start[4:8] in (b"moov", b"mdat", b"wide"):
        return Kind(".mov", "video/quicktime")  # older files have no brand
    return next((found for begins, found in _KNOWN if begins(start)), None)
