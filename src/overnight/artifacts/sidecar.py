"""The file beside the files: ``.provenance/<key>.json`` says where a job's results are from.

The folder's dot keeps it out of the way of loaders that take every file of a folder for data.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from overnight.artifacts.naming import LONGEST, stem

FOLDER = ".provenance"
_ENDING = ".json"
_MARK = 9
"""Bytes that another batch's key adds to a name that is taken."""


def place(folder: Path, batch: str, key: str) -> Path:
    """Where the sidecar of this job stands, or would stand. Two batches may fill one folder and
    have a key in common: the second one's gets a mark."""
    first, second = (folder / FOLDER / name for name in names(batch, key))
    return first if _batch_of(first) in (None, batch) else second


def names(batch: str, key: str) -> tuple[str, str]:
    """What the sidecar of this job is called, and what it is called where another batch has that
    name already."""
    name = stem(key, LONGEST - len(_ENDING) - _MARK)
    mark = hashlib.sha256(batch.encode("utf-8", "surrogatepass")).hexdigest()[: _MARK - 1]
    return f"{name}{_ENDING}", f"{name}~{mark}{_ENDING}"


def content(document: Mapping[str, Any]) -> bytes:
    """What is written for ``document``."""
    text = json.dumps(dict(document), ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace")


def batch_in(said: bytes) -> str | None:
    """The batch that a sidecar's bytes speak of; None where they make no sense."""
    try:
        document = json.loads(said.decode("utf-8"))
    except ValueError:
        return None
    batch = document.get("batch") if isinstance(document, dict) else None
    return batch if isinstance(batch, str) else None


def write(folder: Path, batch: str, key: str, document: Mapping[str, Any]) -> Path:
    """Write it, durably and in one step; nothing is done where it says the same already.

    ``document`` must hold ``batch``. OSErrors come through as they are.
    """
    path = place(folder, batch, key)
    told = content(document)
    try:
        if path.read_bytes() == told:
            return path
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    # The process's id: two that write the same one must not share a temporary file.
    part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(told)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def unsigned(url: str) -> str:
    """``url`` without what may be a secret: its query, its fragment, a user name."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return ""


def _batch_of(path: Path) -> str | None:
    """The batch that a sidecar speaks of; None where there is none, or none that can be read."""
    try:
        return batch_in(path.read_bytes())
    except OSError:
        return None
