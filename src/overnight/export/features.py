"""A data set's columns in the words of the ``datasets`` loaders, and in Arrow's.

Pinned in the card (and in Parquet's own metadata), so that a column has the type that its values
have here, and not the one that a loader guesses from the first rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from overnight.export.columns import Kind, Type
from overnight.export.errors import ExportError

VIDEO = frozenset({".avi", ".mkv", ".mov", ".mp4", ".mpeg"})
"""Clips that the loaders of folders and tars take for clips; ``.webm`` is not among them."""
IMAGE = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""Pictures that they take for pictures, as far as generators make them."""
AUDIO = frozenset({".aiff", ".flac", ".mp3", ".ogg", ".opus", ".wav"})

_WORDS = {
    Kind.NOTHING: "string",
    Kind.BOOL: "bool",
    Kind.INT: "int64",
    Kind.FLOAT: "float64",
    Kind.TEXT: "string",
    Kind.JSON: "string",
}

Media = str | None
"""``video``, ``image``, ``audio``, or None for anything else."""


def media_of(suffix: str) -> Media:
    """What a file with that suffix (lower case, with its dot) is to the loaders."""
    for name, suffixes in (("video", VIDEO), ("image", IMAGE), ("audio", AUDIO)):
        if suffix in suffixes:
            return name
    return None


def for_card(types: Mapping[str, Type]) -> list[dict[str, Any]]:
    """Columns as a card's ``features``."""
    return [{"name": name, **_card(kind)} for name, kind in types.items()]


def _card(kind: Type) -> dict[str, Any]:
    if kind.kind is Kind.STRUCT:
        return {"struct": for_card(dict(kind.fields))}
    if kind.kind is Kind.LIST:
        assert kind.item is not None
        item = _card(kind.item)
        return {"list": item.get("dtype") or item.get("struct") or item}
    return {"dtype": _WORDS[kind.kind]}


def for_parquet(types: Mapping[str, Type], media: Mapping[str, Media]) -> dict[bytes, bytes]:
    """The metadata of a Parquet schema; ``media`` are further columns of files."""
    features = {name: _tagged(kind) for name, kind in types.items()}
    for name, kind in media.items():
        features[name] = {"_type": kind.capitalize()} if kind else _ANY_FILE
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


_ANY_FILE = {
    "bytes": {"dtype": "binary", "_type": "Value"},
    "path": {"dtype": "string", "_type": "Value"},
}


def _tagged(kind: Type) -> dict[str, Any]:
    if kind.kind is Kind.STRUCT:
        return {name: _tagged(inner) for name, inner in kind.fields}
    if kind.kind is Kind.LIST:
        assert kind.item is not None
        return {"feature": _tagged(kind.item), "_type": "List"}
    return {"dtype": _WORDS[kind.kind], "_type": "Value"}


def arrow() -> Any:
    """The ``pyarrow`` module with its Parquet part.

    Raises :class:`~overnight.export.errors.ExportError` when it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError(
            "This format needs pyarrow. Install it with: pip install 'overnight[parquet]'"
        ) from None
    return pyarrow


def arrow_type(kind: Type) -> Any:
    """The Arrow type of a column."""
    pa = arrow()
    match kind.kind:
        case Kind.STRUCT:
            return pa.struct([(name, arrow_type(inner)) for name, inner in kind.fields])
        case Kind.LIST:
            assert kind.item is not None
            return pa.list_(arrow_type(kind.item))
        case Kind.BOOL:
            return pa.bool_()
        case Kind.INT:
            return pa.int64()
        case Kind.FLOAT:
            return pa.float64()
        case _:
            return pa.string()
