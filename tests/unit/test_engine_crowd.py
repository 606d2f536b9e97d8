"""More jobs in flight than may be asked about: how late their ends are seen, in virtual time.

20,000 jobs of a minute at 500 polls a second, 25 s apart from the first to the last, are as late as
800 at 20 a second, which takes a second to play. Nobody could see their ends sooner than 13 s late
on average, and nobody those of 5,000 sooner than 3.1 s: the solution of a linear program of who is
asked when by one who knows how their times are distributed, and nothing else.
"""

import pytest

from tests.unit.engine_crowd import Crowd, most_in_any_stretch

SEEDS = range(1, 4)


def crowd(jobs: int, seed: int, known: int = 0) -> Crowd:
    return Crowd(jobs, jobs, per_second=20.0, accepted=32.0, known=known, seed=seed).play()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ends_of_a_crowd_are_seen_nearly_as_soon_as_can_be(seed: int) -> None:
    assert crowd(800, seed, known=1000).lag < 1.25 * 13
    assert crowd(200, seed, known=1000).lag < 1.25 * 3.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crowd_of_which_nothing_is_known_takes_turns(seed: int) -> None:
    assert crowd(800, seed).lag < 1.45 * 13
    assert crowd(200, seed).lag < 1.25 * 3.1


@pytest.mark.parametrize("known", [0, 1000])
def test_while_ends_are_unseen_all_polls_are_made_that_may_be(known: int) -> None:
    played = crowd(800, 1, known)
    seen = sorted(end + lag for end, lag in zip(played.ended, played.lags, strict=True))
    assert played.polls_between(40.0, seen[-len(seen) // 20]) > 0.98 * 20.0
    assert max(played.lags) < 60.0
    assert seen[-1] - max(played.ended) < 10.0


def test_no_stretch_of_a_crowd_has_more_polls_than_the_rate_and_one_burst() -> None:
    assert most_in_any_stretch(crowd(800, 1).polls, 20.0) <= 1.0 + 1 / 20.0 + 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_jobs_that_follow_one_another_are_asked_about_where_they_end(seed: int) -> None:
    """Each slot has its next job at once, so they are of all ages. By the law a job that has 4.5
    polls is 2.4 s late; in mere turns these are 4.2 s late."""
    played = Crowd(
        400, 1600, per_second=20.0, accepted=4.4, service=60.0, spread=0.2, known=1000, seed=seed
    ).play()
    assert played.lag < 3.1
