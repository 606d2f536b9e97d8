"""What the tests of the grammar share: writing a manifest, and reading its jobs or its problems."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from overnight.catalog import Catalog
from overnight.manifest import JobSpec, Manifest, ManifestError, Problem, read_manifest

MODEL = "community/wan-2-1/fusionx/image-to-video"
HEAD = f"version: 1\nmodel: {MODEL}\n"
IMAGE = "RunComfy_examples_1235_1.png"
INPUTS = f"inputs: {{image: {IMAGE}, prompt: a boat}}\n"
PICTURE = f"inputs: {{image: {IMAGE}}}\n"
"""Inputs without a prompt, which an axis is to give."""


def prompt(text: str) -> str:
    """Inputs with a prompt of one's own."""
    return f"inputs: {{image: {IMAGE}, prompt: {json.dumps(text)}}}\n"


class Bench:
    """A folder in which manifests are written and read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, text: str) -> Path:
        """A file beside the manifest."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def read(self, text: str, catalog: Catalog | None = None, **how: Any) -> Manifest:
        """A manifest; ``text`` goes under the version and the model, unless it has them."""
        whole = textwrap.dedent(text)
        return read_manifest(
            self.file("jobs.yaml", whole if "version:" in whole else HEAD + whole), catalog, **how
        )

    def jobs(self, text: str, catalog: Catalog | None = None, **how: Any) -> list[JobSpec]:
        """Its jobs. Positions and counts are checked on the way."""
        manifest = self.read(text, catalog, **how)
        specs = list(manifest.specs())
        assert manifest.count() in (len(specs), None)
        assert [spec.position for spec in specs] == list(range(len(specs)))
        return specs

    def problems(self, text: str, **how: Any) -> tuple[Problem, ...]:
        """What is wrong with it, which is also shown without a failure."""
        with pytest.raises(ManifestError) as caught:
            list(self.read(text, **how).specs())
        assert caught.value.pretty()
        return caught.value.problems

    def problem(self, text: str, **how: Any) -> Problem:
        """The one thing that is wrong."""
        [problem] = self.problems(text, **how)
        return problem


def short(spec: JobSpec, *names: str) -> tuple[Any, ...]:
    """Inputs of a job by the ends of their raw names: None where it leaves them open."""
    by_end: Mapping[str, Any] = {raw.split("_", 1)[1]: v for raw, v in spec.inputs.items()}
    return tuple(by_end.get(name) for name in names)


def marks(specs: list[JobSpec]) -> set[str]:
    """The fingerprints."""
    return {spec.fingerprint for spec in specs}
