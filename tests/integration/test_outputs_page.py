"""``docs/outputs.md`` says what the program does: its commands are run, its figures compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from overnight.artifacts import decoder, errand, probe, verdict
from overnight.emulator import Emulator, Settings
from overnight.engine.verification import Finding
from tests.integration.cli_shell import Done, Shell

PAGE = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[list[str]]:
    return [shlex.split(line.removeprefix("$ ")) for line in block.splitlines()]


async def typed(shell: Shell, words: list[str]) -> Done | None:
    """One line of the page; ``rm`` is done here."""
    if words[0] == "overnight":
        return await shell.run(*words[1:])
    assert words[:2] == ["rm", "-r"]
    for path in shell.folder.glob(words[2]):
        path.unlink()
    return None


async def test_what_the_page_says_to_type_does_what_it_says(tmp_path: Path) -> None:
    first, second = blocks("console")
    [emulator_words] = commands(first)
    faults = emulator_words[3::2]
    assert emulator_words[:3] == ["overnight", "emulator", "--fault"]
    async with Emulator(Settings(media="clip"), faults=faults) as emulator:
        shell = Shell(tmp_path, emulator)
        (tmp_path / "jobs.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
        ends = [await typed(shell, words) for words in commands(second)]
        run, suspects, found, _, repaired = ends
        assert run is not None
        assert suspects is not None
        assert run.code == 0
        assert "1 job has a suspect file" in run.out
        assert "nothing moves in it" in suspects.out
        assert found is not None
        assert (found.code, "nothing moves in it" in found.out) == (3, True)
        assert repaired is not None
        # The one in which nothing moves is home again, and still what it was.
        assert (repaired.code, "1 suspect, 3 repaired" in repaired.out) == (3, True)
        assert len(list((tmp_path / "clips").glob("*.mp4"))) == 3
        assert len(emulator.ledger.accepted) == 3


def test_the_figures_are_the_code_s() -> None:
    rows = dict(re.findall(r"^\| ([a-z, ]+) \| (.+) \|$", PAGE, re.MULTILINE))
    assert f"more than {verdict.FRAMES:.0%} (and more than 4)" in rows["frames"]
    assert f"more than {verdict.RATE:.0%}" in rows["frames per second"]
    assert f"more than {verdict.DURATION:.0%} (and more than half a second)" in rows["duration"]
    assert f"more than {verdict.SIDE:.0%} (and more than 16 pixels)" in rows["width, height"]
    assert f"brighter than {decoder.BLACK} of 255" in rows["picture"]
    assert f"more than {decoder.STILL} of 255" in rows["motion"]
    assert verdict.MULTIPLES == 4
    for name in ("frames", "frames per second", "width, height"):
        assert "2, 3 and 4 times" in rows[name]
    assert f"more than {probe.SECONDS:.0f} seconds" in PAGE.replace("\n", " ")
    assert f"{decoder.PIXELS // 10**6} million pixels" in PAGE
    assert f"last {errand.OVERLAP // 1024} KiB" in PAGE


def test_every_finding_is_in_the_table() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert listed == [finding.value for finding in Finding]
