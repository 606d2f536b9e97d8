"""A job while it is put together: the block's constants with the steps of axes, rows and rules on
top."""

from __future__ import annotations

from typing import Any

from overnight.manifest.block import Choice
from overnight.manifest.layout import Step
from overnight.manifest.places import Place
from overnight.manifest.problems import Problem


class JobProblem(Exception):
    """A job that can't be made, and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Draft:
    """A job while it is put together.

    ``values`` are what templates and conditions see, by identity, and ``labels`` beside them;
    ``pending`` are the texts that are still to be made. These are only kept where the block has a
    use for them. ``place`` is the row that the job comes from.
    """

    __slots__ = (
        *("fragments", "inputs", "labels", "parts"),
        *("pending", "place", "values", "variables"),
    )

    def __init__(self, inputs: dict[str, Any], fragments: list[str], parts: list[str]) -> None:
        self.inputs = inputs
        self.fragments = fragments
        self.parts = parts
        self.variables: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.labels: dict[str, str] = {}
        self.pending: dict[str, Choice] = {}
        self.place: Place | None = None

    def copy(self, *, tracked: bool) -> Draft:
        """Another one like it."""
        other = Draft(self.inputs.copy(), self.fragments.copy(), self.parts.copy())
        other.variables = self.variables.copy()
        if tracked:
            other.values = self.values.copy()
            other.labels = self.labels.copy()
            other.pending = self.pending.copy()
            other.place = self.place
        return other

    def set(self, *steps: Step, tracked: bool) -> None:
        """Put steps on top, one after the other."""
        inputs, fragments, parts = self.inputs, self.fragments, self.parts
        variables, values = self.variables, self.values
        for step in steps:
            for raw, value, slot, member in step.inputs:
                inputs[raw] = value
                fragments[slot] = member
            for slot, word in step.parts:
                parts[slot] = word
            for name, value in step.variables:
                variables[name] = value
            if tracked:
                for name, value in step.values:
                    values[name] = value
                if step.pending or step.labels or (step.inputs and self.pending) or self.labels:
                    self._track(step)

    def _track(self, step: Step) -> None:
        """Keep the labels of a step, and which texts are to be made now."""
        if self.labels:
            for name, _ in step.values:
                self.labels.pop(name, None)
        if step.labels:
            self.labels.update(step.labels)
        if self.pending:
            for raw, _, _, _ in step.inputs:
                self.pending.pop(raw, None)
        if step.pending:
            self.pending.update(step.pending)
