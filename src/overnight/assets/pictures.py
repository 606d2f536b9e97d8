"""Pictures, where Pillow is installed: prove that one can be read whole, and scale it."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

HOW_TO_GET = 'pip install "overnight[fit]"'

_JPEG_QUALITY = 95
_JPEGS = frozenset({"JPEG", "MPO"})
"""Phones write MPO: a JPEG with a second picture behind it (depth, brightness), not one that moves.
Its name, its first bytes and its first picture are those of a JPEG."""
_PLAIN_MODES = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})


class PictureProblem(Exception):
    """A picture that can't be used; the text ends the sentence "the file …"."""


def is_installed() -> bool:
    """Whether pictures can be read here. Loads nothing."""
    return importlib.util.find_spec("PIL") is not None


def longest_side(path: Path) -> int | None:
    """The longer side of a picture in pixels, after its whole content was read once.

    0 for one that moves, which is never scaled; None for a kind of picture that Pillow does not
    read. Raises :class:`PictureProblem` for one that is cut off or damaged, or too large to be
    taken apart.
    """
    from PIL import Image, UnidentifiedImageError

    with _readable():
        try:
            image = Image.open(path)
        except UnidentifiedImageError:
            return None
        with image:
            longest = max(image.size)
            moves = image.format not in _JPEGS and getattr(image, "n_frames", 1) > 1
            if image.format == "PNG":
                image.verify()  # every chunk has a checksum, which is faster than to decode it
            else:
                image.draft("L", (1, 1))  # a JPEG is read whole, and decoded at an eighth
                image.load()
    return 0 if moves else longest


def scaled(content: bytes, max_side: int) -> bytes:
    """The picture with its longer side at ``max_side`` pixels: a JPEG for a JPEG, a PNG for any
    other, turned as its camera noted. Raises :class:`PictureProblem`."""
    from PIL import Image, ImageOps

    out = io.BytesIO()
    with _readable(), Image.open(io.BytesIO(content)) as opened:
        profile = opened.info.get("icc_profile")
        is_jpeg = opened.format in _JPEGS
        image = _plain(ImageOps.exif_transpose(opened))
        factor = max_side / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
        if is_jpeg:
            image.save(out, "JPEG", quality=_JPEG_QUALITY, icc_profile=profile)
        else:
            image.save(out, "PNG", icc_profile=profile)
    return out.getvalue()


def _plain(image: Image) -> Image:
    """The picture in a mode that can be resized."""
    if image.mode in _PLAIN_MODES:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


@contextmanager
def _readable() -> Iterator[None]:
    """Pillow's many errors as one. Raises :class:`PictureProblem`."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise PictureProblem("has too many pixels to be looked at") from None
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
            # Pillow says a broken PNG is a syntax error.
            raise PictureProblem("is damaged or cut off, and can't be read as a picture") from error
