"""The files of a simulated night: a disk that outlives every process, and a downloader onto it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from overnight.artifacts import download
from tests.simulation.plan import Plan
from tests.simulation.remote import Accepted, Remote


class Traveller(Protocol):
    """The process that fetches."""

    async def travel(self, seconds: float) -> None: ...

    def note(self, job_id: int, what: str, outcome: str) -> None: ...


class SimulatedDownloader(download.Downloader):
    """The same calls as the real one's. ``disk`` maps a path to what stands there."""

    def __init__(
        self, host: Traveller, remote: Remote, plan: Plan, rng: Random, disk: dict[str, str]
    ) -> None:
        # Not the real one's own: there is no transport and no thread here.
        self._process = host
        self._remote = remote
        self._plan = plan
        self._rng = rng
        self._disk = disk

    async def fetch(
        self,
        url: str,
        target: download.Target,
        *,
        recorded: download.Fetched | None = None,
        progress: download.Progress | None = None,
        examine: download.Examine | None = None,
    ) -> download.FetchOutcome:
        """As there, except that these files have nothing inside to ``examine``."""
        if recorded is not None and self._disk.get(str(recorded.path)) == recorded.sha256:
            return recorded
        parts = urlsplit(url)
        _, request_id, name = parts.path.split("/")
        request = self._remote.requests[request_id]
        slow = self._rng.uniform(5.0, 60.0) if self._remote.chance("media:slow") else 0.0
        await self._process.travel(self._plan.latency * (0.5 + self._rng.random()) + slow)
        trouble = self._goes_wrong(request, parts.query)
        if trouble is not None:
            self._process.note(request.job_id, "download", f"{request_id} {type(trouble).__name__}")
            return trouble
        path = target if isinstance(target, Path) else target("video/mp4")
        content = f"{request_id}/{name}"
        if progress is not None:
            progress(100, 100)
        return download.Fetched(self._keep(path, content), 100, content, "video/mp4")

    async def settle(self, fetched: download.Fetched) -> None:
        """Nothing is kept aside here in case of a crash."""

    def _goes_wrong(self, request: Accepted, signed: str) -> download.FetchOutcome | None:
        chance = self._remote.chance
        if chance("media:our-disk"):
            return download.StorageFault("The disk is full.")
        if chance("media:unfetchable"):
            return download.Unfetchable("The address is not a good one.")
        if chance("media:expired"):
            request.signed += 1
        if signed != f"signed={request.signed}":
            return download.Expired("The address has expired.")
        if chance("media:try-again"):
            return download.TryAgain("503", self._rng.choice([None, 20.0]))
        return None

    def _keep(self, path: Path, content: str) -> Path:
        """Put it down where nothing else stands, as the real one does."""
        free, n = path, 1
        while self._disk.setdefault(str(free), content) != content:
            n += 1
            free = path.with_stem(f"{path.stem}-{n}")
        return free
