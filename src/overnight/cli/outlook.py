"""What a manifest comes to before anything is done about it: how many jobs, at what price, for how
long, and how that stands to what the database has. Reads only, and makes no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from overnight.cli.bill import Cost, Limit, limit_of
from overnight.cli.due import as_cost
from overnight.cli.forecast import Forecast
from overnight.cli.meter import metered
from overnight.cli.output import Output
from overnight.cli.sample import Sample
from overnight.cli.wanted import Wanted

if TYPE_CHECKING:
    from overnight.manifest import JobSpec
    from overnight.manifest.block import Block
    from overnight.store.comparison import Comparison
    from overnight.store.database import Database
    from overnight.store.rows import Batch


@dataclass(frozen=True, slots=True)
class BlockLine:
    """One block: its axes with their lengths, how it is made in words, its different jobs, and
    what is to be paid for those of them that are still to be submitted."""

    name: str
    models: tuple[str, ...]
    axes: Mapping[str, int]
    made: str
    new: int
    existing: int
    cost: Cost

    @property
    def count(self) -> int:
        return self.new + self.existing


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything that ``plan`` tells.

    ``batch`` is None while it is not in the database. ``prune`` says whether jobs that are gone
    from the manifest would be cancelled. ``changes`` are sentences about schemas that differ from
    those of the last load. ``matching`` is how many jobs the sample was picked from.
    """

    wanted: Wanted
    comparison: Comparison
    batch: Batch | None
    prune: bool
    spent: Cost
    forecast: Forecast
    changes: Sequence[str]
    sample: Sequence[JobSpec]
    matching: int

    @property
    def jobs(self) -> int:
        """The manifest's different jobs."""
        return self.comparison.new + self.comparison.existing

    @property
    def cost(self) -> Cost:
        """What would be submitted: new and waiting jobs, gone ones too unless they are pruned."""
        return as_cost(self.comparison.to_submit) + self.gone_to_submit

    @property
    def gone_to_submit(self) -> Cost:
        """The part of it that the manifest makes no more."""
        gone, pruned = self.comparison.gone_waiting, self.comparison.prunable
        if not self.prune:
            return as_cost(gone)
        unpriced = gone.unpriced - pruned.unpriced
        dollars = gone.dollars - pruned.dollars
        return Cost(dollars, gone.jobs - pruned.jobs - unpriced, unpriced)

    @property
    def to_submit(self) -> int:
        return self.cost.jobs

    @property
    def limit(self) -> Limit | None:
        """``limits.cost``, held against this; None without one."""
        dollars = limit_of(self.wanted.manifest.run.as_json())
        return None if dollars is None else Limit(dollars, self.spent, self.cost)

    @property
    def blocks(self) -> list[BlockLine]:
        """The blocks in the manifest's order. Those without a name are one line."""
        named: dict[str, list[Block]] = {}
        for block in self.wanted.manifest.blocks:
            named.setdefault(block.name, []).append(block)
        return [self._line(name, blocks) for name, blocks in named.items()]

    def _line(self, name: str, blocks: Sequence[Block]) -> BlockLine:
        # Several blocks without a name have no axes in common that could be shown.
        [only] = blocks if len(blocks) == 1 else [None]
        axes = {} if only is None else {axis.name: len(axis.choices) for axis in only.axes}
        made = f"{len(blocks)} blocks" if only is None else made_of(only)
        parts = {
            model: part
            for (block, model), part in self.comparison.by_block.items()
            if block == name
        }
        cost = sum((as_cost(part.to_submit) for part in parts.values()), Cost())
        new = sum(part.new for part in parts.values())
        existing = sum(part.existing for part in parts.values())
        return BlockLine(name, tuple(parts), axes, made, new, existing, cost)


def made_of(block: Block) -> str:
    """How a block's jobs come about: ``rows of shots.csv × seed 4 × repeat 2, some excluded``."""
    factors = [] if block.rows is None else [f"rows of {block.rows.path.name}"]
    factors += [f"{axis.name} {len(axis.choices):,}" for axis in block.axes]
    if block.repeat > 1:
        factors.append(f"repeat {block.repeat:,}")
    parts = [" × ".join(factors)] if factors else []
    if block.exclude:
        parts.append("some excluded")
    if block.sample is not None:
        parts.append(f"{block.sample.n:,} sampled")
    if block.include:
        parts.append(f"{len(block.include):,} included")
    return ", ".join(parts)


# --- looking --------------------------------------------------------------------------------------


@contextmanager
def existing(named: str) -> Iterator[Database | None]:
    """The database that ``--db`` names, if there is one: none is made for looking.

    Raises what :func:`overnight.store.database.open_database` does for one that can't be used.
    """
    from overnight.store.database import connect, require_head, revision_of
    from overnight.store.errors import DatabaseMissing

    try:
        database = connect(named)
    except DatabaseMissing:
        yield None
        return
    with database:
        revision = revision_of(database)
        if revision is None:
            yield None
            return
        require_head(database, revision)
        yield database


def frozen(database: Database | None) -> Callable[[str], Mapping[str, list[Any]]]:
    """The random values that ``database`` keeps for a batch, by the batch's name."""

    def of_batch(name: str) -> Mapping[str, list[Any]]:
        if database is None:
            return {}
        from overnight.store import loading

        with database.reading() as connection:
            return loading.drawn(connection, name) or {}

    return of_batch


def look(
    wanted: Wanted,
    database: Database | None,
    sample: Sample,
    output: Output,
    *,
    prune: bool = False,
    concurrency: int | None = None,
) -> Outlook:
    """Compare what is wanted with what is there. Raises
    :class:`~overnight.manifest.ManifestError` for a text that can't be made."""
    from overnight.store import comparison, durations, loading, spending, views
    from overnight.store.blank import view

    manifest = wanted.manifest
    specs = metered(_shown(manifest.specs(), sample), output, "Planning", manifest.count())
    with closing(specs), view(database) as connection:
        found = comparison.compare(connection, manifest.name, specs)
        batches = [one for one in views.all_batches(connection) if one.name == manifest.name]
        batch = batches[0] if batches else None
        spent = Cost()
        if batch is not None and manifest.run.limits.cost is not None:
            spent = as_cost(spending.spent(connection, batch.id))
        models = _to_submit(found)
        typical = durations.typical(connection, list(models))
        before = loading.schemas(connection, manifest.name) or {}
    at_once = concurrency or manifest.run.concurrency
    forecast = Forecast(models, typical, at_once, manifest.run.rate)
    changes = schema_changes(before, wanted)
    picked = sample.jobs()
    return Outlook(wanted, found, batch, prune, spent, forecast, changes, picked, sample.matching)


def _shown(specs: Iterable[JobSpec], sample: Sample) -> Iterator[JobSpec]:
    for spec in specs:
        sample.saw(spec)
        yield spec


def _to_submit(found: Comparison) -> Mapping[str, int]:
    """Jobs to submit by model."""
    models: Counter[str] = Counter()
    for (_, model), block in found.by_block.items():
        models[model] += block.to_submit.jobs
    return models


def schema_changes(before: Mapping[str, str], wanted: Wanted) -> list[str]:
    """For each model whose schema isn't the one that the batch was loaded with: a sentence.

    ``before`` are the digests of the schemas of the last load.
    """
    from overnight.catalog import changes
    from overnight.cli.catalog import earlier_schema

    said = []
    for name, digest in wanted.schemas.items():
        if before.get(name, digest) == digest:
            continue
        old = earlier_schema(name, before[name])
        what = [] if old is None else changes.describe(old, wanted.models[name].input_schema)
        clauses = f": {'; '.join(what)}" if what else ""
        said.append(f"The provider's schema of {name} has changed since the last load{clauses}.")
    return said
