"""``overnight schema``: the manifest's grammar as JSON Schema, which editors check against.

It is made from the models that the parser itself uses, so the two can't disagree.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output

BESIDE = ".overnight.schema.json"
"""What the schema is called beside a manifest: hidden, since nobody opens it."""
ID = "urn:overnight:manifest:1"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


@click.command()
@click.option(
    "--output",
    "-o",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"Write it to FILE, such as {BESIDE}, instead of printing it.",
)
def schema(target: Path | None) -> int:
    """Print the manifest's JSON Schema (draft 2020-12).

    An editor with a YAML language server completes and checks a manifest whose first line is
    `# yaml-language-server: $schema=FILE`, where FILE is counted from the manifest's folder.
    """
    output = Output()
    if target is None:
        output.say(text().rstrip("\n"))
        return Exit.DONE
    write(target)
    output.note(f"Written to {target}. Let a manifest beside it begin with: {first_line(target)}")
    return Exit.DONE


def first_line(target: Path) -> str:
    """The comment by which an editor finds the schema, for a manifest in the same folder."""
    return f"# yaml-language-server: $schema={target.name}"


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest."""
    from overnight.manifest.schema import ManifestShape

    found = _untitled(ManifestShape.model_json_schema())
    return {"$schema": _DRAFT, "$id": ID, "title": "A manifest of overnight", **found}


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic makes of our Python names, which editors would show."""
    if isinstance(value, dict):
        kept = value.items()
        return {k: _untitled(v) for k, v in kept if k != "title" or not isinstance(v, str)}
    return [_untitled(item) for item in value] if isinstance(value, list) else value


def text() -> str:
    """The schema as it is written to files."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def write(target: Path) -> None:
    """Put the schema there, whole or not at all; over an older one, and over nothing else.

    Raises :class:`UserError` where the file is somebody else's.
    """
    if target.exists() and not _is_ours(target):
        raise UserError(
            f"{target} is there, and it is not a schema that overnight wrote. "
            "Give another name, or move that file away."
        )
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as part:
            part.write(text())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _is_ours(target: Path) -> bool:
    try:
        found = json.loads(target.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("$id") == ID
