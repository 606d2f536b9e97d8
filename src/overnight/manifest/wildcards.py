"""Wildcard files: the lists of words that ``__name__`` in a dynamic prompt stands for.

They are ``.txt`` files in a folder, at any depth. A name is a file's path in the folder without
its suffix (``colors/warm``), or the end of it where only one file has that end (``warm``); ``*``
stands for any characters, and takes the lines of every file that fits, in the order of their names.

Each line is a value. Blank lines and lines that begin with ``#`` are left out, and spaces around a
value too. The text is UTF-8.
"""

from __future__ import annotations

import os
import unicodedata
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from overnight.catalog import nearest
from overnight.manifest.variants import Choice

MOST_FILES = 10_000
"""Files in the folder."""
MOST_LINES = 100_000
"""Values of one wildcard, and lines of one file."""
MOST_VALUES = 300_000
"""Values of all files that one manifest uses; each becomes an object."""
LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of one file."""
MOST_BYTES = 32 * 1024 * 1024
"""Bytes of all files that one manifest uses."""


class WildcardProblem(Exception):
    """A wildcard that can't be used. The text is a sentence for people. ``file`` and ``line``
    (from 1) are where it is wrong, when that is in a file; 0 is the file as a whole."""

    def __init__(
        self, message: str, hint: str | None = None, *, file: Path | None = None, line: int = 0
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.file = file
        self.line = line


class Value(NamedTuple):
    """A line of a wildcard file."""

    text: str
    file: Path
    line: int


class Wildcards:
    """The wildcards of one folder. Files are read when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trees: dict[str, Choice] = {}
        """What has been made of each name already; files lead to one another many times over."""
        self._files: dict[str, Path] | None = None
        self._read: dict[Path, list[Value]] = {}
        self._bytes = 0
        self._count = 0

    def values(self, name: str) -> list[Value]:
        """What a wildcard stands for, at least one value. Raises :class:`WildcardProblem`."""
        found = [value for path in self._paths(name) for value in self._lines(path)]
        if not found:
            raise WildcardProblem(
                f'the wildcard "{name}" has no values', "write one value on each line of its file"
            )
        if len(found) > MOST_LINES:
            message = f'the wildcard "{name}" has {len(found):,} values; {MOST_LINES:,} are allowed'
            raise WildcardProblem(message)
        return found

    def sources(self) -> tuple[Path, ...]:
        """The files that have been read, sorted."""
        return tuple(sorted(self._read))

    def _paths(self, name: str) -> list[Path]:
        files = self._names()
        wanted = unicodedata.normalize("NFC", name)
        if "*" in wanted:
            found = [path for known, path in files.items() if fnmatchcase(known, wanted)]
        elif wanted in files:
            return [files[wanted]]
        else:
            ends = [known for known in files if known.endswith(f"/{wanted}")]
            if len(ends) > 1:
                hint = f"write the folder too: {' or '.join(f'__{end}__' for end in ends[:3])}"
                raise WildcardProblem(f'there are {len(ends)} wildcards "{name}"', hint)
            found = [files[end] for end in ends]
        if not found:
            raise self._missing(name, files)
        return found

    def _missing(self, name: str, files: dict[str, Path]) -> WildcardProblem:
        short = {known.rpartition("/")[2]: known for known in reversed(files)}
        close = nearest(name, [*files, *short])
        if close is not None:
            hint = f"did you mean __{close}__?"
        elif files:
            hint = f"there are {', '.join(list(files)[:10])}{', …' if len(files) > 10 else ''}"
        else:
            hint = f"put {name}.txt into the folder {self.folder}"
        return WildcardProblem(f'there is no wildcard "{name}"', hint)

    def _names(self) -> dict[str, Path]:
        """Every file by its name, sorted."""
        if self._files is None:
            found: dict[str, Path] = {}
            # Links to folders are not followed: they can lead round in a circle.
            for folder, _, files in os.walk(self.folder):
                for file in files:
                    path = Path(folder, file)
                    if path.suffix.lower() == ".txt":
                        name = path.relative_to(self.folder).with_suffix("").as_posix()
                        found[unicodedata.normalize("NFC", name)] = path
                if len(found) > MOST_FILES:
                    message = f"the folder {self.folder} has more than {MOST_FILES:,} wildcards"
                    raise WildcardProblem(message)
            self._files = dict(sorted(found.items()))
        return self._files

    def _lines(self, path: Path) -> list[Value]:
        if path not in self._read:
            values = _values(path, self._text(path))
            self._count += len(values)
            if self._count > MOST_VALUES:
                message = f"the wildcard files have more than {MOST_VALUES:,} values together"
                raise WildcardProblem(message, file=path)
            self._read[path] = values
        return self._read[path]

    def _text(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            message = f"the wildcard file can't be read ({error.strerror})"
            raise WildcardProblem(message, file=path) from None
        self._bytes += len(content)
        if len(content) > LARGEST_FILE:
            message = f"the wildcard file has more than {LARGEST_FILE // 1024**2} MiB"
            raise WildcardProblem(message, file=path)
        if self._bytes > MOST_BYTES:
            message = f"the wildcard files have more than {MOST_BYTES // 1024**2} MiB together"
            raise WildcardProblem(message, file=path)
        return content


def _values(path: Path, content: bytes) -> list[Value]:
    values = []
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if text.count(b"\n") > MOST_LINES:
        raise WildcardProblem(f"the wildcard file has more than {MOST_LINES:,} lines", file=path)
    for number, line in enumerate(text.split(b"\n"), 1):
        try:
            value = line.decode().strip()
        except UnicodeDecodeError:
            message, hint = "the line is not UTF-8", "save the file as UTF-8"
            raise WildcardProblem(message, hint, file=path, line=number) from None
        if "\0" in value:
            message, hint = "the line has a NUL character in it", "save the file as UTF-8"
            raise WildcardProblem(message, hint, file=path, line=number)
        if value and not value.startswith("#"):
            values.append(Value(value, path, number))
    return values
