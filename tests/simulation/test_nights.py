"""A thousand nights with everything that can go wrong, and not one promise broken.

``make simulate SEEDS=10000 FROM=5000`` plays others. A seed that fails names the command that plays
it again with all of its trace.
"""

import os

import pytest

from tests.simulation.night import run
from tests.simulation.replay import report
from tests.simulation.table import Table

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1000"))
FIRST = int(os.environ.get("SIMULATION_FROM", "0"))
CHUNK = 5
"""Seeds in one test. Few: at the end one test process waits for the other's last tests."""


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_every_promise_holds(table: Table, first: int) -> None:
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        outcome = run(seed, table)
        if outcome.violations:
            pytest.fail(report(outcome), pytrace=False)
