"""From a manifest's shape to checked blocks: inheritance, names, values, templates.

A block has what the top level has, and what it writes itself wins, input by input; a raw name and
its alias are the same input. Every problem is noted at its own place and all are reported
together, so nothing is expanded before all of it is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.catalog import AmbiguousAlias, Catalog, Model, SchemaError, UnknownModel, nearest
from overnight.manifest.checks import Checker
from overnight.manifest.expand import Axis, Block, Choice
from overnight.manifest.problems import Problem
from overnight.manifest.schema import BlockShape, ManifestShape
from overnight.manifest.template import Template, mention
from overnight.manifest.yaml12 import Document, Trail

DEFAULT_PROVIDER = "runcomfy"
"""Whose API the jobs are for, in fingerprints and in the database."""
MAX_JOBS = 1_000_000
"""The most jobs of one manifest."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name as somebody wrote it, with its value. ``raw`` is None when no input has the name."""

    word: str
    raw: str | None
    value: Any
    trail: Trail

    @property
    def identity(self) -> str:
        return self.raw or self.word


@dataclass(slots=True)
class _Draft:
    """A block while it is put together: entries by identity, the top level's under its own."""

    constants: dict[str, _Entry] = field(default_factory=dict)
    axes: dict[str, _Entry] = field(default_factory=dict)

    def overlay(self, constants: Iterable[_Entry], axes: Iterable[_Entry]) -> None:
        """Put a level's entries over what is there. An axis that replaces one keeps its place."""
        for entry in constants:
            self.axes.pop(entry.identity, None)
            self.constants[entry.identity] = entry
        for entry in axes:
            self.constants.pop(entry.identity, None)
            self.axes[entry.identity] = entry


class Compiler:
    """Turns one document into blocks. :attr:`problems` holds what was found on the way.

    With ``whole`` False a part of the document was unusable and left out; then nothing is called
    missing or unused, because it may only have been misspelt.
    """

    def __init__(
        self, document: Document, shape: ManifestShape, catalog: Catalog, *, whole: bool
    ) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._shape = shape
        self._catalog = catalog
        self._whole = whole
        self._checkers: dict[str, Checker] = {}

    def blocks(self) -> tuple[Block, ...]:
        """Every block, in order. Worth nothing when there are problems."""
        shape = self._shape
        if shape.jobs is None:
            found = [self._block(shape, (), "")]
        else:
            self._check_names(shape.jobs)
            self._check_top()
            found = [
                self._block(block, ("jobs", at), block.name or "")
                for at, block in enumerate(shape.jobs)
            ]
        blocks = tuple(block for block in found if block is not None)
        total = sum(block.count() for block in blocks)
        if total > MAX_JOBS:
            message = f"this makes {total:,} jobs; a manifest may have {MAX_JOBS:,}"
            self._at_key(("jobs",) if shape.jobs else ("matrix",), message, "make the axes shorter")
        return blocks

    # --- blocks and levels ----------------------------------------------------------------------

    def _block(self, block: BlockShape, trail: Trail, name: str) -> Block | None:
        model = self._model(block, trail)
        if model is None:
            return None
        draft = _Draft()
        if trail:
            draft.overlay(*self._level(model, self._shape, ()))
        draft.overlay(*self._level(model, block, trail))
        checker = self._checker(model)
        constants = {
            entry.raw: choice
            for entry in draft.constants.values()
            if entry.raw is not None
            and (choice := checker.input_value(entry.raw, entry.word, entry.value, entry.trail))
        }
        axes = tuple(self._axis(model, entry) for entry in draft.axes.values())
        templates = _templates(constants, axes)
        bindings = self._bindings(model, draft, constants, axes, templates)
        used = {name for _, template in templates for name in template.names}
        self._check_inputs(model, draft, used)
        if self._whole and not checker.broken_template:
            self._check_variables(model, draft, used)
        if self._whole:
            self._check_required(model, draft, trail)
        return Block(name, DEFAULT_PROVIDER, model, constants, axes, bindings)

    def _model(self, block: BlockShape, trail: Trail) -> Model | None:
        here = trail if block.model is not None else ()
        model_id = block.model or self._shape.model
        if model_id is None:
            if self._whole:
                hint = "write model: and the model's id"
                self._at_key(trail, "there is no model for these jobs", hint)
            return None
        try:
            return self._catalog.find(model_id)
        except UnknownModel as error:
            self._at_value((*here, "model"), str(error), error.hint)
        except SchemaError as error:
            self._at_value((*here, "model"), str(error), None)
        return None

    def _level(
        self, model: Model, block: BlockShape, trail: Trail
    ) -> tuple[list[_Entry], list[_Entry]]:
        """What one level writes itself. The same input twice is noted, and the first counts."""
        levels: tuple[list[_Entry], list[_Entry]] = ([], [])
        first: dict[str, Trail] = {}
        for entries, part, written in (
            (levels[0], "inputs", block.inputs),
            (levels[1], "matrix", block.matrix),
        ):
            for word, value in written.items():
                entry = self._entry(model, word, value, (*trail, part, word))
                if entry is None:
                    continue
                if entry.identity in first:
                    self._twice(entry, first[entry.identity])
                    continue
                first[entry.identity] = entry.trail
                entries.append(entry)
        return levels

    def _entry(self, model: Model, word: str, value: Any, trail: Trail) -> _Entry | None:
        try:
            return _Entry(word, model.resolve(word), value, trail)
        except AmbiguousAlias as error:
            self._at_key(trail, str(error))
            return None

    def _axis(self, model: Model, entry: _Entry) -> Axis:
        checker = self._checker(model)
        choices = []
        for at, value in enumerate(entry.value):
            trail = (*entry.trail, at)
            if entry.raw is None:
                choice = checker.variable_value(entry.word, value, trail)
            else:
                choice = checker.input_value(entry.raw, entry.word, value, trail)
            if choice is not None:
                choices.append(choice)
        name = entry.word if entry.raw is None else model.shortest(entry.raw)
        return Axis(name, entry.raw, tuple(choices))

    def _checker(self, model: Model) -> Checker:
        if model.id not in self._checkers:
            self._checkers[model.id] = Checker(self._document, model, self.problems)
        return self._checkers[model.id]

    # --- templates ------------------------------------------------------------------------------

    def _bindings(
        self,
        model: Model,
        draft: _Draft,
        constants: Mapping[str, Choice],
        axes: tuple[Axis, ...],
        templates: list[tuple[Choice, Template]],
    ) -> dict[str, str]:
        """Where each name that the block's templates use gets its value from."""
        rendered = {raw for raw, choice in constants.items() if choice.template}
        rendered |= {
            axis.raw for axis in axes if axis.raw and any(c.template for c in axis.choices)
        }
        given = {**draft.constants, **draft.axes}
        bindings: dict[str, str] = {}
        for choice, template in templates:
            for name in sorted(template.names):
                try:
                    identity = model.resolve(name) or name
                except AmbiguousAlias as error:
                    self._in_template(choice, name, str(error), None)
                    continue
                entry = given.get(identity)
                if entry is None:
                    self._undefined(model, choice, name, given)
                elif entry.raw is None and identity in draft.constants:
                    continue  # a variable under inputs, which is told there
                elif identity in rendered:
                    message = f'"{name}" has a template itself, so no other template can use it'
                    self._in_template(choice, name, message, None)
                else:
                    bindings[name] = identity
        return bindings

    def _undefined(
        self, model: Model, choice: Choice, name: str, given: Mapping[str, _Entry]
    ) -> None:
        if not self._whole:
            return
        if name in model.words:
            hint = "templates see what the manifest gives; write it under inputs or matrix"
            self._in_template(choice, name, f'"{name}" has no value in this block', hint)
            return
        known = [
            entry.word if entry.raw is None else model.shortest(entry.raw)
            for entry in given.values()
        ]
        close = nearest(name, known)
        hint = f'did you mean "{close}"?' if close else f"write its values under matrix: {name}:"
        self._in_template(choice, name, f'"{name}" is not defined', hint)

    def _in_template(self, choice: Choice, name: str, message: str, hint: str | None) -> None:
        span = self._document.find(choice.span, mention(name))
        self.problems.append(self._document.problem(span, message, hint))

    # --- names ----------------------------------------------------------------------------------

    def _check_inputs(self, model: Model, draft: _Draft, used: set[str]) -> None:
        """Names under ``inputs`` that the model does not have."""
        for entry in draft.constants.values():
            if entry.raw is None:
                hint = _meant(entry.word, model.words, model)
                if entry.word in used:
                    hint = f"a variable goes under matrix: {entry.word}: [{entry.value}]"
                self._at_key(entry.trail, f'{model.id} has no input "{entry.word}"', hint)

    def _check_variables(self, model: Model, draft: _Draft, used: set[str]) -> None:
        """Axes that are neither an input nor a variable of some template. One that a misspelt
        template seems to mean is left alone: the template has been told of already."""
        variables = [entry for entry in draft.axes.values() if entry.raw is None]
        names = [entry.word for entry in variables]
        missed = {nearest(name, names) for name in used if name not in draft.axes}
        for entry in variables:
            if entry.word not in used and entry.word not in missed:
                message = (
                    f'"{entry.word}" is no input of {model.id}, and no text of the block uses it'
                )
                hint = _meant(entry.word, [*sorted(used), *model.words], model)
                self._at_key(entry.trail, message, hint)

    def _check_required(self, model: Model, draft: _Draft, trail: Trail) -> None:
        for raw in model.required:
            if raw not in draft.constants and raw not in draft.axes:
                name = model.shortest(raw)
                shown = name if name == raw else f"{name} ({raw})"
                message = f"{model.id} needs {shown}, and these jobs don't have it"
                inputs = (*trail, "inputs")
                here = inputs if inputs in self._document.keys else trail
                self._at_key(here, message, f"write {name}: under inputs")

    def _check_names(self, blocks: list[BlockShape]) -> None:
        first: dict[str, Trail] = {}
        for at, block in enumerate(blocks):
            trail: Trail = ("jobs", at, "name")
            if block.name is None:
                continue
            if block.name in first:
                line = self._document.values[first[block.name]].line
                message = f'the block of line {line} is called "{block.name}" too'
                self._at_value(trail, message, "give each block its own name")
            first.setdefault(block.name, trail)

    def _check_top(self) -> None:
        """The top level's own values, even those that every block replaces."""
        if self._shape.model is None:
            return
        model = self._model(self._shape, ())
        if model is None:
            return
        constants, axes = self._level(model, self._shape, ())
        for entry in constants:
            if entry.raw is not None:
                self._checker(model).input_value(entry.raw, entry.word, entry.value, entry.trail)
        for entry in axes:
            if entry.raw is not None:
                self._axis(model, entry)

    # --- problems -------------------------------------------------------------------------------

    def _twice(self, entry: _Entry, first: Trail) -> None:
        line = self._document.keys[first].line
        message = f'"{entry.word}" is given twice; line {line} has it as "{first[-1]}"'
        hint = "an input stands under inputs or under matrix, once, by one of its names"
        self._at_key(entry.trail, message, hint)

    def _at_key(self, trail: Trail, message: str, hint: str | None = None) -> None:
        """A problem at a key; at the first key of what the trail leads to, where it has none."""
        places = self._document.keys
        span = places.get(trail)
        if span is None:
            below = next((key for key in places if key[: len(trail)] == trail), None)
            span = self._document.values[trail] if below is None else places[below]
        self.problems.append(self._document.problem(span, message, hint))

    def _at_value(self, trail: Trail, message: str, hint: str | None) -> None:
        span = self._document.values[trail]
        self.problems.append(self._document.problem(span, message, hint))


def _templates(
    constants: Mapping[str, Choice], axes: tuple[Axis, ...]
) -> list[tuple[Choice, Template]]:
    choices = [*constants.values(), *(choice for axis in axes for choice in axis.choices)]
    return [(choice, choice.template) for choice in choices if choice.template is not None]


def _meant(word: str, known: Iterable[str], model: Model) -> str:
    close = nearest(word, known)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"its inputs: {', '.join(model.shortest(spec.name) for spec in model.inputs)}"
