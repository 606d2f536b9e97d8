"""A local file that jobs send along: read once, proven to be what it must be, hashed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from overnight.assets import kinds, pictures
from overnight.assets.kinds import Kind
from overnight.assets.pictures import PictureProblem
from overnight.assets.reference import Reference

_CHUNK = 1024 * 1024


class LocalFileProblem(Exception):
    """A file that can't be sent. The text reads on from the input's or the file's name."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when it was looked at. ``path`` is absolute, ``size`` in bytes;
    ``longest_side`` in pixels: 0 of a picture that moves, None where nobody knows it."""

    path: Path
    size: int
    sha256: str
    kind: Kind
    longest_side: int | None = None

    def reference(self, max_side: int | None = None) -> Reference:
        """What a job calls it. ``max_side`` is the most pixels that a side of a picture may have;
        a smaller picture is sent as it is, and so is one that moves. Raises
        :class:`LocalFileProblem` for one that can't be measured."""
        as_it_is = Reference(self.sha256, self.kind.suffix)
        if max_side is None:
            return as_it_is
        if self.longest_side is None:
            what = f"is a {self.kind.suffix[1:]} picture that can't be read here, and so not scaled"
            raise LocalFileProblem(what, "save it as a PNG or a JPEG, or leave out assets.fit")
        if self.longest_side <= max_side:
            return as_it_is
        kind = self.kind if self.kind == kinds.JPEG else kinds.PNG
        return Reference(self.sha256, kind.suffix, max_side)


def look(path: Path) -> LocalFile:
    """Read a file once, and prove that it is an image, a video or a sound. Raises
    :class:`LocalFileProblem`."""
    digest = hashlib.sha256()
    start = b""
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                start = start or chunk[: kinds.LONGEST]
                size += len(chunk)
                digest.update(chunk)
    except (OSError, ValueError):
        raise unreadable(path) from None
    if not size:
        raise LocalFileProblem("is an empty file")
    kind = kinds.kind(start)
    if kind is None:
        message = "is a local file, and no image, video or sound that is known here"
        raise LocalFileProblem(message, "check that the file is what its name says")
    return LocalFile(path, size, digest.hexdigest(), kind, _longest_side(path, kind))


def _longest_side(path: Path, kind: Kind) -> int | None:
    if kind.media != "image" or not pictures.is_installed():
        return None
    try:
        return pictures.longest_side(path)
    except PictureProblem as problem:
        raise LocalFileProblem(str(problem), "open it, and save it again") from None


def stamp(path: Path) -> tuple[int, int]:
    """When a file was changed last (nanoseconds) and its size in bytes. Raises
    :class:`LocalFileProblem` where there is no file that can be read."""
    try:
        found = path.stat()
        if path.is_file() and os.access(path, os.R_OK):
            return found.st_mtime_ns, found.st_size
    except FileNotFoundError:
        raise LocalFileProblem("is a local path, and there is no such file") from None
    except (OSError, ValueError):
        pass
    raise unreadable(path)


def unreadable(path: Path) -> LocalFileProblem:
    """What to say of a path that is there, and can't be read."""
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    what = "is a folder, not a file" if is_folder else "is a local file that can't be read"
    return LocalFileProblem(what, "check the path and its permissions")
