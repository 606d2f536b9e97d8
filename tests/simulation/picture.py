"""What the invariants remember of a worker process, of a paid call and of a job."""

from __future__ import annotations

from dataclasses import dataclass, field

from overnight.lifecycle import State
from overnight.providers import base
from tests.simulation.remote import Accepted

SURELY_NOT = (base.Rejected, base.Refused, base.Throttled, base.Unavailable, base.NotSent)
"""Answers to a paid call that say for certain that it was not accepted."""

REFUSALS = 3
"""Refused answers in a row about one request that count as a refusal of the account."""


@dataclass(slots=True)
class Badge:
    """One worker process, as far as the judge has to know it."""

    number: int
    limit: int
    """Jobs at once, in all."""
    ceilings: dict[int, int]
    """Jobs at once, by batch id."""
    patience: float
    """Seconds after which it gives up on a running job."""
    fence: int = 0
    account_refused: bool = False
    """It was told so in answer to a paid call; a run that waits for the account has heard nothing
    better since."""
    turned_away: bool = False
    """It was told so in answer to free calls: to a probe, or :data:`REFUSALS` times in a row about
    one request."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Refused answers in a row about each request, by its id."""


@dataclass(slots=True)
class Post:
    """One paid call. ``answer`` is what its process heard; None when it never did."""

    badge: Badge
    request: Accepted | None = None
    answer: base.SubmitOutcome | None = None

    @property
    def in_doubt(self) -> bool:
        """Nobody on our side can say whether it was accepted."""
        return self.answer is None or isinstance(self.answer, base.Unknown)


@dataclass(slots=True)
class Picture:
    """A job as the table has it, and what its attempts came to."""

    batch_id: int
    attempts_allowed: int
    canary: bool
    state: State = State.PENDING
    attempt: int = 0
    fence: int = 0
    updated_at: float = 0.0
    wish: bool = False
    """The user wants it cancelled at the provider."""
    posts: dict[int, Post] = field(default_factory=dict)
    outcomes: dict[int, str] = field(default_factory=dict)
    recorded: dict[int, str] = field(default_factory=dict)
    """Request ids by attempt, as the table has them."""
    files: dict[int, dict[int, str]] = field(default_factory=dict)
    """Paths by attempt and position."""
    bought: int = 0
    """Accepted paid calls since the user last asked for the job to be bought again."""
    free_to_buy: bool = False
    """The user asked for it to be bought again."""
    let_go: int = 0
    """The newest attempt that somebody has decided to do without."""
    asked_again: int = 0
    """How often somebody asked for that."""
    settled: bool = False
    """It was unknown, and somebody decided about it."""
    reopened: bool = False
    """The user had its last attempt looked at again."""
    recalled: bool = False
    """The user had it looked for again, outside the budget."""
    moved_by_user: float = -1.0
    done_for: Badge | None = None
    """The worker that has heard that the provider is done with the newest attempt."""

    @property
    def request(self) -> Accepted | None:
        """What the provider accepted for the newest attempt."""
        post = self.posts.get(self.attempt)
        return post.request if post else None
