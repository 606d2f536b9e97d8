"""The faults themselves: what the environment may ask for, and that every place is really there."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

import overnight
from overnight.store import faults
from overnight.store.faults import Fault, Place

SOURCE = Path(overnight.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_every_place_is_reached_from_exactly_one_line() -> None:
    found = []
    for module in sorted(SOURCE.rglob("*.py")):
        found += re.findall(r"faults\.reach\(Place\.(\w+)\)", module.read_text())
    assert sorted(found) == sorted(place.name for place in Place)


def test_the_page_names_every_place() -> None:
    section = PAGE.read_text().partition("## Killed")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == set(Place)


@pytest.mark.parametrize(
    ("text", "left", "which"),
    [
        ("claimed", 1, signal.SIGKILL),
        ("claimed:3", 3, signal.SIGKILL),
        ("claimed:3:KILL", 3, signal.SIGKILL),
        ("claimed:2:STOP", 2, signal.SIGSTOP),
    ],
)
def test_what_may_be_asked_for(text: str, left: int, which: signal.Signals) -> None:
    assert faults.wanted({faults.VARIABLE: text}) == Fault(Place.CLAIMED, left, which)


@pytest.mark.parametrize(
    "text", ["nowhere", "claimed:0", "claimed:-1", "claimed:soon", "claimed:1:HUP", ":1"]
)
def test_what_makes_no_sense_ends_the_program(text: str) -> None:
    with pytest.raises(SystemExit, match="Unset it"):
        faults.wanted({faults.VARIABLE: text})


@pytest.mark.parametrize("environ", [{}, {faults.VARIABLE: ""}])
def test_nothing_happens_unasked(environ: dict[str, str]) -> None:
    assert faults.wanted(environ) is None


def test_only_the_passage_that_was_asked_for_strikes(monkeypatch: pytest.MonkeyPatch) -> None:
    struck: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, which: struck.append(which))
    fault = Fault(Place.CLAIMED, 2, signal.SIGSTOP)
    for place in (Place.CLAIMED, Place.FINISHED, Place.CLAIMED, Place.CLAIMED):
        fault.reached(place)
    assert struck == [signal.SIGSTOP]


def test_a_lease_can_only_be_made_shorter() -> None:
    assert faults.lease({}, 60.0) == 60.0
    assert faults.lease({faults.LEASE_VARIABLE: "0.5"}, 60.0) == 0.5
    for text in ("61", "0", "-1", "nan", "inf", "long"):
        with pytest.raises(SystemExit, match="Unset it"):
            faults.lease({faults.LEASE_VARIABLE: text}, 60.0)
