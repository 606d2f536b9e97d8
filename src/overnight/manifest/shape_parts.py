"""What the parts of a manifest's shape are made of, and the shape of ``assets``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, LiteralString

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from overnight.manifest import amounts
from overnight.manifest.amounts import AmountProblem

STORE = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_*'()-][A-Za-z0-9!_.*'()-]*)*/?$"
"""A bucket and a prefix, in the characters that need no escaping in a URL. No part of it begins
with a dot: ``..`` means nothing to a store."""
PUBLIC_BASE = r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9!_.*'()%~-]+)*/?$"
"""An address without a query, to which a file's name is added."""


class Shape(BaseModel):
    """What all parts have in common: unknown keys are errors, and no value is converted."""

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
NUMBER = Annotated[int, Field(ge=1, le=amounts.MOST_JOBS)]
_PRICE = (
    Annotated[float, Field(ge=0, le=amounts.HIGHEST_PRICE)] | Annotated[str, Field(min_length=1)]
)

Seconds = Annotated[float | None, _amount(amounts.seconds, _DURATION)]
Rate = Annotated[str | None, _amount(amounts.rate, Annotated[str, Field(pattern=amounts.RATE)])]
Failures = Annotated[int | str, _amount(amounts.failures, NUMBER | _SHARE)]
Price = Annotated[float | str | None, _amount(amounts.price, _PRICE)]
Figure = Annotated[float, _amount(amounts.figure, float)]


def given(value: object, kind: LiteralString) -> object:
    """A key with nothing after it is a rule that was meant and forgotten, not its absence."""
    if value is None:
        # The types of pydantic's own errors, so that one table has the sentences for both.
        raise PydanticCustomError(kind, "empty")
    return value


class FitShape(Shape):
    """How large pictures may be."""

    max_side: int = Field(
        ge=64, le=4096, description="Pixels; a picture with a longer side is scaled down to it."
    )


class AssetsShape(Shape):
    """How local files get to the provider: out of an object store of one's own, or inside the
    request."""

    store: Annotated[str, Field(pattern=STORE)] | None = Field(
        default=None, description="Where files are uploaded: s3://bucket/prefix."
    )
    presign: Seconds = Field(
        default=None, description="How long a signed address works, up to 7d; 24h."
    )
    public_base: Annotated[str, Field(pattern=PUBLIC_BASE)] | None = Field(
        default=None, description="The https address under which everybody can read the store."
    )
    data_uri: bool = Field(
        default=False, description="Send files inside the request, where a provider takes that."
    )
    fit: FitShape | None = Field(default=None, description="Scale large pictures down.")

    @field_validator("store", "presign", "public_base", "fit", mode="before")
    @classmethod
    def _not_empty(cls, value: object, info: ValidationInfo) -> object:
        return given(value, "model_type" if info.field_name == "fit" else "string_type")
