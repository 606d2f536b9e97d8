"""When each job is asked about next, from what polls have told of it and of others."""

import math
from random import Random

import pytest

from overnight.engine.foresight import SURE, Foresight, When
from overnight.engine.pacing import Pace
from overnight.engine.sight import Line, Sight

MODEL = "a/model"


def told(seconds: float, jobs: int = 60, spread: float = 0.1) -> Foresight:
    """Foresight that knows jobs of about ``seconds``."""
    foresight, rng = Foresight(), Random(1)
    for _ in range(jobs):
        took = seconds * rng.lognormvariate(0.0, spread)
        foresight.of(MODEL).learn({}, 0.99 * took, 1.01 * took)
    return foresight


def when(foresight: Foresight, sight: Sight, now: float, pace: Pace | None = None) -> When:
    return foresight.when(MODEL, {}, sight, now=now, pace=pace or Pace(), rng=Random(2))


def wait(foresight: Foresight, sight: Sight, now: float) -> float:
    return when(foresight, sight, now).alone


def test_a_job_left_by_another_worker_is_asked_about_at_once_when_it_may_be_done() -> None:
    foresight = told(60.0)
    may_be = Sight(accepted=0.0, alive=1.0, running=1.0)
    assert wait(foresight, may_be, now=70.0) == Pace().shortest
    surely_not = Sight(accepted=0.0, alive=1.0, running=1.0)
    assert wait(told(3600.0), surely_not, now=70.0) > 10 * Pace().shortest


def test_an_age_counts_from_the_submit_however_late_the_job_was_seen_running() -> None:
    foresight, sight = told(60.0), Sight(0.0, 0.0)
    foresight.seen_running(MODEL, sight, 50.0)
    close = wait(foresight, sight, now=50.1)
    assert close < 3.0


def test_a_clock_that_jumps_back_or_on_only_moves_polls_within_bounds() -> None:
    foresight, pace = told(60.0), Pace()
    for now in (-1e9, 0.0, 1e9):
        assert pace.shortest <= wait(foresight, Sight(1000.0, 1000.0), now) <= pace.longest


def at_age(foresight: Foresight, age: float, pace: Pace, jobs: int = 1000) -> list[Sight]:
    """``jobs`` jobs that began together and are seen running at ``age``."""
    sights = [Sight(0.0, 0.0) for _ in range(jobs)]
    for sight in sights:
        foresight.seen_running(MODEL, sight, age)
        when(foresight, sight, age, pace)
    return sights


def test_a_crowd_puts_polls_off_only_among_themselves() -> None:
    foresight, pace, one = told(60.0, jobs=SURE), Pace(per_second=50.0), Sight(0.0, 0.0)
    foresight.seen_running(MODEL, one, 50.0)
    alone, in_crowd = when(foresight, one, 50.0, pace)
    assert in_crowd == alone
    others = at_age(foresight, 50.0, pace)
    assert when(foresight, one, 50.0, pace).alone == alone
    assert when(foresight, one, 50.0, pace).in_crowd > 2 * alone
    for sight in others:
        foresight.forget(sight)
    assert when(foresight, one, 50.0, pace).in_crowd == alone
    foresight.forget(one)
    assert foresight.rate == pytest.approx(0.0, abs=1e-6)


def test_while_little_is_known_of_a_model_no_poll_is_put_off() -> None:
    foresight, pace = told(60.0, jobs=SURE - 1), Pace(per_second=50.0)
    [one, *_] = at_age(foresight, 50.0, pace)
    assert foresight.rate > 2 * pace.per_second
    alone, in_crowd = when(foresight, one, 50.0, pace)
    assert in_crowd == alone


def test_a_crowd_is_as_large_when_its_jobs_begin_as_when_they_end() -> None:
    pace, rates = Pace(per_second=50.0), []
    for age in (1.0, 30.0, 60.0, 80.0):
        foresight = told(60.0)
        at_age(foresight, age, pace)
        rates.append(foresight.rate)
    assert min(rates) == pytest.approx(max(rates))


def test_jobs_done_in_an_instant_cost_next_to_nothing_to_learn_from() -> None:
    foresight = Foresight()
    for number in range(1000):
        at = number / 1000
        foresight.seen_done(MODEL, {}, Sight(at - 0.5, at - 0.5), at)
    assert foresight.of(MODEL).known <= 21


# --- the queue ----------------------------------------------------------------------------------


def through_the_queue(foresight: Foresight, step: float, accepted: float) -> None:
    """A job that is seen at each of four positions, ``step`` seconds apart, and then runs."""
    sight = Sight(accepted, accepted)
    for passed, position in enumerate((4, 3, 2, 1)):
        foresight.seen_queued(MODEL, sight, position, accepted + passed * step)
    foresight.seen_running(MODEL, sight, accepted + 4 * step)


def test_the_pace_of_a_queue_is_learnt_from_its_positions() -> None:
    foresight = told(60.0)
    for number in range(10):
        through_the_queue(foresight, 25.0, number * 1000.0)
    assert foresight.line(MODEL).step == pytest.approx(25.0, rel=0.05)
    assert foresight.line(MODEL).wait == pytest.approx(100.0, rel=0.2)


@pytest.mark.parametrize("every", [3.0, 10.0, 60.0])
def test_how_often_a_queue_is_looked_at_does_not_change_its_pace(every: float) -> None:
    line, step = Line(), 25.0
    for number in range(40):
        accepted = 1000.0 * number
        sight, at = Sight(accepted, accepted), accepted
        while (passed := int((at - accepted) // step)) < 6:
            line.moved(sight, 6 - passed, at)
            sight.queued = at
            at += every
        sight.running = at
        line.left(sight, at)
    assert line.step is not None
    assert step - 1 <= line.step <= step + every / 6 + 1


def test_far_back_in_the_queue_a_job_is_asked_about_less_often() -> None:
    foresight = told(60.0)
    for number in range(10):
        through_the_queue(foresight, 25.0, number * 1000.0)
    waits = []
    for position in (1, 2, 4, 8, 16):
        sight = Sight(0.0, 0.0)
        foresight.seen_queued(MODEL, sight, position, 5.0)
        waits.append(wait(foresight, sight, 5.0))
    assert waits == sorted(waits)
    assert waits[-1] > 5 * waits[0]


def test_a_job_of_a_queue_that_tells_no_position_is_still_asked_about() -> None:
    foresight = told(60.0)
    sight = Sight(0.0, 0.0)
    for at in (1.0, 10.0, 100.0, 1000.0):
        foresight.seen_queued(MODEL, sight, None, at)
        assert Pace().shortest <= wait(foresight, sight, at) <= at


def test_what_a_job_spent_in_the_queue_is_not_taken_for_its_running_time() -> None:
    foresight = told(60.0)
    for number in range(60):
        accepted = number * 1000.0
        through_the_queue(foresight, 25.0, accepted)
        sight = Sight(accepted, accepted)
        foresight.seen_queued(MODEL, sight, 4, accepted + 1)
        foresight.seen_queued(MODEL, sight, 1, accepted + 95)
        foresight.seen_running(MODEL, sight, accepted + 105)
        foresight.seen_running(MODEL, sight, accepted + 158)
        foresight.seen_done(MODEL, {}, sight, accepted + 162)
    assert foresight.of(MODEL).outlook({}).median == pytest.approx(60.0, rel=0.15)


def test_a_job_sent_back_to_the_queue_begins_anew() -> None:
    foresight = told(60.0)
    sight = Sight(0.0, 0.0)
    foresight.seen_running(MODEL, sight, 50.0)
    foresight.seen_queued(MODEL, sight, 3, 55.0)
    assert sight.running is None
    assert foresight.line(MODEL).start(sight).at > 55.0
    assert math.isfinite(wait(foresight, sight, 55.0))
