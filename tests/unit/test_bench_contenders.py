"""Who is compared with whom, and what a kill makes of it."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bench import contenders, killed, throughput
from bench.calls import Call
from bench.contenders import BY_HAND_AIOHTTP, LIMIT, OURS, PEERS, PUBLISHED
from bench.harness import Figures, Rounds
from bench.peers import by_hand, work

DBOS, HUEY = "DBOS on SQLite", "Huey on SQLite"


def rates(**jobs: float) -> Rounds:
    names = {"ours": OURS, "limit": LIMIT, "published": PUBLISHED, "dbos": DBOS, "huey": HUEY}
    return {names[each]: [{"jobs/s": rate}] for each, rate in jobs.items()}


def test_without_the_peers_packages_only_our_own_environment_takes_part() -> None:
    assert set(contenders.chosen(None)) == set(contenders.OWN)


def test_peers_run_in_their_own_environment() -> None:
    found = contenders.chosen(Path("/peers/python"))
    assert {found[name].python for name in (*PEERS, PUBLISHED, BY_HAND_AIOHTTP)} == {
        "/peers/python"
    }
    assert found[OURS].python != "/peers/python"


def test_some_peers_may_be_left_out() -> None:
    found = contenders.chosen(Path("python"), ["huey_sqlite"])
    assert set(found) == {OURS, LIMIT, PUBLISHED, HUEY}
    assert "huey_sqlite" in contenders.short_names()


@pytest.mark.parametrize(
    ("share", "in_flight", "jobs"), [(1.0, 32, 2000), (1 / 8, 32, 250), (1 / 8, 500, 500)]
)
def test_a_slow_contender_gets_fewer_jobs_but_never_less_than_are_in_flight(
    share: float, in_flight: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def child(*given: object, python: str) -> Figures:
        asked.append(given)
        return {}

    monkeypatch.setattr(contenders, "child", child)
    contenders.Contender("a.module", ("client",), share).measured("origin", 2000, in_flight)
    assert asked == [("a.module", "client", "origin", jobs, in_flight)]


def test_only_what_takes_long_at_a_great_width_has_a_single_turn() -> None:
    slow, quick = contenders.Contender("a", share=1 / 8), contenders.Contender("b", share=1 / 2)
    assert [slow.slow(500), slow.slow(32), quick.slow(500)] == [True, False, False]


def test_the_best_durable_peer_is_what_overnight_is_held_against() -> None:
    taken = {32: rates(ours=400.0, limit=800.0, dbos=50.0, huey=200.0)}
    aims = throughput.aims(taken, {DBOS, HUEY})
    assert [(aim.value, aim.held) for aim in aims] == [(0.5, True), (2.0, False)]
    assert HUEY in aims[1].measure


def test_a_queue_that_lost_a_job_is_told_beside_the_aims() -> None:
    taken = {32: rates(ours=400.0, limit=800.0, dbos=50.0, huey=200.0)}
    aims = throughput.aims(taken, {DBOS})
    assert (aims[1].value, aims[1].held) == (8.0, True)
    assert throughput.beside(taken, {DBOS}) == [f"overnight to {HUEY}, at 32 in flight: 2"]


def test_two_widths_are_held_against_each_other() -> None:
    taken = {32: rates(ours=400.0, limit=800.0), 500: rates(ours=300.0, limit=500.0)}
    last = throughput.aims(taken, set())[-1]
    assert (last.value, last.held) == (0.75, False)


def losses(twice: float, never: float) -> Figures:
    return {"bought twice": twice, "never collected": never, "undecided": 0.0}


def test_durable_is_who_lost_nothing_in_the_worst_kill(tmp_path: Path) -> None:
    taken = {
        OURS: [losses(0, 0)],
        DBOS: [losses(3, 0), losses(0, 0)],
        HUEY: [losses(0, 0), losses(0, 1)],
    }
    found = killed.means(taken)
    assert found[DBOS]["bought twice"] == 1.5 and found[DBOS]["bought twice, most"] == 3
    assert killed.collects_all(found) == {OURS, DBOS}
    told = tmp_path / "killed.json"
    told.write_text(json.dumps({"figures": found}))
    assert throughput.durable_peers(told) == {DBOS}
    assert throughput.durable_peers(None) == set(PEERS)


def test_kills_come_in_mid_run_and_not_only_with_a_submit() -> None:
    moments = killed.Trial(300, 32, 0.1).moments(200, Random(1))
    assert all(100 <= submits <= 200 for submits, _ in moments)
    assert min(later for _, later in moments) < 0.01
    assert 0.29 < max(later for _, later in moments) <= 0.3


def test_everybody_is_killed_at_the_same_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[object]] = {}

    def measured(self: object, contender: Any, moment: object, *, put_back: bool) -> Figures:
        seen.setdefault(f"{contender.module} {put_back}", []).append(moment)
        return {}

    monkeypatch.setattr(killed.Trial, "measured", measured)
    asked = argparse.Namespace(
        jobs=100, in_flight=4, latency=0.1, seed=1, rounds=2, peers=Path("python"), only=()
    )
    for each in killed.contenders(asked).values():
        each(), each()
    moments = list(seen.values())
    assert len(moments) == len(PEERS) + 3
    assert len(moments[0]) == 2 and all(each == moments[0] for each in moments)
    assert "bench.peers.huey_sqlite True" in seen


def test_a_countdown_is_over_with_its_last_job() -> None:
    countdown = work.Countdown(2)
    assert [countdown.one_done(), countdown.one_done()] == [False, True]
    countdown.wait()


def test_resumed_work_is_waited_for_as_long_as_results_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "QUIET", 0.0)
    assert work.until_quiet(lambda: 3, 3) == 3
    assert work.until_quiet(lambda: 2, 3) == 2


class Killed(Exception):
    pass


class Provider:
    """The three calls without a socket; the submit numbered ``deadly`` is carried out, and its
    answer never comes."""

    def __init__(self, deadly: int | None = None) -> None:
        self.bought: list[int] = []
        self._deadly = deadly

    @asynccontextmanager
    async def client(self, origin: str) -> AsyncIterator[Call]:
        yield self.call

    async def call(self, method: str, path: str, body: Any) -> Any:
        if method == "POST":
            self.bought.append(body["598_seed"])
            if len(self.bought) == self._deadly:
                raise Killed
            return {"request_id": f"r{len(self.bought)}"}
        return {"status": "completed"}


async def test_the_script_by_hand_forgets_what_it_paid_for_and_nothing_else(tmp_path: Path) -> None:
    wish = work.Asked("origin", jobs=5, in_flight=1, folder=tmp_path)
    provider = Provider(deadly=3)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        by_hand.prepare(connection, wish.jobs)
        with pytest.raises(Killed):
            await by_hand.work(wish, connection, provider.client)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        await by_hand.work(wish, connection, provider.client)
        assert connection.execute(by_hand.DONE).fetchall() == [(5,)]
    assert provider.bought == [0, 1, 2, 2, 3, 4]
