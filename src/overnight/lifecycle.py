"""The life of one job, as one table. Pure: no clock, no database, no network.

The rules, in prose first:

1. A job is always in exactly one :class:`State`. Only an :class:`Event` moves it, and only as
   :data:`TABLE` says. Whoever wants to change a state asks :func:`after`; nothing anywhere else
   decides one.
2. Write, then act. ``submitting`` is durable before the paid POST leaves; the request id is
   durable (``queued``) before the first poll; the files are durable before ``succeeded``.
3. A POST is paid and cannot be undone. ``submitting`` goes back to ``pending`` only when the
   submit surely was not accepted. Every doubt ends in ``unknown``, which only a decision leaves
   (the user's, the manifest's, or a provider that can prove what happened).
4. ``finished`` is not ``worked``. The provider's verdict is read in ``collecting``; it may still
   say failed there.
5. Refused is not failed. An account that is turned away, a throttled call and a call that was
   never sent put the job back to ``pending`` and count no attempt.
6. What the provider delivered is never bought again: ``failed`` with a delivery goes back to
   ``collecting``, not to ``pending``. What only took too long is looked for again (``queued``).
   The one exception is the manifest's own word (``on_suspect: retry``) about a delivery that is
   home and clearly not what was asked for; it counts as an attempt like any other.

The diagram in ``docs/lifecycle.md`` is printed from this table by :func:`mermaid`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum


class State(StrEnum):
    """Where a job is. The values are the words of the database and of ``--json``."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    COLLECTING = "collecting"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happened to a job. The values are the words of an attempt's history."""

    CLAIMED = "claimed"
    """A worker took the job; the intent to submit is durable."""
    ACCEPTED = "accepted"
    """The provider answered the POST with a request id."""
    REFUSED = "refused"
    """The account was turned away (no balance, bad token, forbidden)."""
    THROTTLED = "throttled"
    """The provider has no room now and said so."""
    UNAVAILABLE = "unavailable"
    """The provider said in its own words that it can't take the job now."""
    NOT_SENT = "not_sent"
    """No byte of the request reached the provider."""
    REJECTED = "rejected"
    """The provider will never take these inputs or this model."""
    UNCERTAIN = "uncertain"
    """The POST may have been accepted, and nobody can tell."""
    SEEN_QUEUED = "seen_queued"
    SEEN_RUNNING = "seen_running"
    FINISHED = "finished"
    """The provider is done with it; the verdict is still to be read."""
    ATTEMPT_FAILED = "attempt_failed"
    """The provider says this attempt failed, and another one is allowed."""
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    """The provider says this attempt failed, and it was the last or can't get better."""
    GONE = "gone"
    """The provider does not know the request (any more)."""
    TIMED_OUT = "timed_out"
    """The job's own time limit passed; what the provider does with it stays unknown to us."""
    COLLECTED = "collected"
    """Result and files are durable."""
    SUSPECT = "suspect"
    """Result and files are durable and clearly not what was asked for; the manifest says to buy
    another one, and another attempt is allowed."""
    UNCOLLECTABLE = "uncollectable"
    """Delivered and paid, but it can't be fetched; the request id is kept."""
    CANCELLED = "cancelled"
    """Stopped by the user before it was submitted, or cancelled at the provider."""
    ADOPTED = "adopted"
    """An unknown job was given the request id that it turned out to have."""
    RESUBMITTED = "resubmitted"
    """An unknown job is to be submitted again, on the user's word."""
    GIVEN_UP = "given_up"
    """An unknown job is written off, on the user's word."""
    RETRIED = "retried"
    """The user asked for the job again, and nothing was delivered for it."""
    RECALLED = "recalled"
    """The user asked for a job again that took too long; the provider may have it still."""
    RECOLLECTED = "recollected"
    """The user asked for the job again, and the provider had already delivered."""


_S, _E = State, Event

TABLE: dict[State, dict[Event, State]] = {
    _S.PENDING: {
        _E.CLAIMED: _S.SUBMITTING,
        _E.CANCELLED: _S.CANCELLED,
    },
    _S.SUBMITTING: {
        _E.ACCEPTED: _S.QUEUED,
        _E.REFUSED: _S.PENDING,
        _E.THROTTLED: _S.PENDING,
        _E.UNAVAILABLE: _S.PENDING,
        _E.NOT_SENT: _S.PENDING,
        _E.REJECTED: _S.FAILED,
        _E.ATTEMPTS_EXHAUSTED: _S.FAILED,
        _E.UNCERTAIN: _S.UNKNOWN,
    },
    _S.QUEUED: {
        _E.SEEN_QUEUED: _S.QUEUED,
        _E.SEEN_RUNNING: _S.RUNNING,
        _E.FINISHED: _S.COLLECTING,
        _E.ATTEMPT_FAILED: _S.PENDING,
        _E.ATTEMPTS_EXHAUSTED: _S.FAILED,
        _E.GONE: _S.FAILED,
        _E.TIMED_OUT: _S.FAILED,
        _E.CANCELLED: _S.CANCELLED,
    },
    _S.RUNNING: {
        _E.SEEN_QUEUED: _S.QUEUED,
        _E.SEEN_RUNNING: _S.RUNNING,
        _E.FINISHED: _S.COLLECTING,
        _E.ATTEMPT_FAILED: _S.PENDING,
        _E.ATTEMPTS_EXHAUSTED: _S.FAILED,
        _E.GONE: _S.FAILED,
        _E.TIMED_OUT: _S.FAILED,
        _E.CANCELLED: _S.CANCELLED,
    },
    _S.COLLECTING: {
        _E.COLLECTED: _S.SUCCEEDED,
        _E.ATTEMPT_FAILED: _S.PENDING,
        _E.SUSPECT: _S.PENDING,
        _E.ATTEMPTS_EXHAUSTED: _S.FAILED,
        _E.GONE: _S.FAILED,
        _E.UNCOLLECTABLE: _S.FAILED,
        _E.CANCELLED: _S.CANCELLED,
    },
    _S.UNKNOWN: {
        _E.ADOPTED: _S.QUEUED,
        _E.RESUBMITTED: _S.PENDING,
        _E.GIVEN_UP: _S.FAILED,
    },
    _S.SUCCEEDED: {},
    _S.FAILED: {
        _E.RETRIED: _S.PENDING,
        _E.RECALLED: _S.QUEUED,
        _E.RECOLLECTED: _S.COLLECTING,
    },
    _S.CANCELLED: {
        _E.RETRIED: _S.PENDING,
    },
}
"""State × event → state. What is not here cannot happen."""

TERMINAL = frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED})
"""Nothing more happens by itself."""

HELD = TERMINAL | {_S.UNKNOWN}
"""No worker moves these: terminal, or waiting for somebody's decision."""

IN_BUDGET = frozenset({_S.SUBMITTING, _S.QUEUED, _S.RUNNING})
"""What fills a slot of the concurrency budget: with the provider, or on its way there."""

IN_FLIGHT = IN_BUDGET | {_S.COLLECTING}
"""What a worker that starts takes up again, before it claims anything new."""

UNCOUNTED = frozenset({_E.REFUSED, _E.THROTTLED, _E.UNAVAILABLE, _E.NOT_SENT})
"""Ends of an attempt that cost nothing and count against nothing."""


class ImpossibleTransition(Exception):
    """An event that the table does not have for that state: a bug, never a user's mistake."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a {state} job can't be {event}")
        self.state = state
        self.event = event


def after(state: State, event: Event) -> State:
    """The state that ``event`` leads to from ``state``.

    Raises :class:`ImpossibleTransition` where the table has no such move.
    """
    try:
        return TABLE[state][event]
    except KeyError:
        raise ImpossibleTransition(state, event) from None


def moves() -> Iterator[tuple[State, Event, State]]:
    """Every row of the table, in its order."""
    for state, row in TABLE.items():
        for event, target in row.items():
            yield state, event, target


def mermaid() -> str:
    """The table as a Mermaid state diagram; equal arrows share one line of events."""
    arrows: dict[tuple[State, State], list[Event]] = {}
    for state, event, target in moves():
        arrows.setdefault((state, target), []).append(event)
    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    for (state, target), events in arrows.items():
        lines.append(f"    {state} --> {target}: {', '.join(events)}")
    lines += [f"    {state} --> [*]" for state in State if state in TERMINAL]
    return "\n".join(lines)
