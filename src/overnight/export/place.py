"""Bringing one file into the export: proven to be what was downloaded, linked or copied, whole.

A file is compared with the size and the SHA-256 that were recorded when it came home. What is in
its place already and right is kept, which is how an interrupted export goes on. A hard link is made
where the file system allows it, a copy elsewhere; a symbolic link never is, because a data set must
not depend on another folder. What is in a bucket is copied from there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol

from overnight.export import remote
from overnight.export.errors import LeftOut
from overnight.export.report import CHANGED, MISSING
from overnight.export.target import digest_of

KEPT = "kept"
LINKED = "linked"
COPIED = "copied"

_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES}
"""What the system says when two places can't share a file."""

_CHUNK = 1 << 20


def source_of(file: dict[str, Any]) -> Path:
    """Where a recorded file is on this machine; it may be a link to it.

    Raises :class:`LeftOut` when it is not there, or has another size than was recorded.
    """
    path = Path(file["path"])
    try:
        found = path.stat()
    except OSError:
        raise LeftOut(MISSING, "there is no such file") from None
    if not S_ISREG(found.st_mode):
        raise LeftOut(MISSING, "it is not a file")
    if found.st_size != file["bytes"]:
        raise LeftOut(CHANGED, f"{found.st_size} bytes, {file['bytes']} were downloaded")
    return path


def prove(file: dict[str, Any]) -> None:
    """Make sure that the file is what was recorded. Raises :class:`LeftOut`, and
    :class:`~overnight.export.errors.ExportError` when its store can't be asked."""
    address = remote.address_of(file)
    if address is not None:
        remote.prove(file, address)
    else:
        _require(_digest(source_of(file)), file)


def bring(file: dict[str, Any], place: Path, scratch: Path, *, copy: bool) -> str:
    """Put a recorded file at ``place``; says how. ``scratch`` is an unused path beside it.

    Raises :class:`LeftOut` when the file is not what was recorded.
    """
    if _is_right(place, file) and not (copy and _is_shared(place, file)):
        return KEPT
    if copy or remote.address_of(file) is not None:
        return _copied(file, place, scratch)
    prove(file)
    source = source_of(file)
    try:
        # Whatever is in its place is wrong, or it would have been kept.
        place.unlink(missing_ok=True)
        # The system would make a link to a link of it.
        real = source.resolve() if source.is_symlink() else source
        os.link(real, place, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _copied(file, place, scratch)
    return LINKED


class Source(Protocol):
    """Something to read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class Reader:
    """A file that is hashed as it is read, for whatever takes something to read from."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self._digest.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        """The SHA-256, in hexadecimal, of what has been read."""
        return self._digest.hexdigest()


@contextmanager
def proven(file: dict[str, Any]) -> Iterator[Reader]:
    """A recorded file to read to its end. Raises :class:`LeftOut`, on leaving at the latest, when
    it is not what was recorded: it was changed since it was proven."""
    address = remote.address_of(file)
    with contextlib.ExitStack() as stack:
        source: Source
        if address is None:
            source = stack.enter_context(source_of(file).open("rb"))
        else:
            source = remote.Stream(address)
        reader = Reader(source)
        yield reader
        _require(reader.sha256, file)


def _copied(file: dict[str, Any], place: Path, scratch: Path) -> str:
    try:
        with scratch.open("wb") as part:
            with proven(file) as reader:
                shutil.copyfileobj(reader, part, _CHUNK)
            part.flush()
            os.fsync(part.fileno())
        scratch.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise
    return COPIED


def _is_right(place: Path, file: dict[str, Any]) -> bool:
    try:
        found = place.lstat()
    except OSError:
        return False
    if not S_ISREG(found.st_mode) or found.st_size != file["bytes"]:
        return False
    return digest_of(place) == str(file["sha256"])


def _is_shared(place: Path, file: dict[str, Any]) -> bool:
    """Whether what is in the place is the recorded file itself, under a second name."""
    try:
        return place.samefile(file["path"])
    except OSError:
        return False


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except FileNotFoundError:
        raise LeftOut(MISSING, "there is no such file") from None


def _require(digest: str, file: dict[str, Any]) -> None:
    if digest != file["sha256"]:
        raise LeftOut(CHANGED, "its SHA-256 is not that of what was downloaded")
