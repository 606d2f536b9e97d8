"""The shape of a manifest, as pydantic models, and its mistakes in sentences of ours.

The models say which keys there are and what kind of value each takes; what the names and values
inside ``inputs`` and ``matrix`` may be depends on the model that is asked for, and is checked by
:mod:`overnight.manifest.checks`.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from overnight.catalog import nearest
from overnight.catalog.wording import shown
from overnight.manifest.problems import Problem
from overnight.manifest.yaml12 import Document, Span, Trail

Axis = Annotated[list[Any], Field(min_length=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class RunShape(_Shape):
    """How the batch is worked on."""

    concurrency: int = Field(
        default=4, ge=1, le=1000, description="Most jobs with the provider at once."
    )
    attempts: int = Field(
        default=3, ge=1, le=20, description="Most paid tries of a job that the provider fails."
    )


class OutputShape(_Shape):
    """Where files go."""

    dir: str | None = Field(
        default=None,
        min_length=1,
        description="The folder for results, counted from the manifest's own folder.",
    )


class BlockShape(_Shape):
    """A set of jobs: constant inputs, and axes that are multiplied."""

    name: str | None = Field(default=None, min_length=1, description="Begins the jobs' keys.")
    model: str | None = Field(default=None, min_length=1, description="The model's id.")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="Inputs that every job of the block has."
    )
    matrix: dict[str, Axis] = Field(
        default_factory=dict, description="Axes: a list of values each; every combination is a job."
    )


class ManifestShape(BlockShape):
    """The whole file: one block, or what the blocks of ``jobs`` share."""

    version: Literal[1] = Field(description="The version of this grammar.")
    jobs: Annotated[list[BlockShape], Field(min_length=1)] | None = Field(
        default=None, description="Blocks that inherit the top level's model, inputs and matrix."
    )
    run: RunShape = RunShape()
    output: OutputShape = OutputShape()

    @field_validator("version", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        """Python takes true for 1; people don't."""
        if isinstance(value, bool):
            raise PydanticCustomError("literal_error", "not a number")
        return value


def read_shape(document: Document) -> tuple[ManifestShape | None, list[Problem]]:
    """A document's shape, and everything that is wrong with it.

    With problems, the shape is what is left when the parts in question are taken away, so that
    the rest can be checked in the same run; None when nothing useful is left.
    """
    try:
        return ManifestShape.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [_problem(document, detail) for detail in details]
    if not isinstance(document.data, dict):
        return None, problems
    rest = copy.deepcopy(document.data)
    for detail in details:
        _take_away(rest, tuple(detail["loc"]))
    try:
        return ManifestShape.model_validate({**rest, "version": 1}), problems
    except ValidationError:
        return None, problems


def _take_away(data: Any, trail: Trail) -> None:
    """Remove what a trail leads to; an entry of a list becomes an empty mapping, so that its
    neighbours keep their places."""
    for step in trail[:-1]:
        if isinstance(data, dict) and step not in data:
            return
        data = data[step]
    if isinstance(data, dict):
        data.pop(trail[-1], None)
    elif isinstance(data, list) and isinstance(trail[-1], int):
        data[trail[-1]] = {}


def _problem(document: Document, details: ErrorDetails) -> Problem:
    trail: Trail = tuple(details["loc"])
    kind = details["type"]
    name = _name(trail)
    if kind == "extra_forbidden":
        known = _keys_at(trail[:-1])
        close = nearest(name, known)
        close_or_all = f'did you mean "{close}"?' if close else f"known keys: {', '.join(known)}"
        message = f'there is no key "{name}" here'
        return document.problem(document.keys[trail], message, close_or_all)
    if kind == "missing":  # the version: nothing else must be there
        hint = f"write {name}: 1 in the first line"
        return document.problem(_top(document), f'"{name}" is missing', hint)
    return document.problem(document.values[trail], *_sentence(trail, details))


def _top(document: Document) -> Span:
    """The first key of the file, or the file's one value where it is no mapping."""
    first = next(iter(document.data), None) if isinstance(document.data, dict) else None
    return document.values[()] if first is None else document.keys[(first,)]


def _keys_at(trail: Trail) -> list[str]:
    shapes: dict[Trail, type[_Shape]] = {("run",): RunShape, ("output",): OutputShape}
    if not trail:
        return list(ManifestShape.model_fields)
    return list(shapes.get(trail, BlockShape).model_fields)


_WANTED = {
    "model_type": "a mapping of keys and values",
    "dict_type": "a mapping of names and values",
    "string_type": "text",
    "int_type": "a whole number",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def _sentence(trail: Trail, details: ErrorDetails) -> tuple[str, str | None]:
    name = _name(trail)
    kind, value = details["type"], details["input"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{name} is {value}, but it must be {words} {details['ctx'][bound]}", None
    if kind == "literal_error":
        return (
            f"{name} is {shown(value)}, but it must be 1",
            "this is the first version of the grammar",
        )
    if kind in ("too_short", "string_too_short"):
        return f"{name} is empty", "give it something, or leave the key out"
    wanted = _WANTED.get(kind, "something else")
    if not trail:
        return f"{name} must be {wanted}", "begin it with version: 1"
    if value is None:
        return f"{name} is empty, but it must be {wanted}", "leave the key out if it has nothing"
    if kind == "list_type":
        return f"{name} must be a list", _as_list(value)
    hint = f'write it in quotes: "{value}"' if kind == "string_type" else None
    return f"{name} must be {wanted}", hint if not isinstance(value, list | dict) else None


def _name(trail: Trail) -> str:
    last = trail[-1] if trail else "the manifest"
    return last if isinstance(last, str) else f"entry {last + 1} of {trail[-2]}"


def _as_list(value: object) -> str | None:
    if isinstance(value, dict):
        return "write its values as [first, second], or one on each line after a dash"
    return f"write it as a list: [{value}]"
