"""What the levels of a manifest write themselves, and how a block inherits from the top level.

A block has what the top level has, and what it writes itself wins, input by input; a raw name and
its alias are the same input. Tags add up and rules follow one another; a table, groups of a zip
and everything else a block writes takes the place of the top level's as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.catalog import AmbiguousAlias, Model
from overnight.manifest.places import Reporter
from overnight.manifest.shapes import BlockShape
from overnight.manifest.yaml12 import Trail


@dataclass(frozen=True, slots=True)
class Entry:
    """A name as somebody wrote it, with its value. ``raw`` is None when no input has the name."""

    word: str
    raw: str | None
    value: Any
    trail: Trail

    @property
    def identity(self) -> str:
        return self.raw or self.word


@dataclass(slots=True)
class Level:
    """What one level writes: constants, axes, and the groups of its zip (None: no zip at all)."""

    constants: list[Entry] = field(default_factory=list)
    axes: list[Entry] = field(default_factory=list)
    groups: list[list[Entry]] | None = None

    def zipped(self) -> Iterable[Entry]:
        """The axes of every group."""
        return (entry for group in self.groups or () for entry in group)


@dataclass(slots=True)
class Draft:
    """A block while it is put together: entries by identity, the top level's under its own."""

    constants: dict[str, Entry] = field(default_factory=dict)
    axes: dict[str, Entry] = field(default_factory=dict)
    groups: list[list[Entry]] = field(default_factory=list)

    def overlay(self, level: Level) -> None:
        """Put a level's entries over what is there. An axis that replaces one keeps its place."""
        if level.groups is not None:
            self.groups = level.groups
        for entry in level.constants:
            self.axes.pop(entry.identity, None)
            self.constants[entry.identity] = entry
        for entry in level.axes:
            self.constants.pop(entry.identity, None)
            self.axes[entry.identity] = entry
        for entry in level.zipped():
            self.constants.pop(entry.identity, None)
            self.axes.pop(entry.identity, None)

    def zipped(self) -> dict[str, Entry]:
        """The axes of every group, by identity."""
        return {entry.identity: entry for group in self.groups for entry in group}

    def varying(self) -> dict[str, Entry]:
        """Every axis, in a group or not."""
        return {**self.zipped(), **self.axes}

    def clashes(self) -> Iterable[tuple[Entry, Entry]]:
        """Inputs and axes of the block that an inherited zip has as well, with the zip's entry."""
        zipped = self.zipped()
        for name, entry in {**self.constants, **self.axes}.items():
            if name in zipped:
                yield entry, zipped[name]


def entries(
    model: Model, written: Mapping[str, Any], trail: Trail, reporter: Reporter
) -> list[Entry]:
    """A mapping's entries with their names resolved. A name that two inputs could have is told."""
    found = []
    for word, value in written.items():
        try:
            found.append(Entry(word, model.resolve(word), value, (*trail, word)))
        except AmbiguousAlias as error:
            reporter.at_key((*trail, word), str(error))
    return found


def read_level(model: Model, block: BlockShape, trail: Trail, reporter: Reporter) -> Level:
    """What one level writes itself. The same input twice is told, and the first counts."""
    first: dict[str, Trail] = {}

    def once(found: list[Entry]) -> list[Entry]:
        kept = []
        for entry in found:
            if entry.identity in first:
                told_twice(entry, first[entry.identity], reporter)
                continue
            first[entry.identity] = entry.trail
            kept.append(entry)
        return kept

    level = Level(
        once(entries(model, block.inputs, (*trail, "inputs"), reporter)),
        once(entries(model, block.matrix, (*trail, "matrix"), reporter)),
    )
    if block.zip is not None:
        level.groups = [
            once(entries(model, group, (*trail, "zip", at), reporter))
            for at, group in enumerate(block.zip)
        ]
    return level


def told_twice(entry: Entry, first: Trail, reporter: Reporter) -> None:
    """Tell that a block has an input in two places."""
    line = reporter.line(first)
    message = f'"{entry.word}" is given twice; line {line} has it as "{first[-1]}"'
    hint = "an input stands under inputs, matrix or zip, once, by one of its names"
    reporter.at_key(entry.trail, message, hint)
