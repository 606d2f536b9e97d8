"""The folder that an export is written to: safe to interrupt, and to be told to go on.

Every file is made in a working folder beside its place and moved there whole. A journal names a
file before it appears, so that a later run knows which files are the export's own: it keeps those
that are right, replaces those that are not, and removes those that belong to it no more. What
anybody else put into the folder is left alone. ``SHA256SUMS`` is written last: where it is, the
export is complete.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from overnight.export.errors import ExportError

SUMS = "SHA256SUMS"
MARKER = ".overnight-export.json"
WORK = ".overnight-export"
CARD = "README.md"
_FORM = 1
"""The form of the marker; a later one may not be understood."""

_SUM = re.compile(r"([0-9a-f]{64})  (.+)")


class Target:
    """A folder that is being exported to. Use :func:`opened`."""

    def __init__(self, root: Path, request: dict[str, Any]) -> None:
        self.root = root
        self.work = root / WORK
        self._request = request
        self._sums: dict[str, str] = {}
        self._packed: dict[str, dict[str, Any]] = {}
        self._packed_before: dict[str, dict[str, Any]] = {}
        self._owned: set[str] = set()
        self._folders: set[Path] = set()
        self._number = 0
        self._journal: FileIO | None = None

    def path(self, name: str) -> Path:
        """Where the file of that name, relative to the folder and with slashes, belongs."""
        return self.root / name

    def scratch(self) -> Path:
        """A path in the working folder that nothing uses yet, on the folder's own file system."""
        self._number += 1
        return self.work / f"part-{self._number}"

    def claim(self, name: str) -> Path:
        """Note that ``name`` belongs to the export, and make its folder; before it appears.

        Raises :class:`ExportError` when somebody else's file is there.
        """
        path = self.path(name)
        if name not in self._owned:
            if os.path.lexists(path):
                raise ExportError(
                    f"{path} is in the way, and is not from this export. Move it elsewhere, then "
                    "type the same command again."
                )
            self._owned.add(name)
            self._note({"file": name})
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        return path

    def register(self, name: str, sha256: str) -> None:
        """``name`` is there, whole, with this content."""
        self._sums[name] = sha256

    def write(self, name: str, produce: Callable[[BinaryIO], None]) -> None:
        """Make a file with what ``produce`` writes, and put it in its place."""
        self.claim(name)
        part = self.scratch()
        with part.open("wb") as file:
            produce(file)
        self.settle(name, part)

    def settle(self, name: str, part: Path) -> None:
        """Put a finished file from the working folder in its place, which was claimed."""
        _sync(part)
        digest = digest_of(part)
        part.replace(self.path(name))
        self.register(name, digest)

    def keep_or_make(self, name: str, recipe: str, make: Callable[[Path], None]) -> None:
        """Make a file unless it is there already, from the same ``recipe``.

        ``recipe`` is a digest of everything that its bytes depend on; ``make`` is given a path to
        write it to.
        """
        known = self._packed_before.get(name)
        path = self.claim(name)
        if known is not None and known["recipe"] == recipe and _is(path, known):
            self._packed[name] = known
            self.register(name, known["sha256"])
            return
        part = self.scratch()
        make(part)
        _sync(part)
        digest = digest_of(part)
        facts = {"recipe": recipe, "bytes": part.stat().st_size, "sha256": digest}
        part.replace(path)
        self._packed[name] = facts
        self._note({"file": name, "packed": facts})
        self.register(name, digest)

    def finish(self) -> None:
        """Remove what belongs to the export no more, and say that it is complete."""
        for name in sorted(self._owned - set(self._sums)):
            self.path(name).unlink(missing_ok=True)
            _remove_empty(self.path(name).parent, self.root)
        for folder in self._folders:
            if folder.is_dir():
                _sync(folder)
        listed = "".join(f"{self._sums[name]}  {name}\n" for name in sorted(self._sums))
        self._put(SUMS, listed)
        self._put(MARKER, self._marker(self._packed))
        shutil.rmtree(self.work)

    # --- how it begins and how it is left ---------------------------------------------------------

    def begin(self) -> None:
        """Read what is there of an earlier run, and start a journal.

        Raises :class:`ExportError` when the folder holds something else.
        """
        self._require_ours()
        before = self._sums_before()
        self._owned = {*before, *self._journaled()}
        self.work.mkdir(exist_ok=True)
        for part in self.work.glob("part-*"):
            part.unlink()
        self._put(f"{WORK}/journal", self._lines())
        self._put(MARKER, self._marker(self._packed_before))
        self._journal = (self.work / "journal").open("ab", buffering=0)

    def change(self) -> None:
        """From here on files come and go, and the folder is not complete until :meth:`finish`."""
        (self.root / SUMS).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def _require_ours(self) -> None:
        marker = self.root / MARKER
        if not marker.exists():
            if any(one.name != WORK for one in self.root.iterdir()):
                raise ExportError(
                    f"{self.root} holds something else. Name an empty or a new folder with --to."
                )
            return
        try:
            read = json.loads(marker.read_text("utf-8"))
            form, request, packed = read["form"], read["request"], read["packed"]
        except (ValueError, KeyError, TypeError):
            raise ExportError(
                f"{marker} can't be read. Export to a new folder, or remove this one first."
            ) from None
        if form != _FORM or request != self._request:
            raise ExportError(
                f"{self.root} holds an export that was made with other choices "
                f"({_in_words(request)}). Repeat them, or name another folder with --to."
            )
        self._packed_before = dict(packed)

    def _sums_before(self) -> dict[str, str]:
        sums = self.root / SUMS
        if not sums.exists():
            return {}
        text = sums.read_text("utf-8", errors="replace")
        found = [match for match in map(_SUM.fullmatch, text.splitlines()) if match]
        names = {match[2]: match[1] for match in found if _inside(match[2])}
        card = self.root / CARD
        if CARD in names and card.is_file() and digest_of(card) != names[CARD]:
            raise ExportError(
                f"{card} was changed since the export, and would be written anew. Move your "
                "version out of the folder, repeat the command, and put it back."
            )
        return names

    def _journaled(self) -> Iterator[str]:
        journal = self.work / "journal"
        if not journal.exists():
            return
        for line in journal.read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be cut
                note = json.loads(line)
                if _inside(note["file"]):
                    yield note["file"]
                    if "packed" in note:
                        self._packed_before[note["file"]] = dict(note["packed"])

    def _lines(self) -> str:
        notes = []
        for name in sorted(self._owned):
            packed = self._packed_before.get(name)
            notes.append({"file": name} | ({} if packed is None else {"packed": packed}))
        return "".join(json.dumps(note) + "\n" for note in notes)

    def _note(self, note: dict[str, Any]) -> None:
        assert self._journal is not None
        self._journal.write(json.dumps(note).encode() + b"\n")

    def _marker(self, packed: dict[str, dict[str, Any]]) -> str:
        kept = {name: packed[name] for name in sorted(packed)}
        marker = {"form": _FORM, "request": self._request, "packed": kept}
        return json.dumps(marker, indent=1, ensure_ascii=False) + "\n"

    def _put(self, name: str, text: str) -> None:
        part = self.scratch()
        part.write_text(text, "utf-8", newline="\n")
        _sync(part)
        part.replace(self.root / name)


@contextmanager
def opened(root: Path, request: dict[str, Any]) -> Iterator[Target]:
    """The folder ``root``, made if need be and locked. Leaving with an error leaves what is there
    for the next run; a folder that got nothing is removed again.

    Raises :class:`ExportError` when it can't be used or another export is writing to it.
    """
    made = _make(root)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # What is there is the other one's, so nothing of it is tidied up.
            raise ExportError(f"Another export is writing to {root}. Wait for it to end.") from None
        with _tidied(root, made):
            target = Target(root, request)
            try:
                target.begin()
                yield target
            finally:
                target.close()
    finally:
        os.close(handle)


@contextmanager
def _tidied(root: Path, made: list[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _tidy(root, made)
        raise


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(root: Path) -> list[Path]:
    """Make the folder; the folders that had to be made, innermost first."""
    if root.is_symlink() and not root.exists():
        raise ExportError(f"{root} is a link that leads nowhere. Name another folder with --to.")
    if root.exists() and not root.is_dir():
        raise ExportError(f"{root} is a file. Name a folder with --to.")
    made = [one for one in (root, *root.parents) if not one.exists()]
    root.mkdir(parents=True, exist_ok=True)
    return made


def _tidy(root: Path, made: list[Path]) -> None:
    """Undo the beginning of an export that came to nothing."""
    journal = root / WORK / "journal"
    if (root / SUMS).exists():
        # An earlier export is still complete.
        shutil.rmtree(root / WORK, ignore_errors=True)
    elif journal.exists() and not journal.stat().st_size:
        shutil.rmtree(root / WORK)
        (root / MARKER).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in made:
            folder.rmdir()


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is(path: Path, facts: dict[str, Any]) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == facts["bytes"]
        and digest_of(path) == facts["sha256"]
    )


def _inside(name: str) -> bool:
    """Whether a name from a list that anybody may have edited stays in the folder."""
    parts = Path(name).parts
    return bool(parts) and not Path(name).is_absolute() and ".." not in parts


def _remove_empty(folder: Path, root: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _in_words(request: Any) -> str:
    if not isinstance(request, dict):
        return "by another version"
    told = [f"{name} {value}" for name, value in request.items() if value is not None]
    return ", ".join(told).replace("[", "").replace("]", "").replace("'", "")
