"""The first bytes of a file: do they begin a file of the kind that its suffix says? Pure.

This is all that is looked at where PyAV is not installed, and it comes before any decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

LONGEST = 512
"""Bytes that are enough."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def _mp4(start: bytes) -> bool:
    return start[4:8] in _BOXES


def _begins(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda start: start.startswith(signatures)


def _riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda start: start[:4] in (b"RIFF", b"RF64") and start[8:12] == form


_matroska = _begins(b"\x1a\x45\xdf\xa3")
_jpeg = _begins(b"\xff\xd8\xff")
_tiff = _begins(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_mpeg = _begins(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x47")

_KNOWN: Mapping[str, Callable[[bytes], bool]] = {
    ".mp4": _mp4,
    ".m4v": _mp4,
    ".mov": _mp4,
    ".m4a": _mp4,
    ".avif": _mp4,
    ".webm": _matroska,
    ".mkv": _matroska,
    ".avi": _riff(b"AVI "),
    ".mpeg": _mpeg,
    ".mpg": _mpeg,
    ".png": _begins(b"\x89PNG\r\n\x1a\n"),
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".webp": _riff(b"WEBP"),
    ".gif": _begins(b"GIF87a", b"GIF89a"),
    ".tif": _tiff,
    ".tiff": _tiff,
    ".wav": _riff(b"WAVE"),
    ".flac": _begins(b"fLaC", b"ID3"),
    ".ogg": _begins(b"OggS"),
    ".opus": _begins(b"OggS"),
    ".glb": _begins(b"glTF"),
    ".zip": _begins(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"),
}


def problem(start: bytes, suffix: str) -> str | None:
    """What is wrong with a file that begins with ``start`` and is to be called ``….suffix``, as
    part of a sentence; None when nothing is, or when files of that kind begin in many ways."""
    begins = _KNOWN.get(suffix)
    if begins is None or begins(start):
        return None
    if _is_text(start):
        return f"it is text, and no {suffix[1:]} file"
    return f"it does not begin as a {suffix[1:]} file does"


def _is_text(start: bytes) -> bool:
    head = start[:LONGEST]
    for cut in range(4):
        try:
            # A character may be cut at the end.
            text = head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return all(character.isprintable() or character.isspace() for character in text)
    return False
