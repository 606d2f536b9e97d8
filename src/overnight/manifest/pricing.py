"""What a job is expected to cost, and which jobs of a block go first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from overnight.catalog import AmbiguousAlias, Model, estimates, nearest
from overnight.manifest.amounts import HIGHEST_PRICE
from overnight.manifest.expressions import Expression, ExpressionProblem
from overnight.manifest.sampling import shuffled_rank

Pricer = Callable[[Mapping[str, Any]], float | None]
"""From a job's inputs, by raw name, to US dollars. Raises :class:`ExpressionProblem`."""
Ranker = Callable[[str, Mapping[str, Any]], int]
"""From a fingerprint and inputs to a place among the jobs of one priority, ascending."""

_FINENESS = 1_000_000
"""Ranks in a doubling of the work."""
_REMEMBERED = 10_000


def pricer(written: float | str | None, model: Model) -> Pricer | None:
    """How the jobs of a model are priced: by the manifest, or else by the catalogue. None when
    nobody knows.

    Raises :class:`ExpressionProblem` for an expression that can't be read, or that asks for what
    the model does not have.
    """
    if isinstance(written, str):
        return _Calculation(written, model)
    if written is not None:
        amount = float(written)
        return lambda inputs: amount
    if model.price is None:
        return None
    return lambda inputs: estimates.price(model, inputs)


class _Calculation:
    """A price that is worked out from the inputs, with the schema's defaults for what is open."""

    def __init__(self, text: str, model: Model) -> None:
        self._expression = Expression(text)
        self._names = {name: _input(name, model) for name in sorted(self._expression.names)}
        self._defaults = model.defaults
        self._known: dict[tuple[Any, ...], float] = {}

    def __call__(self, inputs: Mapping[str, Any]) -> float:
        values = [
            inputs[raw] if raw in inputs else self._defaults.get(raw)
            for raw in self._names.values()
        ]
        mark = tuple(value if isinstance(value, int | float) else repr(value) for value in values)
        if mark not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[mark] = self._work_out(values)
        return self._known[mark]

    def _work_out(self, values: list[Any]) -> float:
        named = dict(zip(self._names, values, strict=True))
        try:
            price = self._expression.number(named)
        except ExpressionProblem as error:
            shown = ", ".join(f"{name} is {str(value)[:40]}" for name, value in named.items())
            message = f"{error} (where {shown})" if shown else str(error)
            raise ExpressionProblem(message, error.hint) from None
        if not 0 <= price <= HIGHEST_PRICE:
            message = f"the price comes out as {price:g}; it must be from 0 to {HIGHEST_PRICE:,}"
            raise ExpressionProblem(message, "check the expression with the values of a job")
        return price


def _input(name: str, model: Model) -> str:
    try:
        raw = model.resolve(name)
    except AmbiguousAlias as error:
        raise ExpressionProblem(str(error)) from None
    if raw is None:
        close = nearest(name, model.words)
        inputs = ", ".join(model.shortest(spec.name) for spec in model.inputs)
        hint = f'did you mean "{close}"?' if close else f"its inputs: {inputs}"
        raise ExpressionProblem(f'{model.id} has no input "{name}"', hint)
    return raw


def ranker(order: str, model: Model) -> Ranker | None:
    """The rule of an ``order``; None where jobs go as they are given."""
    if order == "shuffle":
        return lambda fingerprint, inputs: shuffled_rank(fingerprint)
    if order == "longest-first":
        return lambda fingerprint, inputs: _by_work(estimates.work(model, inputs))
    return None


def _by_work(work: float) -> int:
    """More work, smaller rank: on a scale of doublings, so that a rank fits into 32 bits."""
    return -round(_FINENESS * math.log2(max(work, 1e-9)))
