"""From blocks to a stream of job specs.

A block has passed every check that needs no rendering (:mod:`overnight.manifest.blocks`). Rows come
slowest, then the axes in the order they are written, the last one varying fastest, then what a
prompt's variants make, then repeats. ``exclude`` looks at a combination as it was chosen; rules
come after it, and texts are made last. Whole jobs of ``include`` follow at the end of their block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, product
from math import prod

from overnight.manifest import sampling
from overnight.manifest.block import Block, Choice, Group
from overnight.manifest.conditions import ConditionFailed
from overnight.manifest.draft import Draft, JobProblem
from overnight.manifest.layout import Step
from overnight.manifest.problems import ManifestError, Problem
from overnight.manifest.recipe import Recipe, Row
from overnight.manifest.sampling import Bottom, Indices, SamplingProblem, Stream
from overnight.manifest.spec import JobSpec
from overnight.manifest.texts import Forced
from overnight.manifest.yaml12 import Document

__all__ = ["JobSpec", "expand"]

MOST_PROBLEMS = 20
"""Rendering stops after this many different problems; they mostly say the same."""

Told = Callable[[Problem], None]


def expand(
    blocks: Iterable[Block], document: Document, most: Sequence[tuple[int, Problem]], noted: Told
) -> Iterator[JobSpec]:
    """The specs of all blocks, in order.

    ``most`` are numbers of jobs that must not be exceeded, each with what is wrong then. ``noted``
    is told what is worth saying and only known at the end.

    Raises :class:`ManifestError` after the last spec when jobs could not be made, or earlier when
    there are many such problems; nothing that was yielded may be kept then.
    """
    problems: dict[Problem, None] = {}

    def told(problem: Problem) -> None:
        problems[problem] = None
        if len(problems) >= MOST_PROBLEMS:
            raise ManifestError(problems, document.text)

    limit, too_many = min(most, key=lambda pair: pair[0])
    position = 0
    for block in blocks:
        for spec in _BlockStream(block, told, noted).specs(position):
            position += 1
            if position > limit:
                raise ManifestError([*problems, too_many], document.text)
            yield spec
    if problems:
        raise ManifestError(problems, document.text)


class _BlockStream:
    """The jobs of one block."""

    def __init__(self, block: Block, told: Told, noted: Told) -> None:
        self._block = block
        self._told = told
        self._noted = noted
        self._recipe = Recipe(block)
        layout = self._recipe.layout
        self._dimensions = [_steps(self._recipe, group) for group in block.dimensions]
        self._rules = [(rule, layout.change(rule.sets)) for rule in block.rules]
        self._hits = [0] * len(block.exclude)

    def specs(self, position: int) -> Iterator[JobSpec]:
        """Every job, positions counted from ``position``."""
        recipe = self._recipe
        if recipe.is_plain and self._block.sample is None:
            yield from recipe.plain_jobs(self._dimensions, position, self._told)
            return
        start = position
        for draft, forced in self._chosen():
            for spec in self._made(position, draft, forced):
                position += 1
                yield spec
        self._note_exclude(is_empty=position == start)
        for inclusion in self._block.include:
            draft = recipe.draft([recipe.layout.step(inclusion.sets.items())])
            for spec in self._made(position, draft, None):
                position += 1
                yield spec

    def _made(self, position: int, draft: Draft, forced: Forced | None) -> list[JobSpec]:
        try:
            return self._recipe.jobs(position, draft, forced)
        except JobProblem as error:
            self._told(error.problem)
            return []

    def _chosen(self) -> Iterator[tuple[Draft, Forced | None]]:
        """The combinations that are wanted, rules applied."""
        if self._block.sample is None:
            return ((draft, None) for draft in self._combinations())
        if self._block.rows is not None:
            return self._sampled_stream(self._block.sample.n, self._block.sample.seed)
        return self._sampled(self._block.sample.n, self._block.sample.seed)

    def _combinations(self) -> Iterator[Draft]:
        """Every combination that is not excluded, rules applied."""
        block, recipe = self._block, self._recipe
        rows: Iterable[Row | None] = [None]
        if block.rows is not None:
            rows = block.rows.cells(recipe.layout, self._told)
        picky = bool(block.exclude or block.rules)
        found = False
        for row in rows:
            found = True
            for draft in recipe.drafts(self._dimensions, row):
                if not picky or self._accepted(draft):
                    yield draft
        if not found and block.rows is not None:
            message = "no row of this table is left, so these are no jobs"
            self._noted(block.rows.place.problem(message, "look at the file, and at where:"))

    def _accepted(self, draft: Draft) -> bool:
        """Whether a combination is not excluded; the rules that it meets are applied then."""
        try:
            for at, condition in enumerate(self._block.exclude):
                if condition.holds(draft.values, draft.labels):
                    self._hits[at] += 1
                    return False
            for rule, step in self._rules:
                if rule.when.holds(draft.values, draft.labels):
                    draft.set(step, tracked=True)
        except ConditionFailed as error:
            self._told(error.problem)
            return False
        return True

    def _note_exclude(self, *, is_empty: bool) -> None:
        if self._block.sample is not None:
            return  # not every combination was looked at
        if is_empty and any(self._hits):
            message = "this leaves no combination over"
            first = next(c for c, hits in zip(self._block.exclude, self._hits, strict=True) if hits)
            self._noted(first.place.problem(message, "exclude less"))
        for condition, hits in zip(self._block.exclude, self._hits, strict=True):
            if not hits:
                message = "this excludes nothing: no combination meets it"
                self._noted(condition.place.problem(message, "leave it out, or correct it"))

    # --- samples --------------------------------------------------------------------------------

    def _sampled_stream(self, n: int, seed: int) -> Iterator[tuple[Draft, Forced | None]]:
        """The ``n`` of all combinations whose fingerprints' hashes are smallest: rows are a stream
        whose length nobody knows before its end."""
        bottom: Bottom[tuple[Draft, Forced | None]] = Bottom(n, seed)
        offered = 0
        for draft in self._combinations():
            for forced in _each_variant(draft):
                for spec in self._made(0, draft, forced)[:1]:
                    bottom.offer(spec.fingerprint, (draft, forced))
                    offered += 1
        if offered <= n:
            self._note_small(offered, n)
        yield from bottom.items()

    def _sampled(self, n: int, seed: int) -> Iterator[tuple[Draft, Forced | None]]:
        block = self._block
        spreads = [_Spread(steps) for steps in self._dimensions]
        sizes, choosers = {}, {}
        for group, spread in zip(block.dimensions, spreads, strict=True):
            name = " + ".join(sorted(axis.name for axis in group.axes))
            sizes[name] = spread.size
            if spread.weighted:
                choosers[name] = spread.choose
        prompts = [(raw, c) for raw, c in block.constants.items() if c.variants is not None]
        for raw, choice in prompts:
            spread = _Spread([Step(pending=((raw, choice),))])
            spreads.append(spread)
            sizes[f"variants of {raw}"] = spread.size
            if spread.weighted:
                choosers[f"variants of {raw}"] = spread.choose
        accept = self._accepts(spreads) if block.exclude else None
        try:
            picked = sampling.pick(sizes, n, seed, accept, choosers)
        except SamplingProblem as error:
            assert block.sample is not None
            self._told(block.sample.place.problem(str(error), error.hint))
            return
        if len(picked) < n or prod(sizes.values()) == n:
            self._note_small(len(picked), n)
        for indices in picked:
            draft, forced = self._at(spreads, indices)
            if self._accepted(draft):
                yield draft, forced

    def _at(self, spreads: Sequence[_Spread], indices: Indices) -> tuple[Draft, Forced]:
        """One combination by its places."""
        steps: list[Step] = []
        forced: dict[str, int] = {}
        own = len(self._dimensions)
        for number, (spread, index) in enumerate(zip(spreads, indices, strict=True)):
            step, variants = spread.at(index)
            forced.update(variants)
            if number < own:
                steps.append(step)
        return self._recipe.draft(steps), forced

    def _accepts(self, spreads: Sequence[_Spread]) -> Callable[[Indices], bool]:
        def accept(indices: Indices) -> bool:
            draft, _ = self._at(spreads, indices)
            try:
                return not any(
                    condition.holds(draft.values, draft.labels) for condition in self._block.exclude
                )
            except ConditionFailed as error:
                self._told(error.problem)
                return False

        return accept

    def _note_small(self, found: int, n: int) -> None:
        sample = self._block.sample
        if sample is not None:
            message = f"the sample is everything: {found:,} combinations, and {n:,} are asked for"
            self._noted(sample.place.problem(message, "leave sample out"))


def _steps(recipe: Recipe, group: Group) -> list[Step]:
    names = [axis.identity for axis in group.axes]
    if len(names) == 1:
        return [recipe.layout.step([(names[0], choice)]) for choice in group.axes[0].choices]
    return [recipe.layout.step(zip(names, step, strict=True)) for step in group.choices]


def _several(step: Step) -> list[tuple[str, Choice]]:
    return [(raw, choice) for raw, choice in step.pending if choice.variants is not None]


def _each_variant(draft: Draft) -> Iterator[Forced | None]:
    """Every combination of the variants of a job's prompts."""
    several = [(raw, c.variants.count) for raw, c in draft.pending.items() if c.variants]
    if not several:
        yield None
        return
    for places in product(*(range(count) for _, count in several)):
        yield {raw: place for (raw, _), place in zip(several, places, strict=True)}


class _Spread:
    """The positions of a dimension with the variants of their prompts counted one by one."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._several = [_several(step) for step in steps]
        counts = [prod(c.variants.count for _, c in s if c.variants) for s in self._several]
        self._ends = list(accumulate(counts))
        self.size = self._ends[-1]
        self.weighted = any(c.variants.weighted for s in self._several for _, c in s if c.variants)

    def at(self, index: int) -> tuple[Step, Forced]:
        """The step of an index below :attr:`size`, and its prompts' variants."""
        place = bisect_right(self._ends, index)
        rest = index - (self._ends[place - 1] if place else 0)
        forced: dict[str, int] = {}
        for raw, choice in reversed(self._several[place]):
            assert choice.variants is not None
            rest, forced[raw] = divmod(rest, choice.variants.count)
        return self._steps[place], forced

    def choose(self, stream: Stream) -> int:
        """An index by chance: a step by its number of variants, and these by their weights."""
        place = bisect_right(self._ends, stream.below(self.size))
        index = 0
        for _, choice in self._several[place]:
            assert choice.variants is not None
            index = index * choice.variants.count + choice.variants.choose(stream.fraction)
        return index + (self._ends[place - 1] if place else 0)
