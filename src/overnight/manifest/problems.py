"""What is wrong in a manifest, where, and how it is shown to people.

Everything that is wrong is reported together, in the order of the file, each with its line and
column and the text in question underlined.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Where YAML's reader counts a new line."""
_WIDEST = 160
"""Characters of a source line that are shown; a prompt may be very long."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. ``line`` and ``column`` count characters from 1; both are 0 when the
    problem is the file as a whole, and the column is when it is the line. ``width`` is how many
    characters to underline. ``text`` is the line itself where the file is not the manifest; it is
    empty where the line is not to be shown."""

    file: str
    line: int
    column: int
    message: str
    hint: str | None = None
    width: int = 1
    text: str | None = None

    @property
    def place(self) -> str:
        """``jobs.yaml:7:3``; ``shots.csv:7`` for a line as a whole; or the file alone."""
        parts = [self.file, *(str(number) for number in (self.line, self.column) if number)]
        return ":".join(parts)


class ManifestError(Exception):
    """A manifest that can't be used. ``problems`` are in the order of the file, none twice."""

    def __init__(self, problems: Iterable[Problem], source: str | None = None) -> None:
        ordered = sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.column))
        self.problems: tuple[Problem, ...] = tuple(ordered)
        self.source = source
        super().__init__("\n".join(f"{p.place}: {p.message}" for p in self.problems))

    def pretty(self) -> str:
        """Every problem for people to read, a blank line between them."""
        return "\n\n".join(render_problem(problem, self.source) for problem in self.problems)


def render_problem(problem: Problem, source: str | None) -> str:
    """``file:line:column: message``, the source line with the text underlined, the hint.

    The line is left out where ``source``, the manifest's text, is None or has no such line.
    """
    parts = [f"{problem.place}: {problem.message}"]
    if problem.text is not None:
        parts += [f"    {_harmless(problem.text[:_WIDEST])}"] if problem.text else []
    elif source is not None and problem.line:
        lines = _LINE_BREAK.split(source)
        if problem.line <= len(lines):
            parts += _underlined(lines[problem.line - 1], problem.column - 1, problem.width)
    if problem.hint:
        parts.append(f"  hint: {problem.hint}")
    return "\n".join(parts)


def _underlined(line: str, start: int, width: int) -> list[str]:
    first = max(0, start - _WIDEST // 2) if len(line) > _WIDEST else 0
    window = line[first : first + _WIDEST]
    before = window[: start - first]
    marked = window[start - first : start - first + max(1, width)]
    padding = "".join("\t" if char == "\t" else " " * _columns(char) for char in before)
    marks = "^" * max(1, sum(_columns(char) for char in marked))
    return [f"    {_harmless(window)}", f"    {padding}{marks}"]


def _harmless(text: str) -> str:
    """Text without control characters, which a terminal would obey."""
    hidden = (char != "\t" and unicodedata.category(char) == "Cc" for char in text)
    return "".join("\ufffd" if hide else char for char, hide in zip(text, hidden, strict=True))


def _columns(char: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
