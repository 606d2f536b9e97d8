"""What is kept of an attempt: when it came how far, how it ended, and what its calls answered.

An attempt's row is only ever added to. It is written in the transaction of the transition that it
is about, so the record costs no commit of its own; a crash loses what was heard since the last
transition, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, func, update
from sqlalchemy.sql import Update

from overnight.lifecycle import IN_FLIGHT, Event
from overnight.store.tables import attempts

if TYPE_CHECKING:
    from overnight.store.job import Job
    from overnight.store.queue import Facts

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


# Statements of the hot path are built once. Values to set are given by their column's name.
_ATTEMPT = (
    update(attempts)
    .where(attempts.c.job_id == bindparam("of_job"), attempts.c.number == bindparam("of_attempt"))
    .values(
        calls=attempts.c.calls + bindparam("more_calls"),
        unanswered=attempts.c.unanswered + bindparam("more_unanswered"),
    )
)


def _with_time(column: str) -> Update:
    # A requeued job is seen running again; the history keeps when it was seen first.
    return _ATTEMPT.values({column: func.coalesce(attempts.c[column], bindparam("now"))})


_TIMED = {
    Event.ACCEPTED: _with_time("accepted_at"),
    Event.SEEN_RUNNING: _with_time("running_at"),
    Event.FINISHED: _with_time("finished_at"),
}


def newest(job: Job) -> dict[str, Any]:
    """The parameters that mean the job's newest attempt."""
    return {"of_job": job.id, "of_attempt": job.attempt}


def moved(connection: Connection, job: Job, after: Job, event: Event, facts: Facts) -> None:
    """Record a transition of ``job`` to what it is ``after`` it."""
    values: dict[str, Any] = {}
    if event in _TIMED:
        values["now"] = facts.at
    if event is Event.ACCEPTED:
        values["request_id"] = facts.request_id
    if facts.cost is not None:
        values["cost"] = facts.cost
    if after.state not in IN_FLIGHT:
        values |= {"ended_at": facts.at, "outcome": event, "error": facts.error}
    if facts.heard is not None:
        values |= _answers(facts.heard, facts.at)
    if values:
        _write(connection, _TIMED.get(event, _ATTEMPT), values, job, facts.heard)


def costs(connection: Connection, job: Job, dollars: float) -> None:
    """Record what the provider says that the attempt costs."""
    _write(connection, _ATTEMPT, {"cost": dollars}, job)


def _write(
    connection: Connection,
    statement: Update,
    values: dict[str, Any],
    job: Job,
    heard: Heard | None = None,
) -> None:
    calls, unanswered = (0, 0) if heard is None else (heard.calls, heard.unanswered)
    more = {"more_calls": calls, "more_unanswered": unanswered}
    connection.execute(statement, values | more | newest(job))


def _answers(heard: Heard, at: float) -> dict[str, Any]:
    """The columns that hold what a call answered; what is unknown leaves them as they are."""
    values: dict[str, Any] = {}
    if heard.call is not None:
        values |= {"last_call": heard.call, "last_status": heard.status}
    if heard.call == SUBMIT:
        values |= {
            "submit_status": heard.status,
            "submit_seconds": heard.seconds,
            "answered_at": at,
        }
    if heard.code is not None:
        values["error_code"] = heard.code
    return values
