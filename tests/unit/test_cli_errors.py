"""Every error that a user can cause: one or two sentences, the right code, no traceback."""

import os
import signal
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from overnight.cli import failures, load, output
from overnight.cli import run as verbs
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.engine.collect import StorageError
from overnight.store import leases
from overnight.store.database import open_database
from overnight.store.errors import AnotherWorker

Capture = pytest.CaptureFixture[str]

MANIFEST = """\
version: 1
name: tiny
model: community/wan-2-1/fusionx/image-to-video
inputs: {image: RunComfy_examples_1235_1.png, prompt: A lantern in the fog}
matrix: {seed: [1, 2]}
output: {dir: clips}
"""

TOKEN = "tok-5f9c1e7a2b"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with nothing in it: no token, no database, no terminal."""
    before = signal.getsignal(signal.SIGTERM)
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "OVERNIGHT_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verbs, "can_ask", lambda: False)
    (tmp_path / "jobs.yaml").write_text(MANIFEST)
    yield tmp_path
    # Loading lets SIGTERM end it the way Ctrl-C does.
    signal.signal(signal.SIGTERM, before)


def nothing(_: Path) -> None:
    pass


def not_a_database(folder: Path) -> None:
    (folder / "overnight.db").write_text("these are not the pages of a database " * 100)


def a_folder(folder: Path) -> None:
    (folder / "overnight.db").mkdir()


def of_another_program(folder: Path) -> None:
    with sqlite3.connect(folder / "overnight.db") as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()


def of_the_future(folder: Path) -> None:
    open_database(str(folder / "overnight.db"), create=True).close()
    with sqlite3.connect(folder / "overnight.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def a_bad_manifest(folder: Path) -> None:
    (folder / "jobs.yaml").write_text(MANIFEST.replace("seed:", "sed:"))


def a_bad_token(folder: Path) -> None:
    os.environ["RUNCOMFY_API_TOKEN"] = "<your token>"


def a_bad_base(folder: Path) -> None:
    os.environ["RUNCOMFY_API_TOKEN"] = TOKEN
    os.environ["RUNCOMFY_MODEL_API_BASE"] = "http://example.org"


def an_unwritable_folder(folder: Path) -> None:
    os.environ["RUNCOMFY_API_TOKEN"] = TOKEN
    (folder / "clips").write_text("a file stands where the folder should be")


def an_empty_database(folder: Path) -> None:
    open_database(str(folder / "overnight.db"), create=True).close()


CASES: list[tuple[str, Callable[[Path], None], list[str], Exit, str]] = [
    ("no such manifest", nothing, ["run", "nope.yaml", "--yes"], Exit.USAGE, "nope.yaml"),
    ("a folder as manifest", nothing, ["load", "."], Exit.USAGE, "folder"),
    ("a bad manifest", a_bad_manifest, ["load", "jobs.yaml"], Exit.USAGE, "jobs.yaml:5"),
    ("no database", nothing, ["status"], Exit.ERROR, "overnight load FILE"),
    ("a folder as database", a_folder, ["status"], Exit.ERROR, "--db"),
    ("not a database", not_a_database, ["jobs"], Exit.ERROR, "not a SQLite database"),
    ("another program's", of_another_program, ["load", "jobs.yaml"], Exit.ERROR, "another program"),
    ("a newer database", of_the_future, ["work"], Exit.ERROR, "newer overnight"),
    ("a newer one, upgraded", of_the_future, ["db", "upgrade"], Exit.ERROR, "newer overnight"),
    ("no such folder", nothing, ["load", "jobs.yaml", "--db", "no/x.db"], Exit.ERROR, "Make it"),
    ("a URL we can't use", nothing, ["status", "--db", "mysql://h/d"], Exit.ERROR, "sqlite:///"),
    ("no terminal, no --yes", nothing, ["run", "jobs.yaml"], Exit.USAGE, "--yes"),
    ("no token", nothing, ["run", "jobs.yaml", "--yes"], Exit.ERROR, "RUNCOMFY_API_TOKEN"),
    ("a bad token", a_bad_token, ["run", "jobs.yaml", "--yes"], Exit.ERROR, "placeholder"),
    ("a bad base", a_bad_base, ["run", "jobs.yaml", "--yes"], Exit.ERROR, "MODEL_API_BASE"),
    ("no output folder", an_unwritable_folder, ["run", "jobs.yaml", "--yes"], Exit.ERROR, "clips"),
    ("an unknown state", nothing, ["jobs", "--state", "done"], Exit.USAGE, "'succeeded'"),
    ("an unknown batch", an_empty_database, ["jobs", "--batch", "b"], Exit.ERROR, "no batch 'b'"),
    ("an unknown job", an_empty_database, ["show", "77"], Exit.ERROR, "no job '77'"),
    ("work on an unknown batch", an_empty_database, ["work", "b"], Exit.ERROR, "no batch 'b'"),
    ("cancel an unknown job", an_empty_database, ["cancel", "77"], Exit.ERROR, "no job '77'"),
    ("no such shell", nothing, ["completion", "tcsh"], Exit.USAGE, "'fish'"),
    ("too few slots", nothing, ["run", "jobs.yaml", "--concurrency", "0"], Exit.USAGE, "0"),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "says"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_mistake_is_a_sentence_and_a_code(
    prepare: Callable[[Path], None],
    arguments: list[str],
    code: Exit,
    says: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    # What a preparation puts into the environment goes with the test.
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "")
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "")
    prepare(home)
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert TOKEN not in captured.err + captured.out
    assert not (home / ".local").exists(), "a user's mistake was taken for a bug"


def test_without_yes_nothing_is_loaded(home: Path, capsys: Capture) -> None:
    assert run(["run", "jobs.yaml"]) == Exit.USAGE
    capsys.readouterr()
    assert run(["status", "--json"]) == Exit.DONE
    assert capsys.readouterr().out == ""


def test_a_no_leaves_everything_unsubmitted_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", TOKEN)
    monkeypatch.setattr(verbs, "can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert run(["run", "jobs.yaml"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "2 jobs to submit, which may be paid for" in said
    assert "community/wan-2-1/fusionx/image-to-video" in said
    assert "at most 4 at once" in said
    assert "overnight run jobs.yaml" in said.splitlines()[-1]


def test_a_run_beside_another_worker_is_refused_before_anything_is_loaded(
    home: Path, capsys: Capture
) -> None:
    with open_database("overnight.db", create=True) as database:
        with database.writing() as connection:
            leases.take(connection, leases.Identity.of_this_process(), time.time())
        assert run(["run", "jobs.yaml", "--yes"]) == Exit.ANOTHER_WORKER
        assert "Another worker" in capsys.readouterr().err
        assert run(["load", "jobs.yaml"]) == Exit.DONE
        assert "submits the new jobs by itself" in capsys.readouterr().err


def test_loading_says_what_it_did_and_is_idempotent(home: Path, capsys: Capture) -> None:
    assert run(["load", "jobs.yaml"]) == Exit.DONE
    assert "2 jobs of tiny: 2 new, 0 there already." in capsys.readouterr().err
    (home / "jobs.yaml").write_text(MANIFEST.replace("[1, 2]", "[2, 3, 3]"))
    assert run(["load", "jobs.yaml", "--json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert "1 new, 1 there already, 1 stand twice" in captured.err
    assert "1 job of the batch is not in the manifest any more" in captured.err
    assert '"new": 1, "existing": 1, "repeated": 1, "gone": 1' in captured.out


# --- bugs, and what is no bug ---------------------------------------------------------------------


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(load, "load_manifest", fail)


def test_a_bug_is_logged_without_the_token(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", TOKEN)
    fail_with(ValueError(f"sent Authorization: Bearer other-{TOKEN}-x and {TOKEN}"), monkeypatch)
    assert run(["load", "jobs.yaml"]) == Exit.ERROR
    said = capsys.readouterr().err
    assert "bug in overnight (ValueError)" in said
    [log] = (home / ".local/state/overnight").iterdir()
    assert str(log) in said
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "Traceback" in text
    assert TOKEN not in text + said


def test_the_token_of_the_file_is_masked_too(home: Path) -> None:
    folder = home / ".config" / "runcomfy"
    folder.mkdir(parents=True)
    (folder / "token.json").write_text(f'{{"access_token": "{TOKEN}"}}')
    assert failures.without_token(f"a {TOKEN} b") == "a *** b"


def test_a_bug_whose_log_can_not_be_written_still_tells(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (home / ".local").write_text("in the way")
    fail_with(ValueError("x"), monkeypatch)
    assert run(["load", "jobs.yaml"]) == Exit.ERROR
    assert "could not be saved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (AnotherWorker("Busy."), Exit.ANOTHER_WORKER, "Busy.\n"),
        (StorageError("The disk is full."), Exit.ERROR, "The disk is full.\n"),
        (OSError(28, "No space left on device", "/x"), Exit.ERROR, "/x: No space left on device."),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "Interrupted."),
        (click.Abort(), Exit.INTERRUPTED, "Interrupted."),
        (BrokenPipeError(), Exit.ERROR, ""),
        (ExceptionGroup("two", [AnotherWorker("Busy.")]), Exit.ANOTHER_WORKER, "Busy.\n"),
    ],
)
def test_what_is_known_has_its_code(
    error: BaseException, code: Exit, says: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fail_with(error, monkeypatch)
    assert run(["load", "jobs.yaml"]) == code
    said = capsys.readouterr().err
    assert said.lstrip("\n").startswith(says)
    assert "bug" not in said


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.04, "0.0 s"), (59.4, "59 s"), (60, "1 min"), (61, "1 min 1 s")),
        *((3599, "59 min"), (3600, "1 h 0 min"), (90_000, "25 h 0 min")),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert output.span(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1 kB"), (978_123, "978 kB")),
        *((2_500_000_000, "2.5 GB"), (3 * 10**12, "3 TB")),
    ],
)
def test_sizes_in_words(number: int, words: str) -> None:
    assert output.size(number) == words
