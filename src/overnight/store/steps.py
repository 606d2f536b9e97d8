"""The steps of a job that a worker holds: moved, delivered, a file stored; each one guarded.

A step changes the table only ``WHERE id AND state AND attempt AND fence`` are what the worker
believes. When no row answers, somebody else was there first, and the caller gets
:class:`Overtaken` instead of a job: it reads the row again, or learns that its lease is lost.

Steps of a kind that fall into one transaction are one statement a table, whatever their number
(:mod:`overnight.store.bulk`). A row that does not answer is noticed by its being missing from the
count; then the transaction is undone and each step is run alone, and answers for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, bindparam, func, select, update
from sqlalchemy.sql.dml import Update

from overnight.lifecycle import TERMINAL, UNCOUNTED, Event, State, after
from overnight.store import dialect, history, resting, tally
from overnight.store.bulk import Bulk
from overnight.store.group import Joint, UnevenError
from overnight.store.history import Heard
from overnight.store.job import Job
from overnight.store.tables import artifacts, jobs


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The guard found no row: the job is not what the caller believed it to be."""

    job_id: int


class Facts(NamedTuple):
    """What is written beside a transition. ``at`` is now; ``not_before`` is for a job that goes
    back to ``pending``; ``cost`` is in US dollars; ``heard`` is what calls answered since the
    last one; ``urls`` are what was delivered, where that is known with the move already (as in
    :class:`Delivery`)."""

    at: float
    request_id: str | None = None
    error: str | None = None
    not_before: float | None = None
    cost: float | None = None
    heard: Heard | None = None
    urls: Sequence[str] | None = None


class Stored(NamedTuple):
    """One file of a result that is home, whole and durable. ``suspect`` says what is wrong with
    its content, ``probe`` what that is (JSON text); both None when nobody looked."""

    position: int
    path: str
    bytes: int
    sha256: str
    content_type: str | None
    suspect: str | None = None
    probe: str | None = None


# --- the guard ------------------------------------------------------------------------------------

_HELD = {
    "held_id": jobs.c.id,
    "held_state": jobs.c.state,
    "held_attempt": jobs.c.attempt,
    "held_fence": jobs.c.fence,
}
"""The columns that say what the worker believes of a job, and what they are compared with."""


def _held(job: Job) -> tuple[int, str, int, int]:
    """The values of :data:`_HELD`."""
    return (job.id, job.state.value, job.attempt, job.fence)


def _is_held(given: FromClause) -> list[ColumnElement[bool]]:
    return [column == given.c[name] for name, column in _HELD.items()]


_IS_HELD = select(jobs.c.id).where(*[c == bindparam(name) for name, c in _HELD.items()])


def _overtaken(jobs_written: Sequence[Job], changed: int) -> list[Any] | None:
    """What the guard says when ``changed`` rows answered: None when all did.

    Raises :class:`UnevenError` when only some did.
    """
    if changed == len(jobs_written):
        return None
    if len(jobs_written) > 1:
        raise UnevenError
    return [Overtaken(jobs_written[0].id)]


# --- a transition ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Move(Joint["Job | Overtaken"]):
    """One guarded transition of the worker that holds ``job``. Its value is the job as it is then,
    or :class:`Overtaken`.

    A job that goes back to ``pending`` although the user wants it cancelled is cancelled at once.
    Raises :class:`~overnight.lifecycle.ImpossibleTransition` where the table has no such move.
    """

    job: Job
    event: Event
    facts: Facts

    @classmethod
    def together(cls, connection: Connection, moves: Sequence[Move]) -> list[Job | Overtaken]:
        moved = [_after(move.job, move.event, move.facts) for move in moves]
        pairs = list(zip(moves, moved, strict=True))
        changed = _MOVE.run(connection, [_row(move, job) for move, job in pairs])
        if (refused := _overtaken([move.job for move in moves], changed)) is not None:
            return refused
        _write_addresses(connection, [(job, move.facts.urls or ()) for move, job in pairs])
        history.write(
            connection,
            [history.moved(move.job, job, move.event, move.facts) for move, job in pairs],
        )
        tally.moved(connection, ((job.batch_id, move.job.state, job.state) for move, job in pairs))
        return [_unless_unwanted(connection, job, move.facts) for move, job in pairs]


def move(connection: Connection, job: Job, event: Event, facts: Facts) -> Job | Overtaken:
    """One :class:`Move`, alone."""
    return Move(job, event, facts)(connection)


def _after(job: Job, event: Event, facts: Facts) -> Job:
    target = after(job.state, event)
    return job._replace(
        state=target,
        tries=job.tries + (event is Event.ACCEPTED),
        deferrals=job.deferrals + 1 if event in UNCOUNTED else 0,
        request_id=facts.request_id or job.request_id,
        delivered=(job.delivered or facts.urls is not None) and event not in _NOT_DELIVERED,
        cancel_requested=job.cancel_requested and target not in TERMINAL,
        updated_at=facts.at,
    )


_NOT_DELIVERED = frozenset(
    {Event.ATTEMPT_FAILED, Event.ATTEMPTS_EXHAUSTED, Event.GONE, Event.SUSPECT}
)


def _row(move: Move, moved: Job) -> tuple[Any, ...]:
    """What :data:`_MOVE` is given of a move."""
    return (
        *_held(move.job),
        moved.state.value,
        moved.tries,
        moved.deferrals,
        moved.request_id,
        # A number: the driver asks a bool, at some cost, how it is to be written.
        int(moved.delivered),
        move.facts.error,
        moved.updated_at,
        move.facts.not_before,
        # Only at the end: the user may have asked for it after this worker read the job.
        0 if moved.state in TERMINAL else None,
    )


def _write_move(given: FromClause) -> Update:
    new = {name: given.c[name] for name in _MOVED}
    kept = {name: func.coalesce(given.c[name], jobs.c[name]) for name in _KEPT}
    return update(jobs).where(*_is_held(given)).values(new | kept)


_MOVED = ("state", "tries", "deferrals", "request_id", "delivered", "error", "updated_at")
_KEPT = ("not_before", "cancel_requested")
"""Where nothing is given, the row keeps what it has."""

_MOVE = Bulk(_HELD | {name: jobs.c[name] for name in _MOVED + _KEPT}, _write_move)


def _unless_unwanted(connection: Connection, job: Job, facts: Facts) -> Job:
    """The job; cancelled if it was to be bought again and the user does not want it any more."""
    if job.state is not State.PENDING:
        return job
    if not connection.scalar(_IS_UNWANTED, {"of_job": job.id}):
        return job
    resting.move_resting(connection, job, Event.CANCELLED, facts.at, error=facts.error)
    [cancelled] = resting.by_id(connection, [job.id])
    return cancelled


_IS_UNWANTED = select(jobs.c.cancel_requested).where(jobs.c.id == bindparam("of_job"))


# --- a delivery -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Delivery(Joint["Job | Overtaken"]):
    """What the provider delivered for a job in ``collecting``: it will not be bought again. Its
    value is the job, or :class:`Overtaken`.

    ``urls`` in the order of the output; a fresh set (signed anew) replaces addresses, never files.
    ``cost`` is in US dollars, None where the provider does not tell.
    """

    job: Job
    urls: Sequence[str]
    cost: float | None
    at: float

    @classmethod
    def together(
        cls, connection: Connection, deliveries: Sequence[Delivery]
    ) -> list[Job | Overtaken]:
        changed = _DELIVER.run(connection, [(*_held(each.job), 1, each.at) for each in deliveries])
        if (refused := _overtaken([each.job for each in deliveries], changed)) is not None:
            return refused
        _write_addresses(connection, [(each.job, each.urls) for each in deliveries])
        costs = [(each.job, each.cost) for each in deliveries if each.cost is not None]
        history.write(connection, [history.costs(job, cost) for job, cost in costs])
        return [each.job._replace(delivered=True, updated_at=each.at) for each in deliveries]


def delivered(
    connection: Connection, job: Job, urls: Sequence[str], cost: float | None, at: float
) -> Job | Overtaken:
    """One :class:`Delivery`, alone."""
    return Delivery(job, urls, cost, at)(connection)


def _write_delivery(given: FromClause) -> Update:
    new = {name: given.c[name] for name in ("delivered", "updated_at")}
    return update(jobs).where(*_is_held(given)).values(new)


_DELIVER = Bulk(
    _HELD | {"delivered": jobs.c.delivered, "updated_at": jobs.c.updated_at}, _write_delivery
)


def _write_addresses(
    connection: Connection, delivered: Iterable[tuple[Job, Sequence[str]]]
) -> None:
    rows = [
        (job.id, job.attempt, position, url)
        for job, urls in delivered
        for position, url in enumerate(urls)
    ]
    _ADDRESS.run(connection, rows)


_OF_FILE = {name: artifacts.c[name] for name in ("job_id", "attempt", "position")}

_ADDRESS = Bulk(
    _OF_FILE | {"url": artifacts.c.url},
    lambda given: dialect.insert_or_set(artifacts, given, list(_OF_FILE), ["url"]),
)


# --- a file ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Keep(Joint["Job | Overtaken"]):
    """A file of a job in ``collecting`` that is home, whole and durable. Its value is the job, or
    :class:`Overtaken`."""

    job: Job
    file: Stored
    at: float

    @classmethod
    def together(cls, connection: Connection, kept: Sequence[Keep]) -> list[Job | Overtaken]:
        changed = _KEEP.run(connection, [_file(each) for each in kept])
        held = [each.job for each in kept]
        refused = _overtaken(held, changed)
        # A file of which no address is on record changes no row either.
        if refused is not None and not _is_there(connection, held[0]):
            return refused
        return [*held]


def stored(connection: Connection, job: Job, file: Stored, at: float) -> Job | Overtaken:
    """One :class:`Keep`, alone."""
    return Keep(job, file, at)(connection)


def _is_there(connection: Connection, job: Job) -> bool:
    """Whether the table has the job as it is believed to be, whatever its files are."""
    guard = dict(zip(_HELD, _held(job), strict=True))
    return connection.execute(_IS_HELD, guard).first() is not None


def _file(kept: Keep) -> tuple[Any, ...]:
    """What :data:`_KEEP` is given of a file."""
    file = kept.file
    return (
        *_held(kept.job),
        file.position,
        file.path,
        file.bytes,
        file.sha256,
        file.content_type,
        file.suspect,
        file.probe,
        kept.at,
    )


def _write_file(given: FromClause) -> Update:
    return (
        update(artifacts)
        .where(
            *_is_held(given),
            artifacts.c.job_id == given.c.held_id,
            artifacts.c.attempt == given.c.held_attempt,
            artifacts.c.position == given.c.position,
        )
        .values({name: given.c[name] for name in _OF_CONTENT})
    )


_OF_CONTENT = ("path", "bytes", "sha256", "content_type", "suspect", "probe", "stored_at")

_KEEP = Bulk(_HELD | {name: artifacts.c[name] for name in ("position", *_OF_CONTENT)}, _write_file)
