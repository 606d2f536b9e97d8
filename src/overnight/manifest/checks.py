"""One value of a manifest, checked once and where it stands.

A value that many jobs use, or that many blocks inherit, is looked at a single time for each model;
what comes out is a :class:`~overnight.manifest.expand.Choice`, ready to be put into jobs.
"""

from __future__ import annotations

import math
from typing import Any

from overnight.catalog import InputSpec, Kind, Model
from overnight.manifest import keys
from overnight.manifest.expand import Choice
from overnight.manifest.fingerprint import fragment
from overnight.manifest.problems import Problem
from overnight.manifest.template import Template, TemplateProblem, is_template
from overnight.manifest.yaml12 import Document, Trail


class Checker:
    """Checks the values of a document against one model; notes problems in ``problems``."""

    def __init__(self, document: Document, model: Model, problems: list[Problem]) -> None:
        self._document = document
        self._model = model
        self._problems = problems
        self.broken_template = False
        """Whether a template could not be read, so that nobody knows which names it uses."""
        self._done: dict[tuple[Trail, str | None], Choice | None] = {}

    def input_value(self, raw: str, word: str, value: Any, trail: Trail) -> Choice | None:
        """A value for the input ``raw``, which the manifest calls ``word``; None when it is no
        good, which has been noted then."""
        if (trail, raw) not in self._done:
            self._done[trail, raw] = self._input(raw, word, value, trail)
        return self._done[trail, raw]

    def variable_value(self, name: str, value: Any, trail: Trail) -> Choice | None:
        """A value for a variable; any kind will do that JSON can hold."""
        if (trail, None) not in self._done:
            self._done[trail, None] = self._variable(name, value, trail)
        return self._done[trail, None]

    def _input(self, raw: str, word: str, value: Any, trail: Trail) -> Choice | None:
        spec = self._model.by_name[raw]
        if isinstance(value, str) and is_template(value):
            return self._template(spec, word, value, trail)
        if _holds_template(value):
            self._tell(trail, f"{word} has a template inside a list", _TEXT_ONLY)
            return None
        value = self._model.canonical(raw, value)
        problem = self._model.check(raw, value, shown=word)
        if problem is not None:
            self._tell(trail, problem.message, problem.hint)
            return None
        part = self._part(spec, value)
        return Choice(value, fragment(raw, value), part, None, self._document.values[trail])

    def _part(self, spec: InputSpec, value: Any) -> str:
        if spec.media is not None and isinstance(value, str):
            return keys.file_part(value)
        return keys.value_part(self._model.shortest(spec.name), value)

    def _template(self, spec: InputSpec, word: str, value: str, trail: Trail) -> Choice | None:
        if spec.kind not in (Kind.TEXT, Kind.ANY):
            hint = f"list its values under matrix: {word}: [first, second]"
            self._tell(trail, f"{word} is no text input, and a template makes text", hint)
            return None
        try:
            template = Template(value)
        except TemplateProblem as error:
            self.broken_template = True
            self._tell(trail, str(error), error.hint)
            return None
        return Choice(value, "", keys.slug(value), template, self._document.values[trail])

    def _variable(self, name: str, value: Any, trail: Trail) -> Choice | None:
        if _holds_template(value):
            self._tell(trail, f"{name} is a variable, and has a template in it", _TEXT_ONLY)
            return None
        if not _finite(value):
            self._tell(trail, f"{name} has .inf or .nan in it, which can't be stored")
            return None
        return Choice(value, "", keys.value_part(name, value), None, self._document.values[trail])

    def _tell(self, trail: Trail, message: str, hint: str | None = None) -> None:
        span = self._document.values[trail]
        self._problems.append(self._document.problem(span, message, hint))


_TEXT_ONLY = "templates work in text inputs; {% raw %} keeps braces as they are there"


def _holds_template(value: Any) -> bool:
    if isinstance(value, str):
        return is_template(value)
    if isinstance(value, dict):
        return any(_holds_template(item) for item in value.values())
    return isinstance(value, list) and any(_holds_template(item) for item in value)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    return not isinstance(value, list) or all(_finite(item) for item in value)
