"""Find a model's schema: a list of sources, asked in order.

The package ships the schemas in ``bundled/``. Schemas fetched from a provider's catalogue, or
given in a file, are further :class:`Source` objects in front of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Protocol

from overnight.catalog.model import Model
from overnight.catalog.nearest import nearest


class UnknownModel(Exception):
    """No source has the model. ``hint`` names what is known."""

    def __init__(self, model_id: str, known: Sequence[str]) -> None:
        super().__init__(f'there is no schema for the model "{model_id}"')
        close = nearest(model_id, known)
        self.model_id = model_id
        self.hint = f'did you mean "{close}"?' if close else f"known models: {', '.join(known)}"


class Source(Protocol):
    """Somewhere schemas come from."""

    def model_ids(self) -> Sequence[str]:
        """The models it has."""
        ...

    def input_schema(self, model_id: str) -> Mapping[str, Any] | None:
        """A model's input schema as the catalogue wrote it; None when it is not here."""
        ...


class Bundled:
    """The schemas that travel with the package, one JSON file a model.

    A file is named after its model with ``__`` for each slash, and holds ``model_id`` and
    ``input_schema``.
    """

    def __init__(self) -> None:
        self._folder = resources.files("overnight.catalog").joinpath("bundled")

    def model_ids(self) -> Sequence[str]:
        names = sorted(entry.name for entry in self._folder.iterdir())
        return [n.removesuffix(".json").replace("__", "/") for n in names if n.endswith(".json")]

    def input_schema(self, model_id: str) -> Mapping[str, Any] | None:
        if model_id not in self.model_ids():
            return None
        file = self._folder.joinpath(f"{model_id.replace('/', '__')}.json")
        schema: Mapping[str, Any] = json.loads(file.read_text("utf-8"))["input_schema"]
        return schema


class Catalog:
    """Models by id. The first source that has a model decides; each model is read once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)
        self._models: dict[str, Model] = {}

    def model_ids(self) -> list[str]:
        """Every known model, sorted."""
        return sorted({name for source in self._sources for name in source.model_ids()})

    def find(self, model_id: str) -> Model:
        """The model of that id.

        Raises :class:`UnknownModel`, or :class:`~overnight.catalog.schema.SchemaError` when its
        schema can't be used.
        """
        if model_id not in self._models:
            self._models[model_id] = self._read(model_id)
        return self._models[model_id]

    def _read(self, model_id: str) -> Model:
        for source in self._sources:
            schema = source.input_schema(model_id)
            if schema is not None:
                return Model.from_schema(model_id, schema)
        raise UnknownModel(model_id, self.model_ids())


@cache
def bundled_catalog() -> Catalog:
    """The catalogue of what travels with the package."""
    return Catalog([Bundled()])
