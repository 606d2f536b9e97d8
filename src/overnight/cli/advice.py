"""What to know and what to type next, as sentences that several verbs say alike.

``status`` says them, so nothing that takes long to import may be imported here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from overnight.artifacts import pyav
from overnight.cli.output import count, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.rows import Batch


def how_to_settle(batches: Sequence[str], suffix: str) -> str:
    """The command that settles the unknown jobs of ``batches``, as a sentence."""
    names = "".join(f" --batch {shlex.quote(name)}" for name in batches)
    return (
        f"Settle them with `overnight resolve{names}{suffix}` and --resubmit (each may be charged "
        "twice) or --give-up; or one JOB that you find at the provider with --adopt REQUEST_ID."
    )


def duplicates(batch: Batch) -> str | None:
    """How many jobs of the batch may have been charged twice, as a sentence; None without any."""
    if not batch.possible_duplicates:
        return None
    return (
        f"{line(batch.name)}: {count(batch.possible_duplicates, 'submit')} repeated after an "
        "uncertain one; each may have been charged twice."
    )


def suspects(scope: Sequence[Batch], suffix: str) -> list[str]:
    """How many files are not what they should be; and whether anybody has looked."""
    lines = []
    odd = sum(batch.suspects for batch in scope)
    if odd:
        have = "has" if odd == 1 else "have"
        lines.append(
            f"{count(odd, 'job')} {have} a suspect file: home, and not what was asked for. Look at "
            f"them with: overnight jobs --suspect{suffix}"
        )
    if not pyav.is_installed() and any(batch.states[State.SUCCEEDED] for batch in scope):
        lines.append(f"Files are not decoded, because {pyav.NOT_INSTALLED}: {pyav.HOW_TO_GET}")
    return lines
