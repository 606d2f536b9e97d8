"""``overnight demo``: the whole way of a batch, on this machine, without an account.

It starts the bundled emulator inside this process, runs the example manifest against it, and
leaves a folder in which every other command can be tried. The user's own token is never looked
for: the emulator has one of its own.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import interrupts
from overnight.cli.exits import Exit
from overnight.cli.load import load_manifest
from overnight.cli.output import Output, count
from overnight.cli.run import require_no_worker
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.cli.session import Outcome
    from overnight.manifest import Manifest
    from overnight.store.database import Database
    from overnight.store.rows import Batch

FOLDER = Path("overnight-demo")
EXAMPLE = "jobs.example.yaml"
DATABASE = "overnight.db"

SERVICE = (1.0, 3.0)
"""Seconds that the emulator takes for a clip: long enough to watch, short enough to wait for."""


def example() -> Path:
    """The example manifest: inside the package when installed, else the checkout's own."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_examples" / EXAMPLE
    return shipped if shipped.is_file() else package.parents[1] / EXAMPLE


@click.command()
@click.option("--fresh", is_flag=True, help="Delete the last demo's clips and database first.")
def demo(fresh: bool) -> int:
    """Run the example manifest against an emulator on this machine: no account, no token, no cost.

    Everything goes into the folder overnight-demo, here. Again, it goes on or has nothing to do.
    """
    if find_spec("av") is None:
        raise click.ClickException(
            "The demo makes real clips and needs PyAV for it: pip install 'overnight[demo]'"
        )
    from overnight.manifest import read_manifest

    output = Output()
    interrupts.terminate_like_ctrl_c()
    FOLDER.mkdir(exist_ok=True)
    manifest_path = FOLDER / EXAMPLE
    if not manifest_path.exists():
        _copy_example(manifest_path)
    manifest = read_manifest(manifest_path)
    # Asked first in any case: nothing may be deleted under a demo that is running.
    cut_short = _was_cut_short()
    if fresh or cut_short:
        if not fresh:
            output.note("The last demo was cut short, and its emulator is gone: starting anew.")
        _clear(manifest)
    return _run(manifest, output)


def _copy_example(target: Path) -> None:
    """The example, and beside it the grammar for editors, which its first line names."""
    from overnight.cli import schema

    beside = target.parent / schema.BESIDE
    _, _, rest = example().read_text(encoding="utf-8").partition("\n")
    schema.write(beside)
    target.write_text(f"{schema.first_line(beside)}\n{rest}", encoding="utf-8")


def _run(manifest: Manifest, output: Output) -> Exit:
    from overnight.cli import eventloop, session, summary
    from overnight.cli.wanted import Wanted
    from overnight.manifest.reading import MAX_JOBS
    from overnight.store.database import open_database

    with open_database(str(FOLDER / DATABASE), create=True) as database:
        require_no_worker(database)
        wanted = Wanted(manifest.path, manifest, MAX_JOBS)
        batch = load_manifest(database, wanted, output).batch
        outcome = None
        if batch.unsettled:
            session.require_folders([batch])
            output.note(
                f"An emulator of the API runs on this machine; {count(batch.total, 'clip')} of "
                f"{SERVICE[0]:g} to {SERVICE[1]:g} s each, at most {manifest.run.concurrency} at "
                "once. Ctrl-C stops."
            )
            outcome = eventloop.run(_work(database, batch, output))
        suffix = f" --db {shlex.quote(str(FOLDER / DATABASE))}"
        end = summary.read(database, [batch], outcome, "overnight demo", suffix)
        code = summary.tell(end, output)
    if code is Exit.DONE:
        output.say(what_next(manifest))
    return code


async def _work(database: Database, batch: Batch, output: Output) -> Outcome:
    from overnight.cli import session
    from overnight.emulator import Emulator, EmulatorError, Settings, Span
    from overnight.providers.credentials import Account
    from overnight.providers.redaction import Secret

    try:
        settings = Settings(service=Span(*SERVICE), media="clip")
        async with Emulator(settings) as emulator:
            account = Account(emulator.base_url, Secret(settings.token), "the demo's emulator")
            return await session.work(database, [batch], account, output)
    except EmulatorError as error:
        raise click.ClickException(str(error)) from error


def what_next(manifest: Manifest) -> str:
    """What to try after the demo: commands that work as they stand."""
    program = shlex.quote(_program())
    return "\n".join(
        [
            "",
            f"The clips are in {manifest.output.dir}. What to try next:",
            f"  cd {FOLDER}",
            f"  {program} status",
            f"  {program} jobs",
            f"  {program} show 1",
            "With an account of your own (this costs money):",
            "  export RUNCOMFY_API_TOKEN=…",
            f"  {program} run {EXAMPLE} --db mine.db",
        ]
    )


def _program() -> str:
    """What to type for this program, from any folder."""
    started = Path(sys.argv[0])
    if shutil.which("overnight") or started.name != "overnight":
        return "overnight"
    return str(started.absolute())


# --- the last demo --------------------------------------------------------------------------------


def _was_cut_short() -> bool:
    """Whether the last demo left jobs with an emulator, which ended with it."""
    from overnight.lifecycle import IN_FLIGHT
    from overnight.store import views
    from overnight.store.database import open_database

    path = FOLDER / DATABASE
    if not path.exists():
        return False
    with open_database(str(path), create=True) as database:
        require_no_worker(database)
        with database.reading() as connection:
            batches = views.all_batches(connection)
    lost = IN_FLIGHT | {State.UNKNOWN}
    return any(batch.states[state] for batch in batches for state in lost)


def _clear(manifest: Manifest) -> None:
    """Delete the last demo's database and clips, and nothing else."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (FOLDER / name).unlink(missing_ok=True)
    clips = manifest.output.dir
    # An edited manifest may point anywhere; only what is the demo's own is deleted.
    if isinstance(clips, Path) and clips.is_dir() and FOLDER.absolute() in clips.parents:
        shutil.rmtree(clips)
