"""How a job names a local file: by its content, never by its place. Pure.

``asset:<sha256>.png`` means the bytes that have this SHA-256, as they are. With ``@2048`` behind
the number it means what comes of them when the picture is scaled to at most 2048 pixels a side. So
a file that moves is the same input, and one that is edited is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SHAPE = re.compile(
    r"asset:(?P<sha256>[0-9a-f]{64})(?:@(?P<side>[1-9][0-9]{0,5}))?(\.[a-z0-9]{2,5})"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """``sha256`` (hexadecimal) is that of the local file. ``suffix`` begins with a dot and tells
    the kind of what is sent. ``max_side`` is in pixels; None sends the file as it is."""

    sha256: str
    suffix: str
    max_side: int | None = None

    @property
    def name(self) -> str:
        """What the content is called in an object store, and in our own table."""
        scaled = "" if self.max_side is None else f"@{self.max_side}"
        return f"{self.sha256}{scaled}{self.suffix}"

    def __str__(self) -> str:
        return f"asset:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Reference | None:
        """The reference that a text is; None when it is something else."""
        found = _SHAPE.fullmatch(text)
        if found is None:
            return None
        side = found["side"]
        return cls(found["sha256"], found[3], None if side is None else int(side))


def references(inputs: Mapping[str, Any]) -> tuple[Reference, ...]:
    """Every reference among a job's inputs, once each, in their order."""
    found = dict.fromkeys(text for value in inputs.values() for text in _texts(value))
    return tuple(ref for text in found if (ref := Reference.parse(text)) is not None)


def replaced(inputs: Mapping[str, Any], addresses: Mapping[str, str]) -> dict[str, Any]:
    """The inputs with an address in the place of each reference. ``addresses`` leads from a
    reference's text to it."""
    return {name: _replaced(value, addresses) for name, value in inputs.items()}


def _replaced(value: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return addresses.get(value, value)
    if isinstance(value, list):
        return [_replaced(item, addresses) for item in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
