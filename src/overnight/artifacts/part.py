"""A file on its way: hidden under a temporary name, whole before it gets its own.

``clip.mp4`` is written as ``.clip.mp4.part`` in the same folder, flushed to the disk, and only
then linked to its name, which never replaces a file that is there. The part is locked while it is
written, so two runs can't write one: the second takes ``.clip.mp4~2.part``, because the first may
be frozen and never end. A part that a crash left behind has no lock, and is overwritten by the
next try. Everything here blocks: call it off the event loop.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


PARTS = 8
"""Parts of one file that may be written at the same time."""


class PartBusyError(Exception):
    """Too many others are writing the same file at this moment."""


class Part:
    """One file being written. OSErrors of the file system come through as they are."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._file: FileIO | None = None

    @property
    def sha256(self) -> str:
        """Of what has been written so far."""
        return self._digest.hexdigest()

    def open(self) -> None:
        """Start it, empty; make the folder where it is missing.

        Raises :class:`PartBusyError`.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, PARTS + 1):
            copy = "" if number == 1 else f"~{number}"
            self.path = self.target.with_name(f".{self.target.name}{copy}.part")
            try:
                self._file = _open_locked(self.path)
            except PartBusyError:
                if number == PARTS:
                    raise
            else:
                return

    def write(self, block: bytes) -> None:
        """Append ``block``, all of it."""
        assert self._file is not None
        left = memoryview(block)
        while left:
            left = left[self._file.write(left) :]
        self._digest.update(block)
        self.bytes += len(block)

    def publish(self) -> Path:
        """Make it durable under its own name, and say which name that became.

        A file that is there already is kept: when it holds the same bytes it is the answer (a
        crash came between this step and its record), otherwise the name gets ``~2``, ``~3``, ….
        """
        assert self._file is not None
        os.fsync(self._file.fileno())
        path, number = self.target, 1
        while not _give_name(self.path, path):
            if holds(path, self.bytes, self.sha256):
                break
            number += 1
            path = self.target.with_name(f"{self.target.stem}~{number}{self.target.suffix}")
        self.discard()
        _sync_folder(path.parent)
        return path

    def discard(self) -> None:
        """Remove the part and let go of it; does no harm twice."""
        if self._file is not None:
            # The name goes before the lock does, so that nobody opens what is about to vanish.
            with suppress(FileNotFoundError):
                self.path.unlink()
            self._file.close()
            self._file = None


def holds(path: Path, size: int, sha256: str) -> bool:
    """Whether ``path`` is a file that can be read and is exactly these bytes."""
    try:
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _open_locked(path: Path) -> FileIO:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = FileIO(os.open(path, flags, 0o666), "r+")
        try:
            _lock(file)
            if _is_ours(file, path):
                os.ftruncate(file.fileno(), 0)
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: FileIO) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PartBusyError("other downloads are writing this file") from None
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise


def _is_ours(file: FileIO, path: Path) -> bool:
    """Whether the locked file is still the one under ``path`` and under no other name.

    A crash between linking and unlinking leaves the part as a second name of the finished file:
    emptying it would empty that too.
    """
    held = os.fstat(file.fileno())
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    if not os.path.samestat(held, named):
        return False
    if held.st_nlink > 1:
        path.unlink()
        return False
    return True


def _give_name(part: Path, path: Path) -> bool:
    """Give the part's file ``path`` as its name; False when that is taken."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # No hard links on this file system: look, then rename. Names are unique to a job, so
        # only a stranger's file could slip in between.
        if path.exists() or path.is_symlink():
            return False
        part.rename(path)
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as exc:
        if exc.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some file systems can't
            raise
    finally:
        os.close(handle)
