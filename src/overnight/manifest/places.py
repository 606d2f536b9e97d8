"""Where a value stands, so that what is wrong with it can be told there: in the manifest itself,
or in a file that the manifest names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from overnight.manifest.problems import Problem
from overnight.manifest.template import mention
from overnight.manifest.yaml12 import Document, Span, Trail


class Place(Protocol):
    """Somewhere a problem can be."""

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """A problem with the value that stands here."""
        ...

    def at_name(self, name: str, message: str, hint: str | None = None) -> Problem:
        """A problem with a name inside the template that stands here."""
        ...

    def character(self, text: str, column: int) -> Place:
        """Where a character of the ``text`` that stands here is, as near as that can be said."""
        ...


@dataclass(frozen=True, slots=True)
class InManifest:
    """A value of the manifest."""

    document: Document
    span: Span

    def problem(self, message: str, hint: str | None = None) -> Problem:
        return self.document.problem(self.span, message, hint)

    def at_name(self, name: str, message: str, hint: str | None = None) -> Problem:
        return self.document.problem(self.document.find(self.span, mention(name)), message, hint)

    def character(self, text: str, column: int) -> InManifest:
        """Where a character of the value's ``text`` stands, counted from 1; the value as a whole
        where that can't be said, because the file writes it in another way."""
        source, span = self.document.text, self.span
        start = span.start + (source[span.start : span.start + 1] in ("'", '"'))
        before = source[start : start + column - 1]
        if not column or not text.startswith(before) or "\n" in before:
            return self
        here = start + column - 1
        found = Span(here, here + 1, span.line, span.column + here - span.start)
        return InManifest(self.document, found)


@dataclass(frozen=True, slots=True)
class InFile:
    """A line, counted from 1, of another file; 0 is the file as a whole. ``text`` is the line, if
    it is at hand."""

    file: Path
    line: int
    text: str = ""

    def problem(self, message: str, hint: str | None = None) -> Problem:
        return Problem(str(self.file), self.line, 0, message, hint, text=self.text)

    def at_name(self, name: str, message: str, hint: str | None = None) -> Problem:
        return self.problem(message, hint)

    def character(self, text: str, column: int) -> InFile:
        return self


class Reporter:
    """Keeps what is wrong with a document in ``problems``, and what is worth saying in ``notes``.

    With ``whole`` False a part of the document was unusable and left out; then nothing is to be
    called missing or unused, because it may only have been misspelt.
    """

    def __init__(self, document: Document, *, whole: bool) -> None:
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.whole = whole
        self._document = document

    def like(self) -> Reporter:
        """Another reporter for the same document, with nothing in it."""
        return Reporter(self._document, whole=self.whole)

    def at_key(self, trail: Trail, message: str, hint: str | None = None) -> None:
        """A problem at a key."""
        self.problems.append(self.key_place(trail).problem(message, hint))

    def at_value(self, trail: Trail, message: str, hint: str | None = None) -> None:
        """A problem at a value."""
        self.problems.append(self.value_place(trail).problem(message, hint))

    def value_place(self, trail: Trail) -> Place:
        """Where a value stands."""
        return InManifest(self._document, self._document.values[trail])

    def column_place(self, trail: Trail, column: int | None) -> Place:
        """Where a character of a text stands, counted from 1."""
        document = self._document
        value: Any = document.data
        for step in trail:
            value = value[step]
        return InManifest(document, document.values[trail]).character(str(value), column or 0)

    def key_place(self, trail: Trail) -> Place:
        """Where a key stands; the first key of what the trail leads to, where it has none."""
        keys, values = self._document.keys, self._document.values
        span = keys.get(trail)
        if span is None:
            below = next((key for key in keys if key[: len(trail)] == trail), None)
            span = values[trail] if below is None else keys[below]
        return InManifest(self._document, span)

    def has_key(self, trail: Trail) -> bool:
        """Whether the document has this key."""
        return trail in self._document.keys

    def line(self, trail: Trail) -> int:
        """The line of a key, or else of a value."""
        return (self._document.keys.get(trail) or self._document.values[trail]).line
