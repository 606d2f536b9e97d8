"""What is shipped works: the wheel, installed into a fresh environment, away from the checkout.

A file that the wheel lacks (a migration, a schema, the example) is never missed from a checkout,
so these tests are the only ones that can see it. They need the network, for the package index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import av
import pytest

from overnight import __version__
from overnight.store.opening import SCHEMA_HEAD

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[1]

ESSENTIAL = (
    "overnight/py.typed",
    "overnight/catalog/bundled/community__wan-2-1__fusionx__image-to-video.json",
    "overnight/emulator/catalogue/emulator__lantern__text-to-video.json",
    "overnight/_alembic/env.py",
    "overnight/_alembic/script.py.mako",
    "overnight/_alembic/versions/0001_first.py",
    "overnight/_examples/jobs.example.yaml",
)
"""What is not a module of the package and would be missed only by a user."""

MOVED = {
    "src/overnight": "overnight",
    "alembic": "overnight/_alembic",
    "jobs.example.yaml": "overnight/_examples/jobs.example.yaml",
}
"""Where the checkout's parts stand in the wheel."""

PATIENCE = 600
"""Seconds after which a program counts as hung."""


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What a program printed on stdout; it must end well."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel of this checkout, made in ``folder``."""
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *("--outdir", folder / "dist", ROOT),
        cwd=folder,
    )
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The programs' folder of a fresh environment in ``folder`` that has the wheel in it."""
    home = folder / "venv"
    venv.create(home, symlinks=True)
    programs = home / "bin"
    # This environment's pip fills the other one: it need not be installed there first. Its
    # settings (an index, a proxy, a cache) come from the environment, its modules must not.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run(
        *(sys.executable, "-m", "pip", "--python", programs / "python", "--quiet"),
        *("--disable-pip-version-check", "install", "--constraint", ROOT / "constraints.txt"),
        f"{wheel}[demo]",
        cwd=folder,
        env=environ,
    )
    return programs


def shipped(wheel: Path) -> set[str]:
    """Every file in the wheel, without its metadata."""
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def to_ship() -> set[str]:
    """Every file of the checkout that belongs into the wheel, by its name there."""
    names: set[str] = set()
    for source, target in MOVED.items():
        path = ROOT / source
        found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        names |= {
            f"{target}/{file.relative_to(path).as_posix()}".removesuffix("/.")
            for file in found
            if "__pycache__" not in file.parts
        }
    return names


def test_the_wheel_holds_the_whole_package_and_nothing_else(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    names = shipped(wheel)
    assert set(ESSENTIAL) - names == set()
    assert any(name.startswith(f"overnight/_alembic/versions/{SCHEMA_HEAD}_") for name in names)
    assert names == to_ship()
    with ZipFile(wheel) as archive:
        folder = f"overnight-{__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert (metadata["Name"], metadata["Version"]) == ("overnight", __version__)
    assert metadata["License-Expression"] == "Apache-2.0"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Path]:
    """Where the programs of a fresh environment are; it is large, and goes when the test ends."""
    try:
        yield install(build(tmp_path), tmp_path)
    finally:
        shutil.rmtree(tmp_path / "venv", ignore_errors=True)


def test_an_installed_copy_runs_the_demo(programs: Path, tmp_path: Path) -> None:
    desk, home = tmp_path / "desk", tmp_path / "home"
    desk.mkdir()
    home.mkdir()
    # Nothing of the tests' own environment: no PYTHONPATH, no token, no settings.
    environ = {"PATH": f"{programs}:{os.defpath}", "HOME": str(home), "LANG": "C.UTF-8"}

    check_origin(programs / "python", desk, environ)
    overnight = programs / "overnight"
    assert run(overnight, "--version", cwd=desk, env=environ).split() == ["overnight", __version__]
    run(overnight, "demo", cwd=desk, env=environ)
    folder = desk / "overnight-demo"
    clips = sorted(folder.rglob("*.mp4"))
    assert len(clips) >= 12
    for clip in clips:
        check_playable(clip)
    [batch] = run(overnight, "status", "--json", cwd=folder, env=environ).splitlines()
    status = json.loads(batch)
    assert status["total"] == status["states"]["succeeded"] == len(clips)
    [schema] = run(overnight, "db", "current", "--json", cwd=folder, env=environ).splitlines()
    assert json.loads(schema)["schema"] == SCHEMA_HEAD


def check_origin(python: Path, desk: Path, environ: dict[str, str]) -> None:
    """The package must come from the environment, and the checkout must be out of reach."""
    script = (
        "import importlib.util, json, sys, overnight;"
        "print(json.dumps([overnight.__file__, sys.path, importlib.util.find_spec('tests') is None,"
        " importlib.util.find_spec('pytest') is None]))"
    )
    origin, path, no_tests, no_pytest = json.loads(run(python, "-c", script, cwd=desk, env=environ))
    assert Path(origin).is_relative_to(python.parents[1])
    assert not [entry for entry in path if Path(entry or desk).is_relative_to(ROOT)]
    assert no_tests
    assert no_pytest


def check_playable(clip: Path) -> None:
    """Every frame decodes, and the clip is as large and as long as the example asks for."""
    with av.open(str(clip)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert frames == [(480, 480)] * 81
