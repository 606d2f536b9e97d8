"""The controller: cuts, growth, and what leaves it alone."""

from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.concurrency import CUT_EVERY, FIRST, QUIET, Change, Concurrency
from overnight.lifecycle import Event

EVENTS = [
    Event.ACCEPTED,
    Event.THROTTLED,
    Event.UNAVAILABLE,
    Event.UNCERTAIN,
    Event.NOT_SENT,
    Event.REJECTED,
]


def accept(controller: Concurrency, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        controller.record(Event.ACCEPTED, now=now, held=controller.limit)


def throttle(controller: Concurrency, now: float, retry_after: float = 0.0) -> Change | None:
    return controller.record(
        Event.THROTTLED, now=now, held=controller.limit, retry_after=retry_after
    )


def test_it_starts_low_and_doubles_up_to_the_ceiling() -> None:
    controller = Concurrency(30)
    seen = [controller.limit]
    for _ in range(4):
        accept(controller, controller.limit)
        seen.append(controller.limit)
    assert seen == [FIRST, 16, 30, 30, 30]


def test_jobs_that_never_end_do_not_keep_it_low() -> None:
    """Every slot is filled once, and none is ever given back."""
    controller = Concurrency(200)
    held = 0
    while held < controller.limit:
        held += 1
        controller.record(Event.ACCEPTED, now=0.0, held=held)
    assert controller.limit == 200


def test_a_low_ceiling_is_the_start() -> None:
    assert Concurrency(3).limit == 3


def test_throttling_cuts_once_in_a_while() -> None:
    controller = Concurrency(100)
    accept(controller, 8 + 16 + 32 + 64)
    assert controller.limit == 100
    assert throttle(controller, 0.0) == Change(100, 80, "throttled")
    assert throttle(controller, CUT_EVERY - 0.1) is None
    assert throttle(controller, CUT_EVERY) == Change(80, 64, "throttled")


def test_a_longer_retry_after_keeps_cuts_further_apart() -> None:
    controller = Concurrency(8)
    throttle(controller, 0.0, retry_after=60.0)
    assert throttle(controller, 59.0) is None
    assert throttle(controller, 60.0) is not None


def test_it_never_goes_below_one() -> None:
    controller = Concurrency(2)
    for n in range(10):
        throttle(controller, n * CUT_EVERY)
    assert controller.limit == 1


def test_growth_after_a_cut_is_slow() -> None:
    controller = Concurrency(100)
    accept(controller, 8 + 16 + 32 + 64)
    throttle(controller, 0.0)
    accept(controller, 79, now=1.0)
    assert controller.limit == 80
    accept(controller, 1, now=1.0)
    assert controller.limit == 84


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    controller = Concurrency(100)
    for _ in range(100):
        controller.record(Event.ACCEPTED, now=0.0, held=6)
    assert controller.limit == FIRST


def test_trouble_holds_growth_and_cuts_nothing() -> None:
    controller = Concurrency(100)
    assert controller.record(Event.UNAVAILABLE, now=0.0, held=8) is None
    accept(controller, 50, now=QUIET - 0.1)
    assert controller.limit == FIRST
    accept(controller, FIRST, now=QUIET)
    assert controller.limit == 2 * FIRST


@given(
    st.integers(1, 200),
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.floats(0, 5), st.floats(0, 1), st.floats(0, 60)),
        max_size=300,
    ),
)
def test_whatever_happens_the_limit_stays_within_bounds_and_cuts_are_apart(
    ceiling: int, steps: list[tuple[Event, float, float, float]]
) -> None:
    controller = Concurrency(ceiling)
    now, last_cut = 0.0, float("-inf")
    for event, pause, share, retry_after in steps:
        now += pause
        before = controller.limit
        change = controller.record(
            event, now=now, held=int(share * before), retry_after=retry_after
        )
        assert 1 <= controller.limit <= ceiling
        assert (change is not None) == (controller.limit != before)
        if controller.limit < before:
            assert event is Event.THROTTLED
            assert controller.limit >= min(before - 1, int(before * 0.8))
            assert now - last_cut >= CUT_EVERY
            last_cut = now
        if controller.limit > before:
            assert event is Event.ACCEPTED
