"""What a read gives back: batches, jobs, attempts, files and events as plain values.

Nothing here knows SQL, and nothing here reads; :mod:`overnight.store.views` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from overnight.lifecycle import TERMINAL, State


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and its figures. ``states`` has every state of the lifecycle."""

    id: int
    name: str
    manifest_path: str
    run: Mapping[str, Any]
    output_dir: str
    created_at: float
    states: Mapping[State, int]
    halted: str | None = None
    """Why nothing more is submitted, when a rule of the manifest has stopped it."""
    forgiven: Mapping[str, int] = field(default_factory=dict)
    """``settled`` and ``failed`` jobs that the user went on in spite of."""
    canaries_passed: bool = False
    possible_duplicates: int = 0
    """Submits that were repeated although the first may have been accepted."""
    output: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's ``output`` block."""
    assets: Mapping[str, Any] = field(default_factory=dict)
    """The manifest's ``assets`` block; empty where no local files are sent."""
    suspects: int = 0
    """Jobs that succeeded with a suspect file; :func:`overnight.store.views.with_suspects` alone
    counts them."""

    @property
    def waits_for_canaries(self) -> bool:
        """Only its canary jobs may be submitted as yet."""
        return bool(self.run.get("canary")) and not self.canaries_passed and self.halted is None

    @property
    def unknown(self) -> int:
        """Jobs that somebody has to decide about."""
        return self.states[State.UNKNOWN]

    @property
    def settled(self) -> int:
        """Jobs that rest: terminal, or unknown."""
        return self.states[State.UNKNOWN] + sum(self.states[s] for s in TERMINAL)

    @property
    def failed(self) -> int:
        """Jobs that ended badly: failed, or unknown."""
        return self.states[State.FAILED] + self.states[State.UNKNOWN]

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def unsettled(self) -> int:
        """Jobs that a worker still has something to do for."""
        return self.total - self.settled


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job for people and programs. ``attempts`` counts paid tries; times are seconds since
    1970; ``urls`` and ``files`` are those of the newest attempt, and ``suspect`` is what is wrong
    with those files, None when nothing is."""

    id: int
    batch: str
    key: str
    fingerprint: str
    state: State
    attempts: int
    request_id: str | None
    model: str
    inputs: Mapping[str, Any]
    variables: Mapping[str, Any]
    urls: list[str]
    files: list[str]
    error: str | None
    cancel_requested: bool
    created_at: float
    updated_at: float
    suspect: str | None = None
    tags: Sequence[str] = ()
    repeat: int = 1
    price: float | None = None
    """What it is expected to cost, in US dollars."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try: its times, how it ended (an event of the lifecycle), what it cost in US dollars, and
    what its calls answered (as :mod:`overnight.store.history` keeps it)."""

    number: int
    request_id: str | None
    intent_at: float
    accepted_at: float | None
    running_at: float | None
    finished_at: float | None
    ended_at: float | None
    outcome: str | None
    error: str | None
    cost: float | None
    submit_status: int | None = None
    submit_seconds: float | None = None
    answered_at: float | None = None
    error_code: str | None = None
    last_call: str | None = None
    last_status: int | None = None
    calls: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A file of a result; ``path`` and what follows are None until it is home. ``suspect`` says
    what is wrong with it, ``probe`` (JSON text) what its content is."""

    attempt: int
    position: int
    url: str
    path: str | None
    bytes: int | None
    sha256: str | None
    content_type: str | None
    suspect: str | None = None
    probe: str | None = None


class Kind(StrEnum):
    """What an event is about."""

    LIMIT = "limit"
    PAUSE = "pause"
    """Submitting stops until the provider answers again."""
    RESUME = "resume"
    HALT = "halt"
    CANARY = "canary"
    RESOLVED = "resolved"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that was decided; see :mod:`overnight.store.decisions`."""

    at: float
    kind: str
    text: str
    batch_id: int | None
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Asset:
    """``name`` is what a reference has behind ``asset:``. ``path`` is absolute; ``bytes`` are the
    local file's. ``store_key`` is the object's whole address, and ``uploaded_at`` (seconds since
    1970) when it was seen there; both None before that."""

    name: str
    path: str
    bytes: int
    content_type: str
    store_key: str | None = None
    uploaded_at: float | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything known of one job."""

    job: JobRow
    attempts: Sequence[AttemptRow] = field(default_factory=tuple)
    artifacts: Sequence[ArtifactRow] = field(default_factory=tuple)
    events: Sequence[EventRow] = field(default_factory=tuple)
