"""From a manifest's shape to checked blocks: inheritance, names, values, templates.

Every problem is noted at its own place and all are reported together, so nothing is expanded before
all of it is right. How a block inherits is in :mod:`overnight.manifest.levels`.
"""

from __future__ import annotations

from pathlib import Path

from overnight.catalog import Catalog, Model, SchemaError, UnknownModel
from overnight.manifest.assembly import Assembly
from overnight.manifest.axes import AxisReader
from overnight.manifest.block import Block
from overnight.manifest.checks import Checker
from overnight.manifest.clauses import ConditionReader
from overnight.manifest.draws import Draws
from overnight.manifest.expressions import ExpressionProblem
from overnight.manifest.levels import read_level
from overnight.manifest.localfiles import LocalFiles
from overnight.manifest.naming import NameTemplate
from overnight.manifest.places import Reporter
from overnight.manifest.pricing import Pricer, pricer
from overnight.manifest.shapes import BlockShape, ManifestShape
from overnight.manifest.tables import TableReader
from overnight.manifest.unchecked import find_unchecked
from overnight.manifest.wildcards import Wildcards
from overnight.manifest.yaml12 import Trail


class Surroundings:
    """What the blocks of one manifest have around them: its folder, what has been drawn for it,
    the files it reads or sends, and how jobs' files are named."""

    def __init__(
        self, folder: Path, drawn: Draws, namer: NameTemplate | None, local: LocalFiles
    ) -> None:
        self.folder = folder
        self.drawn = drawn
        self.namer = namer
        self.local = local
        self.files: set[Path] = set()
        self.wildcards = Wildcards(folder / "wildcards")


class Compiler:
    """Turns one document into blocks. ``reporter`` holds what was found on the way."""

    def __init__(
        self, shape: ManifestShape, catalog: Catalog, reporter: Reporter, around: Surroundings
    ) -> None:
        self.reporter = reporter
        self.around = around
        self.shape = shape
        self.conditions = ConditionReader(reporter)
        self.tables = TableReader(reporter, around.folder, around.files)
        self._catalog = catalog
        self._readers: dict[tuple[int, bool], tuple[Checker, AxisReader]] = {}
        self._models: dict[tuple[str, frozenset[str]], Model] = {}
        self._pricers: dict[int, Pricer | None] = {}

    def blocks(self) -> tuple[Block, ...]:
        """Every block, in order. Worth nothing when there are problems."""
        shape = self.shape
        if shape.jobs is None:
            found = [Assembly(self, shape, ()).block()]
        else:
            self._check_names(shape.jobs)
            self._check_top()
            found = [
                Assembly(self, block, ("jobs", at)).block() for at, block in enumerate(shape.jobs)
            ]
        self.conditions.close()
        return tuple(block for block in found if block is not None)

    def model(self, block: BlockShape, trail: Trail, more: frozenset[str]) -> Model | None:
        """The block's model. ``more`` are inputs that it is to have, when nothing is checked."""
        here = trail if block.model is not None else ()
        model_id = block.model or self.shape.model
        if model_id is None:
            if self.reporter.whole:
                hint = "write model: and the model's id"
                self.reporter.at_key(trail, "there is no model for these jobs", hint)
            return None
        if self.shape.checks == "off":
            if (model_id, more) not in self._models:
                self._models[model_id, more] = find_unchecked(self._catalog, model_id, sorted(more))
            return self._models[model_id, more]
        try:
            return self._catalog.find(model_id)
        except UnknownModel as error:
            self.reporter.at_value((*here, "model"), str(error), error.hint)
        except SchemaError as error:
            self.reporter.at_value((*here, "model"), str(error))
        return None

    def readers(self, model: Model, *, dynamic: bool) -> tuple[Checker, AxisReader]:
        """The readers of values and axes for a model; blocks share them, so that what they inherit
        is checked once."""
        key = (id(model), dynamic)
        if key not in self._readers:
            wildcards = self.around.wildcards if dynamic else None
            around = self.around
            checker = Checker(self.reporter, model, wildcards, around.local)
            axes = AxisReader(self.reporter, checker, around.folder, around.drawn, around.files)
            self._readers[key] = (checker, axes)
        return self._readers[key]

    def cell_checker(self, model: Model, *, dynamic: bool) -> tuple[Checker, Reporter]:
        """A checker for the cells of a table. What it finds comes up while jobs are made, so it
        goes to a reporter of its own."""
        reporter = self.reporter.like()
        wildcards = self.around.wildcards if dynamic else None
        return Checker(reporter, model, wildcards, self.around.local), reporter

    def pricer(self, model: Model) -> Pricer | None:
        """How a model's jobs are priced."""
        if id(model) not in self._pricers:
            self._pricers[id(model)] = self._read_price(model)
        return self._pricers[id(model)]

    def _read_price(self, model: Model) -> Pricer | None:
        try:
            return pricer(self.shape.run.price, model)
        except ExpressionProblem as error:
            place = self.reporter.column_place(("run", "price"), error.column)
            self.reporter.problems.append(place.problem(f"price: {error}", error.hint))
            return None

    def _check_names(self, blocks: list[BlockShape]) -> None:
        first: dict[str, Trail] = {}
        for at, block in enumerate(blocks):
            trail: Trail = ("jobs", at, "name")
            if block.name is None:
                continue
            if block.name in first:
                line = self.reporter.line(first[block.name])
                message = f'the block of line {line} is called "{block.name}" too'
                self.reporter.at_value(trail, message, "give each block its own name")
            first.setdefault(block.name, trail)

    def _check_top(self) -> None:
        """The top level's own values, even those that every block replaces."""
        if self.shape.model is None or self.shape.checks == "off":
            return
        model = self.model(self.shape, (), frozenset())
        if model is None:
            return
        checker, axes = self.readers(model, dynamic=self.shape.prompt_syntax == "dynamic")
        level = read_level(model, self.shape, (), self.reporter)
        for entry in level.constants:
            if entry.raw is not None:
                checker.setting(entry.raw, entry.word, entry.value, entry.trail)
        for entry in (*level.axes, *level.zipped()):
            if entry.raw is not None:
                axes.axis(entry)
