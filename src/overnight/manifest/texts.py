"""Make the texts of a job: templates filled in, and prompts once for each of their variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from overnight.assets.local import LocalFileProblem
from overnight.catalog import AmbiguousAlias
from overnight.manifest.block import Choice
from overnight.manifest.draft import Draft, JobProblem
from overnight.manifest.fingerprint import fragment
from overnight.manifest.layout import Layout
from overnight.manifest.localfiles import LocalFiles, stand_in
from overnight.manifest.problems import Problem
from overnight.manifest.prompts import filled
from overnight.manifest.template import Template, TemplateProblem

Forced = Mapping[str, int]
"""Raw name of a prompt with variants → the variant to take; all of them where it has none."""

_REMEMBERED = 10_000
_Text = tuple[str, str, str]
"""A text, what is sent for it, and the member of that in the fingerprint."""


class TextMaker:
    """Makes the texts of the jobs of one block. With ``local`` one may be a local file's path."""

    def __init__(self, layout: Layout, local: LocalFiles | None = None) -> None:
        self._layout = layout
        self._local = local
        self._model = layout.model
        self._names: dict[int, list[tuple[str, str]]] = {}
        self._made: dict[tuple[Any, ...], _Text] = {}

    def finish(self, draft: Draft, forced: Forced) -> list[Draft]:
        """The draft with its texts; one for each combination of their variants.

        Raises :class:`JobProblem`.
        """
        pending = draft.pending
        for choice in pending.values():
            if choice.variants is not None:
                return self._with_variants(draft, forced)
        for raw, choice in pending.items():
            self._put(draft, raw, self._filled(raw, choice, draft))
        return [draft]

    def _with_variants(self, draft: Draft, forced: Forced) -> list[Draft]:
        pending = draft.pending
        made = []
        for texts in product(*(self._texts(raw, c, draft, forced) for raw, c in pending.items())):
            other = draft.copy(tracked=True)
            for raw, text in zip(pending, texts, strict=True):
                self._put(other, raw, text)
            made.append(other)
        return made

    def identity(self, name: str) -> str:
        """What a name in a template means."""
        try:
            return self._model.resolve(name) or name
        except AmbiguousAlias:
            return name

    def _put(self, draft: Draft, raw: str, text: _Text) -> None:
        draft.values[raw] = text[0]
        draft.inputs[raw] = text[1]
        draft.fragments[self._layout.slots[raw]] = text[2]
        name = self._model.shortest(raw)
        if name in draft.variables:
            draft.variables[name] = text[0]

    def _texts(self, raw: str, choice: Choice, draft: Draft, forced: Forced) -> Iterator[_Text]:
        if choice.variants is None:
            yield self._filled(raw, choice, draft)
            return
        values = self._values(choice, draft)
        places = [forced[raw]] if raw in forced else range(choice.variants.count)
        for place in places:
            yield self._checked(raw, choice, draft, values, choice.variants.text(place))

    def _filled(self, raw: str, choice: Choice, draft: Draft) -> _Text:
        """A template's text. Texts that come again, because other axes are multiplied with what
        they depend on, are made once."""
        values = self._values(choice, draft)
        template = choice.template
        assert template is not None
        if draft.place is not None or len(values) < len(template.names):
            return self._checked(raw, choice, draft, values)  # rows seldom say the same twice
        mark = (raw, template.source, *values.values())
        for value in values.values():
            if type(value) is not str:  # 1, 1.0 and true would be one mark
                return self._checked(raw, choice, draft, values)
        found = self._made.get(mark)
        if found is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            found = self._made[mark] = self._checked(raw, choice, draft, values)
        return found

    def _values(self, choice: Choice, draft: Draft) -> dict[str, Any]:
        """What the template of a value asks for. A text that is made itself is not there."""
        names = self._names.get(id(choice))
        if names is None:
            wanted = sorted(choice.template.names) if choice.template is not None else []
            names = [(name, self.identity(name)) for name in wanted]
            if choice.place is not draft.place:  # a row's choices come and go
                self._names[id(choice)] = names
        values, pending = draft.values, draft.pending
        return {
            name: values[identity]
            for name, identity in names
            if identity in values and identity not in pending
        }

    def _failed(self, raw: str, choice: Choice, draft: Draft, problem: Problem) -> Problem:
        """What is wrong with a text, told in the row that it takes its words from, if it does."""
        template, row = choice.template, draft.place
        if row is None or row is choice.place or template is None:
            return problem
        if self._layout.columns.isdisjoint(map(self.identity, template.names)):
            return problem
        return row.problem(f"{self._model.shortest(raw)}: {problem.message}", problem.hint)

    def _checked(
        self,
        raw: str,
        choice: Choice,
        draft: Draft,
        values: Mapping[str, Any],
        variant: str | None = None,
    ) -> _Text:
        """A text as this job has it. Raises :class:`JobProblem`."""
        template = choice.template
        try:
            if variant is not None:
                text = filled(variant, values)
            else:
                assert template is not None
                text = template.render(values)
        except TemplateProblem as error:
            message = f"{error}{_where(template, values)}"
            problem = choice.place.problem(message, error.hint)
            raise JobProblem(self._failed(raw, choice, draft, problem)) from None
        sent, told = self._sent(raw, text)
        if told is not None:
            problem = choice.place.problem(f"{told[0]}{_where(template, values)}", told[1])
            raise JobProblem(self._failed(raw, choice, draft, problem))
        return text, sent, fragment(raw, sent)

    def _sent(self, raw: str, text: str) -> tuple[str, tuple[str, str | None] | None]:
        """What is sent for a text, and what is wrong with it, with a hint."""
        name, sent = self._model.shortest(raw), text
        try:
            if self._local is not None:
                sent = self._local.sent(self._model.by_name[raw], text)
        except LocalFileProblem as error:
            return text, (f"{name} {error}", error.hint)
        wrong = self._model.check(raw, text if sent is text else stand_in(sent), shown=name)
        return sent, None if wrong is None else (wrong.message, wrong.hint)


def _where(template: Template | None, values: Mapping[str, Any]) -> str:
    """ " (where subject is …)", so that people know which of many jobs is meant."""
    names = sorted(template.names)[:3] if template is not None else []
    shown = [f"{name} is {str(values[name])[:40]!r}" for name in names if name in values]
    return f" (where {' and '.join(shown)})" if shown else ""
