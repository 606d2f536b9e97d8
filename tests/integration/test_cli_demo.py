"""``overnight demo``, whole: real clips, and commands that work afterwards in its folder."""

import importlib.util
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.cli import demo
from overnight.cli.exits import Exit
from overnight.cli.main import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OVERNIGHT_DB", raising=False)
    monkeypatch.setattr(demo, "SERVICE", (0.01, 0.02))
    yield tmp_path / demo.FOLDER
    signal.signal(signal.SIGTERM, before)


def test_the_demo_leaves_clips_and_a_folder_to_play_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # The user's own account has no part in it, not even as an error.
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "<your token>")
    assert run(["demo"]) == Exit.DONE
    said = capsys.readouterr().out
    clips = sorted((folder / "outputs").rglob("*.mp4"))
    assert len(clips) == 13
    assert all(b"ftyp" in clip.read_bytes()[:16] for clip in clips)
    assert "cd overnight-demo" in said

    assert run(["demo"]) == Exit.DONE
    assert "nothing left to do" in capsys.readouterr().out

    monkeypatch.chdir(folder)
    for command in (["status"], ["jobs"], ["show", "1"]):
        assert " ".join(command) in said
        assert run(command) == Exit.DONE
        assert "succeeded" in capsys.readouterr().out


def test_a_demo_that_was_cut_short_starts_anew(folder: Path, capsys: Capture) -> None:
    folder.mkdir()
    manifest = folder / demo.EXAMPLE
    text = demo.example().read_text(encoding="utf-8")
    manifest.write_text(text.replace("seed: [7, 42]", "seed: [7]"), encoding="utf-8")
    assert run(["load", str(manifest), "--db", str(folder / demo.DATABASE)]) == Exit.DONE
    connection = sqlite3.connect(folder / demo.DATABASE)
    with connection:
        connection.execute("UPDATE jobs SET state = 'queued', request_id = 'lost' WHERE id = 1")
        connection.execute("UPDATE tallies SET jobs = jobs - 1 WHERE state = 'pending'")
        connection.execute("UPDATE tallies SET jobs = 1 WHERE state = 'queued'")
    connection.close()
    kept = folder / "outputs" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("not the demo's")
    capsys.readouterr()
    assert run(["demo"]) == Exit.DONE
    assert "starting anew" in capsys.readouterr().err
    assert kept.exists()
    assert len(list((folder / "outputs").rglob("*.mp4"))) == 7


def test_without_pyav_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "av" else found(name))
    assert run(["demo"]) == Exit.ERROR
    assert "pip install 'overnight[demo]'" in capsys.readouterr().err
    assert not folder.exists()
