"""What a job's file is to be called: a template of the manifest, made safe on every system.

Slashes that stand in the template make folders; those in a value do not. Each part is NFC, holds
nothing that some file system refuses, is no name that Windows keeps, and is short enough.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from overnight.catalog import nearest
from overnight.manifest.template import Template, TemplateProblem, is_template

OWN_NAMES = ("key", "batch", "block", "index", "repeat")
"""What the template knows of every job."""
LONGEST_PART = 120
"""Bytes of one folder's or file's name, in UTF-8."""
MOST_PARTS = 8
"""Folders, and the file in them."""

_FORBIDDEN = set('<>:"/\\|?*')
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE
)
"""Names that Windows keeps for devices, whatever the suffix."""


class NameTemplate:
    """The template of ``output.name``."""

    def __init__(self, source: str, batch: str) -> None:
        """Raises :class:`TemplateProblem`."""
        self.template = Template(source)
        self._batch = batch
        parts = source.count("/") + 1
        if parts > MOST_PARTS:
            message = f"the name has {parts} parts; {MOST_PARTS} are allowed"
            raise TemplateProblem(message, "use fewer folders")
        if not is_template(source):
            hint = "write {{ key }}, or {{ block }}/{{ index }}"
            raise TemplateProblem("every file would have this one name", hint)

    @property
    def names(self) -> frozenset[str]:
        """What it needs of a job beside :data:`OWN_NAMES`."""
        return self.template.names - set(OWN_NAMES)

    def path(
        self, values: Mapping[str, Any], *, key: str, block: str, index: int, repeat: int
    ) -> str:
        """A job's path. ``values`` are its inputs and variables, by the names of the template;
        ``index`` and ``repeat`` count from 1. Raises :class:`TemplateProblem`.
        """
        own = {
            "key": key,
            "batch": self._batch,
            "block": block,
            "index": index,
            "repeat": repeat,
        }
        known = {name: _without_folders(value) for name, value in {**values, **own}.items()}
        missing = next((name for name in sorted(self.template.names) if name not in known), None)
        if missing is not None:
            close = nearest(missing, known)
            hint = f'did you mean "{close}"?' if close else f"known: {', '.join(known)}"
            raise TemplateProblem(f'"{missing}" has no value in this job', hint)
        parts = [safe_part(part) for part in self.template.render(known).split("/")]
        path = "/".join(part for part in parts if part)
        if not path:
            raise TemplateProblem("the name comes out empty", "put {{ key }} into it")
        return path


def _without_folders(value: Any) -> Any:
    """A value whose texts make no folders."""
    if isinstance(value, str):
        return value.replace("/", "-").replace("\\", "-")
    if isinstance(value, dict):
        return {key: _without_folders(inner) for key, inner in value.items()}
    return [_without_folders(inner) for inner in value] if isinstance(value, list) else value


def safe_part(text: str) -> str:
    """One part of a path; empty where nothing is left of it."""
    wanted = unicodedata.normalize("NFC", text)
    part = "".join(_safe(char) for char in wanted)
    # Dots at the front hide a file, or climb; at the end Windows drops them, as it does spaces.
    part = part.strip(". ")
    if RESERVED.fullmatch(part):
        part = f"_{part}"
    return part.encode()[:LONGEST_PART].decode("utf-8", "ignore").rstrip(". ")


def _safe(char: str) -> str:
    if char in _FORBIDDEN:
        return "_"
    if char == "\u200d":
        return char  # joins emoji into one
    category = unicodedata.category(char)
    return "_" if category in _UNSEEN else char
