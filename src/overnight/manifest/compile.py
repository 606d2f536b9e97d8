"""From a document to a manifest: its settings, its blocks, and the limits of both."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from overnight.assets import pictures
from overnight.catalog import Catalog
from overnight.manifest import environment
from overnight.manifest.block import Block
from overnight.manifest.blocks import Compiler, Surroundings
from overnight.manifest.draws import Draws
from overnight.manifest.localfiles import LocalFiles
from overnight.manifest.naming import RESERVED, NameTemplate
from overnight.manifest.places import Reporter
from overnight.manifest.problems import ManifestError, Problem
from overnight.manifest.reading import Manifest
from overnight.manifest.schema import ManifestShape, read_shape
from overnight.manifest.settings import AssetSettings, OutputSettings, RunSettings
from overnight.manifest.template import TemplateProblem
from overnight.manifest.yaml12 import Document, Trail, scalar

_LONGEST_NAME = 80
_LONGEST_PRESIGN = 7 * 86400
"""Seconds."""
_GET_PILLOW = f"install it with: {pictures.HOW_TO_GET}"


def compile_manifest(
    document: Document,
    *,
    path: Path,
    digest: str,
    catalog: Catalog,
    drawn: Callable[[str], Mapping[str, list[Any]]],
    max_jobs: int,
) -> Manifest:
    """The manifest that a document says, checked. ``path`` is absolute; the other arguments are
    those of :func:`~overnight.manifest.reading.read_manifest`.

    Raises :class:`ManifestError`.
    """
    document, problems, unfilled = _with_environment(document)
    shape, more = read_shape(document)
    problems += [problem for problem in more if (problem.line, problem.column) not in unfilled]
    if shape is None:
        raise ManifestError(problems, document.text)
    reporter = Reporter(document, whole=not problems)
    reporter.problems += problems
    name = _name(path, shape, document, reporter)
    assets = _assets(shape, reporter)
    local = LocalFiles(path.parent, assets)
    around = Surroundings(path.parent, Draws(drawn(name)), _namer(shape, name, reporter), local)
    blocks = Compiler(shape, catalog, reporter, around).blocks()
    folder = _output(path.parent, shape, name, reporter)
    most = _limits(shape, reporter, max_jobs)
    _check_size(blocks, most, reporter)
    if shape.checks == "off":
        message = "nothing is checked against the model's schema: a mistake may cost money"
        reporter.notes.append(reporter.key_place(("validate",)).problem(message))
    if reporter.problems:
        raise ManifestError(reporter.problems, document.text)
    return Manifest(
        path=path,
        name=name,
        digest=digest,
        run=RunSettings.of(shape.run),
        output=OutputSettings(
            folder,
            shape.output.name,
            shape.output.download,
            shape.output.on_suspect,
            shape.output.poster,
        ),
        blocks=blocks,
        document=document,
        draws=around.drawn.used,
        validate=shape.checks == "on",
        assets=assets,
        local=local,
        read_files=tuple(sorted({*around.files, *around.wildcards.sources()})),
        most=most,
        said=reporter.notes,
    )


# --- settings -------------------------------------------------------------------------------------


def _with_environment(
    document: Document,
) -> tuple[Document, list[Problem], set[tuple[int, int]]]:
    """The document with ``${env:NAME}`` filled in under ``run``, ``output`` and ``assets``, what
    was wrong, and the places of texts that stayed as they were: they are wrong for that alone."""
    unfilled: set[tuple[int, int]] = set()
    if not isinstance(document.data, dict):
        return document, [], unfilled
    data = dict(document.data)
    reporter = Reporter(document, whole=True)
    for part in ("run", "output", "assets"):
        if part not in data:
            continue
        data[part], problems = environment.fill(data[part], os.environ, read=_number)
        for problem in problems:
            place = reporter.column_place((part, *problem.trail), problem.start + 1)
            reporter.problems.append(place.problem(str(problem), problem.hint))
            text = reporter.value_place((part, *problem.trail)).problem("")
            unfilled.add((text.line, text.column))
    return replace(document, data=data), reporter.problems, unfilled


def _number(text: str) -> Any:
    """What a setting that came from the environment means: a number, where it spells one."""
    try:
        value = scalar(text)
    except ValueError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else text


def _name(path: Path, shape: ManifestShape, document: Document, reporter: Reporter) -> str:
    """The batch's name, NFC. It becomes a folder's name, so what a file system may not take is
    noted as a problem."""
    name = unicodedata.normalize("NFC", shape.name if shape.name is not None else path.stem)
    wrong = _wrong_name(name)
    if wrong is not None and shape.name is not None:
        reporter.at_value(("name",), f"the name {wrong}")
    elif wrong is not None:
        message = f"the file's name can't be the batch's: it {wrong}"
        hint = "write name: at the top of the file"
        reporter.problems.append(Problem(document.file, 0, 0, message, hint))
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
    if RESERVED.fullmatch(name.replace(" .", ".")):
        return "is one that Windows keeps for a device"
    return None


_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.*", re.IGNORECASE | re.DOTALL)
_OBJECTS = re.compile(r"(s3|gs|az)://[a-z0-9][a-z0-9._-]*[a-z0-9](/[^/?#\s][^/?#]*)*")


def _output(folder: Path, shape: ManifestShape, name: str, reporter: Reporter) -> Path | str:
    written = shape.output.dir
    if written is not None and _ADDRESS.fullmatch(str(written)):
        return _address(str(written), reporter)
    try:
        wanted = Path(str(written)).expanduser() if written is not None else Path("outputs", name)
    except RuntimeError:
        hint = "write the folder's whole path"
        reporter.at_value(("output", "dir"), "there is no such home folder", hint)
        wanted = Path()
    return (folder / wanted).resolve()


def _address(written: str, reporter: Reporter) -> str:
    """An address as it is kept: every place has one way to be written."""
    address = written.rstrip("/")
    parts = address.partition("://")[2].split("/")
    if not _OBJECTS.fullmatch(address) or any(part.startswith(".") for part in parts):
        hint = "write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or a folder"
        reporter.at_value(("output", "dir"), "this is no place that files can go to", hint)
    return address


def _assets(shape: ManifestShape, reporter: Reporter) -> AssetSettings | None:
    """How local files are sent. Keys that don't go together are noted as problems."""
    written = shape.assets
    if written is None:
        return None
    told = reporter.at_key
    example = "write store: s3://bucket/prefix"
    for key in ("store", "presign", "public_base"):
        if written.data_uri and getattr(written, key) is not None:
            told(("assets", key), f"{key} has no use beside data_uri: true", "leave one out")
    if not written.data_uri and written.store is None:
        told(("assets",), "assets needs to know where files are uploaded", example)
    if written.public_base is not None and written.presign is not None:
        message = "presign has no use beside public_base, whose addresses are not signed"
        told(("assets", "presign"), message, "leave one out")
    if written.presign is not None and written.presign > _LONGEST_PRESIGN:
        hint = "S3 takes no signature that is to work longer than a week"
        reporter.at_value(("assets", "presign"), "presign must be at most 7d", hint)
    if written.fit is not None and not pictures.is_installed():
        told(("assets", "fit"), "Pillow, which scales pictures, is not installed", _GET_PILLOW)
    return AssetSettings.of(written)


def _namer(shape: ManifestShape, name: str, reporter: Reporter) -> NameTemplate | None:
    if shape.output.name is None:
        return None
    try:
        return NameTemplate(shape.output.name, name)
    except TemplateProblem as error:
        reporter.at_value(("output", "name"), f"name: {error}", error.hint)
        return None


# --- limits ---------------------------------------------------------------------------------------


def _limits(
    shape: ManifestShape, reporter: Reporter, max_jobs: int
) -> tuple[tuple[int, Problem], ...]:
    """The numbers of jobs that must not be exceeded, and what is wrong when one is."""
    place = reporter.key_place(_what_makes_jobs(shape))
    message = f"this makes more than {max_jobs:,} jobs, and that is the most a manifest may have"
    found = [(max_jobs, place.problem(message, "make the axes shorter, or take a sample"))]
    wanted = shape.run.limits.jobs if shape.run.limits is not None else None
    if wanted is not None:
        place = reporter.value_place(("run", "limits", "jobs"))
        message = f"the manifest makes more than these {wanted:,} jobs"
        found.append((wanted, place.problem(message, "raise the limit, or make fewer jobs")))
    return tuple(found)


def _what_makes_jobs(shape: ManifestShape) -> Trail:
    if shape.jobs:
        return ("jobs",)
    parts = [("matrix", shape.matrix), ("zip", shape.zip), ("rows", shape.rows)]
    parts.append(("inputs", shape.inputs))  # a prompt with variants
    return next(((key,) for key, value in parts if value), ())


def _check_size(
    blocks: tuple[Block, ...], most: tuple[tuple[int, Problem], ...], reporter: Reporter
) -> None:
    """Tell a manifest that is too large before anything is made of it."""
    if reporter.problems:
        return
    total = sum(block.most() for block in blocks)
    limit, problem = most[0]
    alone = next((block for block in blocks if block.name and block.most() > limit), None)
    if alone is not None:
        message = f"this block makes {alone.most():,} jobs; a manifest may have {limit:,}"
        reporter.problems.append(alone.place.problem(message, problem.hint))
    elif total > limit:
        message = f"this makes {total:,} jobs; a manifest may have {limit:,}"
        reporter.problems.append(replace(problem, message=message))
    counts = [block.count() for block in blocks]
    exact = sum(count for count in counts if count is not None)
    for wanted, too_many in most[1:]:
        if exact > wanted:
            message = f"the manifest makes {exact:,} jobs, and the limit is {wanted:,}"
            reporter.problems.append(replace(too_many, message=message))
