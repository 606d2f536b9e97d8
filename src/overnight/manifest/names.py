"""Which names a block has, and whether the ones that its templates and conditions use exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.catalog import AmbiguousAlias, Model, nearest
from overnight.manifest.block import Choice
from overnight.manifest.places import Reporter
from overnight.manifest.template import Template, TemplateProblem, is_template


@dataclass(slots=True)
class Known:
    """What a name of a block can be: the values and labels that it has somewhere, or anything.

    ``word`` is how people wrote the name. ``is_made`` says that templates are filled into it.
    """

    word: str
    values: list[Any] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    anything: bool = False
    is_made: bool = False

    def add(self, choice: Choice) -> None:
        """A value that it can have."""
        if not choice.bare:
            self.values.append(choice.value)
        if choice.label is not None:
            self.labels.append(choice.label)
        self.is_made = self.is_made or choice.made


class Names:
    """The names of one block, by identity."""

    def __init__(self, model: Model, reporter: Reporter) -> None:
        self.known: dict[str, Known] = {}
        self.used: set[str] = set()
        """Names that templates and conditions use, as they are written there."""
        self.model = model
        self._reporter = reporter

    def add(self, identity: str, word: str, choices: Iterable[Choice]) -> None:
        """A name with the values that it can have, and what these set."""
        known = self.known.setdefault(identity, Known(word))
        for choice in choices:
            known.add(choice)
            self.add_sets(choice.sets)

    def add_sets(self, sets: Mapping[str, Choice]) -> None:
        """What a bundle or a rule can set."""
        for identity, choice in sets.items():
            self.add(identity, self.shown(identity), [choice])

    def add_column(self, identity: str, word: str) -> None:
        """A column of a table; its cells can be anything."""
        self.known.setdefault(identity, Known(word)).anything = True

    def shown(self, identity: str) -> str:
        """A name for people."""
        return self.model.shortest(identity) if identity in self.model.by_name else identity

    def words(self) -> list[str]:
        """Every name that the block has, for people."""
        return [self.shown(identity) for identity in self.known]

    def identity(self, name: str) -> str:
        """What a name means. Raises :class:`~overnight.catalog.AmbiguousAlias`."""
        return self.model.resolve(name) or name

    def check_template(self, choice: Choice) -> None:
        """Whether the names of a value's template exist; they are used from now on."""
        for name in sorted(choice.template.names) if choice.template is not None else ():
            self.used.add(name)
            try:
                known = self.known.get(self.identity(name))
            except AmbiguousAlias as error:
                self._tell(choice, name, str(error), None)
                continue
            if known is None:
                self._undefined(choice, name)
            elif known.is_made:
                message = f'"{name}" has a template itself, so no other template can use it'
                self._tell(choice, name, message, None)

    def _undefined(self, choice: Choice, name: str) -> None:
        if not self._reporter.whole:
            return
        if name in self.model.words:
            hint = "templates see what the manifest gives; write it under inputs or matrix"
            self._tell(choice, name, f'"{name}" has no value in this block', hint)
            return
        close = nearest(name, self.words())
        hint = f'did you mean "{close}"?' if close else f"write its values under matrix: {name}:"
        self._tell(choice, name, f'"{name}" is not defined', hint)

    def _tell(self, choice: Choice, name: str, message: str, hint: str | None) -> None:
        self._reporter.problems.append(choice.place.at_name(name, message, hint))


def template_names(value: Any) -> Iterator[str]:
    """The names that the templates inside a value use; unreadable ones are told elsewhere."""
    if isinstance(value, str) and is_template(value):
        try:
            yield from Template(value).names
        except TemplateProblem:
            return
    elif isinstance(value, dict):
        for inner in value.values():
            yield from template_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from template_names(inner)


def meant(word: str, known: Iterable[str], model: Model) -> str:
    """A hint about a name that is not there: the nearest one, or all inputs of the model."""
    close = nearest(word, known)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"its inputs: {', '.join(model.shortest(spec.name) for spec in model.inputs)}"
