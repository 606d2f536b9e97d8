"""Conditions of rules and of ``exclude``: which combinations they mean.

A condition is a mapping of names, each with the value or the list of values that it must have
(a value's label will do), or the text of an expression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.places import Place
from overnight.manifest.problems import Problem
from overnight.manifest.template import printed

_ABSENT = object()


class ConditionFailed(Exception):
    """A condition that could not be worked out for a job."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Clause:
    """One name of a mapping, and what it may be."""

    identity: str
    wanted: Sequence[Any]

    def matches(self, values: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        label = labels.get(self.identity)
        if label is not None and label in self.wanted:
            return True
        value = values.get(self.identity, _ABSENT)
        return any(same(wanted, value) for wanted in self.wanted)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition with its names resolved: all ``clauses``, or an ``expression`` in which each
    name is looked up by the identity that ``names`` gives."""

    place: Place
    clauses: tuple[Clause, ...] = ()
    expression: Expression | None = None
    names: Mapping[str, str] | None = None

    def holds(self, values: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Whether a combination is meant. ``values`` and ``labels`` are by identity; what a
        combination does not have is null in an expression.

        Raises :class:`ConditionFailed`.
        """
        if self.expression is None:
            return all(clause.matches(values, labels) for clause in self.clauses)
        named = {name: values.get(identity) for name, identity in (self.names or {}).items()}
        try:
            return self.expression.holds(named)
        except ExpressionProblem as error:
            shown = ", ".join(f"{name} is {str(value)[:40]}" for name, value in named.items())
            message = f"{error} (where {shown})" if shown else str(error)
            raise ConditionFailed(self.place.problem(message, error.hint)) from None


def same(wanted: Any, value: Any) -> bool:
    """Whether a value is the one that a condition names.

    Python takes true for 1, and people don't; a text of a table's cell is also met by the number
    that it spells.
    """
    if isinstance(wanted, bool) != isinstance(value, bool):
        return isinstance(value, str) and value == printed(wanted)
    if wanted == value:
        return True
    is_number = isinstance(wanted, int | float)
    return is_number and isinstance(value, str) and value == printed(wanted)
