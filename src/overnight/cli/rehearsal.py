"""Changing jobs on a person's word: what it would do, whether it is meant, and who acts on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

import click

from overnight.cli.failures import UserError
from overnight.cli.output import can_ask

if TYPE_CHECKING:
    from collections import Counter

    from overnight.store.database import Database
    from overnight.store.holding import Holder
    from overnight.store.writer import Operation


def performed(database: Database, operation: Operation[Counter[str]]) -> Counter[str]:
    """Do it; returns what became of the jobs."""
    with database.writing() as connection:
        return operation(connection)


class _OnlyLooking(Exception):
    """Undoes the transaction of a rehearsal."""

    def __init__(self, outcome: Counter[str]) -> None:
        self.outcome = outcome


def rehearsed(database: Database, operation: Operation[Counter[str]]) -> Counter[str]:
    """What ``operation`` would do: it is done for real, and undone."""

    def rehearse() -> NoReturn:
        with database.writing() as connection:
            raise _OnlyLooking(operation(connection))

    try:
        rehearse()
    except _OnlyLooking as looked:
        return looked.outcome


def confirm(question: str) -> None:
    """Ask; raises :class:`UserError` where nobody can answer, and ends the command on a no."""
    if not can_ask():
        raise UserError(
            f"{question} There is no terminal to ask at; add --yes to go ahead without a question."
        )
    if not click.confirm(question, err=True):
        raise UserError("Nothing was changed.")


def who_goes_on(worker: Holder | None, what: str, suffix: str) -> str:
    """Who has something to do for jobs that were moved by hand. Which batches a worker is busy
    with is known to itself alone."""
    if worker is None:
        return f"Go on with: overnight work{suffix}"
    return (
        f"If the worker (process {worker.pid} on {worker.host}) works on that batch, it goes on "
        f"with {what} by itself; otherwise go on after it with: overnight work{suffix}"
    )


def living_worker(database: Database) -> Holder | None:
    """The living worker, which acts on a change at once; None when nobody does."""
    from overnight.store import holding

    with database.reading() as connection:
        return holding.holder(connection, time.time())
