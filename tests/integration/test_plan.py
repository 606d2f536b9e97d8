"""Plans, as another program and a person at a terminal see them: real processes, the emulator."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from overnight.emulator import Emulator, Settings, Span
from tests.integration.cli_shell import PATIENCE, Shell


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=2, service=Span(0.05, 0.1))) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, emulator: Emulator) -> Shell:
    return Shell(tmp_path, emulator)


async def planned(shell: Shell, *arguments: str) -> dict[str, Any]:
    done = await shell.run("plan", "jobs.yaml", "--json", *arguments)
    assert (done.code, done.err) == (0, "")
    [found] = done.objects
    return found


async def test_a_plan_asks_nobody_and_leaves_nothing_behind(shell: Shell) -> None:
    shell.manifest(3, price=0.05)
    found = await planned(shell)
    assert (found["jobs"], found["new"], found["cost"]) == (3, 3, pytest.approx(0.15))
    assert [path.name for path in shell.folder.iterdir()] == ["jobs.yaml"]
    assert sum(shell.emulator.ledger.calls.values()) == 0


async def test_what_was_planned_is_what_is_run(shell: Shell) -> None:
    shell.manifest(3, price=0.05)
    done = await shell.run("plan", "jobs.yaml", "-o", "agreed.json", "--json", "--show", "99")
    [plan] = done.objects
    shell.manifest(50)
    ran = await shell.run("run", "agreed.json", "--yes", "--json")
    assert ran.code == 0, ran.err
    [said] = [one for one in ran.objects if one["event"] == "plan"]
    assert (said["to_submit"], said["cost"]) == (3, pytest.approx(0.15))
    sent = [entry.inputs for entry in shell.emulator.ledger.accepted]
    assert sorted(map(str, sent)) == sorted(str(job["inputs"]) for job in plan["sample"])
    again = await shell.run("run", "agreed.json", "--json")
    assert (again.code, again.objects[-1]["ending"]) == (0, "done")
    assert len(shell.emulator.ledger.accepted) == 3


async def test_over_the_limit_nothing_is_loaded_or_submitted(shell: Shell) -> None:
    shell.manifest(3, price=0.05, limits={"cost": 0.12})
    done = await shell.run("run", "jobs.yaml", "--yes", "--json")
    assert (done.code, done.objects) == (2, [])
    assert "limits.cost allows $0.12; this would cost $0.15, which is too much." in done.err
    assert (await shell.run("status", "--json")).objects == []
    shell.manifest(2, price=0.05, limits={"cost": 0.12})
    assert (await shell.run("run", "jobs.yaml", "--yes")).code == 0
    # What was spent counts for good: the provider's own price is $0.05.
    shell.manifest(3, price=0.05, limits={"cost": 0.12})
    done = await shell.run("run", "jobs.yaml", "--yes")
    assert done.code == 2
    assert "$0.10 of it spent already" in done.err
    assert await shell.states() == {"succeeded": 2}
    assert len(shell.emulator.ledger.accepted) == 2


async def test_the_time_is_learnt_from_what_has_run(shell: Shell) -> None:
    shell.manifest(2)
    assert (await planned(shell))["seconds"] is None
    assert (await shell.run("run", "jobs.yaml", "--yes")).code == 0
    shell.manifest(10)
    found = await planned(shell)
    assert found["to_submit"] == 8
    assert found["seconds"] > 0


async def test_a_plan_can_be_looked_at_while_a_worker_is_busy(tmp_path: Path) -> None:
    async with Emulator(Settings(slots=1, service=Span(30, 30))) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.manifest(2, price=0.05, limits={"cost": 5})
        running = await shell.start("run", "jobs.yaml", "--yes")
        async with asyncio.timeout(PATIENCE):
            await emulator.until(lambda ledger: len(ledger.accepted) == 2)
        shell.manifest(3, price=0.05, limits={"cost": 5})
        found = await planned(shell)
        assert (found["new"], found["to_submit"], found["states"]["pending"]) == (1, 1, 0)
        # What is with the provider counts as spent, at the price that was expected.
        assert found["spent"] == pytest.approx(0.10)
        assert (await shell.signalled(running, signal.SIGINT, accepted=2)).code == 130


async def test_problems_are_objects_for_programs(shell: Shell) -> None:
    (shell.folder / "jobs.yaml").write_text("version: 1\nmodle: x\n", encoding="utf-8")
    for verb in ("plan", "load", "run"):
        done = await shell.run(verb, "jobs.yaml", "--json")
        assert done.code == 2
        [found] = done.objects
        assert found["problems"][0]["line"] == 2
        assert "jobs.yaml:2" in done.err


class Terminal:
    """A terminal of so many columns, and everything that was written to it."""

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = os.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    async def shown(self) -> str:
        """Everything, once nobody writes any more."""
        os.close(self.theirs)
        found = b""
        while True:
            try:
                part = await asyncio.to_thread(os.read, self._ours, 65536)
            except OSError:  # how Linux says that the other side is closed
                part = b""
            if not part:
                os.close(self._ours)
                return found.decode()
            found += part


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_terminal_s_width_is_kept(columns: int, shell: Shell) -> None:
    shell.manifest(2, price=0.05, limits={"cost": 5})
    text = (shell.folder / "jobs.yaml").read_text("utf-8")
    prompt = " ".join(["夜の港に雪が降る", "🌙", "Käfig", "long", "words"] * 9)
    text = text.replace("Ein Käfig im Nebel 🌙", prompt)
    (shell.folder / "jobs.yaml").write_text(text, encoding="utf-8")
    terminal = Terminal(columns)
    process = await shell.start("plan", "jobs.yaml", stdout=terminal.theirs)
    shown, done = await asyncio.gather(terminal.shown(), shell.end(process))
    assert done.code == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    wide = [line for line in lines if cell_len(line) > columns]
    assert wide == []
    assert max(map(cell_len, lines)) > columns - 12
    assert "夜の港に雪が降る" in shown


async def test_a_plan_in_a_pipe_is_plain_text(shell: Shell) -> None:
    shell.manifest(2)
    done = await shell.run("plan", "jobs.yaml")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert done.out.endswith("Go ahead with: overnight run jobs.yaml\n")
    assert json.dumps("Ein Käfig im Nebel 🌙", ensure_ascii=False)[1:-1] in done.out
