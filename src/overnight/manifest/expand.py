"""From blocks to a stream of job specs.

A block has passed every check that needs no rendering (:mod:`overnight.manifest.blocks`). Its
axes are multiplied in the order they are written, the last one varying fastest; whatever is the
same for all of its jobs is encoded once, since a batch may have a million.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from overnight.catalog import Model
from overnight.manifest import keys
from overnight.manifest.fingerprint import Fingerprinter, fragment
from overnight.manifest.problems import ManifestError, Problem
from overnight.manifest.template import Template, TemplateProblem
from overnight.manifest.yaml12 import Document, Span

_MOST_PROBLEMS = 20
"""Rendering stops after this many different problems; they mostly say the same."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of a manifest.

    ``position`` counts from 0 through the whole manifest. ``block`` is the block's name, or empty.
    ``inputs`` are what the model is sent: raw names in the schema's order, canonical values.
    ``variables`` leads from each axis (an input by its shortest name) to this job's value. Values
    that are lists or mappings are shared between specs: read them, don't change them.
    """

    position: int
    block: str
    key: str
    fingerprint: str
    provider: str
    model: str
    inputs: dict[str, Any]
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One checked value of an axis or a constant input.

    ``fragment`` is its canonical JSON member (empty for variables and templates), ``part`` its
    word in keys; ``template`` is set when the value must be rendered for each job.
    """

    value: Any
    fragment: str
    part: str
    template: Template | None
    span: Span


@dataclass(frozen=True, slots=True)
class Axis:
    """A list of values. ``raw`` is the input that it sets; None for a variable."""

    name: str
    raw: str | None
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A checked block. ``bindings`` leads from each name that a template uses to the constant
    input or the axis (by raw name, or by its own name for a variable) that gives its value."""

    name: str
    provider: str
    model: Model
    constants: Mapping[str, Choice]
    axes: tuple[Axis, ...]
    bindings: Mapping[str, str]

    def count(self) -> int:
        """How many jobs it makes, repeats included."""
        return math.prod(len(axis.choices) for axis in self.axes)


def expand(blocks: Iterable[Block], document: Document) -> Iterator[JobSpec]:
    """The specs of all blocks, in order.

    Raises :class:`ManifestError` after the last spec when texts could not be rendered, or earlier
    when there are many such problems; nothing that was yielded may be kept then.
    """
    problems: dict[Problem, None] = {}
    position = 0
    for block in blocks:
        recipe = _Recipe(block)
        for chosen in product(*(axis.choices for axis in block.axes)):
            try:
                yield recipe.spec(position, chosen)
            except _NotRendered as error:
                problems[document.problem(error.span, str(error), error.hint)] = None
                if len(problems) >= _MOST_PROBLEMS:
                    raise ManifestError(problems, document.text) from None
            position += 1
    if problems:
        raise ManifestError(problems, document.text)


class _NotRendered(Exception):
    """A text that could not be made, or that the model would not take."""

    def __init__(self, span: Span, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.span = span
        self.hint = hint


class _Recipe:
    """What the jobs of a block share, worked out once."""

    def __init__(self, block: Block) -> None:
        model = block.model
        axes = {axis.raw: at for at, axis in enumerate(block.axes) if axis.raw is not None}
        given = [s.name for s in model.inputs if s.name in block.constants or s.name in axes]
        slots = {raw: slot for slot, raw in enumerate(sorted(given))}
        constants = block.constants
        self._block = block
        self._name_part = keys.block_part(block.name)
        self._hash = Fingerprinter(block.provider, model.id)
        self._inputs = {raw: constants[raw].value if raw in constants else None for raw in given}
        self._fragments = [constants[raw].fragment if raw in constants else "" for raw in slots]
        self._input_axes = [(at, raw, slots[raw]) for raw, at in axes.items()]
        self._key_order = _key_order(block)
        self._axis_names = [axis.name for axis in block.axes]
        self._slots = slots
        self._templates = [(raw, c.template, c) for raw, c in constants.items() if c.template]
        self._axis_templates = [
            (raw, at)
            for at, axis in enumerate(block.axes)
            if (raw := axis.raw) is not None and any(choice.template for choice in axis.choices)
        ]
        self._renders = bool(self._templates or self._axis_templates)
        places = {axis.raw or axis.name: at for at, axis in enumerate(block.axes)}
        bound = block.bindings.items()
        self._fixed = {name: constants[to].value for name, to in bound if to in constants}
        self._varying = [(name, places[to]) for name, to in bound if to not in constants]

    def spec(self, position: int, chosen: Sequence[Choice]) -> JobSpec:
        """The job of one combination. Raises :class:`_NotRendered`."""
        inputs = self._inputs.copy()
        fragments = self._fragments.copy()
        for at, raw, slot in self._input_axes:
            choice = chosen[at]
            inputs[raw] = choice.value
            fragments[slot] = choice.fragment
        variables = {
            name: choice.value for name, choice in zip(self._axis_names, chosen, strict=True)
        }
        if self._renders:
            self._render(chosen, inputs, fragments, variables)
        fingerprint = self._hash.of(fragments)
        parts = [self._name_part, *[chosen[at].part for at in self._key_order]]
        block = self._block
        key = keys.join(parts, fingerprint)
        return JobSpec(
            position,
            block.name,
            key,
            fingerprint,
            block.provider,
            block.model.id,
            inputs,
            variables,
        )

    def _render(
        self,
        chosen: Sequence[Choice],
        inputs: dict[str, Any],
        fragments: list[str],
        variables: dict[str, Any],
    ) -> None:
        values = self._fixed.copy()
        for name, at in self._varying:
            values[name] = chosen[at].value
        for raw, template, choice in self._templates:
            inputs[raw] = self._text(raw, template, choice, values)
            fragments[self._slots[raw]] = fragment(raw, inputs[raw])
        for raw, at in self._axis_templates:
            template_here = chosen[at].template
            if template_here is not None:
                text = self._text(raw, template_here, chosen[at], values)
                inputs[raw] = variables[self._axis_names[at]] = text
                fragments[self._slots[raw]] = fragment(raw, text)

    def _text(self, raw: str, template: Template, choice: Choice, values: Mapping[str, Any]) -> str:
        model = self._block.model
        try:
            text = template.render(values)
        except TemplateProblem as error:
            raise _NotRendered(
                choice.span, f"{error}{_where(template, values)}", error.hint
            ) from None
        problem = model.check(raw, text, shown=model.shortest(raw))
        if problem is not None:
            message = f"{problem.message}{_where(template, values)}"
            raise _NotRendered(choice.span, message, problem.hint)
        return text


def _key_order(block: Block) -> list[int]:
    """Variables by name, then inputs in the schema's order: a key must not tell how the axes were
    written."""
    schema = {spec.name: place for place, spec in enumerate(block.model.inputs)}

    def rank(at: int) -> tuple[int, str]:
        axis = block.axes[at]
        return (-1, axis.name) if axis.raw is None else (schema[axis.raw], "")

    return sorted(range(len(block.axes)), key=rank)


def _where(template: Template, values: Mapping[str, Any]) -> str:
    """ " (where subject is …)", so that people know which of many jobs is meant."""
    shown = [f"{name} is {str(values[name])[:40]!r}" for name in sorted(template.names)[:3]]
    return f" (where {' and '.join(shown)})" if shown else ""
