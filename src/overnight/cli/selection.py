"""Which jobs a command is about: named one by one, or by batch and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from overnight.cli import options
from overnight.cli.failures import UserError
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.store.database import Database

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user named. ``jobs`` are references as :func:`overnight.store.views.find` takes
    them; the rest is empty then."""

    jobs: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    everything: bool = False

    @property
    def one_by_one(self) -> bool:
        return bool(self.jobs)

    @property
    def is_empty(self) -> bool:
        return not (self.jobs or self.batches or self.states or self.everything)

    def ids(self, database: Database) -> list[int]:
        """The ids of the jobs. Raises :class:`~overnight.store.errors.NotFound`."""
        from overnight.store import views

        with database.reading() as connection:
            found = views.named_batches(connection, self.batches) if self.batches else []
            batch_ids = [batch.id for batch in found]
            if self.jobs:
                # In their order, none twice.
                return list(dict.fromkeys(views.find(connection, r, batch_ids) for r in self.jobs))
            return views.ids(connection, views.Filter(batch_ids, self.states))


def options_for_jobs(command: Decorated) -> Decorated:
    """JOB…, ``--batch``, ``--state``, ``--all``: they hand over ``jobs``, ``batches``,
    ``states`` and ``everything``, for :func:`selected`."""
    for decorate in (
        click.option("--all", "everything", is_flag=True, help="Every job of the database."),
        click.option("--state", "states", multiple=True, type=click.Choice(options.STATES)),
        click.option("--batch", "batches", multiple=True, metavar="BATCH"),
        click.argument("jobs", metavar="[JOB]...", nargs=-1),
    ):
        command = decorate(command)
    return command


def selected(
    jobs: tuple[str, ...], batches: tuple[str, ...], states: tuple[str, ...], everything: bool
) -> Selection:
    """The selection that these options make. Raises :class:`UserError` where they contradict."""
    if jobs and (states or everything):
        raise UserError("Name jobs one by one, or choose them by --state or --all; not both.")
    if everything and (batches or states):
        raise UserError("--all means every job; leave out --batch and --state, or leave out --all.")
    return Selection(jobs, batches, tuple(State(word) for word in states), everything)
