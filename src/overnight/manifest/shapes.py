"""The shape of a manifest, as pydantic models: which keys there are, and what each one takes.

What the names and values inside ``inputs``, ``matrix`` and the like may be depends on the model
that is asked for, and is checked by :mod:`overnight.manifest.blocks`. The JSON Schema that editors
use comes from these models, so every key says here what it is for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, LiteralString

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from overnight.manifest.shape_parts import (
    NUMBER,
    AssetsShape,
    Failures,
    Figure,
    Price,
    Rate,
    Seconds,
    Shape,
    given,
)

MOST_REPEATS = 1_000
"""How often the same inputs may be asked for."""
MOST_TAGS = 20
"""Tags of one level."""


# --- run and output -------------------------------------------------------------------------------


class TimeoutShape(Shape):
    """How long a job may take before it is given up on: ``90s``, ``30m``, ``1.5h`` or ``1d``."""

    queue: Seconds = Field(default=None, description="Waiting at the provider.")
    run: Seconds = Field(default=None, description="Running at the provider.")
    collect: Seconds = Field(default=None, description="Fetching what was delivered.")


class HaltShape(Shape):
    """The rule that stops a batch that goes wrong."""

    failures: Failures = Field(
        description="So many failed jobs, or such a share of the settled ones: 20 or 10%."
    )
    after: NUMBER = Field(default=20, description="Settled jobs before the rule applies.")


class LimitsShape(Shape):
    """The most that the batch may be."""

    jobs: NUMBER | None = Field(default=None, description="Jobs; more of them are an error.")
    cost: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="US dollars; a run that is expected to cost more is refused."
    )


class RunShape(Shape):
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
    canary: NUMBER | None = Field(
        default=None, description="Jobs of each block that must succeed before the others go."
    )
    halt: HaltShape | None = Field(default=None, description="When to stop submitting the batch.")
    limits: LimitsShape | None = Field(default=None, description="The most the batch may be.")
    price: Price = Field(
        default=None,
        description="What a job costs in US dollars: a number, or an expression over its inputs.",
    )

    @field_validator("timeout", "canary", "halt", "limits", mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        return given(value, "int_type" if info.field_name == "canary" else "model_type")


class OutputShape(Shape):
    """Where files go, and what they are called."""

    dir: str | None = Field(
        default=None,
        min_length=1,
        description="The folder for results, counted from the manifest's own folder; or "
        "s3://bucket/prefix, gs://… or az://….",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="A template of the files' paths without suffix: {{ block }}/{{ key }}.",
    )
    download: int = Field(default=4, ge=1, le=64, description="Files fetched at once.")
    on_suspect: Literal["keep", "retry"] = Field(
        default="keep",
        description="What becomes of a job whose file looks wrong: retry buys it again.",
    )
    poster: bool = Field(default=False, description="Whether each clip gets a JPEG beside it.")


# --- axes -----------------------------------------------------------------------------------------


class RangeShape(Shape):
    """Numbers from one to another, both included: ``{from: 8, to: 14, step: 2}``."""

    start: Figure = Field(alias="from", description="The first number.")
    to: Figure = Field(description="The last number; it is included.")
    step: Figure | None = Field(default=None, description="From one number to the next; 1.")


class RandomShape(Shape):
    """Values drawn at random when the manifest is loaded, and kept: ``{random: 4}``."""

    random: int = Field(ge=1, le=100_000, description="How many values.")
    seed: int | None = Field(
        default=None, alias="from", description="Draws the same values on every machine."
    )


class GlobShape(Shape):
    """The files that match a pattern, counted from the manifest's folder."""

    glob: str = Field(min_length=1, description="A pattern such as refs/*.png.")


class LinesShape(Shape):
    """The lines of a text file."""

    lines: str = Field(min_length=1, description="A file, counted from the manifest's folder.")


_ENTRY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "title": "A labelled value, or a bundle of settings",
            "type": "object",
            "additionalProperties": False,
            "required": ["label"],
            "anyOf": [{"required": ["value"]}, {"required": ["set"]}],
            "properties": {
                "label": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Its name in keys, rules and exclude.",
                },
                "value": {"description": "The value itself."},
                "set": {
                    "type": "object",
                    "minProperties": 1,
                    "description": "Inputs and variables that it sets.",
                },
                "description": {"type": "string", "description": "A note for people."},
            },
        },
        {"description": "A value."},
    ]
}
_Listed = Annotated[Any, WithJsonSchema(_ENTRY_SCHEMA)]


def _axis_form(value: object) -> str | None:
    """Which of the forms of an axis a value is written in; None when it is none of them."""
    if isinstance(value, list):
        return "as list"
    if isinstance(value, str):
        return "as text"
    if not isinstance(value, dict):
        return None
    for word in ("random", "glob", "lines"):
        if word in value:
            return f"as {word}"
    return "as range" if {"from", "to", "step"} & value.keys() else None


Axis = Annotated[
    Annotated[
        list[_Listed], Field(min_length=1, description="Its values, one by one."), Tag("as list")
    ]
    | Annotated[
        str, Field(min_length=1, description="Numbers: 8-14 (+2), 0.6-2 [8]."), Tag("as text")
    ]
    | Annotated[RangeShape, Tag("as range")]
    | Annotated[RandomShape, Tag("as random")]
    | Annotated[GlobShape, Tag("as glob")]
    | Annotated[LinesShape, Tag("as lines")],
    Discriminator(_axis_form),
]


def _condition_form(value: object) -> str | None:
    if isinstance(value, dict):
        return "as mapping"
    return "as text" if isinstance(value, str) else None


Condition = Annotated[
    Annotated[
        dict[str, Any],
        Field(min_length=1, description="Names, and the value or list of values each must have."),
        Tag("as mapping"),
    ]
    | Annotated[str, Field(min_length=1, description="An expression: steps > 8."), Tag("as text")],
    Discriminator(_condition_form),
]

AXIS_SHAPES: dict[str, type[Shape]] = {
    "as range": RangeShape,
    "as random": RandomShape,
    "as glob": GlobShape,
    "as lines": LinesShape,
}
TAGS = frozenset({*AXIS_SHAPES, "as list", "as text", "as mapping"})
"""What pydantic puts into the trail of a problem beside the document's own keys."""


# --- blocks ---------------------------------------------------------------------------------------


class RowsShape(Shape):
    """One job for each row of a table; its columns are inputs or variables."""

    file: str = Field(
        min_length=1, description="A .csv, .tsv, .jsonl or .parquet file beside the manifest."
    )
    rename: dict[str, str] = Field(
        default_factory=dict, description="Columns, and the names they are to have."
    )
    where: str | None = Field(
        default=None, min_length=1, description="An expression; only rows that meet it count."
    )
    limit: NUMBER | None = Field(default=None, description="The most rows to take.")

    @field_validator("where", "limit", mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        return given(value, "int_type" if info.field_name == "limit" else "string_type")


class RuleShape(Shape):
    """What to set in jobs that meet a condition."""

    when: Condition = Field(description="The jobs that are meant.")
    set: dict[str, Any] = Field(min_length=1, description="Inputs and variables, and their values.")


class SampleShape(Shape):
    """A random choice of the combinations."""

    n: NUMBER = Field(description="How many of them.")
    seed: int = Field(default=0, description="Another seed chooses others.")


_Tag = Annotated[str, Field(min_length=1, max_length=64)]
_EMPTY: dict[str, LiteralString] = {
    **dict.fromkeys(("rows", "sample"), "model_type"),
    **dict.fromkeys(("zip", "exclude", "include"), "list_type"),
    **dict.fromkeys(("priority", "repeat"), "int_type"),
    **dict.fromkeys(("order", "prompt_syntax"), "literal_error"),
}


class BlockShape(Shape):
    """A set of jobs: constant inputs, and axes that are multiplied."""

    name: str | None = Field(default=None, min_length=1, description="Begins the jobs' keys.")
    model: str | None = Field(default=None, min_length=1, description="The model's id.")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="Inputs that every job of the block has."
    )
    tags: list[_Tag] = Field(
        default_factory=list, max_length=MOST_TAGS, description="Words to find the jobs by."
    )
    priority: int | None = Field(
        default=None, ge=-1000, le=1000, description="Jobs of a higher priority go first; 0."
    )
    repeat: int | None = Field(
        default=None, ge=1, le=MOST_REPEATS, description="Ask for the same inputs so many times."
    )
    rows: RowsShape | None = Field(default=None, description="A table: each row is a job.")
    zip: list[Annotated[dict[str, Axis], Field(min_length=1)]] | None = Field(
        default=None, description="Groups of axes of one length that advance together."
    )
    matrix: dict[str, Axis] = Field(
        default_factory=dict, description="Axes that are multiplied: every combination is a job."
    )
    prompt_syntax: Literal["plain", "dynamic"] | None = Field(
        default=None, description="dynamic gives {a|b} and __wildcard__ in prompts a meaning."
    )
    exclude: list[Condition] | None = Field(default=None, description="Combinations to leave out.")
    rules: list[RuleShape] = Field(
        default_factory=list, description="What to set in some of the jobs."
    )
    include: list[Annotated[dict[str, Any], Field(min_length=1)]] | None = Field(
        default=None, description="Whole jobs beside the combinations."
    )
    sample: SampleShape | None = Field(default=None, description="Only some combinations.")
    order: Literal["given", "shuffle", "longest-first"] | None = Field(
        default=None, description="Which jobs of the block go first."
    )

    @field_validator(*_EMPTY, mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        return given(value, _EMPTY[info.field_name or ""])


class ManifestShape(BlockShape):
    """The whole file: one block, or what the blocks of ``jobs`` share."""

    version: Literal[1] = Field(description="The version of this grammar.")
    checks: Literal["on", "off"] = Field(
        default="on",
        alias="validate",
        description="off sends what is written without looking at the model's schema.",
    )
    jobs: Annotated[list[BlockShape], Field(min_length=1)] | None = Field(
        default=None, description="Blocks that inherit what stands at the top level."
    )
    run: RunShape = Field(default=RunShape(), description="How the batch is worked on.")
    output: OutputShape = Field(default=OutputShape(), description="Where files go.")
    assets: AssetsShape | None = Field(
        default=None, description="How local files are sent as inputs."
    )

    @field_validator("jobs", "assets", mode="before")
    @classmethod
    def _not_forgotten(cls, value: object, info: ValidationInfo) -> object:
        return given(value, "list_type" if info.field_name == "jobs" else "model_type")

    @field_validator("version", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        """Python takes true for 1; people don't."""
        if isinstance(value, bool):
            raise PydanticCustomError("literal_error", "not a number")
        return value
