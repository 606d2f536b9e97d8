"""Whether files that are home and clearly not what was asked for are bought once more.

That is the manifest's word (``output.on_suspect: retry``), and costs an attempt like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from overnight.engine.report import Notice
from overnight.engine.run import Run
from overnight.engine.settle import affordable
from overnight.store import standing, suspects
from overnight.store.job import Job
from overnight.store.rows import ArtifactRow


async def bought_again_for(run: Run, job: Job) -> str | None:
    """What is wrong with the files of ``job``, all of them recorded, where the manifest says to buy
    others for that, and another attempt and what it costs are allowed, and the user still wants it.

    ``run.deciding`` is held until what follows from it is recorded.
    """
    if run.batch_of(job).output.get("on_suspect") != "retry":
        return None
    if job.tries >= run.policy(job).attempts:
        return None
    if (await run.record(partial(standing.current, job_id=job.id))).cancel_requested:
        return None
    rows = await run.record(partial(standing.stored_files, job=job))
    why = "; ".join(row.suspect for row in rows.values() if row.suspect)
    if not why:
        return None
    kept = await _kept_because(run, job, rows)
    if kept is None:
        return why
    run.notify(Notice(f"{job.key}: {why}; kept, because {kept}", "warning"))
    return None


async def _kept_because(run: Run, job: Job, rows: Mapping[int, ArtifactRow]) -> str | None:
    """Why it is not worth another try, or can't be afforded; None when neither is so."""
    digests = {position: row.sha256 for position, row in rows.items()}
    if await run.record(partial(suspects.came_before, job=job, digests=digests)):
        return "an earlier try brought the very same bytes, and so would the next"
    if await affordable(run, job):
        return None
    return "another try might exceed limits.cost"
