"""A checked block: what :mod:`overnight.manifest.blocks` makes of a part of the document, and what
:mod:`overnight.manifest.expand` makes jobs of.

Names are told apart by their *identity*: the raw name where a name means an input, and the name
itself for a variable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from overnight.catalog import Model
from overnight.manifest.conditions import Condition
from overnight.manifest.places import Place
from overnight.manifest.template import Template

if TYPE_CHECKING:
    from overnight.manifest.cells import Rows
    from overnight.manifest.dynamic import Variants
    from overnight.manifest.localfiles import LocalFiles
    from overnight.manifest.naming import NameTemplate
    from overnight.manifest.pricing import Pricer


_NOTHING: Mapping[str, Choice] = {}


@dataclass(slots=True)
class Choice:
    """One checked value of an axis, a constant, a rule or a cell; to be read, not changed.

    ``fragment`` is its canonical JSON member (empty for variables and templates), ``part`` its
    word in keys; ``template`` is set when the value must be rendered for each job. ``sets`` are
    the other settings of a bundle, by identity. A bundle that is ``bare`` has no value of its own:
    its label stands for it, and it gives its axis's input no value. ``variants`` is set when the
    value is a prompt that stands for several. ``reference`` is what a job has in the place of a
    value that names local files.
    """

    value: Any
    fragment: str
    part: str
    template: Template | None
    place: Place
    label: str | None = None
    sets: Mapping[str, Choice] = field(default_factory=lambda: _NOTHING)
    bare: bool = False
    variants: Variants | None = None
    reference: Any = None

    @property
    def sent(self) -> Any:
        """What the model is sent."""
        return self.value if self.reference is None else self.reference

    @property
    def made(self) -> bool:
        """Whether the text is made for each job, from a template or from variants."""
        return self.template is not None or self.variants is not None

    def texts(self) -> int:
        """How many jobs come of this value alone, with what it sets."""
        own = 1 if self.variants is None else self.variants.count
        return own * math.prod(choice.texts() for choice in self.sets.values())


@dataclass(frozen=True, slots=True)
class Axis:
    """A list of values. ``raw`` is the input that it sets; None for a variable. ``name`` is the
    input's shortest name, or the variable's."""

    name: str
    raw: str | None
    choices: tuple[Choice, ...]

    @property
    def identity(self) -> str:
        return self.raw or self.name


@dataclass(frozen=True, slots=True)
class Group:
    """Axes of one length that advance together."""

    axes: tuple[Axis, ...]

    @property
    def name(self) -> str:
        """``image + prompt``."""
        return " + ".join(axis.name for axis in self.axes)

    @property
    def choices(self) -> Sequence[tuple[Choice, ...]]:
        """What each step of the group sets."""
        return list(zip(*(axis.choices for axis in self.axes), strict=True))

    @property
    def size(self) -> int:
        """How many steps it has, a prompt's variants counted one by one."""
        return sum(math.prod(choice.texts() for choice in step) for step in self.choices)


@dataclass(frozen=True, slots=True)
class Rule:
    """Jobs that meet ``when`` are given ``sets``, by identity."""

    when: Condition
    sets: Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A whole job beside the combinations: what it sets over the constants, by identity."""

    sets: Mapping[str, Choice]
    place: Place


@dataclass(frozen=True, slots=True)
class Sample:
    """``n`` of the combinations, chosen by ``seed``."""

    n: int
    seed: int
    place: Place


@dataclass(frozen=True, slots=True)
class Block:
    """A checked block.

    ``dimensions`` are multiplied in their order, the last varying fastest, and all of them with
    ``rows``.
    """

    name: str
    provider: str
    model: Model
    constants: Mapping[str, Choice]
    dimensions: tuple[Group, ...]
    place: Place
    rows: Rows | None = None
    rules: tuple[Rule, ...] = ()
    exclude: tuple[Condition, ...] = ()
    include: tuple[Inclusion, ...] = ()
    sample: Sample | None = None
    order: str = "given"
    repeat: int = 1
    priority: int = 0
    tags: tuple[str, ...] = ()
    open_inputs: tuple[str, ...] = ()
    """Raw names of the inputs that the manifest leaves to the server's defaults."""
    pricer: Pricer | None = None
    price_place: Place | None = None
    namer: NameTemplate | None = None
    name_place: Place | None = None
    local: LocalFiles | None = None

    @property
    def axes(self) -> tuple[Axis | Group, ...]:
        """What is multiplied, each with its ``name`` and its ``choices``: axes, and groups of
        several axes that advance together."""
        return tuple(g.axes[0] if len(g.axes) == 1 else g for g in self.dimensions)

    def combinations(self) -> int:
        """How many combinations the axes make, prompts' variants among them, rows not."""
        constants = math.prod(choice.texts() for choice in self.constants.values())
        return constants * math.prod(group.size for group in self.dimensions)

    def count(self) -> int | None:
        """How many jobs it makes, repeats included; None when only the stream can tell."""
        if self.rows is not None or self.exclude or self._changes_variants():
            return None
        found = self.combinations()
        if self.sample is not None:
            found = min(found, self.sample.n)
        return (found + self._included()) * self.repeat

    def most(self) -> int:
        """The most jobs that it can make of its axes: for each row, where it has rows."""
        found = self.combinations()
        if self.sample is not None:
            found = min(found, self.sample.n)
        return (found + self._included()) * self.repeat

    def _included(self) -> int:
        return sum(
            math.prod(choice.texts() for choice in ({**self.constants, **inclusion.sets}).values())
            for inclusion in self.include
        )

    def _changes_variants(self) -> bool:
        """Whether a rule or a bundle can take the place of a prompt with variants."""
        axes = [axis for group in self.dimensions for axis in group.axes]
        several = {name for name, choice in self.constants.items() if choice.texts() > 1}
        several |= {axis.identity for axis in axes if any(c.texts() > 1 for c in axis.choices)}
        ruled = [rule.sets for rule in self.rules]
        bundled = [choice.sets for axis in axes for choice in axis.choices]
        return any(several & sets.keys() for sets in (*ruled, *bundled)) or any(
            choice.texts() > 1 for sets in ruled for choice in sets.values()
        )
