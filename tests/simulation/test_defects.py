"""The proof can fail: each of these defects, put into the engine or the store, is noticed.

A defect is a small change of one rule, the kind that a hurried edit makes. The nights are small
ones; a few dozen seeds are enough for each.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import FromClause, select, update

from overnight.engine import budget, collect, drive, gate, rate, run, settle
from overnight.engine.pacing import Pace
from overnight.engine.retry import Policy, after_failure, after_submit
from overnight.lifecycle import Event
from overnight.providers import base
from overnight.store import queue, standing, steps, taking_up, tally
from overnight.store.job import Job
from overnight.store.steps import Facts, Move
from overnight.store.tables import attempts, jobs
from tests.simulation import night
from tests.simulation.plan import Act, Interruption, Moment, Plan, Terms, Window, Wish, draw
from tests.simulation.table import Table

JOBS = 60
SEEDS = 60

Patch = pytest.MonkeyPatch
Shape = Callable[[Plan], Plan]
DEFECTS: dict[str, tuple[Callable[[Patch], None], str, Shape]] = {}
"""By name: what puts it in, words of what the judge says of it, and what its nights are like."""


def as_drawn(plan: Plan) -> Plan:
    """Nights like those of the proof."""
    return plan


def often_frozen(plan: Plan) -> Plan:
    """Every process is frozen, between a commit and the news of it, until another took over."""
    freezes = [Interruption(Moment.COMMIT, 2 + n % 5, Act.FREEZE, 300.0) for n in range(12)]
    return replace(plan, interruptions=tuple(freezes), commit=0.5)


def impatient(plan: Plan) -> Plan:
    """The user cancels a good deal while the provider can't be reached."""
    wishes = (Wish(60.0, "cancel", 0.5),)
    outages = (Window(50.0, 300.0),)
    busy = replace(plan, slots=1, service=(100.0, 200.0), latency=0.02, control=10.0)
    return replace(busy, faults={}, wishes=wishes, outages=outages, interruptions=())


def hasty(plan: Plan) -> Plan:
    """The user cancels jobs while they are being submitted, one after the other."""
    wishes = tuple(Wish(n / 2.0, "cancel", 0.1) for n in range(1, 60))
    slow = replace(plan, slots=1, service=(100.0, 200.0), latency=1.0, commit=0.5)
    return replace(slow, faults={}, wishes=wishes, interruptions=())


def with_rules(plan: Plan) -> Plan:
    """Every batch has a submit rate and canaries."""
    rules = {"rate": "30/min", "canary": 2}
    batches = tuple(Terms(terms.jobs, terms.run | rules) for terms in plan.batches)
    return replace(plan, batches=batches)


def often_killed(plan: Plan) -> Plan:
    """Every batch has a submit rate, and processes die often, in the middle of a paid call. The
    provider is quick and turns a good deal away, so that the rate is what holds submits up."""
    rules = {"rate": "30/min", "concurrency": 16}
    batches = tuple(Terms(terms.jobs, terms.run | rules) for terms in plan.batches)
    kills = [Interruption(Moment.POST, 12 + 5 * n, Act.KILL, 0.0) for n in range(6)]
    quick = replace(plan, slots=64, cap=64, service=(0.5, 3.0), latency=0.2, commit=0.5, group=512)
    faults = {"submit:throttled": 0.1}
    return replace(quick, batches=batches, interruptions=tuple(kills), faults=faults)


def defect(
    says: str, nights: Shape = as_drawn
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def keep(put_in: Callable[[Patch], None]) -> Callable[[Patch], None]:
        DEFECTS[put_in.__name__] = put_in, says, nights
        return put_in

    return keep


@defect("written by a worker that lost its lease|went from|a file of a worker", often_frozen)
def writes_are_not_guarded(patch: Patch) -> None:
    def by_id(given: FromClause) -> list[Any]:
        return [jobs.c.id == given.c.held_id]

    patch.setattr(steps, "_is_held", by_id)
    patch.setattr(steps, "_is_there", lambda *_: True)
    for statement in (steps._MOVE, steps._DELIVER, steps._KEEP):
        patch.setattr(statement, "_texts", {})


@defect("may have been accepted|without a certain answer")
def doubt_counts_as_not_sent(patch: Patch) -> None:
    def optimistic(outcome: base.SubmitOutcome, *rest: Any) -> Any:
        sure = base.NotSent("surely") if isinstance(outcome, base.Unknown) else outcome
        return after_submit(sure, *rest)

    patch.setattr(drive, "after_submit", optimistic)


@defect("may have been accepted|without a certain answer")
def what_a_dead_worker_was_submitting_goes_back(patch: Patch) -> None:
    def hopeful(connection: Any, lost: list[Job], now: float) -> None:
        for job in lost:
            queue.move(connection, job, Event.NOT_SENT, Facts(now))

    patch.setattr(taking_up, "_doubt", hopeful)


@defect("with a budget of|of a batch that may have")
def the_budget_is_not_kept(patch: Patch) -> None:
    patch.setattr(budget.Budget, "free", lambda *_: 50)


@defect("with a budget of|of a batch that may have")
def what_was_taken_up_fills_no_slot(patch: Patch) -> None:
    hold = budget.Budget.hold

    def forgetful(self: budget.Budget, job_id: int, batch_id: int) -> None:
        if job_id % 3:
            hold(self, job_id, batch_id)

    patch.setattr(budget.Budget, "hold", forgetful)


@defect("submitted by a worker that lost its lease", often_frozen)
def a_frozen_worker_does_not_look_at_its_lease(patch: Patch) -> None:
    async def trust(self: run.Run) -> None:
        pass

    patch.setattr(run.Run, "ensure_lease", trust)


@defect("never said")
def a_poll_without_an_answer_is_a_failed_job(patch: Patch) -> None:
    seen = drive.Driver._seen

    async def hasty(self: drive.Driver, job: Any, outcome: Any, polls: Any) -> Any:
        if isinstance(outcome, base.NoAnswer):
            outcome = base.Failed(outcome.reason)
        return await seen(self, job, outcome, polls)

    patch.setattr(drive.Driver, "_seen", hasty)


@defect("did not insist")
def gone_is_believed_at_once(patch: Patch) -> None:
    patch.setattr(drive, "GONE_CONFIRMATIONS", 1)
    patch.setattr(collect, "GONE_CONFIRMATIONS", 1)


@defect("asked about")
def an_unanswered_call_is_repeated_at_once(patch: Patch) -> None:
    patch.setattr(Pace, "next_try", lambda *_: 0.0)


@defect("asked about", impatient)
def an_unanswered_cancel_is_repeated_at_once(patch: Patch) -> None:
    patch.setattr(drive.Driver, "_cancel", _hammering(drive.Driver._cancel))


@defect("attempts$")
def attempts_do_not_end(patch: Patch) -> None:
    def again(verdict: base.Failed, _tries: int, policy: Policy, rng: Any) -> Any:
        return after_failure(verdict, 1, Policy(attempts=99), rng)

    patch.setattr(settle, "after_failure", again)


@defect("after the account was refused")
def a_refused_account_is_tried_again(patch: Patch) -> None:
    patch.setattr(gate, "_ANSWERS", frozenset(Event))
    record = gate.Gate.record

    def deaf(self: gate.Gate, event: Event, reason: str | None, **rest: Any) -> None:
        record(self, Event.REJECTED if event is Event.REFUSED else event, reason, **rest)

    patch.setattr(gate.Gate, "record", deaf)


@defect("tallies")
def figures_are_not_kept(patch: Patch) -> None:
    patch.setattr(tally, "add", lambda *_: None)


@defect("files$")
def a_job_succeeds_before_its_files_are_home(patch: Patch) -> None:
    async def promise(*_: Any) -> bool:
        return True

    patch.setattr(collect.Collector, "_bring_home", promise)


@defect("which is not its request|paid, no id|recorded, not")
def the_request_id_is_not_recorded(patch: Patch) -> None:
    def careless(job: Job, event: Event, facts: steps.Facts) -> steps.Move:
        if event is Event.ACCEPTED:
            facts = steps.Facts(facts.at, request_id="r1")
        return Move(job, event, facts)

    patch.setattr(steps, "Move", careless)


@defect("submits at a rate", with_rules)
def the_submit_rate_is_not_kept(patch: Patch) -> None:
    patch.setattr(rate.Rates, "next_place", lambda _, now: now)
    patch.setattr(rate.Rates, "room", lambda *_: None)


@defect("submits at a rate", often_killed)
def what_earlier_runs_submitted_counts_from_its_intent(patch: Patch) -> None:
    def intents(connection: Any, since: float, now: float) -> list[float]:
        times = select(attempts.c.intent_at).where(attempts.c.intent_at > since)
        return list(connection.scalars(times))

    patch.setattr(standing, "submits_since", intents)


@defect("refused by nobody")
def one_refused_poll_is_a_refused_account(patch: Patch) -> None:
    patch.setattr(drive, "REFUSAL_CONFIRMATIONS", 1)
    patch.setattr(collect, "REFUSAL_CONFIRMATIONS", 1)


@defect("before every canary", with_rules)
def canaries_are_not_waited_for(patch: Patch) -> None:
    claim = queue.claim

    def eager(connection: Any, *, canaries_only: bool, **rest: Any) -> Any:
        return claim(connection, canaries_only=False, **rest)

    patch.setattr(queue, "claim", eager)


@defect("wish to cancel was forgotten", hasty)
def a_move_forgets_what_the_user_wished(patch: Patch) -> None:
    together = Move.together

    def forgetful(connection: Any, moves: Sequence[Move]) -> Any:
        ids = [move.job.id for move in moves]
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(cancel_requested=False))
        return together(connection, moves)

    patch.setattr(Move, "together", forgetful)


def _hammering(cancel: Any) -> Any:
    async def again(self: Any, job: Any, *rest: Any) -> Any:
        self._polls[job.id].cancels = 0
        return await cancel(self, job, *rest)

    return again


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_noticed(table: Table, monkeypatch: Patch, name: str) -> None:
    put_in, says, nights = DEFECTS[name]
    put_in(monkeypatch)
    for seed in range(SEEDS):
        violations = night.play(nights(draw(seed, JOBS)), table).violations
        if violations:
            assert any(re.search(says, text) for text in violations), violations
            return
    pytest.fail(f"{SEEDS} nights went by without a word")
