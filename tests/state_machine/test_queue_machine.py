"""Plays the state machine: 1,000 examples of 50 steps, in four parts so that they can run at once.

``OVERNIGHT_MACHINE=25000`` plays as many examples a part instead of 250.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.state_machine.machine import ARROWS, QueueMachine

EXAMPLES = int(os.environ.get("OVERNIGHT_MACHINE", "250"))
STEPS = 50

PLAYED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    # The parts share a folder of known failures; saving every example there costs more than it
    # gives, because the steps that failed are printed.
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("part", range(4))
def test_any_interleaving_keeps_every_promise(part: int) -> None:
    QueueMachine.seen.clear()
    run_state_machine_as_test(QueueMachine, settings=PLAYED)
    # A machine that went nowhere would promise nothing.
    assert len(QueueMachine.seen) > 0.6 * len(ARROWS)
