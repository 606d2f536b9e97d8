"""Prompts with a syntax of their own, in blocks that say ``prompt_syntax: dynamic``.

The dialect is read in the prompt as it is written, before templates are filled in: so its variants
are known and counted when the manifest is read, and nothing that a variable brings along can be
taken for a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from overnight.catalog import Kind, Model
from overnight.manifest import keys
from overnight.manifest.block import Choice
from overnight.manifest.dynamic import DynamicProblem, Variants, is_dynamic
from overnight.manifest.places import InFile, Place
from overnight.manifest.problems import Problem
from overnight.manifest.template import Template, TemplateProblem, is_template, printed
from overnight.manifest.wildcards import Wildcards

_TEMPLATES = re.compile(r"\{\{[^{}]*\}\}|\{%[^{}]*%\}")
_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def prompt_inputs(model: Model) -> frozenset[str]:
    """Raw names of the inputs that are prompts: free texts that name no file."""
    return frozenset(
        spec.name
        for spec in model.inputs
        if spec.kind is Kind.TEXT and spec.media is None and not spec.enum
    )


class PromptProblem(Exception):
    """A prompt that can't be used; ``problem`` has its place."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def prompt(text: str, wildcards: Wildcards, place: Place) -> Choice | None:
    """A prompt with variants; None for a text that has nothing of the dialect.

    Raises :class:`PromptProblem`.
    """
    if not is_dynamic(text):
        return None
    try:
        variants = Variants(text, wildcards)
    except DynamicProblem as error:
        raise PromptProblem(_located(error, text, place)) from None
    # All templates of the prompt as one: which names they need, and whether they can be read.
    marks = "".join(_TEMPLATES.findall(text))
    try:
        template = Template(marks) if marks else None
    except TemplateProblem as error:
        raise PromptProblem(place.problem(str(error), error.hint)) from None
    return Choice(text, "", keys.slug(text), template, place, variants=variants)


def _located(error: DynamicProblem, text: str, place: Place) -> Problem:
    if error.file is not None:
        return InFile(error.file, error.line).problem(str(error), error.hint)
    return place.character(text, error.column or 0).problem(str(error), error.hint)


def filled(text: str, values: Mapping[str, Any]) -> str:
    """A variant with its templates filled in. Raises :class:`TemplateProblem`."""
    if not is_template(text):
        return text
    if is_template(_NAME.sub("", text)):
        return _compiled(text).render(values)
    # Plain names only: compiling each of a million variants would take ten times as long.
    return _NAME.sub(lambda found: printed(_value(found[1], values)), text)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Template:
    return Template(text)


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise TemplateProblem(f'"{name}" has no value in this job')
    return values[name]
