"""The shape of a manifest, as pydantic models, and its mistakes in sentences of ours.

The models say which keys there are and what kind of value each takes; what the names and values
inside ``inputs`` and ``matrix`` may be depends on the model that is asked for, and is checked by
:mod:`overnight.manifest.checks`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from overnight.catalog import nearest
from overnight.catalog.wording import listed, shown
from overnight.manifest import amounts
from overnight.manifest.amounts import AmountProblem
from overnight.manifest.problems import Problem
from overnight.manifest.yaml12 import Document, Span, Trail

Axis = Annotated[list[Any], Field(min_length=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


def _amount(read: Callable[[object], object], written: object) -> PlainValidator:
    """Check a value with a function of :mod:`overnight.manifest.amounts`. ``written`` is the type
    that JSON Schema shows for it.

    A validator, and not a union of types: a union would put its members' names into the trail of a
    problem, which then leads nowhere in the document.
    """

    def check(value: object) -> object:
        try:
            return read(value)
        except AmountProblem as problem:
            context = {"wanted": problem.wanted, "hint": problem.hint}
            raise PydanticCustomError("amount", "{wanted}", context) from None

    return PlainValidator(check, json_schema_input_type=written)


_DURATION = Annotated[str, Field(pattern=amounts.DURATION)]
_SHARE = Annotated[str, Field(pattern=amounts.SHARE)]
_NUMBER = Annotated[int, Field(ge=1, le=amounts.MOST_JOBS)]

Seconds = Annotated[float | None, _amount(amounts.seconds, _DURATION)]
Rate = Annotated[str | None, _amount(amounts.rate, Annotated[str, Field(pattern=amounts.RATE)])]
Failures = Annotated[int | str, _amount(amounts.failures, _NUMBER | _SHARE)]


class TimeoutShape(_Shape):
    """How long a job may take before it is given up on: ``90s``, ``30m``, ``1.5h`` or ``1d``."""

    queue: Seconds = Field(default=None, description="Waiting at the provider.")
    run: Seconds = Field(default=None, description="Running at the provider.")
    collect: Seconds = Field(default=None, description="Fetching what was delivered.")


class HaltShape(_Shape):
    """The rule that stops a batch that goes wrong."""

    failures: Failures = Field(
        description="So many failed jobs, or such a share of the settled ones: 20 or 10%."
    )
    after: _NUMBER = Field(default=20, description="Settled jobs before the rule applies.")


class RunShape(_Shape):
    """How the batch is worked on."""

    concurrency: int = Field(
        default=4, ge=1, le=1000, description="Most jobs with the provider at once."
    )
    attempts: int = Field(
        default=3, ge=1, le=20, description="Most paid tries of a job that the provider fails."
    )
    rate: Rate = Field(
        default=None, description="Most submits in any stretch of that length: 30/min, 500/h."
    )
    on_unknown: Literal["hold", "resubmit"] = Field(
        default="hold",
        description="What becomes of a job that may have been submitted, when nobody can tell.",
    )
    timeout: TimeoutShape | None = Field(default=None, description="Time limits of a job.")
    canary: _NUMBER | None = Field(
        default=None, description="Jobs of each block that must succeed before the others go."
    )
    halt: HaltShape | None = Field(default=None, description="When to stop submitting the batch.")

    @field_validator("timeout", "canary", "halt", mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        """A key with nothing after it is a rule that was meant and forgotten, not its absence."""
        if value is None:
            kind = "int_type" if info.field_name == "canary" else "model_type"
            raise PydanticCustomError(kind, "empty")
        return value


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
    problems = [_problem(document, detail) for detail in details if not _misspelt(detail, details)]
    if not isinstance(document.data, dict):
        return None, problems
    rest = copy.deepcopy(document.data)
    for detail in details:
        trail: Trail = tuple(detail["loc"])
        # Nothing else depends on the run block, and half a rule of it would be no rule.
        _take_away(rest, trail[:1] if trail[0] == "run" else trail)
    try:
        return ManifestShape.model_validate({**rest, "version": 1}), problems
    except ValidationError:
        return None, problems


def _misspelt(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a key of a rule is only missing because it was written wrongly beside it."""
    rule = detail["loc"][:-1]
    return (
        detail["type"] == "missing"
        and rule != ()
        and any(d["type"] == "extra_forbidden" and d["loc"][:-1] == rule for d in details)
    )


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
    if kind == "extra_forbidden":
        name, known = str(trail[-1]), _keys_at(trail[:-1])
        close = nearest(name, known)
        close_or_all = f'did you mean "{close}"?' if close else f"known keys: {', '.join(known)}"
        message = f'there is no key "{name}" here'
        return document.problem(document.keys[trail], message, close_or_all)
    if kind == "missing":
        return _missing(document, trail)
    return document.problem(document.values[trail], *_sentence(trail, details))


def _missing(document: Document, trail: Trail) -> Problem:
    """The version, or a halt's failures: nothing else must be there."""
    message = f'"{trail[-1]}" is missing'
    if trail == ("version",):
        return document.problem(_top(document), message, "write version: 1 in the first line")
    hint = "write failures: 20 or failures: 10%, whichever is to stop the batch"
    return document.problem(document.keys[trail[:-1]], message, hint)


def _top(document: Document) -> Span:
    """The first key of the file, or the file's one value where it is no mapping."""
    first = next(iter(document.data), None) if isinstance(document.data, dict) else None
    return document.values[()] if first is None else document.keys[(first,)]


def _keys_at(trail: Trail) -> list[str]:
    shapes: dict[Trail, type[_Shape]] = {
        ("run",): RunShape,
        ("run", "timeout"): TimeoutShape,
        ("run", "halt"): HaltShape,
        ("output",): OutputShape,
    }
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


_CHOICES: dict[str, tuple[tuple[str | int, ...], str]] = {
    "version": ((1,), "this is the first version of the grammar"),
    "on_unknown": (
        ("hold", "resubmit"),
        "hold leaves such a job to you; resubmit submits it once more, which may be charged twice",
    ),
}
"""The words of a key that has few, and what helps somebody who wrote another."""
_EXAMPLES = {"timeout": "{run: 2h}", "halt": "{failures: 10%}"}
"""Mappings that people may take for a single value."""


def _sentence(trail: Trail, details: ErrorDetails) -> tuple[str, str | None]:
    name = _name(trail)
    kind, value = details["type"], details["input"]
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        hint = "leave the key out to do without" if name == "canary" and value == 0 else None
        return f"{name} is {value}, but it must be {words} {details['ctx'][bound]}", hint
    if kind == "literal_error":
        return _not_listed(name, value)
    if kind in ("too_short", "string_too_short"):
        return f"{name} is empty", "give it something, or leave the key out"
    wanted = details["ctx"]["wanted"] if kind == "amount" else _WANTED.get(kind, "something else")
    if not trail:
        return f"{name} must be {wanted}", "begin it with version: 1"
    if value is None:
        return f"{name} is empty, but it must be {wanted}", "leave the key out if it has nothing"
    if kind == "amount":
        return f"{name} is {shown(value)}, but it must be {wanted}", details["ctx"]["hint"]
    return f"{name} must be {wanted}", _type_hint(name, kind, value)


def _not_listed(name: str, value: object) -> tuple[str, str]:
    options, hint = _CHOICES[name]
    if isinstance(value, str) and (close := nearest(value, map(str, options))):
        # version: "1" is near the 1 that it must be, but what is wrong with it are the quotes.
        hint = f"did you mean {close}?" if close in options else hint
    written = "empty" if value is None else shown(value)
    return f"{name} is {written}, but it must be {listed(options)}", hint


def _type_hint(name: str, kind: str, value: object) -> str | None:
    if kind == "list_type":
        return _as_list(value)
    if isinstance(value, list | dict):
        return None
    if kind == "model_type" and name in _EXAMPLES:
        return f"write it as {name}: {_EXAMPLES[name]}"
    return f'write it in quotes: "{value}"' if kind == "string_type" else None


def _name(trail: Trail) -> str:
    last = trail[-1] if trail else "the manifest"
    if len(trail) > 2 and trail[0] == "run":
        return f"{trail[-2]}.{last}"
    return last if isinstance(last, str) else f"entry {last + 1} of {trail[-2]}"


def _as_list(value: object) -> str | None:
    if isinstance(value, dict):
        return "write its values as [first, second], or one on each line after a dash"
    return f"write it as a list: [{value}]"
