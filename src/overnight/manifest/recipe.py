"""How the jobs of a block are put together, as fast as a million of them needs.

Everything that a position of an axis, a row or a rule sets is worked out once, as a :class:`Step`.
A job is the block's constants with some steps on top; what is left to do for each job is to copy,
to hash, and to make texts where there are templates or variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from overnight.manifest import keys, pricing
from overnight.manifest.block import Block
from overnight.manifest.draft import Draft, JobProblem
from overnight.manifest.expressions import ExpressionProblem
from overnight.manifest.fingerprint import Fingerprinter
from overnight.manifest.keys import join
from overnight.manifest.layout import ABSENT, Layout, Step
from overnight.manifest.places import Place
from overnight.manifest.problems import Problem
from overnight.manifest.spec import JobSpec
from overnight.manifest.template import TemplateProblem
from overnight.manifest.texts import Forced, TextMaker

Row = tuple[Sequence[Step], Place]
"""A row's cells, and where it stands."""


class Recipe:
    """Makes the jobs of one block."""

    def __init__(self, block: Block) -> None:
        self.layout = Layout(block)
        self._block = block
        model = block.model
        self._hashes = [
            Fingerprinter(block.provider, model.id, number) for number in range(1, block.repeat + 1)
        ]
        self._required = [raw for raw in model.required if raw in self.layout.optional]
        self._optional = bool(self.layout.optional)
        self._rank = pricing.ranker(block.order, model)
        self._texts = TextMaker(self.layout, block.local)
        self._base = self._constants()
        self.tracks = self._needs_values()
        self.is_plain = not (self.tracks or self._optional or block.repeat > 1 or self._rank)
        """Whether all jobs are made by copying and hashing alone."""

    def _constants(self) -> Draft:
        layout, constants = self.layout, self._block.constants
        inputs = {raw: constants[raw].sent if raw in constants else ABSENT for raw in layout.raws}
        fragments = [constants[raw].fragment if raw in constants else "" for raw in layout.slots]
        parts = [""] * (len(layout.words) + 2)
        parts[0] = keys.block_part(self._block.name)
        draft = Draft(inputs, fragments, parts)
        draft.values = {raw: choice.value for raw, choice in constants.items()}
        draft.pending = {raw: choice for raw, choice in constants.items() if choice.made}
        return draft

    def _needs_values(self) -> bool:
        block = self._block
        choices = [c for group in block.dimensions for axis in group.axes for c in axis.choices]
        choices += block.constants.values()
        return bool(
            block.rows or block.rules or block.exclude or block.include or block.namer
        ) or any(c.made or any(inner.made for inner in c.sets.values()) for c in choices)

    def draft(self, steps: Iterable[Step], place: Place | None = None) -> Draft:
        """The constants with these steps on top. ``place`` is the row that they come from."""
        draft = self._base.copy(tracked=self.tracks)
        draft.place = place
        draft.set(*steps, tracked=self.tracks)
        return draft

    def drafts(
        self, dimensions: Sequence[Sequence[Step]], row: Row | None = None
    ) -> Iterator[Draft]:
        """Every combination on top of a row, the last dimension varying fastest. The outer ones
        are put together once for all steps of the last."""
        cells, place = row if row is not None else ((), None)
        if not dimensions:
            yield self.draft(cells, place)
            return
        *outer, last = dimensions
        tracks = self.tracks
        for chosen in product(*outer):
            shared = self.draft((*cells, *chosen), place)
            for step in last:
                draft = shared.copy(tracked=tracks)
                draft.set(step, tracked=tracks)
                yield draft

    def plain_jobs(
        self, dimensions: Sequence[Sequence[Step]], position: int, told: Callable[[Problem], None]
    ) -> Iterator[JobSpec]:
        """Every combination, where :attr:`is_plain`: the same as :meth:`drafts` and :meth:`jobs`
        with everything left out that such a block has no use for. A price that can't be worked
        out is told."""
        *outer, last = dimensions or [[Step()]]
        block, hashed = self._block, self._hashes[0].of
        provider, model, pricer = block.provider, block.model.id, block.pricer
        for chosen in product(*outer):
            shared = self.draft(chosen)
            parts = shared.parts
            for step in last:
                inputs, variables = shared.inputs.copy(), shared.variables.copy()
                fragments = shared.fragments.copy()
                for raw, value, slot, member in step.inputs:
                    inputs[raw] = value
                    fragments[slot] = member
                for slot, word in step.parts:  # the same slots each time
                    parts[slot] = word
                for name, value in step.variables:
                    variables[name] = value
                mark = hashed(fragments)
                key = join(parts, mark)
                try:
                    price = None if pricer is None else self._price(inputs)
                except JobProblem as error:
                    told(error.problem)
                    continue
                yield JobSpec(
                    *(position, block.name, key, mark, provider, model, inputs, variables),
                    *(block.priority, 0, block.tags, 1, None, price),
                )
                position += 1

    def jobs(self, position: int, draft: Draft, forced: Forced | None = None) -> list[JobSpec]:
        """The jobs of one combination: one for each variant of its texts, and each repeated.

        Raises :class:`JobProblem`.
        """
        if self._required:
            self._check_required(draft)
        drafts = self._texts.finish(draft, forced or {}) if draft.pending else [draft]
        if self._block.repeat == 1:
            return [self._spec(position + at, made, 1) for at, made in enumerate(drafts)]
        repeats = range(1, self._block.repeat + 1)
        return [
            self._spec(position + at, made, repeat)
            for at, (made, repeat) in enumerate(product(drafts, repeats))
        ]

    def _spec(self, position: int, draft: Draft, repeat: int) -> JobSpec:
        inputs, fragments, parts = draft.inputs, draft.fragments, draft.parts
        if self._optional:
            inputs = {raw: value for raw, value in inputs.items() if value is not ABSENT}
            fragments = [member for member in fragments if member]
        if repeat > 1:
            parts = [*parts, f"r{repeat}"]
        fingerprint = self._hashes[repeat - 1].of(fragments)
        key = keys.join(parts, fingerprint)
        block = self._block
        return JobSpec(
            position,
            *(block.name, key, fingerprint, block.provider, block.model.id),
            inputs,
            draft.variables,
            block.priority,
            0 if self._rank is None else self._rank(fingerprint, inputs),
            block.tags,
            repeat,
            None if block.namer is None else self._name(draft, key, position, repeat),
            None if block.pricer is None else self._price(inputs),
        )

    # --- what else a job has --------------------------------------------------------------------

    def _check_required(self, draft: Draft) -> None:
        for raw in self._required:
            if draft.inputs[raw] is ABSENT:
                name = self._block.model.shortest(raw)
                shown = ", ".join(f"{n} is {str(v)[:40]!r}" for n, v in draft.variables.items())
                message = f"{self._block.model.id} needs {name}, and a job does not have it"
                place = draft.place or self._block.place
                raise JobProblem(place.problem(f"{message} (where {shown})" if shown else message))

    def _name(self, draft: Draft, key: str, position: int, repeat: int) -> str:
        namer, place = self._block.namer, self._block.name_place
        assert namer is not None
        assert place is not None
        model = self._block.model
        values = {**model.defaults, **draft.values}
        for name in namer.names:
            identity = self._texts.identity(name)
            if identity in values:
                values[name] = values[identity]
        named = {name: values[name] for name in namer.names if name in values}
        block = self._block.name
        try:
            return namer.path(named, key=key, block=block, index=position + 1, repeat=repeat)
        except TemplateProblem as error:
            shown = ", ".join(f"{n} is {str(v)[:40]!r}" for n, v in named.items())
            message = f"{error} (where {shown})" if shown else str(error)
            raise JobProblem(place.problem(message, error.hint)) from None

    def _price(self, inputs: Mapping[str, Any]) -> float | None:
        pricer, place = self._block.pricer, self._block.price_place
        assert pricer is not None
        try:
            return pricer(inputs)
        except ExpressionProblem as error:
            raise JobProblem((place or self._block.place).problem(str(error), error.hint)) from None
