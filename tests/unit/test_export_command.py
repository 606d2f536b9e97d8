"""``overnight export`` on a real database and real files: what it makes, refuses and takes up."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from overnight.cli import export as verb
from overnight.cli import exporting as parts
from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.cli.output import Output
from overnight.export import place
from overnight.export import run as room
from overnight.export.target import MARKER, opened
from overnight.store.database import Database
from tests.unit.cli_night import Capture, lines
from tests.unit.export_batch import clip, failed, fill

EVERY = [*verb.FORMATS, "files"]


@pytest.fixture(autouse=True)
def here(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(options.DB_VARIABLE, str(database.path))
    monkeypatch.chdir(database.path.parent)
    yield


def export(to: str = "set", name: str = "videofolder", *more: str) -> int:
    how = ["--files-only"] if name == "files" else ["--format", name]
    return run(["export", "--to", to, *how, *more])


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def require_sums(root: Path) -> None:
    """SHA256SUMS lists each file of the export with what it holds."""
    sums = [one.split("  ", 1) for one in (root / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in sums}
    held = {name: content for name, content in tree(root).items() if name != "SHA256SUMS"}
    held.pop(".overnight-export.json")
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON Lines."""
    return [json.loads(one) for one in path.read_bytes().splitlines()]


def metadata(root: Path, split: str = "train") -> list[dict[str, Any]]:
    return rows_of(root / split / "metadata.jsonl")


# --- the same bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_the_same_batch_gives_the_same_bytes(name: str, database: Database, tmp_path: Path) -> None:
    suffix = ".png" if name == "imagefolder" else ".mp4"
    fill(database, [*[clip(n, suffix=suffix) for n in range(6)], failed(9), failed(10, "unknown")])
    split = ("--split", "train=0.5,test=0.5")
    assert export("one", name, *split) == Exit.DONE
    assert export("two", name, *split, "--copy") == Exit.DONE
    first = tree(tmp_path / "one")
    assert tree(tmp_path / "two") == first
    require_sums(tmp_path / "one")
    # And once more over what is there.
    assert export("one", name, *split) == Exit.DONE
    assert tree(tmp_path / "one") == first
    assert len(first) > 3


def test_a_tar_says_nothing_of_when_or_by_whom_it_was_made(
    database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(n) for n in range(3)])
    assert export("set", "webdataset") == Exit.DONE
    with tarfile.open(tmp_path / "set" / "data" / "train-000000.tar") as tar:
        members = tar.getmembers()
    assert [one.name for one in members] == [
        f"seed{n}.{suffix}" for n in range(3) for suffix in ("json", "mp4")
    ]
    assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in members} == {
        (0, 0, 0, "", 0o644)
    }


def test_the_formats_of_the_command_are_those_of_the_room() -> None:
    assert {*verb.FORMATS, room.FILES_ONLY} == set(room.FORMATS)


# --- links and copies -----------------------------------------------------------------------------


def test_files_are_linked_or_copied_and_never_pointed_at(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    out = fill(database, [clip(1), clip(2)])
    source = out / "seed1.mp4"
    source.rename(out / "elsewhere.mp4")
    source.symlink_to(out / "elsewhere.mp4")
    assert export("linked", "files") == export("copied", "files", "--copy") == Exit.DONE
    assert (tmp_path / "linked" / "seed2.mp4").samefile(out / "seed2.mp4")
    assert not (tmp_path / "copied" / "seed2.mp4").samefile(out / "seed2.mp4")
    for folder in ("linked", "copied"):
        assert not (tmp_path / folder / "seed1.mp4").is_symlink()
        assert (tmp_path / folder / "seed1.mp4").read_bytes() == b"clip 1 " * 20
    assert "could not be linked" not in capsys.readouterr().out


def test_another_file_system_gets_copies_and_it_is_said(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = fill(database, [clip(1)])

    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    assert export() == Exit.DONE
    made = tmp_path / "set" / "train" / "videos" / "seed1.mp4"
    assert made.read_bytes() == (out / "seed1.mp4").read_bytes()
    assert "1 file could not be linked and were copied" in capsys.readouterr().out


# --- what is left out -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_files_that_are_not_what_was_downloaded_are_left_out_and_named(
    name: str, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    suffix = ".png" if name == "imagefolder" else ".mp4"
    out = fill(database, [clip(n, suffix=suffix) for n in range(5)])
    (out / f"seed1{suffix}").unlink()
    (out / f"seed2{suffix}").write_bytes(b"longer than it was " * 20)
    whole = (out / f"seed3{suffix}").read_bytes()
    (out / f"seed3{suffix}").write_bytes(whole[:-1] + b"?")
    assert export("set", name, "--json") == Exit.JOBS_FAILED
    [told] = lines(capsys)
    assert told["samples"] == 2
    assert told["left_out"] == {"missing": 1, "changed": 2}
    assert [(one["key"], one["reason"]) for one in told["lost"]] == [
        ("seed1", "missing"),
        ("seed2", "changed"),
        ("seed3", "changed"),
    ]
    require_sums(tmp_path / "set")
    if name != "files":
        assert len((tmp_path / "set" / "left-out.jsonl").read_text().splitlines()) == 3
        assert "2 with a file that is not what was downloaded" in (
            tmp_path / "set" / "README.md"
        ).read_text("utf-8")


def test_people_are_told_which_files_and_what_to_do(database: Database, capsys: Capture) -> None:
    out = fill(database, [clip(n) for n in range(13)])
    for n in range(12):
        (out / f"seed{n}.mp4").unlink()
    assert export() == Exit.JOBS_FAILED
    said = capsys.readouterr()
    assert f"{out}/seed0.mp4: there is no such file." in said.err
    assert "And 2 more." in said.err
    assert "overnight verify" in said.err
    assert "left out: 12 with a file that is missing" in said.out


def test_nothing_that_can_be_exported_is_an_error(database: Database, capsys: Capture) -> None:
    out = fill(database, [clip(1)])
    (out / "seed1.mp4").unlink()
    assert export() == Exit.ERROR
    assert "None of the 1 files can be exported" in capsys.readouterr().err


def test_kinds_that_a_loader_does_not_know_are_said(database: Database, capsys: Capture) -> None:
    fill(database, [clip(1), clip(2), clip(3, suffix=".webm")])
    assert export() == Exit.JOBS_FAILED
    assert "not .webm" in capsys.readouterr().err
    assert export("tar", "webdataset") == Exit.JOBS_FAILED
    assert "every sample of a tar has the same suffix, here .mp4" in capsys.readouterr().err
    assert export("table", "jsonl") == Exit.DONE


def test_a_file_at_another_address_is_not_here(database: Database, capsys: Capture) -> None:
    fill(database, [clip(1), clip(2)])
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE artifacts SET path = 'https://host/x.mp4' WHERE path LIKE '%seed2.mp4'"
        )
    assert export("set", "files", "--json") == Exit.JOBS_FAILED
    assert lines(capsys)[0]["left_out"] == {"elsewhere": 1}


def test_jobs_that_came_to_nothing_are_counted_and_failures_are_told(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1), failed(2), failed(3, "unknown"), failed(4, "pending")])
    assert export("set", "videofolder", "--json") == Exit.DONE
    [told] = lines(capsys)
    assert told["left_out"] == {"failed": 1, "unknown": 1, "unfinished": 1}
    assert told["failures"] == 2
    rows = rows_of(tmp_path / "set" / "failures.jsonl")
    assert [(row["job_key"], row["job_state"], row["seed"]) for row in rows] == [
        ("seed2", "failed", 2),
        ("seed3", "unknown", 3),
    ]
    assert rows[0]["job_error"] == "bad inputs"
    assert rows[0]["prompt"] == "Käfig 2 日本 🌙"


def test_a_tar_s_table_has_the_failures_that_belong_between(
    database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(1), failed(2), clip(3), clip(4), failed(5, "unknown")])
    assert export("set", "webdataset", "--shard-count", "2") == Exit.DONE
    tables = [
        pyarrow.parquet.read_table(tmp_path / "set" / "data" / f"train-{n:06}.parquet").to_pylist()
        for n in range(2)
    ]
    told = [[(row["key"], row["left_out"], row["error"]) for row in table] for table in tables]
    assert told == [
        [("seed1", None, None), ("seed2", "failed", "bad inputs"), ("seed3", None, None)],
        [("seed4", None, None), ("seed5", "unknown", "no answer came back")],
    ]


def test_shards_are_cut_by_size(database: Database, tmp_path: Path) -> None:
    fill(database, [clip(n, files={f"{n}.mp4": bytes([n]) * 4_000}) for n in range(6)])
    assert export("set", "parquet", "--shard-size", "8kB") == Exit.DONE
    names = sorted(one.name for one in (tmp_path / "set" / "data").iterdir())
    assert names == [f"train-{n:05}-of-00003.parquet" for n in range(3)]
    assert export("tar", "webdataset", "--shard-size", "15kB") == Exit.DONE
    for tar in (tmp_path / "tar" / "data").glob("*.tar"):
        assert tar.stat().st_size <= 15_000 + tarfile.RECORDSIZE


# --- choosing -------------------------------------------------------------------------------------


def keys(capture: Capture, *more: str) -> list[str]:
    """The keys of the samples of an export, in order."""
    root = Path("chosen")
    shutil.rmtree(root, ignore_errors=True)
    assert export(str(root), "jsonl", "--json", *more) == Exit.DONE
    capture.readouterr()
    return [row["key"] for row in rows_of(root / "train.jsonl")]


def test_where_chooses_by_inputs_variables_and_what_a_job_is(
    database: Database, capsys: Capture
) -> None:
    fill(
        database,
        [
            clip(n, variables={"seed": n, "style": "Film" if n < 3 else "Anime"}, tags=("new",) * n)
            for n in range(5)
        ],
    )
    assert keys(capsys, "--where", "seed >= 3") == ["seed3", "seed4"]
    assert keys(capsys, "--where", 'style == "Film" and seed > 0') == ["seed1", "seed2"]
    assert keys(capsys, "--where", '"new" in tags and `598_seed` < 2') == ["seed1"]
    assert keys(capsys, "--where", 'key == "seed4" or block == "x"') == ["seed4"]
    assert keys(capsys, "--where", "cost > 0.01 and attempts == 1")[0] == "seed0"


def test_a_value_that_some_jobs_lack_is_null_there(database: Database, capsys: Capture) -> None:
    fill(database, [clip(1, variables={"style": "Film"}), clip(2, variables={})])
    assert keys(capsys, "--where", "style == null") == ["seed2"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("sede > 1", 'no job has such a value. Did you mean "seed"?'),
        ("seed >", "--where can't be read"),
        ("seed + 1", "--where can't be worked out for the job seed1"),
        ("seed > 'x' + 1", "--where can't be worked out for the job seed1"),
    ],
)
def test_conditions_that_make_no_sense_are_refused_and_leave_nothing(
    where: str, said: str, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1), clip(2)])
    assert export("deep/set", "jsonl", "--where", where) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "deep").exists()


def test_states_choose_too_and_tables_hold_jobs_without_files(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1), failed(2), failed(3, "unknown")])
    assert keys(capsys, "--state", "failed", "--state", "succeeded") == ["seed1", "seed2"]
    rows = rows_of(tmp_path / "chosen" / "train.jsonl")
    assert [row["file_name"] for row in rows] == ["train/seed1.mp4", None]
    assert (tmp_path / "chosen" / "failures.jsonl").read_text().count("\n") == 1
    assert export("set", "videofolder", "--state", "failed") == Exit.ERROR
    said = capsys.readouterr().err
    assert "No job fits, so nothing was exported." in said
    assert "1 without a file" in said


def test_suspect_files_are_left_out_unless_they_are_asked_for(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    looked = '{"container": "mp4", "frames": 81, "rate": 16.0}'
    fill(
        database,
        [
            clip(1, probe=looked),
            clip(2, suspect="every frame is black", probe=looked),
            clip(3),
        ],
    )
    assert keys(capsys) == ["seed1", "seed3"]
    first, second = rows_of(tmp_path / "chosen" / "train.jsonl")
    assert first["probe"] == {"container": "mp4", "frames": 81, "rate": 16.0}
    assert second["probe"] == {"container": None, "frames": None, "rate": None}
    assert keys(capsys, "--suspect", "any") == ["seed1", "seed2", "seed3"]
    assert keys(capsys, "--suspect", "yes") == ["seed2"]
    assert rows_of(tmp_path / "chosen" / "train.jsonl")[0]["suspect"] == "every frame is black"
    assert export("set", "files", "--json") == Exit.DONE
    assert lines(capsys)[0]["left_out"] == {"suspect": 1}


def test_batches_are_chosen_by_name_and_their_files_kept_apart(
    database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(1)])
    fill(database, [clip(1, files={"seed1.mp4": b"another"})], "second")
    assert run(["export", "second", "--to", "one", "--files-only"]) == Exit.DONE
    assert (tmp_path / "one" / "seed1.mp4").read_bytes() == b"another"
    assert export("both", "jsonl") == Exit.DONE
    rows = rows_of(tmp_path / "both" / "train.jsonl")
    contents = {row["batch"]: (tmp_path / "both" / row["file_name"]).read_bytes() for row in rows}
    assert contents == {"night": b"clip 1 " * 20, "second": b"another"}


def test_a_job_with_several_files_gives_a_sample_for_each(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    files = {f"seed1-{n}.png": bytes([n]) * 9 for n in (1, 2, 3)}
    fill(database, [clip(1, files=files, content_type="image/png")])
    assert export("set", "imagefolder", "--json") == Exit.DONE
    rows = metadata(tmp_path / "set")
    assert [(row["position"], row["file_name"]) for row in rows] == [
        (n, f"images/seed1-{n + 1}.png") for n in range(3)
    ]
    capsys.readouterr()
    # They cost once.
    assert "charged 0.05 US dollars" in (tmp_path / "set" / "README.md").read_text("utf-8")


def test_extending_a_batch_never_moves_a_sample(database: Database, tmp_path: Path) -> None:
    split = ("--split", "train=0.6,test=0.4")
    fill(database, [clip(n) for n in range(12)])
    assert export("set", "videofolder", *split) == Exit.DONE
    before = {name for name in tree(tmp_path / "set") if name.endswith(".mp4")}
    fill(database, [clip(n) for n in range(24)])
    assert export("set", "videofolder", *split) == Exit.DONE
    after = {name for name in tree(tmp_path / "set") if name.endswith(".mp4")}
    assert len(before) == 12
    assert len(after) == 24
    assert before < after
    require_sums(tmp_path / "set")


# --- going on, and staying out of the way ---------------------------------------------------------


@pytest.mark.parametrize("name", ["videofolder", "webdataset", "parquet"])
def test_an_interrupted_export_goes_on_where_it_stopped(
    name: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database, [clip(n) for n in range(6)])
    shards = () if name == "videofolder" else ("--shard-count", "2")
    assert export("whole", name, *shards) == Exit.DONE

    step = "_digest" if name == "videofolder" else "proven"
    working = getattr(place, step)
    calls = 0

    def stop(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return working(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, step, stop)
        assert export("set", name, *shards) == Exit.INTERRUPTED
    half = tree(tmp_path / "set")
    assert "SHA256SUMS" not in half
    whole = tree(tmp_path / "whole")
    done = {at: content for at, content in half.items() if not at.startswith(".")}
    assert done
    assert done.items() <= whole.items()

    made = {at: (tmp_path / "set" / at).stat().st_ino for at in done}
    capsys.readouterr()
    assert export("set", name, *shards, "--json") == Exit.DONE
    assert tree(tmp_path / "set") == whole
    assert {at: (tmp_path / "set" / at).stat().st_ino for at in done} == made
    if name == "videofolder":
        assert lines(capsys)[0]["files"] == {"linked": 3, "copied": 0, "kept": 3}


KILLED = """
import os, sys
from overnight.cli.main import run
from overnight.export import place
step, how = sys.argv[1:]
working, calls = getattr(place, step), []
def die(*given):
    calls.append(given)
    return working(*given) if len(calls) < 4 else os._exit(9)
setattr(place, step, die)
run(["export", "--to", "set", "--format", "videofolder", how])
"""


@pytest.mark.parametrize(("how", "step"), [("--link", "_digest"), ("--copy", "_require")])
def test_a_killed_export_left_nothing_half_and_goes_on(
    how: str, step: str, database: Database, tmp_path: Path
) -> None:
    fill(database, [clip(n) for n in range(6)])
    assert export("whole") == Exit.DONE
    whole = tree(tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, step, how]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    half = {at: one for at, one in tree(tmp_path / "set").items() if not at.startswith(".")}
    assert len(half) == 3
    assert half.items() <= whole.items()
    with (tmp_path / "set" / ".overnight-export" / "journal").open("ab") as journal:
        journal.write(b'{"file": "cut')
    assert export("set", "videofolder", how) == Exit.DONE
    assert tree(tmp_path / "set") == whole


def test_what_is_right_already_needs_its_source_no_more(database: Database, tmp_path: Path) -> None:
    out = fill(database, [clip(n) for n in range(3)])
    assert export("set", "jsonl", "--copy") == Exit.DONE
    first = tree(tmp_path / "set")
    shutil.rmtree(out)
    assert export("set", "jsonl", "--copy") == Exit.DONE
    assert tree(tmp_path / "set") == first


def test_a_damaged_file_of_the_export_is_made_anew(database: Database, tmp_path: Path) -> None:
    fill(database, [clip(n) for n in range(3)])
    assert export("set", "webdataset") == export("copies", "files", "--copy") == Exit.DONE
    for root, damaged in (("set", "data/train-000000.tar"), ("copies", "seed1.mp4")):
        first = tree(tmp_path / root)
        path = tmp_path / root / damaged
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert export(root, "webdataset" if root == "set" else "files", *_copy(root)) == Exit.DONE
        assert tree(tmp_path / root) == first


def _copy(root: str) -> tuple[str, ...]:
    return ("--copy",) if root == "copies" else ()


def test_what_belongs_to_it_no_more_is_removed_and_nothing_else(
    database: Database, tmp_path: Path
) -> None:
    out = fill(database, [clip(n) for n in range(3)])
    assert export("set", "files", "--copy") == Exit.DONE
    (tmp_path / "set" / "LICENSE").write_text("mine")
    (tmp_path / "set" / "seed1.mp4").unlink()
    (out / "seed1.mp4").unlink()
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'cancelled' WHERE key = 'seed2'")
    assert export("set", "files", "--copy") == Exit.JOBS_FAILED
    assert set(tree(tmp_path / "set")) == {
        ".overnight-export.json",
        "LICENSE",
        "SHA256SUMS",
        "seed0.mp4",
    }


def test_names_in_an_edited_list_lead_nowhere_else(database: Database, tmp_path: Path) -> None:
    fill(database, [clip(1)])
    assert export("set", "files") == Exit.DONE
    (tmp_path / "precious").write_text("mine")
    with (tmp_path / "set" / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../precious\n{'0' * 64}  {tmp_path}/precious\n")
    assert export("set", "files") == Exit.DONE
    assert (tmp_path / "precious").read_text() == "mine"


def test_folders_that_hold_something_else_are_refused(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    out = fill(database, [clip(1)])
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = tree(out)
    for to, said in (
        (str(out), "holds something else"),
        ("file", "is a file"),
        ("dangling", "leads nowhere"),
    ):
        assert export(to) == Exit.ERROR
        assert said in capsys.readouterr().err
    assert tree(out) == before
    (tmp_path / "empty").mkdir()
    assert export("empty") == Exit.DONE


def test_other_choices_need_another_folder(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1)])
    assert export() == Exit.DONE
    first = tree(tmp_path / "set")
    assert export("set", "videofolder", "--split", "a=0.5,b=0.5") == Exit.ERROR
    assert "was made with other choices (format videofolder, batches night" in (
        capsys.readouterr().err
    )
    assert tree(tmp_path / "set") == first
    (tmp_path / "set" / ".overnight-export.json").write_text("{")
    assert export() == Exit.ERROR
    assert "can't be read" in capsys.readouterr().err


def test_a_card_that_somebody_edited_is_not_overwritten(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1)])
    assert export() == Exit.DONE
    card = tmp_path / "set" / "README.md"
    card.write_text(card.read_text("utf-8").replace("Not stated.", "CC BY 4.0."), "utf-8")
    first = tree(tmp_path / "set")
    assert export() == Exit.ERROR
    assert "was changed since the export" in capsys.readouterr().err
    assert tree(tmp_path / "set") == first


@pytest.mark.parametrize("name", ["webdataset", "parquet"])
def test_a_file_that_changes_while_it_is_packed_gets_into_no_shard(
    name: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out = fill(database, [clip(1), clip(2)])

    def spoil(_: parts.Silent) -> None:
        (out / "seed1.mp4").write_bytes(b"?" * 140)

    with monkeypatch.context() as patch:
        patch.setattr(parts.Silent, "writing", spoil)
        assert export("set", name, "--json") == Exit.ERROR
    assert "seed1.mp4 was changed while it was exported" in capsys.readouterr().err
    assert [at for at in tree(tmp_path / "set") if not at.startswith(".")] == []
    assert export("set", name, "--json") == Exit.JOBS_FAILED
    assert lines(capsys)[0]["left_out"] == {"changed": 1}


def test_somebody_else_s_file_is_never_overwritten(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1)])
    assert export() == Exit.DONE
    fill(database, [clip(1), clip(2)])
    theirs = tmp_path / "set" / "train" / "videos" / "seed2.mp4"
    theirs.write_text("mine")
    assert export() == Exit.ERROR
    assert "seed2.mp4 is in the way, and is not from this export" in capsys.readouterr().err
    assert theirs.read_text() == "mine"
    theirs.unlink()
    assert export() == Exit.DONE


def test_two_exports_never_write_to_one_folder(
    database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1)])
    (tmp_path / "set").mkdir()
    handle = os.open(tmp_path / "set", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert export() == Exit.ERROR
    assert "Another export is writing" in capsys.readouterr().err
    os.close(handle)
    assert export() == Exit.DONE


def test_links_become_copies_when_copies_are_asked_for(database: Database, tmp_path: Path) -> None:
    out = fill(database, [clip(1)])
    assert export("set", "files") == Exit.DONE
    place = tmp_path / "set" / "seed1.mp4"
    assert place.samefile(out / "seed1.mp4")
    assert export("set", "files", "--copy") == Exit.DONE
    assert not place.samefile(out / "seed1.mp4")
    assert place.read_bytes() == (out / "seed1.mp4").read_bytes()
    # A copy is as good as a link, and stays one.
    assert export("set", "files") == Exit.DONE
    assert not place.samefile(out / "seed1.mp4")


@pytest.mark.parametrize("complete", [False, True], ids=["first", "again"])
def test_an_export_that_is_turned_away_takes_nothing_from_the_other(
    complete: bool, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    """The one that has the folder reads the database still, and has written nothing yet."""
    fill(database, [clip(1)])
    root = tmp_path / "set"
    if complete:
        assert export() == Exit.DONE
        choices = json.loads((root / MARKER).read_bytes())["request"]
    else:
        choices = {"any": "choices"}
    with opened(root, choices) as target:
        kept = target.scratch()
        kept.write_text("gathered so far")
        assert export() == Exit.ERROR
        assert "Another export is writing" in capsys.readouterr().err
        assert kept.read_text() == "gathered so far"
        assert (root / MARKER).exists()


@pytest.mark.parametrize("name", EVERY)
def test_an_export_of_nothing_leaves_nothing(
    name: str, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [failed(1, "pending")])
    assert export("a/b", name) == Exit.ERROR
    assert "No job fits, so nothing was exported. Left out: 1 not finished." in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", [each for each in EVERY if each != "files"])
def test_where_nothing_succeeded_the_failures_are_all_there_is(
    name: str, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [failed(1), failed(2, "unknown"), failed(3, "pending")])
    assert export("set", name) == Exit.DONE
    said = capsys.readouterr().out
    assert "0 samples" in said
    assert "failures.jsonl has the failed and unknown jobs" in said
    here = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert here == [MARKER, "SHA256SUMS", "failures.jsonl"]
    assert [row["job_key"] for row in rows_of(tmp_path / "set" / "failures.jsonl")] == [
        "seed1",
        "seed2",
    ]


def test_a_full_disk_is_a_sentence_and_no_half_file(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database, [clip(1)])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert export("set", "files", "--copy") == Exit.ERROR
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "set" / "seed1.mp4").exists()


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--to'"),
        (["--to", "x"], "Say how: --format jsonl"),
        (["--to", "x", "--format", "csv", "--files-only"], "--files-only makes no tables"),
        (["--to", "x", "--format", "xml"], "'xml' is not one of"),
        (["--to", "x", "--format", "csv", "--split", "a=2"], "sum to 2, and must sum to 1"),
        (["--to", "x", "--format", "csv", "--shard-count", "2"], "are for parquet and webdataset"),
        (["--to", "x", "--format", "parquet", "--shard-size", "big"], "Write it like 500MB"),
    ],
)
def test_command_lines_that_make_no_sense(
    arguments: list[str], said: str, database: Database, tmp_path: Path, capsys: Capture
) -> None:
    fill(database, [clip(1)])
    assert run(["export", *arguments]) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_batches_that_are_not_there(database: Database, capsys: Capture) -> None:
    assert export() == Exit.USAGE
    assert "There is no batch in this database" in capsys.readouterr().err
    fill(database, [clip(1)])
    assert run(["export", "nigth", "--to", "x", "--format", "csv"]) == Exit.ERROR
    assert "There is no batch 'nigth'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["parquet", "webdataset"])
def test_a_missing_library_is_named_before_anything_is_made(
    name: str,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    fill(database, [clip(1)])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert export("set", name) == Exit.ERROR
    assert "pip install 'overnight[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_json_is_one_object(database: Database, tmp_path: Path, capsys: Capture) -> None:
    fill(database, [clip(n) for n in range(4)])
    assert export("set", "csv", "--json", "--split", "train=0.5,test=0.5") == Exit.DONE
    [told] = lines(capsys)
    assert told["to"] == str(tmp_path / "set")
    assert (told["format"], told["batches"], told["samples"]) == ("csv", ["night"], 4)
    assert sum(told["splits"].values()) == 4
    assert told["bytes"] == 4 * 140
    assert told["files"] == {"linked": 4, "copied": 0, "kept": 0}


def test_rows_say_what_the_job_was(database: Database, tmp_path: Path) -> None:
    fill(database, [clip(7, block="dawn", tags=("a",), cost=0.25, variables={"style": "Film"})])
    assert export() == Exit.DONE
    [row] = metadata(tmp_path / "set")
    content = b"clip 7 " * 20
    assert row == {
        "file_name": "videos/seed7.mp4",
        "key": "seed7",
        "fingerprint": clip(7).fingerprint,
        "batch": "night",
        "block": "dawn",
        "tags": ["a"],
        "repeat": 1,
        "model": clip(7).model,
        "state": "succeeded",
        "request_id": "req-seed7",
        "attempts": 1,
        "cost": 0.25,
        "submitted_at": "1970-01-01T00:33:21.000+00:00",
        "finished_at": "1970-01-01T00:33:21.000+00:00",
        "inputs": {
            "image": "RunComfy_examples_1235_1.png",
            "prompt": "Käfig 7 日本 🌙",
            "seed": 7,
        },
        "input_image": "RunComfy_examples_1235_1.png",
        "variables": {"style": "Film"},
        "position": 0,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "content_type": "video/mp4",
        "suspect": None,
    }


# --- progress -------------------------------------------------------------------------------------


def test_a_terminal_sees_a_bar(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database, [clip(n) for n in range(3)])
    monkeypatch.setattr(parts, "is_terminal", lambda _: True)
    assert export() == Exit.DONE
    assert "Exporting" in capsys.readouterr().err


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with parts.watching(Output()) as watcher:
        watcher.total(3, 3_000)
        watcher.passed(1_000)
        assert capsys.readouterr().err == ""
        now = 61.0
        watcher.passed(1_000)
        assert "Exporting: 2 of 3 files, 2 kB" in capsys.readouterr().err
        watcher.passed(1_000)
        assert capsys.readouterr().err == ""
