"""A file on its way: never seen half, never over another's."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from overnight.artifacts.part import PARTS, Part, PartBusyError, Version, forget, holds

DATA = b"frame" * 1000


def write(target: Path, data: bytes = DATA) -> Path:
    part = Part(target)
    part.open()
    part.write(data)
    return part.publish()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("size", [7, 600, 100_000])
def test_pieces_are_written_in_their_order_whether_few_or_many(tmp_path: Path, size: int) -> None:
    part = Part(tmp_path / "clip.mp4")
    part.open()
    part.write(*(DATA[start : start + size] for start in range(0, len(DATA), size)))
    assert (part.bytes, part.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert part.publish().read_bytes() == DATA


def test_what_the_system_did_not_take_at_once_is_written_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Part(tmp_path / "clip.mp4")
    part.open()
    monkeypatch.setattr("os.writev", lambda file, pieces: os.write(file, pieces[0][:5]))
    monkeypatch.setattr("os.write", partial(_write_a_little, os.write))
    part.write(DATA, DATA)
    assert (part.bytes, part.sha256) == (2 * len(DATA), hashlib.sha256(DATA + DATA).hexdigest())
    assert part.publish().read_bytes() == DATA + DATA


def _write_a_little(write: Callable[[int, memoryview], int], file: int, data: memoryview) -> int:
    return write(file, data[:999])


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such advice")
@pytest.mark.parametrize(("read_again", "starts"), [(False, [0, 0]), (True, [0, len(DATA)])])
def test_memory_lets_go_of_what_nobody_reads_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_again: bool, starts: list[int]
) -> None:
    advised: list[tuple[int, int]] = []

    def advise(_file: int, start: int, length: int, _advice: int) -> None:
        advised.append((start, start + length))

    monkeypatch.setattr("os.posix_fadvise", advise)
    part = Part(tmp_path / "clip.mp4", read_again=read_again)
    part.open()
    part.write(DATA)
    part.write(DATA)
    assert advised == list(zip(starts, [len(DATA), 2 * len(DATA)], strict=True))
    part.publish()
    assert advised[2:] == [(0, 2 * len(DATA))]


def test_a_file_appears_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "clip.mp4"
    part = Part(target)
    part.open()
    part.write(DATA)
    assert files(target.parent) == {".clip.mp4.part"}
    assert part.publish() == target
    assert files(target.parent) == {"clip.mp4"}
    assert target.read_bytes() == DATA
    assert (part.bytes, part.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())


def test_a_taken_name_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"mine")
    (tmp_path / "clip~2.mp4").write_bytes(b"mine too")
    assert write(target) == tmp_path / "clip~3.mp4"
    assert target.read_bytes() == b"mine"
    assert files(tmp_path) == {"clip.mp4", "clip~2.mp4", "clip~3.mp4"}


def test_the_same_bytes_under_the_name_are_the_answer(tmp_path: Path) -> None:
    assert write(tmp_path / "clip.mp4") == write(tmp_path / "clip.mp4")
    assert files(tmp_path) == {"clip.mp4"}


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.symlink_to(tmp_path / "elsewhere")
    assert write(target) == tmp_path / "clip~2.mp4"
    assert not (tmp_path / "elsewhere").exists()


def test_discarding_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    part = Part(tmp_path / "clip.mp4")
    part.open()
    part.write(DATA)
    part.discard()
    part.discard()
    assert files(tmp_path) == set()


def test_what_a_crash_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".clip.mp4.part").write_bytes(b"x" * 99_999)
    assert write(tmp_path / "clip.mp4").read_bytes() == DATA
    assert files(tmp_path) == {"clip.mp4"}


def test_a_crash_between_linking_and_unlinking_harms_nothing(tmp_path: Path) -> None:
    done = tmp_path / "clip.mp4"
    done.write_bytes(b"finished")
    (tmp_path / ".clip.mp4.part").hardlink_to(done)
    part = Part(done)
    part.open()
    assert done.read_bytes() == b"finished"
    part.discard()
    assert done.read_bytes() == b"finished"


def test_two_that_write_one_file_don_t_mix_and_the_first_to_end_wins(tmp_path: Path) -> None:
    first, second = Part(tmp_path / "clip.mp4"), Part(tmp_path / "clip.mp4")
    first.open()
    first.write(DATA[:700])
    # The first may be frozen for good: the second must not wait for it.
    second.open()
    assert files(tmp_path) == {".clip.mp4.part", ".clip.mp4~2.part"}
    second.write(DATA)
    assert second.publish() == tmp_path / "clip.mp4"
    first.write(DATA[700:])
    assert first.publish() == tmp_path / "clip.mp4"
    assert (tmp_path / "clip.mp4").read_bytes() == DATA
    assert files(tmp_path) == {"clip.mp4"}


def test_there_is_an_end_to_how_many_write_one_file(tmp_path: Path) -> None:
    parts = [Part(tmp_path / "clip.mp4") for _ in range(PARTS + 1)]
    for part in parts[:-1]:
        part.open()
    with pytest.raises(PartBusyError):
        parts[-1].open()
    for part in parts:
        part.discard()
    assert files(tmp_path) == set()


def test_a_part_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    (tmp_path / ".clip.mp4.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        Part(tmp_path / "clip.mp4").open()
    assert victim.read_bytes() == b"keep"


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_self: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    target = tmp_path / "clip.mp4"
    assert write(target) == target
    assert write(target, b"other") == tmp_path / "clip~2.mp4"
    assert files(tmp_path) == {"clip.mp4", "clip~2.mp4"}
    assert target.read_bytes() == DATA


def test_a_file_system_without_locks_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert write(tmp_path / "clip.mp4").read_bytes() == DATA


def test_holds_wants_exactly_these_bytes(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    digest = hashlib.sha256(DATA).hexdigest()
    assert not holds(path, len(DATA), digest)
    path.write_bytes(DATA)
    assert holds(path, len(DATA), digest)
    path.write_bytes(DATA[:-1] + b"?")
    assert not holds(path, len(DATA), digest)
    path.write_bytes(DATA[:-1])
    assert not holds(path, len(DATA), digest)
    assert not holds(tmp_path, len(DATA), digest)


# --- parts that are gone on with ------------------------------------------------------------------

WHOLE = Version(len(DATA), '"one"')


def left(target: Path, data: bytes, version: Version = WHOLE) -> None:
    part = Part(target)
    part.open(version)
    part.write(data)
    part.leave()


def test_what_was_left_of_the_same_version_is_gone_on_with(tmp_path: Path) -> None:
    left(tmp_path / "clip.mp4", DATA[:700])
    assert files(tmp_path) == {".clip.mp4.part", ".clip.mp4.part.json"}
    part = Part(tmp_path / "clip.mp4")
    part.open(WHOLE)
    assert (part.bytes, part.version, part.finished) == (700, WHOLE, None)
    assert part.tail(10) == DATA[690:700]
    assert part.tail(5000) == DATA[:700]
    part.write(DATA[700:])
    assert part.sha256 == hashlib.sha256(DATA).hexdigest()
    assert part.publish().read_bytes() == DATA


@pytest.mark.parametrize(
    "version", [None, Version(len(DATA), '"two"'), Version(len(DATA) + 1, '"one"')]
)
def test_what_was_left_of_another_version_is_emptied(
    tmp_path: Path, version: Version | None
) -> None:
    left(tmp_path / "clip.mp4", DATA[:700])
    part = Part(tmp_path / "clip.mp4")
    part.open(version)
    assert (part.bytes, part.version) == (0, version)
    part.write(b"new")
    assert part.sha256 == hashlib.sha256(b"new").hexdigest()
    part.discard()
    assert files(tmp_path) == set()


def test_more_than_there_should_be_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    left(tmp_path / "clip.mp4", DATA + b"?")
    part = Part(tmp_path / "clip.mp4")
    part.open(WHOLE)
    assert part.bytes == 0
    part.discard()


def test_nothing_is_kept_of_what_nobody_could_go_on_with(tmp_path: Path) -> None:
    for version, data in ((None, DATA), (WHOLE, b"")):
        part = Part(tmp_path / "clip.mp4")
        part.open(version)
        part.write(data)
        part.leave()
        part.leave()
        assert files(tmp_path) == set()


def test_a_finished_file_keeps_its_second_name_until_it_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    part = Part(tmp_path / "clip.mp4")
    part.open(WHOLE)
    part.write(DATA)
    path = part.publish()
    assert path == tmp_path / "clip~2.mp4"
    # A crash came here. The next one finds the file that this is a second name of.
    again = Part(tmp_path / "clip.mp4")
    again.open(WHOLE)
    assert (again.finished, again.bytes, again.sha256) == (path, len(DATA), part.sha256)
    again.leave()
    forget(path)
    forget(path)
    assert files(tmp_path) == {"clip.mp4", "clip~2.mp4"}
    assert path.read_bytes() == DATA


def test_the_second_name_of_another_version_is_taken_away_and_not_emptied(tmp_path: Path) -> None:
    part = Part(tmp_path / "clip.mp4")
    part.open(WHOLE)
    part.write(DATA)
    path = part.publish()
    other = Part(tmp_path / "clip.mp4")
    other.open(Version(3, '"two"'))
    assert (other.finished, other.bytes) == (None, 0)
    other.write(b"new")
    assert path.read_bytes() == DATA
    assert other.publish() == tmp_path / "clip~2.mp4"


def test_forgetting_removes_what_nobody_writes_any_more(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(DATA)
    left(tmp_path / "clip.mp4", DATA[:700])
    forget(tmp_path / "clip.mp4")
    assert files(tmp_path) == {"clip.mp4"}


def test_forgetting_leaves_a_part_that_is_being_written(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    part = Part(target)
    part.open(WHOLE)
    part.write(DATA[:700])
    target.write_bytes(DATA)
    forget(target)
    assert files(tmp_path) == {"clip.mp4", ".clip.mp4.part", ".clip.mp4.part.json"}
    # Its writer finds the file at home, and leaves nothing that nobody would go on with.
    part.leave()
    assert files(tmp_path) == {"clip.mp4"}


def test_forgetting_what_is_not_there_does_no_harm(tmp_path: Path) -> None:
    forget(tmp_path / "nowhere.mp4")
