"""Models in manifests that say ``validate: off``: what is written is sent, whatever schemas say.

Names that the schema has keep their aliases and their meaning; names that it lacks become inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from overnight.catalog import Catalog, InputProblem, Model, SchemaError, UnknownModel
from overnight.catalog.wording import representable


class Unchecked(Model):
    """A model that takes every value that can be sent at all."""

    def check(self, raw: str, value: Any, *, shown: str | None = None) -> InputProblem | None:
        name = shown or raw
        if not representable(value):
            return InputProblem(raw, f"{name} holds half of a character pair (a lone surrogate)")
        if not _is_json(value):
            return InputProblem(raw, f"{name} has .inf or .nan in it, which can't be sent")
        return None


def find_unchecked(catalog: Catalog, model_id: str, more: Iterable[str] = ()) -> Unchecked:
    """A model of any id, with the inputs that a catalogue knows and ``more`` of them."""
    try:
        schema: Mapping[str, Any] = catalog.find(model_id).input_schema
        entry = catalog.entry(model_id)
    except (UnknownModel, SchemaError):
        schema, entry = {"properties": {}}, None
    properties = {**schema["properties"], **{name: {} for name in more}}
    wanted = {**schema, "properties": properties, "required": []}
    found = Unchecked.from_schema(model_id, wanted, entry)
    assert isinstance(found, Unchecked)
    return found


def _is_json(value: Any) -> bool:
    if isinstance(value, float):
        return value - value == 0
    if isinstance(value, dict):
        return all(_is_json(inner) for inner in value.values())
    return not isinstance(value, list) or all(_is_json(inner) for inner in value)
