"""The provider's line: order, slots, places, and that looking at it changes nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from overnight.emulator.queue import Phase, Queue, Request


def request(
    name: str,
    service: float = 1.0,
    *,
    delay: float = 0.0,
    requeues: bool = False,
    dies: bool = False,
) -> Request:
    return Request(
        id=name,
        model="m",
        inputs={},
        digest=name,
        accepted_at=0.0,
        service=service,
        queue_delay=delay,
        requeues=requeues,
        dies_at_start=dies,
    )


def test_slots_are_filled_in_order_and_handed_on() -> None:
    queue = Queue(2)
    a, b, c, d = (
        request(name, service) for name, service in zip("abcd", (3, 1, 1, 1), strict=True)
    )
    for one in (a, b, c, d):
        queue.add(one, 10.0)
    queue.advance(10.5)
    assert [r.phase for r in (a, b, c, d)] == [Phase.IN_PROGRESS] * 2 + [Phase.IN_QUEUE] * 2
    assert [queue.position(r) for r in (c, d)] == [1, 2]
    queue.advance(20.0)
    assert [(r.started_at, r.finished_at) for r in (a, b, c, d)] == [
        (10, 13), (10, 11), (11, 12), (12, 13),
    ]  # fmt: skip
    assert queue.open == 0


def test_a_queue_delay_holds_a_request_although_a_slot_is_free() -> None:
    queue = Queue(1)
    held = request("a", delay=5.0)
    queue.add(held, 0.0)
    queue.advance(4.9)
    assert held.started_at is None
    queue.advance(5.0)
    assert held.started_at == 5.0


def test_only_a_waiting_request_can_be_cancelled() -> None:
    queue = Queue(1)
    runs, waits, last = request("a"), request("b"), request("c")
    for one in (runs, waits, last):
        queue.add(one, 0.0)
    queue.advance(0.0)
    assert not queue.cancel(runs, 0.5)
    assert queue.cancel(waits, 0.5)
    assert (queue.open, queue.position(last)) == (2, 1)
    queue.advance(1.0)
    assert last.started_at == 1.0
    assert waits.started_at is None


def test_a_requeued_request_goes_to_the_end_of_the_line_once() -> None:
    queue = Queue(1)
    again, other = request("a", 4.0, requeues=True), request("b", 1.0)
    queue.add(again, 0.0)
    queue.add(other, 0.0)
    queue.advance(2.5)
    assert (again.phase, other.phase) == (Phase.IN_QUEUE, Phase.IN_PROGRESS)
    queue.advance(10.0)
    assert (other.finished_at, again.finished_at) == (3.0, 5.0)


def test_one_that_never_finishes_keeps_its_slot() -> None:
    queue = Queue(1)
    stuck, behind = request("a", math.inf), request("b")
    queue.add(stuck, 0.0)
    queue.add(behind, 0.0)
    queue.advance(1e9)
    assert (stuck.phase, behind.phase, queue.open) == (Phase.IN_PROGRESS, Phase.IN_QUEUE, 2)


def test_one_that_dies_at_its_turn_takes_no_slot() -> None:
    queue = Queue(1)
    first, dead, next_ = request("a"), request("b", dies=True), request("c")
    for one in (first, dead, next_):
        queue.add(one, 0.0)
    queue.advance(1.5)
    assert (dead.phase, dead.finished_at, next_.started_at) == (Phase.CANCELLED, 1.0, 1.0)


def test_a_thousand_instant_requests_are_done_at_once() -> None:
    queue = Queue(1)
    many = [request(str(n), 0.0) for n in range(1000)]
    for one in many:
        queue.add(one, 7.0)
    queue.advance(7.0)
    assert {one.finished_at for one in many} == {7.0}


@dataclass(frozen=True)
class Step:
    """``gap`` seconds later a request of ``service`` seconds comes; then ``cancel`` that one."""

    gap: float
    service: float
    delay: float
    requeues: bool
    cancel: int | None


quarters = st.integers(0, 12).map(lambda n: n / 4)
steps = st.lists(
    st.builds(Step, quarters, quarters, quarters, st.booleans(), st.none() | st.integers(0, 9)),
    max_size=25,
)


def play(plan: list[Step], slots: int, looks: int) -> list[Request]:
    """Run a plan, looking at the queue ``looks`` extra times between any two steps."""
    queue, made, now = Queue(slots), list[Request](), 0.0
    for step in plan:
        for look in range(looks):
            queue.advance(now + step.gap * look / looks)
        now += step.gap
        new = request(str(len(made)), step.service, delay=step.delay, requeues=step.requeues)
        made.append(new)
        queue.add(new, now)
        if step.cancel is not None and step.cancel < len(made):
            queue.cancel(made[step.cancel], now)
        waiting = sorted((r for r in made if r.phase is Phase.IN_QUEUE), key=lambda r: r.ticket)
        assert [queue.position(r) for r in waiting] == list(range(1, len(waiting) + 1))
        running = sum(r.phase is Phase.IN_PROGRESS for r in made)
        assert running <= slots
        assert queue.open == len(waiting) + running == sum(r.open for r in made)
    queue.advance(now + 1000.0)
    assert not any(r.open for r in made)
    return made


@given(steps, st.integers(1, 3))
def test_how_often_one_looks_changes_nothing(plan: list[Step], slots: int) -> None:
    seldom, often = (
        [(r.phase, r.started_at, r.finished_at) for r in play(plan, slots, looks)]
        for looks in (0, 5)
    )
    assert seldom == often


@given(steps, st.integers(1, 3))
def test_requests_start_in_the_order_in_which_they_came(plan: list[Step], slots: int) -> None:
    starts = [r.started_at for r in play(plan, slots, 0) if r.started_at is not None]
    assert starts == sorted(starts)
