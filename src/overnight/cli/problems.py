"""What is wrong in a manifest, for programs: the same problems that people read on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from overnight.cli.output import Output

if TYPE_CHECKING:
    from overnight.manifest import Problem


@contextmanager
def recorded(output: Output) -> Iterator[None]:
    """With ``--json``, a :class:`~overnight.manifest.ManifestError` that passes through is one
    object on stdout, ``{"problems": [...]}``. The sentence for people comes from who ends the
    command, as for every error."""
    from overnight.manifest import ManifestError

    try:
        yield
    except ManifestError as error:
        output.record({"problems": [fields(one) for one in error.problems]}, flush=True)
        raise


def fields(problem: Problem) -> dict[str, object]:
    """One problem. ``line`` and ``column`` count from 1; 0 means the file as a whole."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }
