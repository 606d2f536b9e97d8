"""What is kept of an attempt: when it came how far, how it ended, and what its calls answered.

An attempt's row is only ever added to. It is written in the transaction of the transition that it
is about, so the record costs no commit of its own; a crash loses what was heard since the last
transition, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, case, func, update
from sqlalchemy.sql.dml import Update

from overnight.lifecycle import IN_FLIGHT, Event
from overnight.store.bulk import Bulk
from overnight.store.tables import attempts

if TYPE_CHECKING:
    from overnight.store.job import Job
    from overnight.store.steps import Facts

SUBMIT = "submit"
"""The name of the paid call; the others are ``status``, ``result`` and ``cancel``."""


class Heard(NamedTuple):
    """What an attempt's calls answered since something of it was recorded last.

    ``call`` is the name of the newest one, None where no call is known; ``status`` its HTTP status,
    None without an answer; ``seconds`` how long it took; ``code`` the provider's own word for what
    is wrong. ``calls`` free ones were made, ``unanswered`` of which told nothing of the job.
    """

    call: str | None = None
    status: int | None = None
    seconds: float | None = None
    code: str | None = None
    calls: int = 0
    unanswered: int = 0


class Line(NamedTuple):
    """What is added to an attempt, by its columns; how each is added, the statement below says."""

    job_id: int
    number: int
    accepted_at: float | None = None
    running_at: float | None = None
    finished_at: float | None = None
    request_id: str | None = None
    cost: float | None = None
    ended_at: float | None = None
    outcome: str | None = None
    last_call: str | None = None
    answered_at: float | None = None
    error_code: str | None = None
    error: str | None = None
    last_status: int | None = None
    submit_status: int | None = None
    submit_seconds: float | None = None
    calls: int = 0
    unanswered: int = 0


def moved(job: Job, after: Job, event: Event, facts: Facts) -> Line:
    """What a transition of ``job`` to what it is ``after`` it leaves."""
    at, heard = facts.at, facts.heard or _NOTHING
    ended, submitted = after.state not in IN_FLIGHT, heard.call == SUBMIT
    return Line(
        job.id,
        job.attempt,
        accepted_at=at if event is Event.ACCEPTED else None,
        running_at=at if event is Event.SEEN_RUNNING else None,
        finished_at=at if event is Event.FINISHED else None,
        request_id=facts.request_id if event is Event.ACCEPTED else None,
        cost=facts.cost,
        ended_at=at if ended else None,
        outcome=event.value if ended else None,
        last_call=heard.call,
        answered_at=at if submitted else None,
        error_code=heard.code,
        error=facts.error if ended else None,
        last_status=heard.status,
        submit_status=heard.status if submitted else None,
        submit_seconds=heard.seconds if submitted else None,
        calls=heard.calls,
        unanswered=heard.unanswered,
    )


_NOTHING = Heard()


def costs(job: Job, dollars: float) -> Line:
    """What the provider says that the attempt costs."""
    return Line(job.id, job.attempt, cost=dollars)


def write(connection: Connection, lines: Sequence[Line]) -> None:
    """Add ``lines`` to their attempts."""
    _WRITE.run(connection, lines)


# --- the statement --------------------------------------------------------------------------------

_KEYS = ("job_id", "number")
_FIRST = ("accepted_at", "running_at", "finished_at")
"""The first one stays: a requeued job is seen running again, and the history keeps when it was
seen first."""
_LAST = ("request_id", "cost", "ended_at", "outcome", "last_call", "answered_at", "error_code")
"""The newest one counts, where there is one."""
_WITH = {
    "error": "ended_at",
    "last_status": "last_call",
    "submit_status": "answered_at",
    "submit_seconds": "answered_at",
}
"""Written, NULL or not, whenever the other one is."""
_ADDED = ("calls", "unanswered")


def _write_lines(given: FromClause) -> Update:
    new, old = given.c, attempts.c
    values: dict[str, ColumnElement[Any]] = {}
    values |= {name: func.coalesce(old[name], new[name]) for name in _FIRST}
    values |= {name: func.coalesce(new[name], old[name]) for name in _LAST}
    values |= {
        name: case((new[other].is_not(None), new[name]), else_=old[name])
        for name, other in _WITH.items()
    }
    values |= {name: old[name] + new[name] for name in _ADDED}
    return update(attempts).where(*[old[name] == new[name] for name in _KEYS]).values(values)


_WRITE = Bulk({name: attempts.c[name] for name in Line._fields}, _write_lines)
