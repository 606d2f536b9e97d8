"""The end of a run: what became of the jobs, where the files are, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from overnight.cli.advice import duplicates, how_to_settle, suspects
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, line, size, span
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.cli.session import Outcome
    from overnight.engine.report import Ending
    from overnight.store.database import Database
    from overnight.store.driver import Reader
    from overnight.store.failures import Failure
    from overnight.store.rows import Batch

GROUPS = 5
"""Reasons for failure that are shown, the most frequent first."""

READ = 20_000
"""Failed jobs that are read to be grouped."""


@dataclass(slots=True)
class Reason:
    """Why jobs failed: in the words of the first of them, and how many there are."""

    words: str
    example: int
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """What there is to tell. ``outcome`` is None when there was nothing to do; ``again`` is the
    command that goes on, ``suffix`` what another command needs to find the database."""

    scope: Sequence[Batch]
    outcome: Outcome | None
    reasons: Sequence[Reason]
    again: str
    suffix: str

    @property
    def exit(self) -> Exit:
        """The exit code that says the same."""
        from overnight.engine.report import Ending

        if self.outcome is not None:
            report = self.outcome.report
            if report.ending is Ending.INTERRUPTED:
                return Exit.INTERRUPTED
            if report.ending is Ending.REFUSED:
                return Exit.REFUSED
            if report.broken:
                return Exit.ERROR
        if self.halted:
            return Exit.JOBS_FAILED
        if self.count(State.FAILED) or self.count(State.UNKNOWN):
            return Exit.JOBS_FAILED
        return Exit.DONE

    @property
    def ending(self) -> Ending:
        """Why it is over, also when there was nothing to do."""
        from overnight.engine.report import Ending

        if self.outcome is not None:
            return self.outcome.report.ending
        return Ending.HALTED if self.halted else Ending.DONE

    @property
    def reason(self) -> str | None:
        """Why the run ended before everything was done, where there is a reason."""
        if self.outcome is not None and self.outcome.report.reason is not None:
            return self.outcome.report.reason
        return "; ".join(batch.halted or "" for batch in self.halted) or None

    @property
    def halted(self) -> list[Batch]:
        """Batches that a rule of their manifest keeps from being submitted to the end."""
        return [b for b in self.scope if b.halted is not None and b.states[State.PENDING]]

    def count(self, *states: State) -> int:
        """How many jobs of the scope are in one of ``states``."""
        return sum(batch.states[state] for batch in self.scope for state in states)


def read(
    database: Database, scope: Sequence[Batch], outcome: Outcome | None, again: str, suffix: str
) -> End:
    """The end of a run on ``scope``, with the figures that the table has now."""
    from overnight.store import views

    with database.reading() as connection:
        fresh = views.named_batches(connection, [batch.name for batch in scope])
        return end(connection, fresh, outcome, again, suffix)


def end(
    connection: Reader, fresh: Sequence[Batch], outcome: Outcome | None, again: str, suffix: str
) -> End:
    """The end of a run on batches that have just been read over ``connection``."""
    from overnight.store import failures, views

    scope = views.with_suspects(connection, fresh)
    failed = failures.of_batches(connection, [batch.id for batch in scope], READ)
    return End(scope, outcome, reasons_of(failed), again, suffix)


def reasons_of(failed: Iterable[Failure]) -> list[Reason]:
    """Why these jobs failed, the most frequent reason first; equal ones are one."""
    reasons: dict[str, Reason] = {}
    seen: dict[str, Reason] = {}
    for job in failed:
        error = job.error or "no reason was given"
        alike = _alike(job, error)
        if alike not in seen:
            # Only now made fit to be shown: that takes longer than to read the job.
            seen[alike] = reasons.setdefault(line(alike), Reason(line(error), job.id))
        seen[alike].jobs += 1
    return sorted(reasons.values(), key=lambda reason: -reason.jobs)


def _alike(job: Failure, words: str) -> str:
    """``words`` without what is the job's own, so that one cause is one reason."""
    for own in (job.request_id, job.key, *job.urls):
        if own:
            words = words.replace(own, "…")
    return words


def tell(end: End, output: Output) -> Exit:
    """Say it all; returns the exit code."""
    output.record(_fields(end), flush=True)
    for text in sentences(end):
        output.say(text)
    return end.exit


def sentences(end: End) -> list[str]:
    """For people, line by line."""
    lines = [_batch(batch) for batch in end.scope]
    if end.outcome is not None:
        last = end.outcome.last
        lines.append(f"{size(last.bytes)} downloaded in {span(last.elapsed)}.")
    if end.count(State.SUCCEEDED):
        folders = sorted({batch.output_dir for batch in end.scope if batch.states[State.SUCCEEDED]})
        lines += [f"Files: {line(folder, 4000)}" for folder in folders]
    lines += _failures(end) + _unknown(end) + _duplicates(end) + suspects(end.scope, end.suffix)
    return lines + _halted(end) + _ending(end)


def _batch(batch: Batch) -> str:
    always = (State.SUCCEEDED, State.FAILED, State.UNKNOWN)
    shown = [s for s in State if batch.states[s] and s not in always]
    figures = ", ".join(f"{batch.states[state]:,} {state}" for state in (*always, *shown))
    return f"{line(batch.name)}: {figures} (of {count(batch.total, 'job')})."


def _failures(end: End) -> list[str]:
    if not end.reasons:
        return []
    lines = ["Why jobs failed:"]
    lines += [
        f"  {reason.jobs:,} × {reason.words} (overnight show {reason.example}{end.suffix})"
        for reason in end.reasons[:GROUPS]
    ]
    if len(end.reasons) > GROUPS:
        rest = len(end.reasons) - GROUPS
        lines.append(
            f"  and {count(rest, 'other reason')}: overnight jobs --state failed{end.suffix}"
        )
    failed = [batch.name for batch in end.scope if batch.states[State.FAILED]]
    names = "".join(f" --batch {shlex.quote(name)}" for name in failed)
    lines.append(f"Give them another run with: overnight retry{names}{end.suffix}")
    return lines


def _unknown(end: End) -> list[str]:
    unknown = end.count(State.UNKNOWN)
    if not unknown:
        return []
    verb = "is" if unknown == 1 else "are"
    what = f"{count(unknown, 'job')} {verb} unknown: perhaps submitted, and nobody can tell."
    see = f"overnight jobs --state unknown{end.suffix}"
    names = [batch.name for batch in end.scope if batch.unknown]
    return [
        f"{what} None is bought again by itself. Look at them with: {see}",
        how_to_settle(names, end.suffix),
    ]


def _duplicates(end: End) -> list[str]:
    return [words for batch in end.scope if (words := duplicates(batch)) is not None]


def _halted(end: End) -> list[str]:
    return [
        f"{line(batch.name)} is halted: {line(batch.halted or '')}. "
        f"{count(batch.states[State.PENDING], 'job')} not submitted. Look into it, then: "
        f"{end.again} --continue"
        for batch in end.halted
    ]


def _ending(end: End) -> list[str]:
    from overnight.engine.report import Ending

    if end.outcome is None:
        return [] if end.halted else ["There is nothing left to do."]
    report = end.outcome.report
    lines = [f"A bug in overnight met {text}" for text in report.broken[:GROUPS]]
    if report.ending is Ending.INTERRUPTED:
        there = f"{count(report.left_remote, 'job')} left with the provider. "
        lines.append(f"Stopped. {there if report.left_remote else ''}Go on with: {end.again}")
    elif report.ending is Ending.REFUSED:
        pending = end.count(State.PENDING)
        reason = line(report.reason or "no reason given").rstrip(".")
        by = "" if report.refused_by_store else "The provider turned the account away: "
        lines.append(
            f"{by}{reason}. "
            f"{count(pending, 'job')} not submitted. Put that right, then: {end.again}"
        )
    elif report.broken:
        lines.append(f"Jobs that met a bug are left as they were; try: {end.again}")
    return lines


def _fields(end: End) -> dict[str, Any]:
    outcome = end.outcome
    report = None if outcome is None else outcome.report
    return {
        "event": "end",
        "ending": end.ending.value,
        "reason": end.reason,
        "exit": int(end.exit),
        "batches": [
            {
                "batch": batch.name,
                "total": batch.total,
                "states": {state.value: batch.states[state] for state in State},
                "output_dir": batch.output_dir,
                "unknown": batch.unknown,
                "possible_duplicates": batch.possible_duplicates,
                "suspect": batch.suspects,
                "halted": batch.halted,
            }
            for batch in end.scope
        ],
        "left_remote": 0 if report is None else report.left_remote,
        "bytes": 0 if outcome is None else outcome.last.bytes,
        "seconds": 0.0 if outcome is None else round(outcome.last.elapsed, 3),
    }
