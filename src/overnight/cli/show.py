"""``overnight show``: everything known of one job, its attempts as timelines."""

from __future__ import annotations

import json
from dataclasses import fields as slots
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.jobs import fields
from overnight.cli.output import Output, count, iso, line, local, size, span
from overnight.lifecycle import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overnight.store.rows import ArtifactRow, Asset, AttemptRow, Detail, EventRow

STEPS = {
    "intent_at": "intent to submit saved",
    "accepted_at": "accepted by the provider",
    "running_at": "seen running",
    "finished_at": "finished at the provider",
    "ended_at": "ended",
}
"""An attempt's times, in their order, in words."""


@click.command()
@click.argument("job", metavar="JOB")
@options.db
@options.as_json
def show(job: str, db: str, as_json: bool) -> int:
    """Show one JOB: its inputs, every attempt with its times, its files.

    JOB is an id, a key, a request id, or the beginning of a fingerprint.
    """
    from overnight.assets.reference import references
    from overnight.store import views
    from overnight.store.reading import reading

    output = Output(as_json=as_json)
    with reading(db) as connection:
        detail = views.detail(connection, views.find(connection, job))
        names = [one.name for one in references(detail.job.inputs)]
        sent = list(views.assets(connection, names).values())
    output.record(_record(detail) | {"sent": [_sent_fields(one) for one in sent]})
    if not as_json:
        _show(output, detail, sent)
    return Exit.DONE


def _record(detail: Detail) -> dict[str, Any]:
    return fields(detail.job) | {
        "history": [attempt_fields(attempt) for attempt in detail.attempts],
        "artifacts": [
            {field.name: getattr(artifact, field.name) for field in slots(artifact)}
            | {"probe": None if artifact.probe is None else json.loads(artifact.probe)}
            for artifact in detail.artifacts
        ],
        "events": [event_fields(event) for event in detail.events],
    }


def attempt_fields(attempt: AttemptRow) -> dict[str, Any]:
    """An attempt for programs."""
    return {
        "number": attempt.number,
        "request_id": attempt.request_id,
        **{name: iso(getattr(attempt, name)) for name in STEPS},
        "outcome": attempt.outcome,
        "error": attempt.error,
        "cost": attempt.cost,
        "submit_status": attempt.submit_status,
        "submit_seconds": attempt.submit_seconds,
        "answered_at": iso(attempt.answered_at),
        "error_code": attempt.error_code,
        "last_call": attempt.last_call,
        "last_status": attempt.last_status,
        "calls": attempt.calls,
        "unanswered": attempt.unanswered,
    }


def event_fields(event: EventRow) -> dict[str, Any]:
    """Something that was decided about the job, for programs."""
    return {"at": iso(event.at), "kind": event.kind, "text": event.text}


def _sent_fields(file: Asset) -> dict[str, Any]:
    """A local file that the job sends, for programs."""
    return {
        "input": f"asset:{file.name}",
        "path": file.path,
        "bytes": file.bytes,
        "content_type": file.content_type,
        "store": file.store_key,
        "uploaded_at": iso(file.uploaded_at),
    }


def _show(output: Output, detail: Detail, sent: Sequence[Asset]) -> None:
    job = detail.job
    output.say(f"job {job.id}  {line(job.key)}  {job.state}")
    output.say(f"  batch        {line(job.batch)}")
    output.say(f"  model        {line(job.model)}")
    output.say(f"  fingerprint  {job.fingerprint}")
    if job.tags:
        output.say(f"  tags         {', '.join(map(line, job.tags))}")
    if job.repeat > 1:
        output.say(f"  repeat       {job.repeat}")
    if job.price is not None:
        output.say(f"  price        ${job.price:.4g} expected")
    if job.request_id:
        output.say(f"  request      {line(job.request_id)}")
    if job.error:
        output.say(f"  error        {line(job.error)}")
    if job.cancel_requested:
        output.say("  to be cancelled at the provider")
    output.say("inputs, as sent")
    for name, value in job.inputs.items():
        output.say(f"  {line(name)}: {_value(value)}")
    for file in sent:
        known = f"{size(file.bytes)}, {line(file.content_type)}"
        output.say(f"  asset:{file.name[:12]}… is {line(file.path, 4000)} ({known})")
    for text in history(detail.attempts, detail.events):
        output.say(text)
    if detail.artifacts:
        output.say("files")
    for text in files(detail.artifacts):
        output.say(text)


def _value(value: Any) -> str:
    """A string as it stands, everything else as JSON; always whole, on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line(text, limit=max(len(text), 1))


def history(attempts: Sequence[AttemptRow], events: Sequence[EventRow]) -> list[str]:
    """Every attempt as lines, and what was decided between their steps, in the order of time."""
    lines: list[str] = []
    if not attempts:
        return [_decided(event) for event in events] + ["no attempt yet"]
    nexts = [attempt.intent_at for attempt in attempts[1:]] + [float("inf")]
    since = float("-inf")
    for attempt, until in zip(attempts, nexts, strict=True):
        lines += timeline(attempt, [event for event in events if since <= event.at < until])
        since = until
    return lines


def timeline(attempt: AttemptRow, events: Sequence[EventRow] = ()) -> list[str]:
    """An attempt as lines: what happened, when, and how long after the step before; and what was
    decided meanwhile."""
    request = f", request {line(attempt.request_id)}" if attempt.request_id else ""
    outcome = attempt.outcome or "under way"
    cost = "" if attempt.cost is None else f", ${attempt.cost:.4g}"
    moments = [(event.at, _decided(event)) for event in events]
    before: float | None = None
    for name, words in STEPS.items():
        moment: float | None = getattr(attempt, name)
        if moment is None:
            continue
        passed = "" if before is None else f"  +{span(max(0.0, moment - before))}"
        ended = f": {line(outcome)}" if name == "ended_at" else ""
        moments.append((moment, f"  {local(moment)}  {words}{ended}{passed}"))
        if name == "intent_at":
            moments += _posted(attempt)
        before = moment
    # A decision stands before the step that it led to at the same moment: sorting keeps the order.
    moments.sort(key=lambda one: one[0])
    lines = [f"attempt {attempt.number}: {outcome}{request}{cost}"]
    lines += [text for _, text in moments]
    lines += [f"  {text}" for text in (_called(attempt), line(attempt.error or "")) if text]
    return lines


def _posted(attempt: AttemptRow) -> list[tuple[float, str]]:
    """How the paid call ended, and when; nothing where nobody saw it."""
    if attempt.answered_at is None or attempt.submit_seconds is None:
        return []
    took = span(attempt.submit_seconds)
    if attempt.submit_status is not None:
        text = f"POST answered HTTP {attempt.submit_status} after {took}"
    elif attempt.outcome == Event.NOT_SENT:
        text = f"POST given up after {took}; it was not sent"
    else:
        text = f"no answer to the POST after {took}; it may have been sent"
    return [(attempt.answered_at, f"  {local(attempt.answered_at)}  {text}")]


def _called(attempt: AttemptRow) -> str:
    """The free calls in one line, and the provider's own word for what went wrong."""
    parts = []
    if attempt.calls:
        parts.append(f"{count(attempt.calls, 'free call')}, {attempt.unanswered:,} in vain")
    if attempt.last_call not in (None, "submit"):
        answer = "no answer" if attempt.last_status is None else f"HTTP {attempt.last_status}"
        parts.append(f"last {line(attempt.last_call or '')}: {answer}")
    if attempt.error_code:
        parts.append(f"the provider's code: {line(attempt.error_code)}")
    return "; ".join(parts)


def _decided(event: EventRow) -> str:
    return f"  {local(event.at)}  {line(event.kind)}: {line(event.text)}"


def files(artifacts: Sequence[ArtifactRow]) -> list[str]:
    """A line for each file, in the order of attempts. One that several attempts brought, byte for
    byte, is one file on the disk, and stands once."""
    lines: dict[object, list[ArtifactRow]] = {}
    for artifact in artifacts:
        one = artifact.path or (artifact.attempt, artifact.position)
        lines.setdefault(one, []).append(artifact)
    return [_file(same[-1]) + _times(same) for same in lines.values()]


def _times(same: Sequence[ArtifactRow]) -> str:
    """How often a file was delivered, where that was not once."""
    if len(same) == 1:
        return ""
    tries = sorted({artifact.attempt for artifact in same})
    if len(tries) == 1:
        return f"; delivered {len(same)} times"
    *first, last = map(str, tries)
    return f"; the same from attempts {', '.join(first)} and {last}"


def _file(artifact: ArtifactRow) -> str:
    if artifact.path is None:
        return f"  not here yet, from {line(artifact.url, 2000)}"
    known = [size(artifact.bytes)] if artifact.bytes is not None else []
    if artifact.sha256:
        known.append(f"sha256 {artifact.sha256[:12]}…")
    known += _probed(artifact)
    suspect = f"; suspect: {line(artifact.suspect)}" if artifact.suspect else ""
    return f"  {line(artifact.path, 4000)}  ({', '.join(known)}){suspect}"


def _probed(artifact: ArtifactRow) -> list[str]:
    """What a look at the content found, in short."""
    if artifact.probe is None:
        return []
    probe = json.loads(artifact.probe)
    if not probe.get("probed"):
        return [f"not decoded: {line(str(probe.get('why')))}"]
    figures = [f"{probe['width']} × {probe['height']}"] if "width" in probe else []
    if "frames" in probe:
        figures.append(f"{count(probe['frames'], 'frame')}")
    if probe.get("duration") is not None:
        figures.append(f"{probe['duration']:g} s")
    return figures
