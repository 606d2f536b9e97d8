"""Read a manifest file: the one way in.

Everything that can be known without rendering is checked here, so a :class:`Manifest` is a
manifest that is right; only texts made from templates can still disappoint, in
:meth:`Manifest.specs`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from overnight.catalog import Catalog, bundled_catalog
from overnight.manifest.problems import ManifestError, Problem
from overnight.manifest.settings import OutputSettings, RunSettings

if TYPE_CHECKING:
    from overnight.manifest.expand import Block, JobSpec
    from overnight.manifest.schema import ManifestShape
    from overnight.manifest.yaml12 import Document

_LONGEST_NAME = 80
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
"""Names that Windows keeps for devices, whatever the suffix."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that has passed its checks.

    ``path`` is absolute; ``name`` is the batch's; ``digest`` is the SHA-256 of the file's bytes,
    in hexadecimal.
    """

    path: Path
    name: str
    digest: str
    run: RunSettings
    output: OutputSettings
    blocks: tuple[Block, ...] = field(repr=False)
    document: Document = field(repr=False)

    def specs(self) -> Iterator[JobSpec]:
        """Every job, as a stream, in the order of the file; the last axis varies fastest.

        Jobs may repeat: equal fingerprints are equal requests. Raises :class:`ManifestError` when
        a text can't be rendered, possibly after specs were yielded; none of them may be kept then.
        """
        from overnight.manifest.expand import expand

        return expand(self.blocks, self.document)

    def count(self) -> int:
        """How many specs the stream has, by arithmetic."""
        return sum(block.count() for block in self.blocks)


def read_manifest(path: Path, catalog: Catalog | None = None) -> Manifest:
    """Read and check a manifest. ``catalog`` knows the models; without one, the bundled ones.

    Raises :class:`ManifestError` with everything that is wrong, also when there is no such file.
    """
    # Imported here so that commands which read no manifest start quickly.
    from overnight.manifest import yaml12
    from overnight.manifest.blocks import Compiler
    from overnight.manifest.schema import read_shape

    content = _content(path)
    document = yaml12.read(content, str(path))
    shape, problems = read_shape(document)
    if shape is None:
        raise ManifestError(problems, document.text)
    compiler = Compiler(document, shape, catalog or bundled_catalog(), whole=not problems)
    blocks = compiler.blocks()
    name = _name(path, shape, document, problems)
    absolute = path.absolute()  # not resolve(): a link keeps the name people gave it
    folder = _output(absolute.parent, shape.output.dir, name, document, problems)
    problems += compiler.problems
    if problems:
        raise ManifestError(problems, document.text)
    return Manifest(
        path=absolute,
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        run=RunSettings.of(shape.run),
        output=OutputSettings(folder),
        blocks=blocks,
        document=document,
    )


def _content(path: Path) -> bytes:
    from overnight.manifest.yaml12 import MAX_BYTES

    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message, hint = "there is no such file", "check the path"
    except IsADirectoryError:
        message, hint = "this is a folder, not a manifest", "give the path of a .yaml file"
    except PermissionError:
        message, hint = "you may not read this file", "check its permissions"
    except OSError as error:
        message, hint = f"the file can't be read ({error.strerror})", "check the path"
    raise ManifestError([Problem(str(path), 0, 0, message, hint)])


def _name(path: Path, shape: ManifestShape, document: Document, problems: list[Problem]) -> str:
    """The batch's name, NFC. It becomes a folder's name, so what a file system may not take is
    noted as a problem."""
    name = unicodedata.normalize("NFC", shape.name if shape.name is not None else path.stem)
    wrong = _wrong_name(name)
    if wrong is not None and shape.name is not None:
        problems.append(document.problem(document.values["name",], f"the name {wrong}"))
    elif wrong is not None:
        message = f"the file's name can't be the batch's: it {wrong}"
        problems.append(Problem(str(path), 0, 0, message, "write name: at the top of the file"))
    return name


def _wrong_name(name: str) -> str | None:
    if len(name) > _LONGEST_NAME:
        return f"has {len(name)} characters; {_LONGEST_NAME} are allowed"
    odd = next((c for c in name if c not in "-_. " and unicodedata.category(c)[0] not in "LNM"), "")
    if odd:
        return f"has {odd!r} in it; letters, digits, spaces and - _ . are allowed"
    if not name or unicodedata.category(name[0])[0] not in "LN":
        return "must begin with a letter or a digit"
    if name[-1] in ". ":
        return "must not end in a dot or a space"
    if name.split(".")[0].rstrip().lower() in _RESERVED:
        return "is one that Windows keeps for a device"
    return None


def _output(
    folder: Path, written: str | None, name: str, document: Document, problems: list[Problem]
) -> Path:
    try:
        wanted = Path(written).expanduser() if written is not None else Path("outputs", name)
    except RuntimeError:
        span = document.values["output", "dir"]
        message = "there is no such home folder"
        problems.append(document.problem(span, message, "write the folder's whole path"))
        wanted = Path()
    return (folder / wanted).resolve()
