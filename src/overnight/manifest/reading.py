"""Read a manifest file: the one way in.

Everything that can be known without rendering is checked here, so a :class:`Manifest` is a
manifest that is right; only texts made from templates can still disappoint, in
:meth:`Manifest.specs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overnight.catalog import Catalog, bundled_catalog
from overnight.manifest.problems import ManifestError, Problem
from overnight.manifest.settings import AssetSettings, OutputSettings, RunSettings

if TYPE_CHECKING:
    from overnight.assets.local import LocalFile
    from overnight.manifest.block import Block
    from overnight.manifest.expand import JobSpec
    from overnight.manifest.localfiles import LocalFiles
    from overnight.manifest.yaml12 import Document

MAX_JOBS = 1_000_000
"""The most jobs of one manifest, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that has passed its checks.

    ``path`` is absolute; ``name`` is the batch's; ``digest`` is the SHA-256 of the file's bytes,
    in hexadecimal. ``draws`` holds every value that was drawn at random: it is to be kept with the
    batch and given back at the next reading. ``validate`` is False when the manifest switches the
    schema's checks off; ``assets`` is None where it sends no local files. ``most`` are the numbers
    of jobs that must not be exceeded.
    """

    path: Path
    name: str
    digest: str
    run: RunSettings
    output: OutputSettings
    blocks: tuple[Block, ...] = field(repr=False)
    document: Document = field(repr=False)
    draws: Mapping[str, list[Any]] = field(default_factory=dict, repr=False)
    validate: bool = True
    assets: AssetSettings | None = None
    local: LocalFiles | None = field(default=None, repr=False)
    read_files: tuple[Path, ...] = field(default=(), repr=False)
    most: tuple[tuple[int, Problem], ...] = field(default=(), repr=False)
    said: list[Problem] = field(default_factory=list, repr=False)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What is worth saying and is no error, in the order of the file. Complete once
        :meth:`specs` has been read to its end."""
        return ManifestError(self.said).problems

    def sources(self) -> tuple[Path, ...]:
        """Every other file that the jobs come from, as absolute paths: rows, lists of lines, files
        that a glob found, wildcards."""
        return self.read_files

    def local_files(self) -> Mapping[str, LocalFile]:
        """Every local file that jobs send, by the text of its reference. Complete once
        :meth:`specs` has been read to its end."""
        return {} if self.local is None else self.local.found

    def specs(self) -> Iterator[JobSpec]:
        """Every job, as a stream, in the order of the file; the last axis varies fastest.

        Jobs may repeat: equal fingerprints are equal requests. Raises :class:`ManifestError` when
        a text can't be rendered, possibly after specs were yielded; none of them may be kept then.
        """
        from overnight.manifest.expand import expand

        return expand(self.blocks, self.document, self.most, self._note)

    def _note(self, problem: Problem) -> None:
        if problem not in self.said:
            self.said.append(problem)

    def count(self) -> int | None:
        """How many specs the stream has, by arithmetic; None when only the stream can tell."""
        counts = [block.count() for block in self.blocks]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def read_manifest(
    path: Path,
    catalog: Catalog | None = None,
    *,
    drawn: Callable[[str], Mapping[str, list[Any]]] | None = None,
    max_jobs: int = MAX_JOBS,
    text: str | None = None,
) -> Manifest:
    """Read and check a manifest. ``catalog`` knows the models; without one, the bundled ones.

    ``drawn`` is asked once, with the batch's name, for the random values that an earlier load of
    it kept: they are used again, and new ones are only added. More than ``max_jobs`` jobs are an
    error. ``text`` is read in place of the file; paths are still counted from ``path``.

    Raises :class:`ManifestError` with everything that is wrong, also when there is no such file.
    """
    # Imported here so that commands which read no manifest start quickly.
    from overnight.manifest import yaml12
    from overnight.manifest.compile import compile_manifest

    content = _content(path) if text is None else text.encode()
    document = yaml12.read(content, str(path))
    return compile_manifest(
        document,
        path=path.absolute(),  # not resolve(): a link keeps the name people gave it
        digest=hashlib.sha256(content).hexdigest(),
        catalog=catalog or bundled_catalog(),
        drawn=drawn or (lambda _: {}),
        max_jobs=max_jobs,
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
