"""What unit tests share: an empty database in a folder of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.store.database import Database, open_database


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database's file. The migrations run once: they cost more than most tests."""
    path = tmp_path_factory.mktemp("empty") / "overnight.db"
    open_database(str(path), create=True).close()
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(empty_database, tmp_path / "overnight.db")
    with open_database(str(tmp_path / "overnight.db")) as opened:
        yield opened
