"""One value of a manifest, checked once and where it stands.

A value that many jobs use, or that many blocks inherit, is looked at a single time for each model;
what comes out is a :class:`~overnight.manifest.block.Choice`, ready to be put into jobs.
"""

from __future__ import annotations

import math
from typing import Any

from overnight.assets.local import LocalFileProblem
from overnight.catalog import InputSpec, Kind, Model
from overnight.manifest import keys
from overnight.manifest.block import Choice
from overnight.manifest.dynamic import is_dynamic
from overnight.manifest.fingerprint import fragment
from overnight.manifest.localfiles import LocalFiles, stand_in
from overnight.manifest.places import Place, Reporter
from overnight.manifest.prompts import PromptProblem, prompt, prompt_inputs
from overnight.manifest.template import Template, TemplateProblem, is_template
from overnight.manifest.wildcards import Wildcards
from overnight.manifest.yaml12 import Trail


class Checker:
    """Checks values against one model; what is wrong is noted by ``reporter``. With ``wildcards``
    prompts have a syntax of their own; with ``local`` the paths of files may be sent."""

    def __init__(
        self,
        reporter: Reporter,
        model: Model,
        wildcards: Wildcards | None = None,
        local: LocalFiles | None = None,
    ) -> None:
        self.model = model
        self.broken_template = False
        """Whether a template could not be read, so that nobody knows which names it uses."""
        self._reporter = reporter
        self._wildcards = wildcards
        self._local = local
        self._prompts = prompt_inputs(model) if wildcards is not None else frozenset()
        self._done: dict[tuple[Trail, str | None], Choice | None] = {}

    def setting(self, raw: str | None, word: str, value: Any, trail: Trail) -> Choice | None:
        """A value of the document for the input ``raw``, which it calls ``word``, or for a
        variable of that name. None when it is no good, which has been noted then."""
        if (trail, raw) not in self._done:
            self._done[trail, raw] = self.choice(
                raw, word, value, self._reporter.value_place(trail)
            )
        return self._done[trail, raw]

    def choice(self, raw: str | None, word: str, value: Any, place: Place) -> Choice | None:
        """The same for a value that stands anywhere."""
        if raw is None:
            return self._variable(word, value, place)
        return self._input(raw, word, value, place)

    def has_marks(self, raw: str | None, text: str) -> bool:
        """Whether a text is a template, or means more than it says in another way."""
        if is_template(text):
            return True
        return (
            self._wildcards is not None
            and (raw is None or raw in self._prompts)
            and is_dynamic(text)
        )

    def _input(self, raw: str, word: str, value: Any, place: Place) -> Choice | None:
        spec = self.model.by_name[raw]
        if isinstance(value, str) and raw in self._prompts and is_dynamic(value):
            return self._prompt(value, place)
        if isinstance(value, str) and is_template(value):
            return self._template(spec, word, value, place)
        if _holds_template(value):
            return self._tell(place, f"{word} has a template inside a list", _TEXT_ONLY)
        value = self.model.canonical(raw, value)
        try:
            sent = value if self._local is None else self._local.sent(spec, value)
        except LocalFileProblem as error:
            return self._tell(place, f"{word} {error}", error.hint)
        is_local = sent != value
        problem = self.model.check(raw, stand_in(sent) if is_local else value, shown=word)
        if problem is not None:
            return self._tell(place, problem.message, problem.hint)
        part = input_part(self.model, spec, value)
        reference = sent if is_local else None
        return Choice(value, fragment(raw, sent), part, None, place, reference=reference)

    def _prompt(self, text: str, place: Place) -> Choice | None:
        assert self._wildcards is not None
        try:
            return prompt(text, self._wildcards, place)
        except PromptProblem as error:
            self.broken_template = True
            self._reporter.problems.append(error.problem)
            return None

    def _template(self, spec: InputSpec, word: str, value: str, place: Place) -> Choice | None:
        if spec.kind not in (Kind.TEXT, Kind.ANY):
            hint = f"list its values under matrix: {word}: [first, second]"
            return self._tell(place, f"{word} is no text input, and a template makes text", hint)
        try:
            template = Template(value)
        except TemplateProblem as error:
            self.broken_template = True
            return self._tell(place, str(error), error.hint)
        return Choice(value, "", keys.slug(value), template, place)

    def _variable(self, name: str, value: Any, place: Place) -> Choice | None:
        if _holds_template(value):
            return self._tell(place, f"{name} is a variable, and has a template in it", _TEXT_ONLY)
        if self._wildcards is not None and isinstance(value, str) and is_dynamic(value):
            message = f"{name} is a variable, so the marks in it are sent as they stand"
            self._reporter.notes.append(
                place.problem(message, "variants work in the prompt itself")
            )
        if not _finite(value):
            return self._tell(place, f"{name} has .inf or .nan in it, which can't be stored")
        return Choice(value, "", keys.value_part(name, value), None, place)

    def _tell(self, place: Place, message: str, hint: str | None = None) -> Choice | None:
        """Note a problem; the value is no choice then."""
        self._reporter.problems.append(place.problem(message, hint))
        return None


_TEXT_ONLY = "templates work in text inputs; {% raw %} keeps braces as they are there"


def input_part(model: Model, spec: InputSpec, value: Any) -> str:
    """The word of an input's value in keys."""
    if spec.media is not None and isinstance(value, str):
        return keys.file_part(value)
    return keys.value_part(model.shortest(spec.name), value)


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
