"""Which inputs and words of a key the jobs of a block can have, and what each position of an axis
sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from overnight.manifest.block import Block, Choice

ABSENT = object()
"""Stands in a draft for the value of an input that this job may not have."""


@dataclass(slots=True)
class Step:
    """What one position of an axis, or one cell of a row, sets; to be read, not changed.

    ``inputs`` are raw name, value, slot in the fingerprint, fragment; ``values`` what templates and
    conditions see, by identity; ``variables`` what the job keeps, by name; ``parts`` words of the
    key with their slots; ``pending`` texts that are to be made for each job, by raw name.
    """

    inputs: tuple[tuple[str, Any, int, str], ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    variables: tuple[tuple[str, Any], ...] = ()
    parts: tuple[tuple[int, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    pending: tuple[tuple[str, Choice], ...] = ()


class Layout:
    """The inputs that the block's jobs can have, in the schema's order, and their slots."""

    def __init__(self, block: Block) -> None:
        self.model = block.model
        possible, sure = _inputs(block)
        self.raws = [spec.name for spec in block.model.inputs if spec.name in possible]
        self.slots = {raw: slot for slot, raw in enumerate(sorted(self.raws))}
        self.optional = [raw for raw in self.raws if raw not in sure]
        self.varying = {axis.identity for group in block.dimensions for axis in group.axes}
        self.columns = frozenset(block.rows.identities if block.rows is not None else ())
        self.varying |= self.columns
        named = self.varying.union(*(inclusion.sets for inclusion in block.include))
        place = {spec.name: at for at, spec in enumerate(block.model.inputs)}
        # Variables by name, then inputs in the schema's order: a key must not tell how the axes
        # were written. The block's own word is in slot 0.
        ordered = sorted(named, key=lambda name: (place.get(name, -1), name))
        self.words = {name: slot for slot, name in enumerate(ordered, 1)}

    def step(self, chosen: Iterable[tuple[str, Choice]]) -> Step:
        """The step of an axis's position or a whole job, which sets these, by identity; what
        bundles set comes with it. A job's key and its variables tell the values, and of bundles
        their words alone."""
        builder = _StepBuilder(self)
        for identity, choice in chosen:
            builder.add(identity, choice, shown=True)
            for name, inner in choice.sets.items():
                builder.add(name, inner, shown=False)
        return builder.step()

    def change(self, sets: Mapping[str, Choice]) -> Step:
        """The step of a rule. It is told where it takes the place of an axis's value."""
        builder = _StepBuilder(self)
        for identity, choice in sets.items():
            builder.add(identity, choice, shown=identity in self.varying)
        return builder.step()


class _StepBuilder:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._inputs: list[tuple[str, Any, int, str]] = []
        self._values: list[tuple[str, Any]] = []
        self._variables: list[tuple[str, Any]] = []
        self._parts: list[tuple[int, str]] = []
        self._labels: list[tuple[str, str]] = []
        self._pending: list[tuple[str, Choice]] = []

    def add(self, identity: str, choice: Choice, *, shown: bool) -> None:
        layout = self._layout
        slot = layout.slots.get(identity)
        self._values.append((identity, choice.value))
        if choice.label is not None:
            self._labels.append((identity, choice.label))
        if shown:
            self._parts.append((layout.words[identity], choice.part))
        if slot is not None and not choice.bare:
            self._inputs.append((identity, choice.sent, slot, choice.fragment))
            if choice.made:
                self._pending.append((identity, choice))
        if shown or slot is None:
            name = identity if slot is None else layout.model.shortest(identity)
            self._variables.append((name, choice.value))

    def step(self) -> Step:
        return Step(
            tuple(self._inputs),
            tuple(self._values),
            tuple(self._variables),
            tuple(self._parts),
            tuple(self._labels),
            tuple(self._pending),
        )


def _inputs(block: Block) -> tuple[set[str], set[str]]:
    """Raw names of the inputs that jobs of the block can have, and of those that all have."""
    known = block.model.by_name
    sure = set(block.constants)
    possible = set(sure)
    for group in block.dimensions:
        for axis in group.axes:
            choices = axis.choices
            if axis.raw is not None:
                possible.add(axis.raw)
                if not any(choice.bare for choice in choices):
                    sure.add(axis.raw)
            given = [choice.sets.keys() & known.keys() for choice in choices]
            possible.update(*given)
            if given:
                sure |= set.intersection(*map(set, given))
    for sets in (*(rule.sets for rule in block.rules), *(i.sets for i in block.include)):
        possible |= sets.keys() & known.keys()
        possible.update(*(choice.sets.keys() & known.keys() for choice in sets.values()))
    if block.rows is not None:
        possible |= set(block.rows.identities) & known.keys()
    if block.include:
        sure &= set(block.constants)
    return possible, sure
