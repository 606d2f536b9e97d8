"""What the tests of a simulation share."""

import pytest

from tests.simulation.table import Table


@pytest.fixture(scope="session")
def table() -> Table:
    """One table a test process: its compiled statements are what makes a night quick."""
    return Table()
