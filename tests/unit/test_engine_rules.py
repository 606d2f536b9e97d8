"""The rules that decide whether a job may be submitted now: rate, halt, gate, and what is left."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.budget import Budget
from overnight.engine.claim import Claimer
from overnight.engine.concurrency import Concurrency
from overnight.engine.gate import OUTAGE, Gate
from overnight.engine.halt import Halt
from overnight.engine.rate import Rate, Rates
from overnight.engine.run import Run
from overnight.lifecycle import TABLE, Event, State
from overnight.providers.base import Provider
from overnight.store import leases, loading, queue, standing, tally, views
from overnight.store.database import Database
from overnight.store.errors import LeaseLost
from overnight.store.job import Job
from overnight.store.writer import Operation
from tests.unit.test_store_queue import ME, Spec, load

# --- rate -----------------------------------------------------------------------------------------

QUARTERS = st.integers(0, 4_000).map(lambda n: n / 4)
"""Times that floats hold exactly, so that the edge of a window is one moment."""
LIMITS = st.tuples(st.integers(1, 5), st.sampled_from([0.25, 1.0, 2.5, 60.0]))


def most_in_a_window(times: list[float], seconds: float) -> int:
    """The most of ``times`` in any stretch of ``seconds``, its end not included."""
    times = sorted(times)
    return max(
        (bisect_right(times, t) - bisect_right(times, t - seconds) for t in times), default=0
    )


@given(LIMITS, st.lists(QUARTERS, max_size=40), st.lists(QUARTERS, max_size=20))
def test_a_rate_is_never_exceeded_in_any_window(
    limit: tuple[int, float], asked: list[float], past: list[float]
) -> None:
    """Whenever places are asked for, and whatever an earlier run had used."""
    count, seconds = limit
    earlier = Rate(count, seconds)
    used = [now + Rates([earlier]).reserve(now) for now in sorted(past)]
    start = max(used, default=0.0)
    rates = Rates([Rate(count, seconds, used)])
    taken = [start + now + rates.reserve(start + now) for now in sorted(asked)]
    assert most_in_a_window([*used, *taken], seconds) <= count
    assert taken == sorted(taken)


@given(st.lists(LIMITS, min_size=1, max_size=4), st.lists(QUARTERS, max_size=40))
def test_several_rates_are_each_kept(limits: list[tuple[int, float]], asked: list[float]) -> None:
    rates = Rates(Rate(count, seconds) for count, seconds in limits)
    taken = [now + rates.reserve(now) for now in sorted(asked)]
    for count, seconds in limits:
        assert most_in_a_window(taken, seconds) <= count


@given(LIMITS, st.lists(QUARTERS, max_size=40), QUARTERS)
def test_room_is_what_can_be_had_without_waiting(
    limit: tuple[int, float], asked: list[float], later: float
) -> None:
    rates = Rates([Rate(*limit)])
    for now in sorted(asked):
        rates.reserve(now)
    now = max(asked, default=0.0) + later
    room = rates.room(now)
    assert room is not None
    for _ in range(room):
        assert rates.next_place(now) == now
        assert rates.reserve(now) == 0.0
    assert rates.room(now) == 0
    assert rates.next_place(now) > now


def test_no_rate_lets_everything_through() -> None:
    rates = Rates()
    assert (rates.reserve(5.0), rates.room(5.0), rates.next_place(5.0)) == (0.0, None, 5.0)


def test_the_newest_of_the_past_count() -> None:
    rate = Rate(2, 10.0, [3.0, 1.0, 2.0])
    assert rate.next_place(3.0) == 12.0
    assert Rates([rate]).reserve(3.0) == 9.0


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("30/min", 30, 60), ("1/s", 1, 1), (" 500 / h ", 500, 3600), ("9/d", 9, 86400)],
)
def test_a_rate_is_read(text: str, count: int, seconds: int) -> None:
    rate = Rate.parse(text)
    assert (rate.count, rate.seconds) == (count, seconds)


@pytest.mark.parametrize("text", ["", "30", "0/min", "-1/s", "30/week", "1.5/s", "30/min more"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="30/min"):
        Rate.parse(text)


def test_what_earlier_runs_have_submitted_is_read_from_the_attempts(database: Database) -> None:
    load(database, 6)
    with database.writing() as connection:
        fence = leases.take(connection, ME, now=1.0)
        # How the submit ended makes no difference: it went out, and before that was known.
        for event, at in {
            Event.ACCEPTED: 31.0,
            Event.THROTTLED: 11.0,
            Event.UNCERTAIN: 80.0,
        }.items():
            [job] = queue.claim(connection, fence=fence, batch_id=1, limit=1, now=10.0)
            moved = queue.move(connection, job, event, queue.Facts(at, request_id="r1"))
            if event is Event.ACCEPTED:
                assert isinstance(moved, Job)
                queue.move(connection, moved, Event.ATTEMPTS_EXHAUSTED, queue.Facts(70.0))
        queue.claim(connection, fence=fence, batch_id=1, limit=1, now=10.0)
        # The last is under way: it may leave at this moment.
        assert standing.submits_since(connection, 0.0, 90.0) == [11.0, 31.0, 80.0, 90.0]
        assert standing.submits_since(connection, 11.0, 90.0) == [31.0, 80.0, 90.0]
        assert standing.submits_since(connection, 80.0, 80.0) == []


# --- halt -----------------------------------------------------------------------------------------


def halt(failures: int | str, after: int = 20) -> Halt:
    rule = Halt.of({"halt": {"failures": failures, "after": after}})
    assert rule is not None
    return rule


@given(st.integers(1, 100), st.integers(0, 400), st.data())
def test_a_share_is_reached_exactly(percent: int, settled: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, settled))
    reason = halt(f"{percent}%", after=1).reason(failed, settled)
    assert (reason is not None) == (failed > 0 and failed * 100 >= percent * settled)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 100), st.data())
def test_a_number_is_reached_exactly(
    failures: int, after: int, settled: int, data: st.DataObject
) -> None:
    failed = data.draw(st.integers(0, settled))
    reason = halt(failures, after).reason(failed, settled)
    assert (reason is not None) == (failed >= failures and settled >= after)


def test_the_reason_says_what_was_reached() -> None:
    assert halt("12.5%").reason(5, 40) == "5 of 40 jobs failed, and the manifest halts at 12.5%"
    assert halt(3).reason(3, 20) == "3 of 20 jobs failed, and the manifest halts at 3"
    assert halt(3).reason(3, 19) is None


def test_no_rule_is_no_halt() -> None:
    assert Halt.of({"attempts": 3}) is None


# --- the gate -------------------------------------------------------------------------------------


def troubled(times: int = OUTAGE) -> Gate:
    gate = Gate()
    for _ in range(times):
        gate.record(Event.UNCERTAIN, "read timeout")
    return gate


def test_the_gate_is_open_until_something_happens() -> None:
    assert Gate().allowance(0.0, under_way=100) is None


@pytest.mark.parametrize("event", [Event.UNCERTAIN, Event.UNAVAILABLE, Event.NOT_SENT])
def test_troubles_in_a_row_close_the_gate(event: Event) -> None:
    gate = Gate()
    for n in range(OUTAGE):
        assert gate.allowance(0.0, under_way=0) is None, n
        gate.record(event, None)
    assert gate.allowance(0.0, under_way=0) == 0
    assert gate.outage == "no certain answer"


@pytest.mark.parametrize("event", [Event.ACCEPTED, Event.REJECTED, Event.THROTTLED])
def test_an_answer_in_between_starts_the_count_again(event: Event) -> None:
    gate = troubled(OUTAGE - 1)
    gate.record(event, None)
    for _ in range(OUTAGE - 1):
        gate.record(Event.UNCERTAIN, "read timeout")
    assert gate.outage is None


def test_an_outage_lasts_until_a_free_call_gets_through() -> None:
    gate = troubled()
    # A submit from before the outage may still be answered.
    gate.record(Event.ACCEPTED, None)
    assert gate.allowance(1e9, under_way=0) == 0
    gate.provider_answered()
    assert gate.allowance(1e9, under_way=0) == 1
    assert gate.allowance(1e9, under_way=1) == 0
    assert gate.allowance(1e9, under_way=7) == 0


def test_one_good_submit_reopens_the_gate_and_one_bad_one_closes_it() -> None:
    gate = troubled()
    gate.provider_answered()
    gate.record(Event.UNCERTAIN, "again")
    assert gate.allowance(0.0, under_way=0) == 0
    assert gate.outage == "again"
    gate.provider_answered()
    gate.record(Event.ACCEPTED, None)
    assert gate.allowance(0.0, under_way=9) is None


def test_a_refusal_closes_the_gate_and_keeps_its_first_reason() -> None:
    gate = Gate()
    gate.record(Event.REFUSED, "no balance")
    gate.record(Event.REFUSED, "something else")
    assert gate.refusal == "no balance"
    assert gate.allowance(1e9, under_way=0) == 0
    # Somebody paid, and a free call showed it.
    gate.provider_answered()
    assert gate.allowance(1e9, under_way=0) == 1


def test_a_refusal_without_words_has_some() -> None:
    gate = Gate()
    gate.record(Event.REFUSED, None)
    assert gate.refusal == "the account was refused"


def test_throttling_holds_everybody_for_as_long_as_was_asked() -> None:
    gate = Gate()
    gate.record(Event.THROTTLED, "busy", hold_until=30.0)
    gate.record(Event.THROTTLED, "busy", hold_until=20.0)
    assert gate.allowance(29.9, under_way=0) == 0
    assert gate.allowance(30.0, under_way=0) is None


@given(st.lists(st.sampled_from([*TABLE[State.SUBMITTING], None]), max_size=60))
def test_an_outage_costs_no_more_than_the_submits_that_were_on_their_way(
    ends: list[Event | None],
) -> None:
    """None is a free call that gets through. However submits end: from the third trouble in a row
    on, each probe allows one more, and only a good one opens the gate."""
    gate = Gate()
    in_a_row = 0
    for end in ends:
        if end is None:
            gate.provider_answered()
            continue
        gate.record(end, "reason")
        in_a_row = (
            in_a_row + 1 if end in (Event.UNCERTAIN, Event.UNAVAILABLE, Event.NOT_SENT) else 0
        )
        if in_a_row >= OUTAGE:
            assert gate.allowance(1e9, under_way=0) == 0
        allowed = gate.allowance(1e9, under_way=0)
        assert allowed in (None, 0, 1)
        if gate.on_trial:
            assert allowed is not None


# --- how many may be claimed ----------------------------------------------------------------------


class Table:
    """A recorder that runs what it is given in a transaction, at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, operation: Operation[Any]) -> Any:
        with self._database.writing() as connection:
            return operation(connection)


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Claims:
    """A claimer over a real table, and what it asks of a run."""

    def __init__(self, database: Database, run: Mapping[str, Any], *, limit: int) -> None:
        header = loading.Header("night", "/x", "0" * 64, run, "/x/out")
        with database.writing() as connection:
            loading.load(connection, header, (Spec(n) for n in range(20)), now=1.0)
            fence = leases.take(connection, ME, now=100.0)
            batches = {batch.id: batch for batch in views.all_batches(connection)}
        self.clock = Clock()
        self.submitting: set[int] = set()
        self.run = Run(
            recorder=Table(database),
            # Claiming calls no provider.
            provider=cast(Provider, None),
            batches=batches,
            budget=Budget(dict.fromkeys(batches, limit)),
            concurrency=Concurrency(limit),
            notify=lambda _: None,
            now=self.clock,
            rng=Random(1),
            fence=fence,
            beaten=100.0,
            tallies={id_: Counter(batch.states) for id_, batch in batches.items()},
        )
        self.claimer = Claimer(self.run, self.submitting)

    def claim(self) -> list[Job]:
        return asyncio.run(self.claimer.claim())

    def settle(self, job: Job) -> None:
        """The job's submit has been answered and its slot is free again."""
        self.submitting.discard(job.id)
        self.run.budget.release(job.id)


def test_claims_fill_the_budget_and_no_more(database: Database) -> None:
    claims = Claims(database, {}, limit=4)
    first = claims.claim()
    assert len(first) == 4
    assert claims.submitting == {job.id for job in first}
    assert claims.claim() == []
    claims.settle(first[0])
    assert len(claims.claim()) == 1
    assert claims.run.tallies[1][State.PENDING] == 15
    with database.reading() as connection:
        assert dict(views.all_batches(connection)[0].states) == tally.recount(connection, 1)


def test_what_was_found_out_about_the_provider_is_below_the_ceiling(database: Database) -> None:
    claims = Claims(database, {}, limit=8)
    claims.run.concurrency.limit = 3
    assert len(claims.claim()) == 3


def test_a_halted_batch_is_not_claimed(database: Database) -> None:
    claims = Claims(database, {}, limit=4)
    claims.run.halted[1] = "too many"
    assert claims.claim() == []


def test_a_closed_gate_lets_nothing_through_and_a_trial_lets_one(database: Database) -> None:
    claims = Claims(database, {}, limit=4)
    claims.run.gate.outage = "read timeout"
    assert claims.claim() == []
    claims.run.gate.provider_answered()
    [job] = claims.claim()
    assert claims.claim() == []
    claims.settle(job)
    claims.run.gate.record(Event.ACCEPTED, None)
    assert len(claims.claim()) == 4


def test_a_rate_counts_what_is_claimed_and_not_yet_on_its_way(database: Database) -> None:
    claims = Claims(database, {}, limit=8)
    claims.run.rates = Rates([Rate(3, 10.0)])
    first = claims.claim()
    assert len(first) == 3
    # Claimed, but none has taken its place yet: they count all the same.
    assert claims.claim() == []
    for job in first:
        assert claims.run.rates.reserve(claims.clock.now) == 0.0
        claims.settle(job)
    assert claims.claim() == []
    claims.clock.now += 10.0
    assert len(claims.claim()) == 3


def test_only_canaries_go_until_they_are_through(database: Database) -> None:
    claims = Claims(database, {"canary": 2}, limit=8)
    assert len(claims.claim()) == 2


def test_the_table_is_not_asked_before_a_job_is_due(database: Database) -> None:
    claims = Claims(database, {}, limit=8)
    with database.writing() as connection:
        for job in queue.claim(connection, fence=claims.run.fence, batch_id=1, limit=20, now=100.0):
            facts = queue.Facts(100.0, not_before=130.0 + job.id)
            queue.move(connection, job, Event.THROTTLED, facts)
    assert claims.claim() == []
    assert claims.run.due == 131.0
    claims.clock.now = 130.9
    assert claims.claim() == []
    claims.clock.now = 131.0
    assert len(claims.claim()) == 1


def test_an_empty_table_is_not_asked_again(database: Database) -> None:
    claims = Claims(database, {}, limit=30)
    claims.run.concurrency.limit = 30
    assert len(claims.claim()) == 20
    assert claims.run.due == float("inf")


def test_a_batch_without_pending_jobs_is_not_asked_for_any(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(database, {}, limit=4)
    figures = claims.run.tallies[1]
    with monkeypatch.context() as patch:
        patch.setattr(queue, "claim", None)
        claims.run.tallies[1] = Counter({State.QUEUED: 20})
        assert claims.claim() == []
    # A look at the table has set the figures right.
    claims.run.tallies[1], claims.run.due = figures, 0.0
    assert len(claims.claim()) == 4


def test_a_lease_that_was_lost_is_noticed_before_anything_is_claimed(database: Database) -> None:
    claims = Claims(database, {}, limit=4)
    later = 100.0 + leases.LEASE
    with database.writing() as connection:
        leases.take(connection, ME, now=later)
    claims.clock.now = later
    with pytest.raises(LeaseLost):
        claims.claim()
    with database.reading() as connection:
        assert tally.recount(connection, 1)[State.PENDING] == 20


def test_backoffs_hold_no_claim_of_others(database: Database) -> None:
    claims = Claims(database, {}, limit=2)
    [first, second] = claims.claim()
    with database.writing() as connection:
        queue.move(connection, first, Event.THROTTLED, queue.Facts(100.0, not_before=500.0))
    claims.settle(first)
    [third] = claims.claim()
    assert third.id not in (first.id, second.id)
