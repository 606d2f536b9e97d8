"""Local files as inputs: a path where a model wants the address of an image, a video or a sound.

Each file is read once a load, however many jobs name it. What a job is sent in its place is a
reference by content (:mod:`overnight.assets.reference`); the path stays where people look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overnight.assets import local
from overnight.assets.local import LocalFile, LocalFileProblem
from overnight.assets.reference import Reference
from overnight.catalog import InputSpec, files
from overnight.manifest.settings import AssetSettings

_MB = 1024 * 1024
LARGEST_DATA_URI = 10 * _MB
"""Bytes of a file that may be written into a request itself."""
LARGEST_TO_SCALE = 200 * _MB
"""Bytes of a picture that is scaled before it is sent, which is done in memory."""


class LocalFiles:
    """The local files of one manifest. Paths are counted from ``folder``; without ``settings``
    nothing is taken for one."""

    def __init__(self, folder: Path, settings: AssetSettings | None) -> None:
        self.found: dict[str, LocalFile] = {}
        """By the text of the reference; it grows while jobs are made."""
        self._folder = folder
        self._settings = settings
        self._looked: dict[tuple[Path, int, int], LocalFile] = {}

    def sent(self, spec: InputSpec, value: Any) -> Any:
        """What a job is sent for a value: references in the place of local paths.

        Raises :class:`LocalFileProblem`, whose text reads on from the input's name.
        """
        if self._settings is None or spec.media is None:
            return value
        if isinstance(value, list):
            return [self.sent(spec, item) for item in value]
        return self._reference(spec, value) if files.is_local_path(spec, value) else value

    def _reference(self, spec: InputSpec, text: str) -> str:
        assert self._settings is not None
        file = self._look(text, self._largest(spec))
        if file.kind.media != spec.media:
            found = f"{_with_article(file.kind.media)} ({file.kind.suffix[1:]})"
            raise LocalFileProblem(f"is {found}, and the input takes {_with_article(spec.media)}")
        reference = file.reference(self._side(spec))
        self._require_small(file, reference, spec)
        self.found.setdefault(str(reference), file)
        return str(reference)

    def _look(self, text: str, largest: int | None) -> LocalFile:
        try:
            path = (self._folder / Path(text).expanduser()).absolute()
        except RuntimeError:
            raise LocalFileProblem("names a home folder that there is none of") from None
        try:
            changed, size = local.stamp(path)
        except LocalFileProblem as problem:
            hint = f"paths are counted from the manifest's folder, {self._folder}"
            raise LocalFileProblem(str(problem), hint) from None
        if largest is not None and size > largest:
            raise _too_large(size, largest)
        mark = (path, changed, size)
        if mark not in self._looked:
            self._looked[mark] = local.look(path)
        return self._looked[mark]

    def _side(self, spec: InputSpec) -> int | None:
        assert self._settings is not None
        return self._settings.max_side if spec.media == "image" else None

    def _largest(self, spec: InputSpec) -> int | None:
        """The most bytes that the file itself may have."""
        if self._side(spec) is not None:
            return LARGEST_TO_SCALE
        return self._limit(spec)

    def _limit(self, spec: InputSpec) -> int | None:
        """The most bytes that may be sent."""
        assert self._settings is not None
        limit = files.largest(spec)
        if self._settings.data_uri:
            return LARGEST_DATA_URI if limit is None else min(limit, LARGEST_DATA_URI)
        return limit

    def _require_small(self, file: LocalFile, reference: Reference, spec: InputSpec) -> None:
        """A picture that was not scaled has to be small enough as it is."""
        limit = self._limit(spec)
        if reference.max_side is None and limit is not None and file.size > limit:
            raise _too_large(file.size, limit)


def stand_in(value: Any) -> Any:
    """A value as the model's schema is to see it: references are HTTPS URLs when they are sent."""
    if isinstance(value, list):
        return [stand_in(item) for item in value]
    reference = Reference.parse(value) if isinstance(value, str) else None
    return value if reference is None else f"https://assets.invalid/{reference.name}"


def _with_article(media: object) -> str:
    return f"an {media}" if str(media)[0] in "aeiou" else f"a {media}"


def _too_large(size: int, limit: int) -> LocalFileProblem:
    message = f"is a local file of {size / _MB:,.1f} MB, and {limit / _MB:g} MB are allowed"
    return LocalFileProblem(
        message, "make it smaller; assets: {fit: {max_side: 2048}} scales images"
    )
