"""What the FILE of ``plan``, ``run`` and ``load`` asks for: a manifest, or a plan made of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overnight.cli import planfile
from overnight.cli.failures import UserError
from overnight.cli.planfile import PlanFile

if TYPE_CHECKING:
    from overnight.catalog import Catalog, Model
    from overnight.catalog.entry import Entry
    from overnight.manifest import Manifest

Draws = Mapping[str, list[Any]]
"""Random values by axis, as a batch keeps them."""

SEEDED = " from "
"""What stands in the name of random values that a seed decides: the same ones every time."""

MAKE_ANOTHER = "Look at it again, then make another plan with -o."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be planned or loaded. ``file`` is the path as it was typed; ``plan`` is set when
    it was a plan's. ``kept`` are the random values that the database had for the batch."""

    file: Path
    manifest: Manifest
    max_jobs: int
    plan: PlanFile | None = None
    kept: Draws = field(default_factory=dict)

    @property
    def models(self) -> dict[str, Model]:
        """The models of the manifest, by id."""
        return {block.model.id: block.model for block in self.manifest.blocks}

    @property
    def schemas(self) -> dict[str, str]:
        """The digest of the schema that each model's inputs were checked against."""
        if not self.manifest.validate:
            return {}
        return {name: model.schema_digest for name, model in self.models.items()}

    @property
    def drawn_anew(self) -> list[str]:
        """Axes whose random values would be others the next time: neither kept by the database
        or a plan, nor made from a seed."""
        if self.plan is not None:
            return []
        return [
            axis
            for axis, values in self.manifest.draws.items()
            if SEEDED not in axis and len(values) > len(self.kept.get(axis, ()))
        ]

    @property
    def prunes(self) -> bool:
        """Whether it is a plan that cancels what is gone from the manifest."""
        return self.plan is not None and self.plan.prune

    def require_same_draws(self, kept: Draws) -> None:
        """Raise :class:`UserError` when the batch keeps other random values than these: somebody
        has loaded it since they were drawn."""
        drawn = self.manifest.draws
        for axis in drawn.keys() & kept.keys():
            if any(ours != theirs for ours, theirs in zip(drawn[axis], kept[axis], strict=False)):
                raise UserError(
                    f"{self.manifest.name} has been loaded with other random values since "
                    f"{self.file} was read. {MAKE_ANOTHER if self.plan else 'Try again.'}"
                )


def read(
    file: Path,
    frozen: Callable[[str], Draws],
    *,
    max_jobs: int | None = None,
    schema_files: Sequence[str] = (),
) -> Wanted:
    """Read ``file`` with everything that it needs. ``frozen`` gives the random values that the
    database keeps for a batch.

    Raises :class:`UserError` for a plan that isn't true any more, and
    :class:`~overnight.manifest.ManifestError`.
    """
    from overnight.cli.catalog import users_catalog
    from overnight.manifest import read_manifest
    from overnight.manifest.reading import MAX_JOBS

    plan = planfile.read(file)
    if plan is not None:
        return _planned(file, plan, max_jobs, schema_files)
    kept: dict[str, list[Any]] = {}

    def drawn(batch: str) -> Draws:
        kept.update(frozen(batch))
        return kept

    most = max_jobs or MAX_JOBS
    manifest = read_manifest(file, users_catalog(schema_files), drawn=drawn, max_jobs=most)
    return Wanted(file, manifest, most, kept=kept)


# --- plans ----------------------------------------------------------------------------------------


def _planned(
    file: Path, plan: PlanFile, max_jobs: int | None, schema_files: Sequence[str]
) -> Wanted:
    """What a plan asks for, if everything that it was made from is as it was."""
    from overnight.manifest import read_manifest

    if schema_files:
        raise UserError(f"{file} is a plan and holds its models' schemas. Leave --schema out.")
    if (change := planfile.changed(plan.sources)) is not None:
        raise UserError(f"{change} since {file} was made. {MAKE_ANOTHER}")
    catalog = _catalog(plan)
    for name, then in plan.models.items():
        if (change := _changed(catalog, name, then)) is not None:
            raise UserError(f"{change} since {file} was made. {MAKE_ANOTHER}")
    most = max_jobs or plan.max_jobs
    manifest = read_manifest(
        Path(plan.manifest), catalog, drawn=lambda _: plan.draws, max_jobs=most, text=plan.text
    )
    added = {str(path) for path in manifest.sources()} - set(plan.sources)
    if added:
        raise UserError(f"{min(added)} has come in since {file} was made. {MAKE_ANOTHER}")
    return Wanted(file, manifest, most, plan)


def entry_fields(entry: Entry) -> dict[str, Any]:
    """A model as a plan keeps it: the catalogue's own words, and where they are from."""
    from overnight.catalog.entry import as_catalogue_json

    return {**as_catalogue_json(entry), "origin": entry.origin.value, "as_of": entry.as_of}


def _entry(fields: Mapping[str, Any], file: str) -> Entry:
    from overnight.catalog.entry import Origin, read_entry

    return read_entry(fields, origin=Origin(fields["origin"]), as_of=fields["as_of"], place=file)


class _Given:
    """The models that came from a file when the plan was made: a source of a catalogue."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def model_ids(self) -> Sequence[str]:
        return list(self._entries)

    def entry(self, model_id: str) -> Entry | None:
        return self._entries.get(model_id)


def _catalog(plan: PlanFile) -> Catalog:
    """What the user knows now, and in front of it the schemas that were given with the plan."""
    from overnight.catalog import Catalog
    from overnight.catalog.entry import Origin
    from overnight.catalog.lookup import bundled
    from overnight.cli.catalog import cached

    then = {name: _entry(fields, plan.manifest) for name, fields in plan.models.items()}
    given = {name: entry for name, entry in then.items() if entry.origin is Origin.FILE}
    return Catalog([_Given(given), cached(), bundled()])


def _changed(catalog: Catalog, name: str, then: Mapping[str, Any]) -> str | None:
    """What became of a model since a plan was made, as a clause; None when it is the same."""
    from overnight.catalog import UnknownModel, changes

    try:
        now = entry_fields(catalog.entry(name))
    except UnknownModel:
        return f"The catalogue has lost {name}"
    if now["input_schema"] != then["input_schema"]:
        said = changes.describe(then["input_schema"] or {}, now["input_schema"] or {})
        return f"The provider's schema of {name} has changed{_listed(said)}"
    if [now[part] for part in _PRICE] != [then[part] for part in _PRICE]:
        return f"The provider's price of {name} has changed"
    return None


_PRICE = ("base_price_usd", "price_unit")


def _listed(clauses: Sequence[str]) -> str:
    """ " (steps goes up to 30 …)", in brackets, at most three."""
    if not clauses:
        return ""
    more = f"; and {len(clauses) - 3} more" if len(clauses) > 3 else ""
    return f" ({'; '.join(clauses[:3])}{more})"
