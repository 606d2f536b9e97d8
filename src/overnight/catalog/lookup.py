"""Find a model: a list of sources, asked in order.

The package ships the schemas in ``bundled/``. What was fetched from a provider's catalogue
(:mod:`overnight.catalog.cache`), or given in a file (:mod:`overnight.catalog.given`), are further
:class:`Source` objects in front of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Protocol

from overnight.catalog.entry import Entry, Origin, read_entry
from overnight.catalog.model import Model
from overnight.catalog.nearest import nearest

_FEW = 5
"""Known models that a hint names; a fetched catalogue has hundreds."""
_WAYS = (
    "`overnight models --refresh` fetches the provider's catalogue, --schema FILE takes the "
    "model's schema from a file, and validate: off in the manifest does without"
)


class UnknownModel(Exception):
    """No source has the model. ``hint`` names what is known, and how to make it known."""

    def __init__(self, model_id: str, known: Sequence[str]) -> None:
        super().__init__(f'there is no schema for the model "{model_id}"')
        close = nearest(model_id, known)
        more = f" and {len(known) - _FEW} more" if len(known) > _FEW else ""
        listed = f"known models: {', '.join(known[:_FEW]) or 'none'}{more};"
        self.model_id = model_id
        self.hint = f'did you mean "{close}"? Or: {_WAYS}' if close else f"{listed} {_WAYS}"


class Source(Protocol):
    """Somewhere models come from."""

    def model_ids(self) -> Sequence[str]:
        """The models it has."""
        ...

    def entry(self, model_id: str) -> Entry | None:
        """A model as this source describes it; None when it is not here."""
        ...


class Packaged:
    """The models of a folder inside a package, one JSON file each.

    A file is named after its model with ``__`` for each slash, and holds ``model_id``,
    ``input_schema`` and whatever else a catalogue's entry has.
    """

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder

    def model_ids(self) -> Sequence[str]:
        names = sorted(entry.name for entry in self._folder.iterdir())
        return [n.removesuffix(".json").replace("__", "/") for n in names if n.endswith(".json")]

    def entry(self, model_id: str) -> Entry | None:
        if model_id not in self.model_ids():
            return None
        file = self._folder.joinpath(f"{model_id.replace('/', '__')}.json")
        return read_entry(json.loads(file.read_text("utf-8")), origin=Origin.BUNDLED)


class Catalog:
    """Models by id. The first source that has a model decides; each model is read once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)
        self._models: dict[str, Model] = {}

    def model_ids(self) -> list[str]:
        """Every known model, sorted."""
        return sorted({name for source in self._sources for name in source.model_ids()})

    def entry(self, model_id: str) -> Entry:
        """A model as it is described, whether or not its schema can be used. Where the first
        description leaves the schema out, the next one that has it lends it.

        Raises :class:`UnknownModel`.
        """
        found = [entry for source in self._sources if (entry := source.entry(model_id))]
        if not found:
            # A source may list what it then can't read, such as a damaged file.
            known = [name for name in self.model_ids() if name != model_id]
            raise UnknownModel(model_id, known)
        schemas = (entry.input_schema for entry in found if entry.input_schema is not None)
        return replace(found[0], input_schema=next(schemas, None))

    def entries(self) -> Iterator[Entry]:
        """Every model that can be described, by id."""
        for model_id in self.model_ids():
            with suppress(UnknownModel):
                yield self.entry(model_id)

    def find(self, model_id: str) -> Model:
        """The model of that id.

        Raises :class:`UnknownModel`, or :class:`~overnight.catalog.schema.SchemaError` when its
        schema can't be used.
        """
        if model_id not in self._models:
            model = Model.from_entry(self.entry(model_id))
            model.require_usable()  # now, where it can be told, and not at some job's value
            self._models[model_id] = model
        return self._models[model_id]


def bundled() -> Packaged:
    """What travels with the package."""
    return Packaged(resources.files("overnight.catalog").joinpath("bundled"))


@cache
def bundled_catalog() -> Catalog:
    """The catalogue of what travels with the package."""
    return Catalog([bundled()])
