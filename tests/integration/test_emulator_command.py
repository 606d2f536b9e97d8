"""``overnight emulator`` as a process: what it prints, that it serves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from overnight.cli.emulator import emulator

COMMAND = [sys.executable, "-c", "from overnight.cli.emulator import emulator; emulator()"]
SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, killed at the end if it is still there."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_to_use_it_serves_and_ends_quietly(number: signal.Signals) -> None:
    options = ("--port", "0", "--media", "bytes", "--token", "moonrise", "--balance", "3")
    with started(*options) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(3)]
        base = lines[1][1].removeprefix("RUNCOMFY_MODEL_API_BASE=")
        token = lines[2][1].removeprefix("RUNCOMFY_API_TOKEN=")
        assert (lines[1][0], lines[2], token) == (
            "export",
            ["export", "RUNCOMFY_API_TOKEN=moonrise"],
            "moonrise",
        )
        assert base.startswith("http://127.0.0.1:")
        url = base.removesuffix("/v1") + "/prod/v2/balance"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["balance_usd"] == 3
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with started("--port", "0", "--media", "bytes") as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[4].rpartition(":")[2]
        ended = CliRunner().invoke(emulator, ["--port", port, "--media", "bytes"])
    assert ended.exit_code == 1
    assert ended.output == (
        f"Error: Port {port} is taken. Give another one with --port, or 0 for any free one.\n"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fault", "submit:throtle"], "Did you mean throttle?"),
        (["--fault", "throttle@10%"], "CALL:FAULT"),
        (["--host", "0.0.0.0"], "this machine only"),
        (["--service", "soon"], "is no time"),
        (["--queue-delay", "9..1"], "from a smaller to a larger"),
        (["--slots", "0"], "at least one slot"),
        (["--token", ""], "token"),
    ],
)
def test_a_wrong_option_is_one_line_without_a_traceback(options: list[str], told: str) -> None:
    ended = CliRunner().invoke(emulator, [*options, "--port", "0", "--media", "bytes"])
    assert ended.exit_code == 1
    assert told in ended.output
    assert ended.output.startswith("Error: ")
    assert ended.output.count("\n") == 1
