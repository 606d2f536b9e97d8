"""Text to job specs: a manifest is read, checked in full, and expanded as a stream.

No database and no network. :func:`read_manifest` is the way in; what is wrong comes out as one
:class:`ManifestError` that holds every :class:`Problem` with its place. The parsers and the
template engine are imported on first use.
"""

from typing import TYPE_CHECKING

from overnight.manifest.problems import ManifestError, Problem, render_problem
from overnight.manifest.reading import Manifest, read_manifest
from overnight.manifest.settings import (
    AssetSettings,
    HaltSettings,
    LimitSettings,
    OutputSettings,
    RunSettings,
    TimeoutSettings,
)

if TYPE_CHECKING:
    from overnight.manifest.expand import JobSpec

__all__ = [
    "AssetSettings",
    "HaltSettings",
    "JobSpec",
    "LimitSettings",
    "Manifest",
    "ManifestError",
    "OutputSettings",
    "Problem",
    "RunSettings",
    "TimeoutSettings",
    "read_manifest",
    "render_problem",
]


def __getattr__(name: str) -> object:
    if name == "JobSpec":
        from overnight.manifest.expand import JobSpec

        return JobSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
