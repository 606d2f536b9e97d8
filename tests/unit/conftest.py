"""What unit tests share: an empty database in a folder of their own."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.store.database import Database, open_database
from tests.unit.cli_manifest import MANIFEST


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


@pytest.fixture
def bare_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home, and the current folder, with nothing but a manifest in it: no token, no database,
    no catalogue, no terminal."""
    before = signal.getsignal(signal.SIGTERM)
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "OVERNIGHT_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("overnight.cli.run.can_ask", lambda: False)
    (tmp_path / "jobs.yaml").write_text(MANIFEST, encoding="utf-8")
    yield tmp_path
    # Loading lets SIGTERM end it the way Ctrl-C does.
    signal.signal(signal.SIGTERM, before)
