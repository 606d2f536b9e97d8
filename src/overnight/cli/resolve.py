"""``overnight resolve``: what a person decides about jobs that may have been submitted.

Nobody but the user can weigh a second charge against a missing result, so nothing here happens by
itself, and whatever is not ``unknown`` is left as it is: the same command may be typed again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.due import within_limits
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, count
from overnight.cli.rehearsal import (
    confirm,
    living_worker,
    performed,
    rehearsed,
    who_goes_on,
)
from overnight.cli.selection import Selection, selected
from overnight.lifecycle import State

if TYPE_CHECKING:
    from collections import Counter

    from overnight.store.decisions import Resolution
    from overnight.store.writer import Operation


@click.command()
@click.argument("jobs", metavar="[JOB]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every unknown job of the database.")
@click.option("--batch", "batches", multiple=True, metavar="BATCH", help="Those of this batch.")
@click.option("--resubmit", is_flag=True, help="Submit them again; each may be charged twice.")
@click.option(
    "--adopt",
    metavar="REQUEST_ID",
    help="The one JOB was accepted under this id: follow that, and pay nothing again.",
)
@click.option("--give-up", is_flag=True, help="Write them off as failed.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")
@options.yes
@options.db
@options.as_json
def resolve(
    jobs: tuple[str, ...],
    everything: bool,
    batches: tuple[str, ...],
    resubmit: bool,
    adopt: str | None,
    give_up: bool,
    dry_run: bool,
    yes: bool,
    db: str,
    as_json: bool,
) -> int:
    """Settle unknown jobs: each JOB (an id or key), or those of a batch, or --all.

    An unknown job may have been submitted, and nobody could tell. Say exactly one of --resubmit,
    --adopt and --give-up. Jobs that are not unknown are left as they are.
    """
    from overnight.store.database import open_database

    which = selected(jobs, batches, (), everything)
    if which.is_empty:
        raise UserError("Say which jobs to settle: JOB…, --batch or --all.")
    plan = _plan(resubmit, adopt, give_up, which)
    if not which.one_by_one:
        which = Selection(batches=which.batches, states=(State.UNKNOWN,))
    output = Output(as_json=as_json)
    with open_database(db) as database:
        ids = which.ids(database)
        planned = rehearsed(database, plan.operation(ids))
        if dry_run or not planned["resolved"]:
            output.say(plan.would(planned))
            output.record(plan.fields(planned, dry_run=dry_run))
            return Exit.DONE
        if plan.may_cost and not which.one_by_one and not yes:
            confirm(f"{plan.words(planned['resolved'])}. Go ahead?")
        worker = living_worker(database)
        done = performed(database, within_limits(plan.operation(ids)))
    output.record(plan.fields(done, dry_run=False))
    output.say(f"{plan.words(done['resolved'])}.{_left(done)}")
    if plan.goes_on:
        output.say(who_goes_on(worker, "it", options.again(db)))
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about unknown jobs. ``request_id`` is that of an adopted one."""

    how: Resolution
    request_id: str | None = None

    @property
    def may_cost(self) -> bool:
        """Whether it can lead to a second charge."""
        return self.how == "resubmit"

    @property
    def goes_on(self) -> bool:
        """Whether a worker has something to do for the jobs afterwards."""
        return self.how != "give-up"

    def operation(self, ids: Sequence[int]) -> Operation[Counter[str]]:
        """Do it to the jobs of these ids."""
        from overnight.store import decisions

        return partial(
            decisions.resolve,
            job_ids=ids,
            how=self.how,
            now=time.time(),
            request_id=self.request_id,
        )

    def words(self, number: int) -> str:
        """What happens to ``number`` jobs, without the full stop."""
        jobs = count(number, "job")
        if self.how == "adopt":
            return f"{jobs} followed as request {self.request_id}; nothing is paid for again"
        if self.how == "give-up":
            return f"{jobs} written off as failed"
        return f"{jobs} to be submitted again; each may have been accepted and be charged twice"

    def would(self, planned: Counter[str]) -> str:
        """What a rehearsal found."""
        if not planned["resolved"]:
            why = f"{count(planned['left'], 'job')}, not unknown" if planned["left"] else "no job"
            return f"Nothing to settle: {why}."
        return f"Would be: {self.words(planned['resolved'])}.{_left(planned)} Nothing was changed."

    def fields(self, outcome: Counter[str], *, dry_run: bool) -> dict[str, Any]:
        """The same for ``--json``."""
        return {
            "resolution": str(self.how),
            "request_id": self.request_id,
            "dry_run": dry_run,
            "resolved": outcome["resolved"],
            "left": outcome["left"],
        }


def _plan(resubmit: bool, adopt: str | None, give_up: bool, which: Selection) -> Plan:
    """Raises :class:`UserError` unless exactly one thing is asked for that fits the jobs."""
    from overnight.store.decisions import Resolution

    if [resubmit, adopt is not None, give_up].count(True) != 1:
        raise UserError("Say exactly one of --resubmit, --adopt REQUEST_ID and --give-up.")
    if adopt is None:
        return Plan(Resolution.RESUBMIT if resubmit else Resolution.GIVE_UP)
    from overnight.providers.runcomfy_answers import is_request_id

    if len(which.jobs) != 1:
        raise UserError("A request belongs to one job: name exactly one JOB with --adopt.")
    adopt = adopt.strip()
    if not is_request_id(adopt):
        raise UserError(
            "That can't be a request id. Copy it from the provider as it stands: letters, digits, "
            "'-', '_', '.', without spaces or slashes."
        )
    return Plan(Resolution.ADOPT, adopt)


def _left(outcome: Counter[str]) -> str:
    left = outcome["left"]
    return f" {count(left, 'job')} left as they are (not unknown)." if left else ""
