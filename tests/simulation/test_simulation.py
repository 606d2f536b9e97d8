"""The simulation itself: a seed is one night, with all kinds of trouble, and a usable report."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from overnight.lifecycle import State
from tests.simulation import replay
from tests.simulation.night import play, run
from tests.simulation.plan import FAULTS, Act, Wish, draw
from tests.simulation.table import Table

ROOT = Path(__file__).parents[2]
FEW = 40
"""Jobs of a small night."""


@pytest.mark.parametrize("seed", range(10))
def test_a_seed_is_always_the_same_night(table: Table, seed: int) -> None:
    first = run(seed, table, FEW)
    again = run(seed, Table() if seed == 0 else table, FEW)
    assert first.text() == again.text()
    assert first.text() != run(seed + 1, table, FEW).text()


def test_a_night_is_the_same_in_another_process(table: Table) -> None:
    def elsewhere(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation.replay", "3", "--jobs", str(FEW)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "src"},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        return hashlib.sha256(done.stdout).hexdigest()

    assert elsewhere("1") == elsewhere("2")


def test_the_nights_have_all_kinds_of_trouble(table: Table) -> None:
    ends: Counter[str] = Counter()
    states: Counter[State] = Counter()
    acts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    rebought = 0
    for seed in range(60):
        outcome = run(seed, table, FEW)
        ends.update(outcome.endings)
        states.update(outcome.states)
        acts.update(line[3] for line in outcome.trace)
        faults.update(outcome.plan.faults)
        rebought += outcome.rebought
    assert set(FAULTS) == set(faults)
    assert {*Act, "thaws", "cancel", "retry"} <= set(acts)
    assert {"done", "refused", "interrupted", "AnotherWorker", "LeaseLost"} <= set(ends)
    assert {State.SUCCEEDED, State.FAILED, State.UNKNOWN, State.CANCELLED} == set(states)
    assert rebought > 0


def test_a_user_may_think_again(table: Table) -> None:
    """Cancels what is being submitted, and has it submitted again when that got lost."""
    wishes = [Wish(n, verb, 0.5) for n in range(1, 60) for verb in ("cancel", "resubmit")]
    for seed in range(5):
        plan = replace(draw(seed, FEW), wishes=tuple(wishes), latency=1.0, interruptions=())
        outcome = play(replace(plan, faults={"submit:lost-after": 0.5}), table)
        assert outcome.violations == []


def test_a_seed_alone_makes_the_plan() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    assert sum(terms.jobs for terms in draw(7).batches) == 200


def test_a_broken_promise_names_the_command_that_shows_it_again(
    table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("overnight.engine.budget.Budget.free", lambda *_: 50)
    seed = next(s for s in range(20) if run(s, table, FEW).violations)
    outcome = run(seed, table, FEW)
    text = replay.report(outcome, FEW)
    assert f"replay: python -m tests.simulation.replay {seed} --jobs {FEW}" in text
    assert outcome.violations[0] in text
    assert replay.main([str(seed), "--jobs", str(FEW)]) == 1
    shown = capsys.readouterr().out
    assert f"does not hold: {outcome.violations[0]}" in shown
    assert outcome.text() in shown
