"""Whether what a block writes is of any use: names that nothing asks for, inputs that are missing,
a seed that was left open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from overnight.catalog import AmbiguousAlias, Kind, Model, nearest
from overnight.manifest.block import Axis, Choice, Group, Inclusion, Rule
from overnight.manifest.cells import Column
from overnight.manifest.checks import Checker
from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.levels import Draft
from overnight.manifest.names import Names, meant, template_names
from overnight.manifest.naming import OWN_NAMES, NameTemplate
from overnight.manifest.places import Reporter
from overnight.manifest.shapes import BlockShape
from overnight.manifest.yaml12 import Trail


class Usage:
    """Checks the names of one block against what uses them."""

    def __init__(
        self,
        reporter: Reporter,
        model: Model,
        names: Names,
        namer: NameTemplate | None,
        block: str,
    ) -> None:
        self._reporter = reporter
        self._model = model
        self._names = names
        self._namer = namer
        # Several blocks may inherit what is wrong in only one of them.
        self._shown_block = f'block "{block}"' if block else "the block"

    def check_names(
        self,
        draft: Draft,
        checker: Checker,
        dimensions: Iterable[Group],
        rules: Iterable[Rule],
        include: Iterable[Inclusion],
    ) -> None:
        """Names that are neither an input nor used by anything."""
        self._check_inputs(draft)
        self._check_namer()
        if not self._reporter.whole or checker.broken_template:
            return
        axes = [axis for group in dimensions for axis in group.axes]
        self._check_axes(draft, axes)
        sets = [choice.sets for axis in axes for choice in axis.choices]
        sets += [rule.sets for rule in rules] + [inclusion.sets for inclusion in include]
        own = {axis.identity for axis in axes}
        for name, choice in ((n, c) for given in sets for n, c in given.items() if n not in own):
            if name not in self._model.by_name and name not in self._names.used:
                message = f'"{name}" is no input of {self._model.id}, and nothing uses it'
                hint = meant(name, [*sorted(self._names.used), *self._model.words], self._model)
                self._reporter.problems.append(choice.place.problem(message, hint))

    def _check_inputs(self, draft: Draft) -> None:
        """Names under ``inputs`` that the model does not have."""
        for entry in draft.constants.values():
            if entry.raw is None:
                hint = meant(entry.word, self._model.words, self._model)
                if entry.word in self._names.used:
                    hint = f"a variable goes under matrix: {entry.word}: [{entry.value}]"
                message = f'{self._model.id} has no input "{entry.word}"'
                self._reporter.at_key(entry.trail, message, hint)

    def _check_axes(self, draft: Draft, axes: Iterable[Axis]) -> None:
        """Axes that are neither an input nor a variable of some template. One that a misspelt
        template seems to mean is left alone: the template has been told of already."""
        varying = draft.varying()
        used = self._names.used
        variables = [axis.name for axis in axes if axis.raw is None]
        missed = {nearest(name, variables) for name in used if name not in varying}
        for axis in axes:
            bundles = any(choice.sets for choice in axis.choices)
            if axis.raw is None and not bundles and axis.name not in used | missed:
                message = (
                    f'"{axis.name}" is no input of {self._model.id}, '
                    f"and no text of {self._shown_block} uses it"
                )
                hint = meant(axis.name, [*sorted(used), *self._model.words], self._model)
                self._reporter.at_key(varying[axis.name].trail, message, hint)

    def _check_namer(self) -> None:
        """Names in ``output.name`` that jobs of this block don't have."""
        if self._namer is None:
            return
        self._names.used |= self._namer.names
        for name in sorted(self._namer.names) if self._reporter.whole else ():
            try:
                identity = self._names.identity(name)
            except AmbiguousAlias as error:
                self._reporter.at_value(("output", "name"), str(error))
                continue
            if identity not in self._names.known and identity not in self._model.defaults:
                known = [*OWN_NAMES, *self._names.words()]
                close = nearest(name, known)
                hint = f'did you mean "{close}"?' if close else f"known: {', '.join(known)}"
                message = f'"{name}" is nothing that these jobs have'
                self._reporter.at_value(("output", "name"), message, hint)

    def check_required(
        self,
        possible: frozenset[str],
        constants: Mapping[str, Choice],
        include: Iterable[Inclusion],
        columns: Iterable[Column],
        trail: Trail,
    ) -> None:
        """Inputs that every request must carry, and whole jobs that lack what a text asks for."""
        words = [column.word for column in columns if column.raw is None]
        if not self._reporter.whole:
            return
        for raw in self._model.required:
            if raw not in possible:
                name = self._model.shortest(raw)
                shown = name if name == raw else f"{name} ({raw})"
                message = f"{self._model.id} needs {shown}, and these jobs don't have it"
                inputs = (*trail, "inputs")
                here = inputs if self._reporter.has_key(inputs) else trail
                close = nearest(name, words)
                hint = f"write {name}: under inputs"
                if close is not None:
                    hint = f"if the column is meant, write rename: {{{close}: {name}}} under rows"
                self._reporter.at_key(here, message, hint)
        for inclusion in include:
            self._check_whole_job(inclusion, possible, constants)

    def _check_whole_job(
        self, inclusion: Inclusion, possible: frozenset[str], constants: Mapping[str, Choice]
    ) -> None:
        given = {**constants, **inclusion.sets}
        for choice in inclusion.sets.values():
            given.update(choice.sets)
        missing = {
            self._model.shortest(raw)
            for raw in self._model.required
            if raw in possible and raw not in given
        }
        for choice in given.values():
            for name in choice.template.names if choice.template is not None else ():
                try:
                    identity = self._names.identity(name)
                except AmbiguousAlias:
                    continue
                if identity in self._names.known and identity not in given:
                    missing.add(name)
        if missing:
            message = f"this job has no value for {' and '.join(sorted(missing))}"
            hint = "it stands beside the axes, so write it here"
            self._reporter.problems.append(inclusion.place.problem(message, hint))

    def note_seed(self, open_inputs: Iterable[str], trail: Trail) -> None:
        """A seed that nobody chose is the same for every job: the schema's default."""
        for raw in open_inputs:
            spec = self._model.by_name[raw]
            if self._model.shortest(raw) == "seed" and spec.kind is Kind.INTEGER:
                which = f", {spec.default}" if spec.has_default else ""
                message = f"the seed is left open, so every job has the model's default{which}"
                hint = "write seed: under inputs, or seed: {random: 4} under matrix"
                parts = ((*trail, "inputs"), (*trail, "model"), trail)
                here = next((part for part in parts if self._reporter.has_key(part)), trail)
                self._reporter.notes.append(self._reporter.key_place(here).problem(message, hint))


# --- validate: off --------------------------------------------------------------------------------


def sent_names(
    levels: Sequence[BlockShape],
    conditions: Iterable[Any],
    columns: Iterable[str],
    namer: NameTemplate | None,
) -> set[str]:
    """Names that are to be sent although no schema has them: everything under ``inputs``, and what
    else is not a word for a text, a condition or a file's name."""
    used = {name for level in levels for name in template_names(_texts(level))}
    used |= namer.names if namer is not None else set()
    for condition in conditions:
        used |= _condition_names(condition)
    sent = {name for level in levels for name in level.inputs}
    others = set(columns)
    for level in levels:
        for axes in (level.matrix, *(level.zip or ())):
            others |= {name for name, form in axes.items() if not _is_bundle(form)}
            others |= {name for form in axes.values() for name in _set_names(form)}
        others |= {name for rule in level.rules for name in rule.set}
        bundles = {name for name, form in level.matrix.items() if _is_bundle(form)}
        others |= {name for whole in level.include or () for name in whole} - bundles
    return sent | (others - used)


def _texts(level: BlockShape) -> list[Any]:
    """Whatever a level writes that may hold templates."""
    axes = [*level.matrix.values(), *(form for group in level.zip or () for form in group.values())]
    lists = [form for form in axes if isinstance(form, list)]
    return [level.inputs, lists, [rule.set for rule in level.rules], level.include or []]


def _condition_names(condition: Any) -> set[str]:
    if isinstance(condition, dict):
        return set(condition)
    try:
        return set(Expression(condition).names)
    except ExpressionProblem:
        return set()


def _is_bundle(form: Any) -> bool:
    return isinstance(form, list) and any(isinstance(v, dict) and "set" in v for v in form)


def _set_names(form: Any) -> Iterator[str]:
    for value in form if isinstance(form, list) else ():
        if isinstance(value, dict) and isinstance(value.get("set"), dict):
            yield from value["set"]
