"""A plan in a file: what ``plan -o`` writes, and what ``run`` and ``load`` then do exactly.

The file is one JSON object. It holds the manifest's text, everything that the jobs were made from
beside it (random values, the SHA-256 of each other file, the models' schemas and prices), and the
SHA-256 over all fingerprints. A checksum over the whole tells an edited or damaged file from a good
one, so that nobody changes by hand what somebody else has agreed to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overnight.cli.failures import UserError

FORMAT = 1
"""The version of the file. A program reads the versions that it knows."""

MARK = "overnight_plan"
"""The first key. Its value is the version, and a file that has it is a plan whatever its name."""

LARGEST = 256 * 1024 * 1024
"""Bytes of the largest plan that is read: a manifest, and a line for each file that it names."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What was planned.

    ``sources`` leads from an absolute path to the SHA-256 of what the file held, ``models`` from a
    model's id to the catalogue's entry that the jobs were checked against, with where that was
    from. ``fingerprints`` is the SHA-256 over those of all jobs. ``counts`` and ``cost`` (US
    dollars; None when it isn't known) are what was told when the plan was made.
    """

    batch: str
    manifest: str
    text: str
    digest: str
    max_jobs: int
    prune: bool
    draws: dict[str, list[Any]]
    sources: dict[str, str]
    models: dict[str, dict[str, Any]]
    fingerprints: str
    counts: dict[str, int]
    cost: float | None
    made_at: str
    made_by: str


def changed(files: Mapping[str, str]) -> str | None:
    """Which of ``files`` (path to SHA-256) isn't what it was, as a clause; None when all are."""
    for path, before in files.items():
        try:
            now = digest(Path(path))
        except FileNotFoundError:
            return f"{path} is not there any more"
        except OSError as error:
            return f"{path} can't be read ({error.strerror})"
        if now != before:
            return f"{path} has changed"
    return None


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """Absolute path → SHA-256. Raises :class:`OSError`."""
    return {str(path.absolute()): digest(path) for path in paths}


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises :class:`OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- writing --------------------------------------------------------------------------------------


def write(plan: PlanFile, path: Path) -> None:
    """Write ``plan``: whole or not at all, and never over anything but another plan.

    Raises :class:`UserError` for what stands in the way, :class:`OSError` for what the disk says.
    """
    if path.is_dir() or (path.exists() and not is_plan(path)):
        raise UserError(f"{path} is there already and is no plan. Give -o another name.")
    body = {MARK: FORMAT, **asdict(plan)}
    text = json.dumps({**body, "checksum": _checksum(body)}, ensure_ascii=False, indent=1)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist. Make it first.")
    draft = folder / f".{path.name}.{os.getpid()}.part"
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _checksum(body: Mapping[str, Any]) -> str:
    """The SHA-256 of everything else in the file, however it is laid out."""
    canonical = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# --- reading --------------------------------------------------------------------------------------


def is_plan(path: Path) -> bool:
    """Whether the file is a plan, a damaged one included. A file that can't be read is none."""
    return _content(path) is not None


def read(path: Path) -> PlanFile | None:
    """The plan in a file; None when the file is none, and may be a manifest.

    Raises :class:`UserError` when it was edited or damaged, or is of a version that is not known.
    """
    content = _content(path)
    if content is None:
        return None
    try:
        body = dict(json.loads(content))
        version = body[MARK]
        if version == FORMAT and body.pop("checksum") == _checksum(body):
            del body[MARK]
            return PlanFile(**body)
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if isinstance(version, int) and version > FORMAT:
        raise UserError(
            f"{path} is a plan of a newer overnight. Upgrade overnight, or make it again here."
        )
    raise UserError(
        f"{path} is a plan that was edited or damaged, so it is not what was agreed to. Make it "
        "again with: overnight plan FILE -o plan.json"
    )


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            begin = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
            if not begin.startswith(b"{"):
                return None
            content = begin + file.read(LARGEST)
    except OSError:
        return None  # the manifest's reader says what is wrong with it
    return content if f'"{MARK}"'.encode() in content else None
