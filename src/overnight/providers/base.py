"""What the engine may ask of a remote API, and every answer it can get.

A provider turns whatever the wire did (status codes, bodies, silence, resets) into one of the
outcomes below; the engine decides on outcomes alone and never sees HTTP. Each call has a closed
set of outcomes, so a type checker proves that nothing was forgotten.

Two rules shape the sets. A submit is paid, so its outcomes say whether it *surely was not
accepted*; every doubt is :class:`Unknown`. Polls, results and cancels are free, so every failure
to get an answer is one outcome, :class:`NoAnswer`: it says nothing about the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self

Inputs = Mapping[str, Any]
"""A model's inputs under their raw names, as JSON values."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider needs to find an accepted submit again; some put the model in the path."""

    model: str
    id: str


# --- what every outcome may carry ---------------------------------------------------------------


class Call(NamedTuple):
    """The HTTP call behind an outcome. It is kept for people; nothing is ever decided by it.

    ``name`` is ``submit``, ``status``, ``result`` or ``cancel``. ``seconds`` went by until the
    whole answer was here, or none would come. ``status`` is None when not even the head of an
    answer came; ``code`` is the provider's own word for what is wrong.
    """

    name: str
    seconds: float
    status: int | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all outcomes have: the call that they came from, where there was one. Two outcomes are
    equal that mean the same, whatever call each came from."""

    call: Call | None = field(default=None, kw_only=True, compare=False, repr=False)

    def told_by(self, call: Call) -> Self:
        """Itself, once the provider that has just made it has said which call it came from."""
        object.__setattr__(self, "call", call)
        return self


# --- submit: paid -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted(Outcome):
    """The provider took the job and named it."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Rejected(Outcome):
    """Surely not accepted, and never will be: bad inputs, unknown model."""

    reason: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Refused(Outcome):
    """The account was turned away: no balance, bad token, forbidden. Stops the account."""

    reason: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Throttled(Outcome):
    """Surely not accepted: too much at once. ``retry_after`` is in seconds."""

    retry_after: float | None = None
    reason: str = "the provider asked for fewer calls"


@dataclass(frozen=True, slots=True)
class Unavailable(Outcome):
    """Surely not accepted: the API itself said, in its own words, that it can't now."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent(Outcome):
    """Surely not accepted: no byte of the request was handed to a connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown(Outcome):
    """May have been accepted. ``reason`` says what is known of it."""

    reason: str


SubmitOutcome = Accepted | Rejected | Refused | Throttled | Unavailable | NotSent | Unknown


# --- recovery: what became of a submit whose answer was lost ------------------------------------


@dataclass(frozen=True, slots=True)
class NeverAccepted(Outcome):
    """The provider knows that it did not take the submit of that key: the job may be submitted
    again at no risk. A refusal of this call, or silence, is :class:`Unknown`, not this."""

    reason: str


RecoverOutcome = Accepted | NeverAccepted | Unknown
"""It was taken, it was not, or nobody can tell yet; there is nothing in between."""


# --- status, result, cancel: free ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queued(Outcome):
    """Waiting at the provider; ``position`` counts from the front where the provider says it."""

    position: int | None = None


@dataclass(frozen=True, slots=True)
class Running(Outcome):
    """Being worked on. ``word`` is set when the provider used a word that nobody knows: it is
    not terminal, and is told to the user once."""

    word: str | None = None


@dataclass(frozen=True, slots=True)
class Finished(Outcome):
    """The provider is done with it. Whether it worked is the result's to say."""


@dataclass(frozen=True, slots=True)
class Failed(Outcome):
    """The provider's verdict: this attempt failed. ``final`` when the same inputs can only fail
    again (the provider names the inputs or the model as the cause)."""

    reason: str
    code: str | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled(Outcome):
    """Cancelled at the provider."""


@dataclass(frozen=True, slots=True)
class NotCancellable(Outcome):
    """It runs already, or has finished; it goes on."""


@dataclass(frozen=True, slots=True)
class Gone(Outcome):
    """The provider does not know this request: expired, or never was."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer(Outcome):
    """No usable answer: says nothing about the job. ``retry_after`` is in seconds."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered(Outcome):
    """The verdict: it worked. ``urls`` in the order of the output, none twice; ``cost`` in US
    dollars where the provider tells it; ``output`` is the provider's own object."""

    urls: tuple[str, ...]
    output: Mapping[str, Any]
    cost: float | None = None


StatusOutcome = Queued | Running | Finished | Failed | Cancelled | Gone | NoAnswer | Refused
ResultOutcome = Delivered | Queued | Running | Failed | Cancelled | Gone | NoAnswer | Refused
CancelOutcome = Cancelled | NotCancellable | Gone | NoAnswer | Refused


# --- the provider itself ------------------------------------------------------------------------


class Recovery(StrEnum):
    """How a submit whose answer was lost can be settled without paying again."""

    NONE = "none"
    """It can't: the job is unknown until a person decides."""
    REPLAY = "replay"
    """Sending the same key again returns the first request."""
    LOOKUP = "lookup"
    """We choose the id and can ask for it."""
    REUSE_ERROR = "reuse-error"
    """Sending the same key again is an error that proves the first was taken."""

    @property
    def posts(self) -> bool:
        """Whether asking is the paid POST itself: where the first one was never accepted, this
        one is, so it needs a slot of the budget and everything else that a submit needs."""
        return self in (Recovery.REPLAY, Recovery.REUSE_ERROR)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a provider says of itself, so that the engine needs no special case for it."""

    name: str
    """The word in the database and in fingerprints."""
    recovery: Recovery = Recovery.NONE
    cancels_running: bool = False
    lag: float = 60.0
    """Seconds for which a lost submit may still be on its way, or not be visible yet: only after
    them is :class:`NeverAccepted` believed."""


class Provider(Protocol):
    """One remote API, for one account. Methods never raise for what the wire did."""

    @property
    def traits(self) -> Traits: ...

    async def submit(self, model: str, inputs: Inputs, *, key: str) -> SubmitOutcome:
        """Send the paid POST, once. ``key`` is this attempt's own id, for providers that can
        replay it or look it up; others leave it out."""
        ...

    async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
        """Ask what became of the submit that was sent under ``key`` with these very inputs, as
        :attr:`Traits.recovery` says that it can be asked; never so that it is accepted twice.
        Asked again later where the answer is :class:`Unknown`; never asked of a provider whose
        recovery is :attr:`Recovery.NONE`."""
        ...

    async def status(self, request: Request) -> StatusOutcome: ...

    async def result(self, request: Request) -> ResultOutcome: ...

    async def cancel(self, request: Request) -> CancelOutcome: ...

    async def probe(self) -> Refused | NoAnswer | None:
        """A free call that tells whether the provider answers and takes the account; None when
        it does."""
        ...

    async def aclose(self) -> None: ...
