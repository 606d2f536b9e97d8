"""What differs between two schemas of one model, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overnight.catalog.model import Model
from overnight.catalog.schema import InputSpec, SchemaError
from overnight.catalog.wording import listed, shown

_FEW = 6
"""Allowed values that a sentence lists; of more it says how many came and went."""


def describe(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One clause for each thing that changed from the schema ``old`` to ``new``, in the order of
    ``new``; what is gone comes last. Empty when jobs could not tell the difference.

    Each reads on by itself: ``steps goes up to 30 (was 20)``. Raw names stand for the inputs.
    """
    try:
        before, after = Model.from_schema("old", old), Model.from_schema("new", new)
    except SchemaError:
        return ["one of the two schemas can't be read"] if old != new else []
    said = []
    for spec in after.inputs:
        known = before.by_name.get(spec.name)
        said += _added(spec) if known is None else _changed(known, spec)
    gone = [spec.name for spec in before.inputs if spec.name not in after.by_name]
    said += [f"{name} is gone" for name in gone]
    if not said and _whole(before) != _whole(after):
        said.append("its rules for several inputs at once changed")
    return said


def _added(spec: InputSpec) -> list[str]:
    how = "new and required" if spec.required else "new"
    default = f", {shown(spec.default)} by default" if spec.has_default else ""
    return [f"{spec.name} is {how}{default}"]


def _changed(old: InputSpec, new: InputSpec) -> list[str]:
    said = []
    name = new.name
    if new.required != old.required:
        said.append(f"{name} is {'required now' if new.required else 'no longer required'}")
    if new.kind != old.kind:
        said.append(f"{name} is of the type {new.kind} (was {old.kind})")
    said += _bound(name, "starts at", "no longer has a lower bound", old.minimum, new.minimum)
    said += _bound(name, "goes up to", "no longer has an upper bound", old.maximum, new.maximum)
    if list(new.enum) != list(old.enum):
        said += _choices(name, old.enum, new.enum)
    if (new.has_default, new.default) != (old.has_default, old.default):
        said.append(_default(old, new))
    if new.media != old.media:
        said.append(f"{name} takes {_file(new)} (was {_file(old)})")
    if new.validations != old.validations:
        said.append(f"{name} has other limits for files")
    if not said and _unnamed_rules(old) != _unnamed_rules(new):
        said.append(f"{name} has other rules")
    return said


def _bound(
    name: str, goes: str, free: str, old: float | int | None, new: float | int | None
) -> list[str]:
    if old == new:
        return []
    if new is None:
        return [f"{name} {free} (was {shown(old)})"]
    was = f" (was {shown(old)})" if old is not None else " (had no bound)"
    return [f"{name} {goes} {shown(new)}{was}"]


def _choices(name: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> list[str]:
    if not new:
        return [f"{name} takes any value now"]
    if not old:
        return [f"{name} takes {_few(list(new))} only"]
    said = []
    if more := [value for value in new if value not in old]:
        said.append(f"{name} also takes {_few(more)}")
    if less := [value for value in old if value not in new]:
        said.append(f"{name} no longer takes {_few(less)}")
    return said


def _few(values: list[Any]) -> str:
    return listed(values) if len(values) <= _FEW else f"{len(values)} values"


def _default(old: InputSpec, new: InputSpec) -> str:
    if not new.has_default:
        return f"{new.name} has no default any more (was {shown(old.default)})"
    was = f" (was {shown(old.default)})" if old.has_default else " (had none)"
    return f"{new.name} is {shown(new.default)} by default{was}"


def _file(spec: InputSpec) -> str:
    if spec.media is None:
        return "no file"
    return f"{'an' if spec.media[0] in 'aeiou' else 'a'} {spec.media} file"


_SAID = ("title", "description", "default", "enum", "minimum", "maximum", "type")
"""Keywords that have sentences of their own, or that no job can tell from others."""


def _unnamed_rules(spec: InputSpec) -> dict[str, Any]:
    return {key: value for key, value in spec.rules.items() if key not in _SAID}


def _whole(model: Model) -> dict[str, Any]:
    """The rules that stand beside the inputs; words for people are none."""
    beside = ("properties", "required", "title", "description", "type")
    return {key: value for key, value in model.input_schema.items() if key not in beside}
