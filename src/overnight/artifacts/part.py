"""A file on its way: hidden under a temporary name, whole before it gets its own.

``clip.mp4`` is written as ``.clip.mp4.part`` in the same folder, flushed to the disk, and only
then linked to its name, which never replaces a file that is there. The part is locked while it is
written, so two runs can't write one: the second takes ``.clip.mp4~2.part``, because the first may
be frozen and never end. Everything here blocks: call it off the event loop.

Where the server says which version of the file it sends, a note beside the part keeps that, and a
part that a cut or a crash left behind is gone on with. It is taken for what it says only in the
same life of the machine: after a power failure its last blocks may never have reached the disk.
Such a part stays as a second name of the finished file until :func:`forget`, so that a crash
between naming a file and recording it does not fetch it again. A part without a note is worth
nothing to anybody else, and is overwritten by the next try.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from io import FileIO
from pathlib import Path

import psutil

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_BLOCK = 1024 * 1024
_LOOSE = 16
"""Pieces up to which each is written from where it is; a slow line brings small ones, and many."""


PARTS = 8
"""Parts of one file that may be written at the same time."""


class PartBusyError(Exception):
    """Too many others are writing the same file at this moment."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes a server sends: how many in all, and its own mark for them, which changes when
    they do (a strong ETag, or a Last-Modified date)."""

    total: int
    validator: str


class Part:
    """One file being written. OSErrors of the file system come through as they are.

    With ``read_again`` somebody reads it before it gets its name, and memory keeps it until then.
    """

    def __init__(self, target: Path, *, read_again: bool = False) -> None:
        self.target = target
        self._read_again = read_again
        self.path = target.with_name(f".{target.name}.part")
        self.bytes = 0
        self.version: Version | None = None
        """What the part is of, where that can be proved later; then it may be gone on with."""
        self.finished: Path | None = None
        """The finished file, where this turned out to be a second name of it."""
        self._digest = hashlib.sha256()
        self._file: FileIO | None = None

    @property
    def sha256(self) -> str:
        """Of what has been written so far."""
        return self._digest.hexdigest()

    def open(self, version: Version | None = None) -> None:
        """Lock it, and make the folder where it is missing. It is empty, except where one of the
        same ``version`` was left: then ``bytes`` says how far that had come.

        Raises :class:`PartBusyError`.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, PARTS + 1):
            self.path = _part_of(self.target, number)
            try:
                self._file = self._locked(version)
            except PartBusyError:
                if number == PARTS:
                    raise
            else:
                break
        if version is None or not self._goes_on(version):
            self.restart(version)

    def restart(self, version: Version | None) -> None:
        """Make it empty; what comes is of ``version``."""
        assert self._file is not None
        note = _note_of(self.path)
        # The old note goes before the bytes do, and the new one comes before any byte of its own.
        note.unlink(missing_ok=True)
        self._file.seek(0)
        os.ftruncate(self._file.fileno(), 0)
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.version = version
        if version is not None:
            _write_note(note, version)

    def tail(self, length: int) -> bytes:
        """The last ``length`` bytes, or all there are."""
        assert self._file is not None
        length = min(length, self.bytes)
        return os.pread(self._file.fileno(), length, self.bytes - length)

    def write(self, *pieces: bytes) -> None:
        """Append ``pieces``, all of each."""
        assert self._file is not None
        length = sum(map(len, pieces))
        if len(pieces) > _LOOSE:
            pieces = (b"".join(pieces),)
        _append(self._file, pieces, length)
        for piece in pieces:
            self._digest.update(piece)
        start = self.bytes if self._read_again else 0
        self.bytes += length
        _let_go(self._file, start, self.bytes)

    def publish(self) -> Path:
        """Make it durable under its own name, and say which name that became.

        A file that is there already is kept: when it holds the same bytes it is the answer (a
        crash came between this step and its record), otherwise the name gets ``~2``, ``~3``, ….
        """
        assert self._file is not None
        os.fsync(self._file.fileno())
        _let_go(self._file, 0, self.bytes)
        path, number = self.target, 1
        while not _give_name(self.path, path):
            if holds(path, self.bytes, self.sha256):
                break
            number += 1
            path = _numbered(self.target, number)
        if self.version is None or not _is_same(self.path, path):
            self.discard()
        else:
            self._close()
        _sync_folder(path.parent)
        return path

    def leave(self) -> None:
        """Let go of it, and keep it where somebody can go on with it; does no harm twice."""
        # Where the file is home, somebody else has brought it: nobody will go on with this one.
        is_home = self.finished is None and self.target.exists()
        if self.version is None or not self.bytes or is_home:
            self.discard()
        else:
            self._close()

    def discard(self) -> None:
        """Remove the part and let go of it; does no harm twice."""
        if self._file is not None:
            # The names go before the lock does, so that nobody opens what is about to vanish.
            _note_of(self.path).unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _locked(self, version: Version | None) -> FileIO:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = FileIO(os.open(self.path, flags, 0o666), "r+")
            try:
                _lock(file)
                if self._is_ours(file, version):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _is_ours(self, file: FileIO, version: Version | None) -> bool:
        """Whether the locked file is still the one under ``path`` and under no other name.

        A part that a crash left as a second name of a finished file is only kept when it is that
        of ``version``: emptying it would empty the finished one too.
        """
        held = os.fstat(file.fileno())
        try:
            named = self.path.lstat()
        except FileNotFoundError:
            return False
        if not os.path.samestat(held, named):
            return False
        if held.st_nlink > 1:
            self.finished = self._finished(held.st_size, version)
            if self.finished is None:
                self.path.unlink()
                return False
        return True

    def _finished(self, size: int, version: Version | None) -> Path | None:
        if version is None or size != version.total or _read_note(_note_of(self.path)) != version:
            return None
        for number in range(1, PARTS + 1):
            path = _numbered(self.target, number)
            if _is_same(self.path, path):
                return path
        return None

    def _goes_on(self, version: Version) -> bool:
        """Take up what is there, if it is the beginning of ``version``."""
        assert self._file is not None
        size = os.fstat(self._file.fileno()).st_size
        if not 0 < size <= version.total or _read_note(_note_of(self.path)) != version:
            return False
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            self._digest.update(block)
            self.bytes += len(block)
        self.version = version
        return True


def holds(path: Path, size: int, sha256: str) -> bool:
    """Whether ``path`` is a file that can be read and is exactly these bytes."""
    try:
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def forget(path: Path) -> None:
    """Remove the parts of the finished file ``path`` that nobody writes: it is recorded now."""
    for part in _parts_of(path):
        # Hardly ever there is one: that is told by one call for each, before anything is opened.
        if os.path.lexists(part) and (_is_same(part, path) or _is_idle(part)):
            with suppress(OSError):
                _note_of(part).unlink(missing_ok=True)
                part.unlink(missing_ok=True)


def _is_idle(part: Path) -> bool:
    """Whether there is such a part, left by somebody who writes it no more."""
    try:
        with FileIO(os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- names ----------------------------------------------------------------------------------------

_NOTE = ".json"
_NUMBERED = re.compile(r"~\d+$")


def _part_of(target: Path, number: int) -> Path:
    copy = "" if number == 1 else f"~{number}"
    return target.with_name(f".{target.name}{copy}.part")


def _numbered(target: Path, number: int) -> Path:
    if number == 1:
        return target
    return target.with_name(f"{target.stem}~{number}{target.suffix}")


def _parts_of(path: Path) -> Iterator[Path]:
    """Where parts of ``path`` may be: it may have got a number because its name was taken."""
    targets = {path, path.with_name(_NUMBERED.sub("", path.stem) + path.suffix)}
    for target in targets:
        yield from (_part_of(target, number) for number in range(1, PARTS + 1))


def _is_same(part: Path, path: Path) -> bool:
    try:
        return os.path.samestat(part.lstat(), path.lstat())
    except OSError:
        return False


# --- notes ----------------------------------------------------------------------------------------


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + _NOTE)


@cache
def _boot() -> float:
    """When this machine was started: another value, another life. It is one for a whole process."""
    return psutil.boot_time()


def _write_note(note: Path, version: Version) -> None:
    note.write_text(json.dumps(asdict(version) | {"boot": _boot()}), "utf-8")


def _read_note(note: Path) -> Version | None:
    """What a part is of; None when nobody can tell, or when it was written before a restart."""
    try:
        said = json.loads(note.read_text("utf-8"))
        if said["boot"] != _boot():
            return None
        return Version(int(said["total"]), str(said["validator"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


# --- the file system ------------------------------------------------------------------------------


def _lock(file: FileIO) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PartBusyError("other downloads are writing this file") from None
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise


def _give_name(part: Path, path: Path) -> bool:
    """Give the part's file ``path`` as its name; False when that is taken."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        # A crash came between the two names, and this is the file itself.
        return _is_same(part, path)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # No hard links on this file system: look, then rename. Names are unique to a job, so
        # only a stranger's file could slip in between.
        if path.exists() or path.is_symlink():
            return False
        part.rename(path)
    return True


def _append(file: FileIO, pieces: Sequence[bytes], length: int) -> None:
    """Write ``pieces``, ``length`` bytes together, all of them.

    In one call: after each a thread has to wait for Python's lock.
    """
    written = os.writev(file.fileno(), pieces)
    if written < length:  # at a limit of the disk's, or of a file's size: the next call says which
        left = memoryview(b"".join(pieces))[written:]
        while left:
            left = left[os.write(file.fileno(), left) :]


def _let_go(file: FileIO, start: int, end: int) -> None:
    """Let what was written between ``start`` and ``end`` be on its way to the disk, so that the
    flush at the end of the file finds little left to wait for; and let memory go that holds what
    the disk has by now. Advice only: nothing relies on it.

    A night's files would else push everything out of memory that this machine had in use, for pages
    that nobody reads; and memory that is a virtual machine's its host may be slow to give.
    """
    if sys.platform == "linux":
        # Linux starts to write such pages out, and drops only those that are on the disk already.
        with suppress(OSError):
            os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as exc:
        if exc.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some file systems can't
            raise
    finally:
        os.close(handle)
