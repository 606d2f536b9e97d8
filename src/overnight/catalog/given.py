"""Schemas that the user gives in files, for models that the catalogue lacks.

A file holds one of three things, as JSON: a model as the provider's catalogue gives it; an object
with ``model_id`` and ``input_schema``; or an input schema alone. A bare schema says nothing of its
model, so the id stands in front of the path (``my/model=schema.json``), or is the file's name with
``__`` for each slash (``my__model.json``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from overnight.catalog.entry import Entry, Origin, is_model_id, read_entry
from overnight.catalog.model import Model
from overnight.catalog.schema import SchemaError

LARGEST = 16 * 1024 * 1024
"""Bytes of a schema file that are read."""


class GivenSchemaError(Exception):
    """A schema file that can't be used. A sentence for people, which names the file."""


class Given:
    """The models of the files that a user named; a :class:`~overnight.catalog.lookup.Source`.

    :param texts: ``FILE`` or ``MODEL=FILE``. Raises :class:`GivenSchemaError`.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._entries: dict[str, Entry] = {}
        for text in texts:
            entry = read_schema_file(text)
            first = self._entries.setdefault(entry.model_id, entry)
            if first is not entry:
                raise GivenSchemaError(
                    f"{first.place} and {entry.place} both describe {entry.model_id}. "
                    "Give one of them."
                )

    def model_ids(self) -> Sequence[str]:
        return list(self._entries)

    def entry(self, model_id: str) -> Entry | None:
        return self._entries.get(model_id)


def read_schema_file(text: str) -> Entry:
    """The model that ``FILE`` or ``MODEL=FILE`` gives. Raises :class:`GivenSchemaError`."""
    path, model_id = _parts(text)
    found = _object(path)
    if "input_schema" not in found and "properties" in found:
        return _bare(path, model_id, found)
    if model_id is not None:
        found = {**found, "model_id": model_id}
    if "model_id" not in found:
        raise GivenSchemaError(
            f"{path} names no model_id. Add one to the file, or give it as MODEL={path}."
        )
    try:
        entry = read_entry(found, origin=Origin.FILE, place=str(path))
    except SchemaError:
        raise GivenSchemaError(
            f"The model_id in {path} is not a model's id, such as owner/name."
        ) from None
    return _usable(path, entry)


def _parts(text: str) -> tuple[Path, str | None]:
    """A file's path may have an equals sign in it: the whole text counts first."""
    model_id, equals, rest = text.partition("=")
    if not equals or Path(text).exists() or not rest:
        return Path(text), None
    if not is_model_id(model_id):
        raise GivenSchemaError(
            f"{text}: what stands before the equals sign is not a model's id, such as owner/name."
        )
    return Path(rest), model_id


def _object(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise GivenSchemaError(
            f"The schema file {path} can't be read: {error.strerror}. Check the path."
        ) from None
    if len(content) > LARGEST:
        raise GivenSchemaError(
            f"{path} is larger than {LARGEST:,} bytes, which no model's schema is."
        )
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise GivenSchemaError(f"{path} is not UTF-8. Save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise GivenSchemaError(
            f"{path}:{error.lineno}:{error.colno} is not JSON: {error.msg}. Mend the file."
        ) from None
    except (ValueError, RecursionError):
        raise GivenSchemaError(f"{path} is not JSON that can be read.") from None
    return _one_model(path, found)


def _one_model(path: Path, found: Any) -> dict[str, Any]:
    """The object of one model, also from a whole answer of the catalogue that holds just one."""
    if isinstance(found, dict) and isinstance(found.get("models"), list):
        found = found["models"]
    if isinstance(found, list):
        if len(found) != 1:
            raise GivenSchemaError(
                f"{path} holds {len(found)} models. Give a file for each of them."
            )
        found = found[0]
    if not isinstance(found, dict):
        raise GivenSchemaError(
            f"{path} must hold a JSON object: a model as the catalogue gives it, or its input "
            "schema."
        )
    return found


def _bare(path: Path, model_id: str | None, schema: dict[str, Any]) -> Entry:
    named = model_id if model_id is not None else path.stem.replace("__", "/")
    if model_id is None and "/" not in named:
        raise GivenSchemaError(
            f"{path} is a schema alone, and its name is no model's. Give it as MODEL={path}, or "
            "rename it to owner__name.json."
        )
    if not is_model_id(named):
        raise GivenSchemaError(f"{path}: {named} is not a model's id, such as owner/name.")
    bare = {"model_id": named, "input_schema": schema}
    return _usable(path, read_entry(bare, origin=Origin.FILE, place=str(path)))


def _usable(path: Path, entry: Entry) -> Entry:
    """The entry, once it is sure that jobs can be checked against it."""
    try:
        Model.from_entry(entry).require_usable()
    except SchemaError as error:
        raise GivenSchemaError(f"{path} can't be used. {error}") from None
    return entry
