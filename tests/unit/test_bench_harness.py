"""What every benchmark shares: turns, medians, ratios, aims, and the report of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import harness
from bench.harness import Aim, ChildError, Figures, Report


def test_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def contender(name: str) -> Figures:
        order.append(name)
        return {"jobs/s": float(len(order))}

    taken = harness.alternate(
        {"one": lambda: contender("one"), "two": lambda: contender("two")}, rounds=3
    )
    assert order == ["one", "two", "two", "one", "one", "two"]
    assert taken == {
        "one": [{"jobs/s": 1.0}, {"jobs/s": 4.0}, {"jobs/s": 5.0}],
        "two": [{"jobs/s": 2.0}, {"jobs/s": 3.0}, {"jobs/s": 6.0}],
    }


def test_who_is_slow_has_one_turn_and_is_compared_with_that_round() -> None:
    rates = iter([10.0, 5.0, 20.0, 30.0])
    taken = harness.alternate(
        {"quick": lambda: {"s": next(rates)}, "slow": lambda: {"s": next(rates)}},
        rounds=3,
        once=["slow"],
    )
    assert taken == {"quick": [{"s": 10.0}, {"s": 20.0}, {"s": 30.0}], "slow": [{"s": 5.0}]}
    assert harness.ratio(taken, "quick", "slow", "s") == 2.0


def failing() -> Figures:
    raise ChildError("it fell")


def test_who_fails_is_out_and_said_to_be() -> None:
    dropped: dict[str, str] = {}
    said: list[str] = []
    taken = harness.alternate({"well": lambda: {"s": 1.0}, "ill": failing}, 2, said.append, dropped)
    assert dropped == {"ill": "it fell"}
    assert list(taken) == ["well"] and len(taken["well"]) == 2
    assert "ill is out: it fell" in said


def test_without_a_place_to_say_it_a_failure_ends_the_benchmark() -> None:
    with pytest.raises(ChildError, match="it fell"):
        harness.alternate({"ill": failing}, 1)


def test_a_median_is_of_figures_that_every_round_has() -> None:
    taken = {"one": [{"s": 3.0, "x": 1.0}, {"s": 1.0}, {"s": 2.0}]}
    assert harness.medians(taken) == {"one": {"s": 2.0}}


def test_a_ratio_is_the_median_within_rounds_not_of_medians() -> None:
    taken = {
        "fast": [{"s": 10.0}, {"s": 20.0}, {"s": 90.0}],
        "slow": [{"s": 5.0}, {"s": 20.0}, {"s": 10.0}],
    }
    # Within rounds 2, 1 and 9; the ratio of the medians is 2 too, the mean is 4.
    assert harness.ratio(taken, "fast", "slow", "s") == 2.0
    taken["slow"][2] = {"s": 90.0}
    assert harness.ratio(taken, "fast", "slow", "s") == 1.0


@pytest.mark.parametrize(
    ("aim", "held"),
    [
        (Aim("a", 2.0, least=2.0), True),
        (Aim("a", 1.9, least=2.0), False),
        (Aim("a", 3.0, most=3.0), True),
        (Aim("a", 3.1, most=3.0), False),
    ],
)
def test_an_aim_is_held_at_its_bound(aim: Aim, held: bool) -> None:
    assert aim.held is held
    assert aim.as_json()["held"] is held


def a_report(*aims: Aim) -> Report:
    taken = {"ours": [{"s": 1.0, "MB": 1234.5}, {"s": 3.0, "MB": 1236.5}], "theirs": [{"s": 9.0}]}
    return Report("night", {"jobs": 5, "in_flight": 2}, ("s", "MB"), taken, list(aims), ["a note"])


def test_a_table_has_medians_aims_notes_and_the_machine() -> None:
    found = a_report(Aim("first", 0.5, least=1.0), Aim("second", 0.25, most=0.5)).as_json()
    lines = harness.markdown(found).splitlines()
    assert lines[:4] == [
        "| night | s | MB |",
        "| --- | ---: | ---: |",
        "| ours | 2 | 1,236 |",
        "| theirs | 9 |  |",
    ]
    assert "- first: 0.5 (aim: at least 1; MISSED)" in lines
    assert "- second: 0.25 (aim: at most 0.5; held)" in lines
    assert "- a note" in lines
    assert lines[-1].startswith("jobs 5, in flight 2. Python 3.")
    assert "cores of" in lines[-1]


def test_what_is_published_is_the_same_in_both_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert a_report(Aim("a", 1.0, least=1.0)).publish(tmp_path) == 0
    told = capsys.readouterr().out
    assert (tmp_path / "night.md").read_text() == told
    kept = json.loads((tmp_path / "night.json").read_text())
    assert harness.markdown(kept) == told
    assert kept["rounds"]["ours"][1] == {"s": 3.0, "MB": 1236.5}
    assert {"python", "sqlite", "cores", "processor", "memory_gb"} <= kept["on"].keys()


def test_a_missed_aim_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert a_report(Aim("a", 1.0, least=1.5)).publish(None) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.01234, "0.0123"), (12.34, "12.3"), (999.6, "1,000"), (1000.4, "1,000")],
)
def test_figures_have_three_digits_or_all_before_the_point(value: float, shown: str) -> None:
    assert harness.number(value) == shown


def module(folder: Path, text: str) -> str:
    (folder / "spoken.py").write_text(text)
    return "spoken"


def test_a_child_may_say_other_things_before_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = module(tmp_path, "import sys; print('hello'); print('{\"s\": 2.5}'); print('bye')")
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    assert harness.child(name) == {"s": 2.5}


def test_a_child_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, "raise SystemExit('no disk')")
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    with pytest.raises(ChildError, match="spoken ended with 1: no disk"):
        harness.child(name)
