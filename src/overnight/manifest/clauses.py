"""Read the conditions of rules and of ``exclude``, and tell those that could never be met.

A condition of the top level is inherited by every block. It is wrong when it makes sense in none of
them; a block in which it makes no sense just has no job that it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overnight.catalog import AmbiguousAlias, Model, nearest
from overnight.catalog.wording import listed
from overnight.manifest.conditions import Clause, Condition, same
from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.names import Known, Names
from overnight.manifest.places import Place, Reporter
from overnight.manifest.problems import Problem
from overnight.manifest.yaml12 import Trail

_FEW = 8
"""Values that a hint lists."""


class ConditionReader:
    """Reads the conditions of all blocks of one manifest."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._unmet: dict[Trail, list[Problem]] = {}
        self._met: set[Trail] = set()

    def read(self, written: Any, trail: Trail, names: Names, model: Model) -> Condition | None:
        """A condition in one block; None where it makes no sense there."""
        found: list[Problem] = []
        if isinstance(written, str):
            condition = self._expression(written, trail, names, found)
        else:
            condition = self._mapping(written, trail, names, model, found)
        if found:
            self._unmet.setdefault(trail, []).extend(found)
            return None
        self._met.add(trail)
        return condition

    def close(self) -> None:
        """Tell the conditions that made sense in no block."""
        for trail, problems in self._unmet.items():
            if trail not in self._met:
                self._reporter.problems += problems

    def _expression(
        self, text: str, trail: Trail, names: Names, found: list[Problem]
    ) -> Condition | None:
        place = self._reporter.value_place(trail)
        try:
            expression = Expression(text)
        except ExpressionProblem as error:
            found.append(
                self._reporter.column_place(trail, error.column).problem(str(error), error.hint)
            )
            return None
        resolved: dict[str, str] = {}
        for name in sorted(expression.names):
            names.used.add(name)
            known = self._known(name, names, place, found)
            if known is not None:
                resolved[name] = known[0]
        return Condition(place, expression=expression, names=resolved)

    def _mapping(
        self,
        written: Mapping[str, Any],
        trail: Trail,
        names: Names,
        model: Model,
        found: list[Problem],
    ) -> Condition:
        clauses = []
        for word, value in written.items():
            names.used.add(word)
            here = (*trail, word)
            known = self._known(word, names, self._reporter.key_place(here), found)
            if known is None:
                continue
            identity, name = known
            wanted = value if isinstance(value, list) else [value]
            if identity in model.by_name:
                wanted = [model.canonical(identity, one) for one in wanted]
            place = self._reporter.value_place(here)
            if not wanted:
                found.append(place.problem(f"{word} has no value here", "name one, or several"))
            if isinstance(value, list):
                found += self._several(word, wanted, name, here)
            else:
                found += _never(word, wanted[0], name, place)
            clauses.append(Clause(identity, tuple(wanted)))
        return Condition(self._reporter.value_place(trail), tuple(clauses))

    def _several(self, word: str, wanted: list[Any], known: Known, trail: Trail) -> list[Problem]:
        """What is wrong with a list of values as a whole. Where the block has some of them the
        condition holds for these, and the others may be meant for other blocks."""
        places = [(*trail, at) for at in range(len(wanted))]
        never = [
            _never(word, one, known, self._reporter.value_place(place))
            for one, place in zip(wanted, places, strict=True)
        ]
        if all(never):
            return [problem for problems in never for problem in problems]
        for place, problems in zip(places, never, strict=True):
            if problems:
                self._unmet.setdefault(place, problems)  # once, not for every block
            else:
                self._met.add(place)
        return []

    def _known(
        self, word: str, names: Names, place: Place, found: list[Problem]
    ) -> tuple[str, Known] | None:
        """What a name of a condition means in the block."""
        try:
            identity = names.identity(word)
        except AmbiguousAlias as error:
            found.append(place.problem(str(error)))
            return None
        known = names.known.get(identity)
        if known is not None:
            return identity, known
        if self._reporter.whole:
            close = nearest(word, names.words())
            hint = f'did you mean "{close}"?' if close else f"it has: {', '.join(names.words())}"
            message = f'"{word}" has no value in this block'
            found.append(place.problem(message, hint))
        return None


def _never(word: str, wanted: Any, known: Known, place: Place) -> list[Problem]:
    """What is wrong with a value that the name never has."""
    if known.anything or any(same(wanted, value) for value in known.values):
        return []
    if isinstance(wanted, str) and wanted in known.labels:
        return []
    choices: list[Any] = list(dict.fromkeys(known.labels))
    choices += [v for v in known.values if isinstance(v, str | int | float) and v not in choices]
    texts = [choice for choice in choices if isinstance(choice, str)]
    close = nearest(wanted, texts) if isinstance(wanted, str) else None
    if close is not None:
        hint = f'did you mean "{close}"?'
    else:
        shown = f"it is {listed(choices[:_FEW])}" if choices else "it has no value"
        hint = shown + (", and others" if len(choices) > _FEW else "")
    return [place.problem(f"{word} is never {listed([wanted])}, so this means no job", hint)]
