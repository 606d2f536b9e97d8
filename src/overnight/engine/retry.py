"""What a provider's answer means for a job: outcome to decision. Pure.

Paid and free are kept apart here. A submit's outcome says whether another submit may follow; a
verdict of ``failed`` says so too, as long as attempts are left; no other answer ever leads to a
second submit.

Backoff is exponential with full jitter: the n-th wait is drawn from the whole of 0 to
``base * 2**n``, so that jobs that were turned away together don't come back together. A
``Retry-After`` is a floor under it, never shortened.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from overnight.lifecycle import Event
from overnight.providers import base


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of trying again. Times are in seconds."""

    attempts: int = 3
    """Accepted submits that a job may have."""
    turned_away: int = 20
    """Times in a row that the API may say "not now" in its own words before the job fails: with
    the waits between them, more than an hour."""
    first_wait: float = 1.0
    longest_wait: float = 300.0
    longest_retry_after: float = 3600.0
    """A server that asks for more than this is asked again after this."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the job. ``wait`` is in seconds, for a job that goes back to ``pending``;
    ``hold`` is in seconds too: how long the provider wants no submit at all."""

    event: Event
    error: str | None = None
    wait: float = 0.0
    hold: float = 0.0
    request_id: str | None = None


def after_submit(
    outcome: base.SubmitOutcome, deferrals: int, policy: Policy, rng: Random
) -> Decision:
    """The decision on a submit. ``deferrals`` is how often in a row the job was turned away."""
    match outcome:
        case base.Accepted(request_id):
            return Decision(Event.ACCEPTED, request_id=request_id)
        case base.Rejected(reason, code):
            return Decision(Event.REJECTED, _with_code(reason, code))
        case base.Refused(reason, code):
            return Decision(Event.REFUSED, _with_code(reason, code))
        case base.Throttled(retry_after, reason):
            wait = backoff(deferrals, policy, rng, retry_after)
            return Decision(Event.THROTTLED, reason, wait, hold=_asked_for(retry_after, policy))
        case base.Unavailable(reason, retry_after):
            if deferrals + 1 >= policy.turned_away:
                error = f"Turned away {deferrals + 1} times in a row; the last time: {reason}"
                return Decision(Event.ATTEMPTS_EXHAUSTED, error)
            wait = backoff(deferrals, policy, rng, retry_after)
            return Decision(Event.UNAVAILABLE, reason, wait)
        case base.NotSent(reason):
            return Decision(Event.NOT_SENT, reason, backoff(deferrals, policy, rng))
        case base.Unknown(reason):
            return Decision(Event.UNCERTAIN, reason)


def after_failure(verdict: base.Failed, tries: int, policy: Policy, rng: Random) -> Decision:
    """The decision on a provider's verdict of ``failed``, after ``tries`` accepted submits."""
    error = _with_code(verdict.reason, verdict.code)
    if verdict.final or tries >= policy.attempts:
        return Decision(Event.ATTEMPTS_EXHAUSTED, error)
    return Decision(Event.ATTEMPT_FAILED, error, backoff(tries - 1, policy, rng))


def backoff(n: int, policy: Policy, rng: Random, retry_after: float | None = None) -> float:
    """Seconds to wait before trying for the ``n``-th time again, ``n`` from 0."""
    # The exponent is bounded because a float's is.
    ceiling = min(policy.longest_wait, policy.first_wait * 2.0 ** min(n, 60))
    return _asked_for(retry_after, policy) + rng.uniform(0.0, ceiling)


def _asked_for(retry_after: float | None, policy: Policy) -> float:
    return min(max(retry_after or 0.0, 0.0), policy.longest_retry_after)


def _with_code(reason: str, code: str | None) -> str:
    return reason if code is None or code in reason else f"{reason} ({code})"
