"""What a file is called in the data set: as in the batch's folder, flat, and never twice.

A name is the file's path below its batch's folder with ``-`` for each separator. Loaders look for
files by patterns and tell samples apart by names, so characters that mean something to either are
replaced. Two names that differ in case only would be one file on some systems; the later one gets
digits of its fingerprint.
"""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path, PurePath

from overnight.export.entry import Entry

LONGEST = 200
"""Bytes of a name in UTF-8."""

_FORBIDDEN = set('<>:"/\\|?*[]{}')
_DIGITS = 8


def suffix_of(path: str) -> str:
    """A file's suffix in lower case; ``.bin`` without one."""
    return PurePath(path).suffix.lower() or ".bin"


class FileNames:
    """Names for the files of one export. ``dots``: whether a name may have one before its suffix;
    in a tar, all that follows the first one counts as suffix."""

    def __init__(self, *, dots: bool) -> None:
        self._dots = dots
        self._taken: set[bytes] = set()

    def give(self, entry: Entry) -> str:
        """The name of the entry's file, which has one; the same as long as no earlier entry comes
        to want it."""
        assert entry.file is not None
        path = entry.file["path"]
        suffix = _safe(suffix_of(path), dots=True)
        stem = self._stem(path, entry.folder)
        fingerprint = str(entry.row["fingerprint"])
        position = entry.row["position"]
        for ending in ("", f"-{fingerprint[:_DIGITS]}", f"-{fingerprint}-{position}"):
            name = _fitted(stem, ending, suffix)
            if self._take(name):
                return name
        mark = hashlib.sha256(f"{entry.row['batch']}\n{path}".encode("utf-8", "replace"))
        name = _fitted(stem, f"-{mark.hexdigest()}", suffix)
        self._take(name)
        return name

    def _stem(self, path: str, folder: str) -> str:
        whole, base = Path(path), Path(folder)
        inside = whole.relative_to(base) if whole.is_relative_to(base) else Path(whole.name)
        *folders, last = inside.parts or (whole.name,)
        stem = "-".join((*folders, PurePath(last).stem))
        return _safe(stem, dots=self._dots) or "file"

    def _take(self, name: str) -> bool:
        # A short digest of each name, so that a million of them fit into memory.
        mark = hashlib.sha256(name.casefold().encode("utf-8")).digest()[:12]
        if mark in self._taken:
            return False
        self._taken.add(mark)
        return True


def _safe(text: str, *, dots: bool) -> str:
    # Names from the system may hold bytes that are no text.
    plain = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    kept = "".join("_" if _odd(character, dots=dots) else character for character in plain)
    return kept.strip(" ") if dots else kept.strip(" .")


def _odd(character: str, *, dots: bool) -> bool:
    if character in _FORBIDDEN or (character == "." and not dots):
        return True
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _fitted(stem: str, ending: str, suffix: str) -> str:
    room = LONGEST - len((ending + suffix).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").lstrip(".") + ending + suffix
