"""A batch on disk as a night leaves it: jobs, attempts, files; for tests of exports."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from overnight.lifecycle import Event
from overnight.store import leases, loading, queue
from overnight.store.database import Database
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken, Stored

MODEL = "community/wan-2-1/fusionx/image-to-video"


@dataclass
class Spec:
    """A job to be, and how it ends: ``files`` lead from a name below the batch's folder to bytes;
    without any it fails, or stays as ``ends`` says."""

    key: str
    inputs: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    ends: str = "succeeded"
    model: str = MODEL
    block: str = ""
    tags: tuple[str, ...] = ()
    cost: float | None = 0.05
    content_type: str = "video/mp4"
    suspect: str | None = None
    probe: str | None = None
    provider: str = "runcomfy"
    priority: int = 0
    rank: int = 0
    repeat: int = 1
    name: str | None = None
    price: float | None = None

    @property
    def fingerprint(self) -> str:
        text = repr((self.model, sorted(self.inputs.items()), self.repeat, self.key))
        return hashlib.sha256(text.encode()).hexdigest()


def clip(n: int, *, suffix: str = ".mp4", **more: Any) -> Spec:
    """A job of the bundled model that delivered a clip."""
    inputs = {
        "600_prompt": f"Käfig {n} 日本 🌙",
        "608_image": "RunComfy_examples_1235_1.png",
        "598_seed": n,
    }
    wanted: dict[str, Any] = {
        "key": f"seed{n}",
        "inputs": inputs,
        "variables": {"seed": n},
        "files": {f"seed{n}{suffix}": f"clip {n} ".encode() * 20},
        **more,
    }
    return Spec(**wanted)


def failed(n: int, ends: str = "failed", **more: Any) -> Spec:
    """A job that delivered nothing."""
    return clip(n, files={}, ends=ends, **more)


def fill(database: Database, specs: Sequence[Spec], name: str = "night") -> Path:
    """Load a batch and let each of its new jobs end as its spec says; returns its folder."""
    folder = database.path.parent / "out" / name
    header = loading.Header(name, f"/m/{name}.yaml", "0" * 64, {"concurrency": 3}, str(folder))
    by_key = {spec.key: spec for spec in specs}
    with database.writing() as connection:
        batch_id = loading.load(connection, header, specs, now=1_000.0).batch_id
        fence = leases.take(connection, leases.Identity.of_this_process(), 2_000.0)
        moving = [spec for spec in specs if spec.ends != "pending"]
        claimed = queue.claim(
            connection, fence=fence, batch_id=batch_id, limit=len(moving), now=2_000.0
        )
        for job in claimed:
            _end(connection, job, by_key[job.key], folder)
        leases.release(connection, fence, 3_000.0)
    return folder


def _end(connection: Connection, job: Job, spec: Spec, folder: Path) -> None:
    moved = partial(_moved, connection)
    if spec.ends == "unknown":
        moved(job, Event.UNCERTAIN, error="no answer came back")
        return
    if spec.ends == "failed":
        moved(job, Event.REJECTED, error="bad inputs")
        return
    job = moved(job, Event.ACCEPTED, request_id=f"req-{job.key}")
    job = moved(moved(job, Event.SEEN_RUNNING), Event.FINISHED)
    urls = [f"https://cdn/{name}" for name in spec.files]
    job = _done(queue.delivered(connection, job=job, urls=urls, cost=spec.cost, at=2_002.5))
    for position, (name, content) in enumerate(spec.files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        file = Stored(
            position, str(path), len(content), digest, spec.content_type, spec.suspect, spec.probe
        )
        job = _done(queue.stored(connection, job=job, file=file, at=2_003.0))
    moved(job, Event.COLLECTED)


def _moved(connection: Connection, job: Job, event: Event, **facts: Any) -> Job:
    return _done(queue.move(connection, job=job, event=event, facts=Facts(2_001.0, **facts)))


def _done(answer: Job | Overtaken) -> Job:
    assert isinstance(answer, Job)
    return answer
