"""What unit tests share: an empty database in a folder of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.store.database import Database, open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(str(tmp_path / "overnight.db"), create=True) as opened:
        yield opened
