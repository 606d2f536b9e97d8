"""One block of a manifest, put together from what it writes and what it inherits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from overnight.catalog import AmbiguousAlias, Model, nearest
from overnight.manifest.axes import AxisReader
from overnight.manifest.block import Axis, Block, Choice, Group, Inclusion, Rule, Sample
from overnight.manifest.cells import Rows
from overnight.manifest.checks import Checker
from overnight.manifest.conditions import Condition, same
from overnight.manifest.levels import Draft, entries, read_level, told_twice
from overnight.manifest.names import Names
from overnight.manifest.shapes import BlockShape, ManifestShape
from overnight.manifest.usage import Usage, sent_names
from overnight.manifest.yaml12 import Trail

if TYPE_CHECKING:
    from overnight.manifest.blocks import Compiler

DEFAULT_PROVIDER = "runcomfy"
"""Whose API the jobs are for, in fingerprints and in the database."""


class Assembly:
    """Turns one block of the document into a checked one. ``trail`` leads to it; it is empty for a
    manifest that is one block."""

    def __init__(self, compiler: Compiler, shape: BlockShape, trail: Trail) -> None:
        self._all = compiler
        self._top: ManifestShape = compiler.shape
        self._shape = shape
        self._trail = trail
        self._reporter = compiler.reporter

    def block(self) -> Block | None:
        """The block; None when it has no model. What is wrong has been noted."""
        model = self._all.model(self._shape, self._trail, self._more())
        if model is None:
            return None
        checker, axes = self._all.readers(model, dynamic=self._is_dynamic())
        draft = self._draft(model)
        names = Names(model, self._reporter)
        constants = _constants(draft, checker, names)
        dimensions = self._dimensions(draft, axes, names)
        rows = self._rows(model, names, dimensions)
        exclude = self._exclude(model, names)
        rules = self._rules(model, axes, names)
        include = self._include(axes, names, dimensions)
        for choice in _choices(constants, dimensions, rules, include):
            names.check_template(choice)
        name = self._shape.name or "" if self._trail else ""
        usage = Usage(self._reporter, model, names, self._all.around.namer, name)
        usage.check_names(draft, checker, dimensions, rules, include)
        possible = frozenset({*constants, *names.known} & model.by_name.keys())
        columns = () if rows is None else rows.columns
        usage.check_required(possible, constants, include, columns, self._trail)
        open_inputs = tuple(spec.name for spec in model.inputs if spec.name not in possible)
        usage.note_seed(open_inputs, self._trail)
        if rows is not None:
            where = self._inherited("rows")[1]
            self._all.tables.note_unused(rows.columns, names.used, model, where)
        return Block(
            name=name,
            provider=DEFAULT_PROVIDER,
            model=model,
            constants=constants,
            dimensions=dimensions,
            place=self._reporter.key_place(self._trail),
            rows=rows,
            rules=rules,
            exclude=exclude,
            include=include,
            sample=self._sample(rules),
            open_inputs=open_inputs,
            **self._settings(model),
        )

    # --- inheritance ----------------------------------------------------------------------------

    def _inherited(self, key: str) -> tuple[Any, Trail]:
        """A value that the block's own replaces as a whole, and where it stands."""
        own = getattr(self._shape, key)
        if own is not None or not self._trail:
            return own, (*self._trail, key)
        return getattr(self._top, key), (key,)

    def _both(self, key: str) -> Iterator[tuple[Any, Trail]]:
        """The entries of a list that both levels add to, the top level's first."""
        for at, entry in enumerate(getattr(self._top, key)):
            yield entry, (key, at)
        if self._trail:
            for at, entry in enumerate(getattr(self._shape, key)):
                yield entry, (*self._trail, key, at)

    def _is_dynamic(self) -> bool:
        return bool(self._inherited("prompt_syntax")[0] == "dynamic")

    def _settings(self, model: Model) -> dict[str, Any]:
        around = self._all.around
        place = self._reporter.value_place
        return {
            "order": self._inherited("order")[0] or "given",
            "repeat": self._inherited("repeat")[0] or 1,
            "priority": self._inherited("priority")[0] or 0,
            "tags": tuple(dict.fromkeys(tag for tag, _ in self._both("tags"))),
            "pricer": self._all.pricer(model),
            "price_place": None if self._top.run.price is None else place(("run", "price")),
            "namer": around.namer,
            "local": around.local,
            "name_place": None if around.namer is None else place(("output", "name")),
        }

    def _draft(self, model: Model) -> Draft:
        draft = Draft()
        if self._trail:
            draft.overlay(read_level(model, self._top, (), self._reporter))
        draft.overlay(read_level(model, self._shape, self._trail, self._reporter))
        for entry, zipped in draft.clashes():
            told_twice(entry, zipped.trail, self._reporter)
        return draft

    def _more(self) -> frozenset[str]:
        """Names that become inputs because nothing is checked."""
        if self._top.checks == "on":
            return frozenset()
        base = self._all.model(self._shape, self._trail, frozenset())
        rows, where = self._inherited("rows")
        file = None if rows is None else self._all.tables.open(rows, where)
        conditions = self._inherited("exclude")[0] or []
        conditions = [*conditions, *(rule.when for rule, _ in self._both("rules"))]
        levels = [self._top, self._shape] if self._trail else [self._shape]
        found = sent_names(
            levels, conditions, () if file is None else file.columns, self._all.around.namer
        )
        return frozenset(name for name in found if base is not None and _is_new(base, name))

    # --- what varies ----------------------------------------------------------------------------

    def _dimensions(self, draft: Draft, axes: AxisReader, names: Names) -> tuple[Group, ...]:
        groups = []
        for written in draft.groups:
            before = len(self._reporter.problems)
            found = [axes.axis(entry) for entry in written]
            lengths = [len(axis.choices) for axis in found]
            if len(set(lengths)) > 1 and len(self._reporter.problems) == before:
                self._tell_lengths([(e.word, e.trail) for e in written], lengths)
            groups.append(Group(tuple(_cut(axis, min(lengths)) for axis in found)))
        groups += [Group((axes.axis(entry),)) for entry in draft.axes.values()]
        owners: dict[str, str] = {}
        for axis in (axis for group in groups for axis in group.axes):
            owners[axis.identity] = axis.name
            names.add(axis.identity, axis.name, axis.choices)
        for axis in (axis for group in groups for axis in group.axes):
            self._check_bundles(axis, owners, names)
        return tuple(groups)

    def _tell_lengths(self, written: list[tuple[str, Trail]], lengths: list[int]) -> None:
        word, trail = written[0]
        for (other, place), length in zip(written[1:], lengths[1:], strict=True):
            if length != lengths[0]:
                line = self._reporter.line(trail)
                values = "1 value" if length == 1 else f"{length:,} values"
                message = f"{other} has {values}, and {word} in line {line} has {lengths[0]:,}"
                hint = "the lists of a zip advance together; use matrix to multiply them"
                self._reporter.at_key(place, message, hint)

    def _check_bundles(self, axis: Axis, owners: dict[str, str], names: Names) -> None:
        """Tell settings of bundles that another axis makes as well: one would quietly lose."""
        for identity in dict.fromkeys(name for c in axis.choices for name in c.sets):
            owner = owners.setdefault(identity, axis.name)
            if owner != axis.name:
                choice = next(c.sets[identity] for c in axis.choices if identity in c.sets)
                message = (
                    f'{names.shown(identity)} is set by "{axis.name}" here, and by "{owner}" too'
                )
                hint = "let one axis decide about an input"
                self._reporter.problems.append(choice.place.problem(message, hint))

    def _rows(self, model: Model, names: Names, dimensions: Iterable[Group]) -> Rows | None:
        shape, trail = self._inherited("rows")
        if shape is None:
            return None
        file = self._all.tables.open(shape, trail)
        if file is None:
            self._reporter.whole = False  # its columns would be called missing
            return None
        axes = [axis for group in dimensions for axis in group.axes]
        taken = {axis.identity for axis in axes} | {
            n for a in axes for c in a.choices for n in c.sets
        }
        columns = self._all.tables.columns(file, model, taken, trail)
        for column in columns:
            names.add_column(column.identity, column.word)
        cells = self._all.cell_checker(model, dynamic=self._is_dynamic())
        return Rows(file, columns, *cells, self._reporter.value_place((*trail, "file")))

    # --- conditions and what stands beside the combinations -------------------------------------

    def _exclude(self, model: Model, names: Names) -> tuple[Condition, ...]:
        written, trail = self._inherited("exclude")
        found = [
            self._all.conditions.read(condition, (*trail, at), names, model)
            for at, condition in enumerate(written or ())
        ]
        return tuple(condition for condition in found if condition is not None)

    def _rules(self, model: Model, axes: AxisReader, names: Names) -> tuple[Rule, ...]:
        found = []
        for shape, trail in self._both("rules"):
            condition = self._all.conditions.read(shape.when, (*trail, "when"), names, model)
            sets = axes.settings(shape.set, (*trail, "set"))
            if condition is not None:
                names.add_sets(sets)
                found.append(Rule(condition, sets))
        return tuple(found)

    def _include(
        self, axes: AxisReader, names: Names, dimensions: Iterable[Group]
    ) -> tuple[Inclusion, ...]:
        written, trail = self._inherited("include")
        labelled = {
            axis.identity: axis
            for group in dimensions
            for axis in group.axes
            if any(choice.label is not None for choice in axis.choices)
        }
        found = []
        for at, mapping in enumerate(written or ()):
            here = (*trail, at)
            sets = self._whole_job(mapping, here, axes, names, labelled)
            names.add_sets(sets)
            found.append(Inclusion(sets, self._reporter.value_place(here)))
        return tuple(found)

    def _whole_job(
        self,
        mapping: Mapping[str, Any],
        trail: Trail,
        axes: AxisReader,
        names: Names,
        labelled: Mapping[str, Axis],
    ) -> dict[str, Choice]:
        """What an entry of ``include`` sets. A label of an axis means that value of the axis."""
        plain, sets = {}, {}
        for entry in entries(names.model, mapping, trail, self._reporter):
            axis = labelled.get(entry.identity)
            choice = None if axis is None else _labelled(axis, entry.value)
            if choice is not None:
                sets[entry.identity] = choice
            elif axis is not None and any(c.sets for c in axis.choices):
                labels = [c.label for c in axis.choices if c.label is not None]
                close = nearest(str(entry.value), labels)
                hint = f'did you mean "{close}"?' if close else f"it has: {', '.join(labels)}"
                message = f"{entry.word} has no value of this label"
                self._reporter.at_value(entry.trail, message, hint)
                sets[entry.identity] = axis.choices[0]  # it has been told; nothing else is missing
            else:
                plain[entry.word] = entry.value
        return {**sets, **axes.settings(plain, trail)}

    def _sample(self, rules: Iterable[Rule]) -> Sample | None:
        shape, trail = self._inherited("sample")
        if shape is None:
            return None
        if any(choice.texts() > 1 for rule in rules for choice in rule.sets.values()):
            message = "a rule gives a prompt with variants, and a sample can't count these"
            self._reporter.at_key(trail, message, "write the variants into the prompt itself")
        return Sample(shape.n, shape.seed, self._reporter.key_place(trail))


def _constants(draft: Draft, checker: Checker, names: Names) -> dict[str, Choice]:
    found: dict[str, Choice] = {}
    for entry in draft.constants.values():
        if entry.raw is None:
            names.add_column(entry.word, entry.word)  # told in its place, not as undefined
            continue
        choice = checker.setting(entry.raw, entry.word, entry.value, entry.trail)
        names.add(entry.raw, entry.word, [] if choice is None else [choice])
        if choice is not None:
            found[entry.raw] = choice
    return found


def _choices(
    constants: Mapping[str, Choice],
    dimensions: Iterable[Group],
    rules: Iterable[Rule],
    include: Iterable[Inclusion],
) -> Iterator[Choice]:
    """Every choice of a block, those in bundles too."""
    found = [*constants.values()]
    found += [choice for group in dimensions for axis in group.axes for choice in axis.choices]
    found += [choice for rule in rules for choice in rule.sets.values()]
    found += [choice for inclusion in include for choice in inclusion.sets.values()]
    for choice in found:
        yield choice
        yield from choice.sets.values()


def _cut(axis: Axis, length: int) -> Axis:
    return Axis(axis.name, axis.raw, axis.choices[:length])


def _labelled(axis: Axis, value: Any) -> Choice | None:
    """The value of an axis that has a label, or is the value itself."""
    for choice in axis.choices:
        if choice.label is not None and choice.label == value:
            return choice
    return next((c for c in axis.choices if not c.bare and same(value, c.value)), None)


def _is_new(model: Model, name: str) -> bool:
    try:
        return model.resolve(name) is None
    except AmbiguousAlias:
        return False
