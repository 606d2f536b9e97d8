"""Starting the program: what is imported, what help says, completion, exit codes of bad usage."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from overnight import __version__
from overnight.cli import main as entry
from overnight.cli.exits import Exit
from overnight.store.database import Database
from tests.unit.cli_night import Night, fill

HEAVY = ("sqlalchemy", "aiohttp", "httpx", "rich", "pydantic", "yaml", "alembic", "platformdirs")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], [], ["bogus"]])
def test_a_start_without_a_verb_imports_nothing_heavy(arguments: Sequence[str]) -> None:
    code = (
        "import sys; from overnight.cli import main\n"
        f"main.cli.main({list(arguments)!r}, standalone_mode=False)\n"
        if arguments != ["bogus"]
        else "import sys; import overnight.cli.main\n"
    )
    code += f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    done = python("-c", code)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "LOADED []"


NOT_TO_READ = (
    *HEAVY,
    *("apscheduler", "jinja2", "jsonschema_rs", "psutil"),
    # Of Python's own, what others bring along.
    *("asyncio", "email", "hashlib", "importlib.metadata", "socket", "ssl", "urllib.request"),
    *("overnight.engine", "overnight.manifest", "overnight.catalog", "overnight.export"),
    *("overnight.store.queue", "overnight.store.loading", "overnight.store.writer"),
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["jobs"],
        ["jobs", "--state", "pending", "--after", "2"],
        ["jobs", "--json"],
        ["jobs", "--suspect", "--tag", "a"],
        ["show", "1"],
        ["show", "seed2"],
        ["show", "1", "--json"],
    ],
)
def test_a_command_that_reads_imports_nothing_else_that_is_heavy(
    arguments: Sequence[str], database: Database
) -> None:
    fill(database)
    done = python(
        "-c",
        "import sys; from overnight.cli import main\n"
        f"code = main.run({[*arguments, '--db', str(database)]!r})\n"
        f"print('LOADED', code, [m for m in {NOT_TO_READ!r} if m in sys.modules])",
    )
    assert done.stdout.splitlines()[-1] == "LOADED 0 []"


def test_status_beside_a_worker_imports_no_more_than_it_takes_to_look_at_its_process(
    database: Database,
) -> None:
    fill(database)
    Night(database, time.time())
    not_to_read = [name for name in NOT_TO_READ if name not in ("psutil", "socket")]
    done = python(
        "-c",
        "import sys; from overnight.cli import main\n"
        f"code = main.run({['status', '--db', str(database)]!r})\n"
        f"print('LOADED', code, [m for m in {not_to_read!r} if m in sys.modules])",
    )
    assert f"A worker is busy with them: process {os.getpid()} on" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED 0 []"


def test_work_with_nothing_to_do_says_so_before_anything_heavy_is_imported(
    database: Database,
) -> None:
    fill(database)
    assert entry.run(["cancel", "--batch", "night", "--yes", "--db", str(database)]) == Exit.DONE
    not_to_read = [name for name in NOT_TO_READ if name != "overnight.engine"]
    done = python(
        "-c",
        "import sys; from overnight.cli import main\n"
        f"code = main.run({['work', '--db', str(database)]!r})\n"
        f"print('LOADED', code, [m for m in {[*not_to_read, 'overnight.engine.worker']!r}"
        " if m in sys.modules])",
    )
    assert done.stdout.splitlines()[-2:] == ["There is nothing left to do.", "LOADED 0 []"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["--version"]) == Exit.DONE
    assert capsys.readouterr().out == f"overnight {__version__}\n"


def test_it_runs_as_a_module() -> None:
    done = python("-m", "overnight", "--version")
    assert (done.returncode, done.stdout) == (0, f"overnight {__version__}\n")


def test_alone_it_prints_help_and_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run([]) == Exit.DONE
    out = capsys.readouterr().out
    assert "overnight demo" in out
    assert "overnight run jobs.yaml" in out
    for verb in entry.VERBS:
        assert f"  {verb} " in out


def test_every_verb_can_be_loaded_and_explains_itself() -> None:
    ctx = click.Context(entry.cli, info_name="overnight")
    for name in entry.VERBS:
        command = entry.cli.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.help


def flags(command: click.Command, path: str) -> list[tuple[str, click.Option]]:
    inner = command.commands.items() if isinstance(command, click.Group) else []
    found = [(path, o) for o in command.params if isinstance(o, click.Option)]
    for name, below in inner:
        found += flags(below, f"{path}_{name}")
    return found


def test_every_flag_has_an_environment_variable_named_after_it() -> None:
    ctx = click.Context(entry.cli, info_name="overnight")
    for name in entry.VERBS:
        command = entry.cli.get_command(ctx, name)
        assert command is not None
        for path, option in flags(command, f"OVERNIGHT_{name}"):
            flag = max(option.opts, key=len)[2:].replace("-", "_")
            expected = "OVERNIGHT_DB" if flag == "db" else f"{path}_{flag}".upper()
            assert option.envvar == expected


def test_an_unknown_verb_is_one_sentence_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["bogus"]) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "overnight: No such command 'bogus'. (`overnight --help` tells more.)\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["completion", shell]) == Exit.DONE
    script = capsys.readouterr().out
    assert f"_OVERNIGHT_COMPLETE={shell}_complete" in script


def test_completing_a_verb_imports_no_verb() -> None:
    code = (
        "import sys; from overnight.cli import main\n"
        "import click\n"
        "ctx = click.Context(main.cli, info_name='overnight')\n"
        "print([i.value for i in main.cli.shell_complete(ctx, 's')])\n"
        "print([m for m in sys.modules if m.startswith('overnight.cli.')])"
    )
    done = python("-c", code)
    names, modules = done.stdout.splitlines()
    assert names == "['status', 'show', 'schema']"
    assert modules == "['overnight.cli.exits', 'overnight.cli.main']"


def test_a_bash_completes_verbs_and_states(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
        "_OVERNIGHT_COMPLETE": "bash_complete",
        "COMP_WORDS": "overnight jobs --state f",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", "overnight"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout == "plain,failed\n"
