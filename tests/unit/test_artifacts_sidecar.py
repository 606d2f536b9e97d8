"""The file beside the files, and putting a file aside."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.artifacts.aside import put_aside, put_back
from overnight.artifacts.sidecar import place, unsigned, write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- sidecars -------------------------------------------------------------------------------------


def test_it_stands_in_a_hidden_folder_under_the_job_s_key(tmp_path: Path) -> None:
    path = write(tmp_path, "night", "seed1-abc", {"batch": "night", "inputs": {"p": "霧 🌫"}})
    assert path == tmp_path / ".provenance" / "seed1-abc.json"
    assert json.loads(path.read_text("utf-8")) == {"batch": "night", "inputs": {"p": "霧 🌫"}}
    assert "霧" in path.read_text("utf-8")
    assert names(path.parent) == ["seed1-abc.json"]


def test_the_same_is_not_written_twice_and_another_replaces_it(tmp_path: Path) -> None:
    path = write(tmp_path, "night", "k", {"batch": "night", "cost": 1})
    inode = path.stat().st_ino
    assert write(tmp_path, "night", "k", {"batch": "night", "cost": 1}) == path
    assert path.stat().st_ino == inode
    assert write(tmp_path, "night", "k", {"batch": "night", "cost": 2}) == path
    assert json.loads(path.read_text())["cost"] == 2
    assert names(path.parent) == ["k.json"]


def test_one_that_was_spoiled_is_written_anew(tmp_path: Path) -> None:
    path = write(tmp_path, "night", "k", {"batch": "night"})
    path.write_text("{")
    assert write(tmp_path, "night", "k", {"batch": "night"}) == path
    assert json.loads(path.read_text()) == {"batch": "night"}


def test_two_batches_in_one_folder_keep_apart(tmp_path: Path) -> None:
    first = write(tmp_path, "one", "k", {"batch": "one"})
    second = write(tmp_path, "two", "k", {"batch": "two"})
    assert first != second
    assert place(tmp_path, "one", "k") == first
    assert place(tmp_path, "two", "k") == second
    assert [json.loads(path.read_text())["batch"] for path in (first, second)] == ["one", "two"]


@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=20))
def test_any_key_has_a_place_in_the_folder(key: str, batch: str) -> None:
    path = place(Path("/nowhere"), batch, key)
    assert path.parent == Path("/nowhere/.provenance")
    assert len(path.name.encode()) <= 209
    assert not path.name.startswith(".")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://cdn.example/a/b.mp4?sig=x&e=1#y", "https://cdn.example/a/b.mp4"),
        ("http://u:p@127.0.0.1:8700/media/x.mp4", "http://127.0.0.1:8700/media/x.mp4"),
        ("https://[bad", ""),
    ],
)
def test_signatures_stay_out(url: str, told: str) -> None:
    assert unsigned(url) == told


def test_a_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "night", "k", {"batch": "night"})

    def fail(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, "night", "k", {"batch": "night", "cost": 2})
    assert json.loads(path.read_text()) == {"batch": "night"}
    assert names(path.parent) == ["k.json"]


# --- aside ----------------------------------------------------------------------------------------


def test_a_file_is_put_aside_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    moved = put_aside(path)
    assert moved == tmp_path / ".changed" / "a.mp4"
    assert not path.exists()
    assert put_back(moved, path)
    assert path.read_text() == "mine"
    assert not moved.exists()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for number in range(3):
        path.write_text(str(number))
        put_aside(path)
    assert names(tmp_path / ".changed") == ["a.mp4", "a~2.mp4", "a~3.mp4"]
    path.write_text("new")
    assert not put_back(tmp_path / ".changed" / "a.mp4", path)
    assert path.read_text() == "new"
    assert (tmp_path / ".changed" / "a.mp4").read_text() == "0"


def test_a_folder_or_a_link_can_be_put_aside_too(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    assert put_aside(tmp_path / "a.mp4").is_dir()
    (tmp_path / "b.mp4").symlink_to(tmp_path / "nowhere")
    assert put_aside(tmp_path / "b.mp4").is_symlink()
    assert names(tmp_path) == [".changed"]


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_self: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    for number in range(2):
        (tmp_path / "a.mp4").write_text(str(number))
        put_aside(tmp_path / "a.mp4")
    assert names(tmp_path / ".changed") == ["a.mp4", "a~2.mp4"]


def test_what_can_t_be_moved_does_not_stay_in_two_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    removed = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        removed(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(PermissionError):
        put_aside(path)
    assert path.read_text() == "mine"
    assert names(tmp_path / ".changed") == []
