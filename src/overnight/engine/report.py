"""What a run tells: notices while it goes, figures at any time, a report at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from overnight.lifecycle import Event, State


class Ending(StrEnum):
    """Why a run ended."""

    DONE = "done"
    """Nothing is left that a worker could do."""
    INTERRUPTED = "interrupted"
    """The user asked it to stop."""
    HALTED = "halted"
    """A rule of the manifest stopped submitting; what was in flight has come home."""
    REFUSED = "refused"
    """The provider turns the account away."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. ``left_remote`` jobs are still with the provider and will be picked up by
    the next run; ``broken`` jobs met a bug of ours and were left as they are."""

    ending: Ending
    reason: str | None = None
    left_remote: int = 0
    broken: tuple[str, ...] = ()
    refused_by_store: bool = False
    """It was the user's object store that turned the account away, and not the provider."""


@dataclass(frozen=True, slots=True)
class JobNotice:
    """A job that came to rest, or went back to be submitted again."""

    id: int
    batch_id: int
    key: str
    state: State
    event: Event
    error: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person may want to know while it runs."""

    text: str
    level: Literal["info", "warning"] = "info"
    job: JobNotice | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of the moment. ``states`` are those of the run's batches; ``settled`` counts
    jobs that came to rest in this run; ``elapsed`` is in seconds."""

    states: Mapping[State, int]
    limit: int
    """Jobs at once, as found out so far; ``ceiling`` is what the user allows."""
    ceiling: int
    in_budget: int
    bytes: int
    settled: int
    elapsed: float
    paused: str | None = None
    """Why nothing is submitted at the moment, if so."""
