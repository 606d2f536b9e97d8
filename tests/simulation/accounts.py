"""The accounts of a night that is over: every job is somewhere, every paid call is explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from overnight.lifecycle import HELD, UNCOUNTED, Event, State
from tests.simulation.picture import Picture


def close(
    jobs: Mapping[int, Picture],
    disk: Mapping[str, str],
    duplicates: Mapping[int, int],
    told: Mapping[int, int],
) -> Iterator[str]:
    """What does not add up.

    ``duplicates`` are the jobs of a batch that were paid for again while nobody could tell whether
    they had been; ``told`` is how many possible ones the table says. ``disk`` holds every file.
    """
    for batch_id, n in duplicates.items():
        if n > told[batch_id]:
            yield f"batch{batch_id}: {n} jobs paid for twice, {told[batch_id]} told"
    for job_id, job in jobs.items():
        for wrong in (*_state(job, disk), *_calls(job), *_repeats(job)):
            yield f"job{job_id}: {wrong}"
    yield from _homes(jobs)


def _state(job: Picture, disk: Mapping[str, str]) -> Iterator[str]:
    if job.state not in HELD:
        yield f"lost: {job.state} for ever"
    if job.state is State.SUCCEEDED:
        missing = [path for path in job.files[job.attempt].values() if path not in disk]
        if missing:
            yield f"{missing} are not on the disk"


def _calls(job: Picture) -> Iterator[str]:
    """What was paid for has its id on record, or is unknown, or somebody decided about it."""
    for number, post in job.posts.items():
        if post.request is None:
            continue
        outcome, recorded = job.outcomes.get(number), job.recorded.get(number)
        if recorded is None:
            if outcome != Event.UNCERTAIN:
                yield f"paid, no id, and it is {outcome}"
            if job.state is not State.UNKNOWN and not job.settled:
                yield f"paid, no id, and the job is {job.state}"
        elif recorded != post.request.id:
            yield f"{recorded} recorded, not {post.request.id}"
        elif outcome in UNCOUNTED:
            yield f"paid, and counted as {outcome}"


def _repeats(job: Picture) -> Iterator[str]:
    """Paid more than once: by the provider's own verdicts, or because somebody asked for it."""
    paid = [post.request for _, post in sorted(job.posts.items()) if post.request]
    unexplained = [request for request in paid[:-1] if not request.told_failed]
    if len(unexplained) > job.asked_again:
        yield f"paid {len(paid)} times, {len(unexplained)} of them without a reason"


def _homes(jobs: Mapping[int, Picture]) -> Iterator[str]:
    done = [job for job in jobs.values() if job.state is State.SUCCEEDED]
    paths = Counter(path for job in done for path in job.files[job.attempt].values())
    for path, owners in paths.items():
        if owners > 1:
            yield f"{path} belongs to {owners} jobs"
