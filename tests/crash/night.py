"""A night that is killed and begun again until its manifest is done, and what must hold of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from overnight.emulator import Emulator, Settings, Span
from overnight.emulator.ledger import Accepted
from overnight.store import faults
from overnight.store.faults import Place
from tests.crash import evidence, program
from tests.crash.evidence import Table
from tests.crash.program import KILLED, Done, Program

CONCURRENCY = 4

DONE = {0, 3}
"""Exit codes of a run that came to its end: all well, or some jobs unknown."""

ELSEWHERE = {Place.PUBLISHED}
"""Places that a night without local files never comes by: test_local_files.py has them."""


def rules_for(place: Place) -> tuple[str, ...]:
    """What the emulator is told so that a run comes by ``place``: the provider's end is recorded by
    itself only where the first look at the verdict is in vain."""
    return ("result:http-500@50%",) if place is Place.FINISHED else ()


DOUBT = {"submitting", "unknown"}
"""States of a job that may have been submitted without anybody knowing."""

RUN = ("run", "jobs.yaml", "--db", "night.db", "--yes")


class Night:
    """One folder with a manifest and a database, and one account with its ledger."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.database = folder / "night.db"
        self.jobs = 0
        self.kills = 0
        self.programs: list[Program] = []
        self.table = Table()
        """The database as the last look at it found it."""

    def manifest(self, jobs: int) -> None:
        """Write the manifest, or make it longer: jobs that are there already stay as they are."""
        self.jobs = jobs
        lines = [
            *("version: 1", "name: night", "model: community/wan-2-1/fusionx/image-to-video"),
            "inputs: {image: RunComfy_examples_1235_1.png, prompt: Fog over a harbour}",
            f"matrix: {{seed: {list(range(1, jobs + 1))}}}",
            f"run: {{concurrency: {CONCURRENCY}, on_unknown: hold}}",
            "output: {dir: clips}",
        ]
        (self.folder / "jobs.yaml").write_text("\n".join(lines))

    # --- running it -------------------------------------------------------------------------------

    def start(
        self, *arguments: str, fault: str | None = None, lease: float | None = None
    ) -> Program:
        """Start ``overnight``, to be struck by ``fault``; ``lease`` is in seconds."""
        environ = {
            "HOME": str(self.folder),
            "RUNCOMFY_MODEL_API_BASE": f"{self.emulator.base_url}/v1",
            "RUNCOMFY_API_TOKEN": self.emulator.settings.token,
        }
        if fault is not None:
            environ[faults.VARIABLE] = fault
        if lease is not None:
            environ[faults.LEASE_VARIABLE] = str(lease)
        self.programs.append(program.start(self.folder, environ, arguments or RUN))
        return self.programs[-1]

    async def killed_at(self, place: Place, passage: int, *arguments: str) -> None:
        """Run until that passage of a place kills it, and look at what is left."""
        done = await self.start(*arguments, fault=f"{place}:{passage}").end()
        assert done.code == KILLED, f"{place}:{passage} was never reached: {done}"
        self.kills += 1
        self.look()

    async def finish(self) -> None:
        """Run to the end, and hold the whole night against the ledger."""
        self.require_plain(await self.start().end(), *DONE)
        self.look()
        self.require_complete()

    def require_plain(self, done: Done, *codes: int) -> None:
        """It ended by itself with one of these codes, without a traceback or the token."""
        assert done.code in codes, done
        assert "Traceback" not in done.err
        assert "Execution of job" not in done.err, "the scheduler speaks for itself"
        assert self.emulator.settings.token not in done.out + done.err

    # --- looking at it ----------------------------------------------------------------------------

    def look(self) -> Table:
        """What must hold whenever nothing runs; returns the database as it is now."""
        before, now = self.table, evidence.read(self.database)
        assert self.emulator.ledger.duplicates == []
        assert self.emulator.ledger.media_with_token == 0
        evidence.require_whole(now.files)
        # What was durable once stays: requests, files and successes.
        assert before.requests.items() <= now.requests.items()
        assert before.files.items() <= now.files.items()
        for job, state in before.states.items():
            if state == "succeeded":
                assert now.states[job] == state
        assert set(now.requests) <= {entry.request_id for entry in self.emulator.ledger.accepted}
        for entry in self.lost(now):
            assert now.states[now.job_of(dict(entry.inputs))] in DOUBT, entry
        self.table = now
        return now

    def lost(self, table: Table) -> list[Accepted]:
        """Submits that were accepted and paid without their id being recorded."""
        accepted = self.emulator.ledger.accepted
        return [entry for entry in accepted if entry.request_id not in table.requests]

    def require_complete(self) -> None:
        """Every job of the manifest is accounted for, and everything paid for is here."""
        table, ledger = self.table, self.emulator.ledger
        assert table.count("succeeded") + table.count("unknown") == self.jobs == len(table.states)
        lost = self.lost(table)
        assert len(ledger.accepted) == table.count("succeeded") + len(lost)
        assert len(table.files) == table.count("succeeded")
        # Nothing else lies about: no part, no second copy under another name.
        clips = self.folder / "clips"
        on_disk = {str(path) for path in clips.iterdir() if path.name != ".provenance"}
        assert on_disk == set(table.files), on_disk ^ set(table.files)
        # What was lost goes on at the provider, and nobody could have known to leave room for it.
        assert ledger.max_open <= CONCURRENCY + len(lost)

    def figures(self) -> Counter[str]:
        """What the report adds up over all nights."""
        lost = len(self.lost(self.table))
        unknown = self.table.count("unknown")
        return Counter(
            nights=1,
            kills=self.kills,
            jobs=self.jobs,
            accepted=len(self.emulator.ledger.accepted),
            duplicates=len(self.emulator.ledger.duplicates),
            succeeded=self.table.count("succeeded"),
            unknown=unknown,
            paid_unknown=lost,
            unsent_unknown=unknown - lost,
            missing=self.jobs - self.table.count("succeeded") - unknown,
        )


QUICK = Span(0.02, 0.2)
"""How long the provider works on a job, in seconds."""

Report = Callable[[str, object], None]
"""pytest's ``record_property``."""


@asynccontextmanager
async def night(
    folder: Path, report: Report, *rules: str, jobs: int = 10, service: Span = QUICK
) -> AsyncIterator[Night]:
    """A night over an account whose ledger outlives every kill; its figures go to ``report``."""
    settings = Settings(slots=CONCURRENCY, service=service)
    async with Emulator(settings, faults=rules) as emulator:
        one = Night(folder, emulator)
        one.manifest(jobs)
        try:
            yield one
            report("crash", dict(one.figures()))
        finally:
            for started in one.programs:
                started.put_away()
