"""What is kept of an attempt: when it came how far, how it ended, and what its calls answered.

An attempt's row is only ever added to. It is written in the transaction of the transition that it
is about, so the record costs no commit of its own; a crash loses what was heard since the last
transition, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, FromClause, case, func, update
from sqlalchemy.sql.dml import Update

from overnight.lifecycle import IN_FLIGHT, Event
from overnight.store.bulk import Bulk
from overnight.store.tables import attempts

if TYPE_CHECKING:
    from overnight.store.job import Job
    from overnight.store.steps import Facts

Line = dict[str, Any]
"""What is added to an attempt, by its columns."""

SUBMIT = "submit"
"""The name of the paid call; the others are ``status``, ``result`` and ``cancel``."""


@dataclass(frozen=True, slots=True)
class Heard:
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


def moved(job: Job, after: Job, event: Event, facts: Facts) -> Line:
    """What a transition of ``job`` to what it is ``after`` it leaves."""
    line: Line = {"calls": 0, "unanswered": 0}
    if event in _TIMED:
        line[_TIMED[event]] = facts.at
    if event is Event.ACCEPTED:
        line["request_id"] = facts.request_id
    if facts.cost is not None:
        line["cost"] = facts.cost
    if after.state not in IN_FLIGHT:
        line |= {"ended_at": facts.at, "outcome": event.value, "error": facts.error}
    if facts.heard is not None:
        line |= _answers(facts.heard, facts.at)
    return line | _newest(job)


def costs(job: Job, dollars: float) -> Line:
    """What the provider says that the attempt costs."""
    return {"cost": dollars, "calls": 0, "unanswered": 0} | _newest(job)


def write(connection: Connection, lines: Sequence[Line]) -> None:
    """Add ``lines`` to their attempts."""
    _WRITE.run(connection, [tuple(map(line.get, _COLUMNS)) for line in lines])


_TIMED = {
    Event.ACCEPTED: "accepted_at",
    Event.SEEN_RUNNING: "running_at",
    Event.FINISHED: "finished_at",
}


def _newest(job: Job) -> Line:
    return {"job_id": job.id, "number": job.attempt}


def _answers(heard: Heard, at: float) -> Line:
    """The columns that hold what a call answered; what is unknown leaves them as they are."""
    line: Line = {"calls": heard.calls, "unanswered": heard.unanswered}
    if heard.call is not None:
        line |= {"last_call": heard.call, "last_status": heard.status}
    if heard.call == SUBMIT:
        line |= {
            "submit_status": heard.status,
            "submit_seconds": heard.seconds,
            "answered_at": at,
        }
    if heard.code is not None:
        line["error_code"] = heard.code
    return line


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
_COLUMNS = (*_KEYS, *_FIRST, *_LAST, *_WITH, *_ADDED)


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


_WRITE = Bulk({name: attempts.c[name] for name in _COLUMNS}, _write_lines)
