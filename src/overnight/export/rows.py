"""From a job and one of its files to a row: the same columns in the same order everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from overnight.assets.reference import replaced
from overnight.catalog.aliases import without_nodes
from overnight.export.columns import FLOAT, INT, TEXT, TEXTS, Kind, Type
from overnight.export.entry import Entry
from overnight.store.exporting import ExportAttempt, ExportFile, ExportJob

_FOUND = Type(Kind.STRUCT)

COLUMNS: Mapping[str, Type] = {
    "key": TEXT,
    "fingerprint": TEXT,
    "batch": TEXT,
    "block": TEXT,
    "tags": TEXTS,
    "repeat": INT,
    "model": TEXT,
    "state": TEXT,
    "request_id": TEXT,
    "attempts": INT,
    "cost": FLOAT,
    "submitted_at": TEXT,
    "finished_at": TEXT,
    "inputs": _FOUND,
    "input_image": TEXT,
    "variables": _FOUND,
    "file_name": TEXT,
    "position": INT,
    "sha256": TEXT,
    "bytes": INT,
    "content_type": TEXT,
    "suspect": TEXT,
    "probe": _FOUND,
}
"""Every column. ``inputs``, ``variables`` and ``probe`` are structs whose fields are found in the
values. ``cost`` is in US dollars and belongs to the job, however many files it delivered; times
are ISO 8601 in UTC, to the millisecond."""


_FILE = tuple(ExportFile.__slots__)
_ATTEMPT = tuple(ExportAttempt.__slots__)


class Words(Protocol):
    """What a catalogue knows of a model's inputs."""

    def short(self, model: str, raw: str) -> str | None:
        """The short name of an input; None when the model or the input is not known."""

    def is_image(self, model: str, raw: str) -> bool:
        """Whether the input names a picture."""


class InputNames:
    """Names for inputs that people can read, none twice within a model."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._raw: dict[str, dict[str, None]] = {}
        self._names: dict[str, dict[str, str]] = {}

    def see(self, model: str, inputs: Mapping[str, Any]) -> None:
        """Take note of the inputs that a model is sent."""
        self._raw.setdefault(model, {}).update(dict.fromkeys(inputs))

    def columns(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """``inputs`` under the names of their columns; call it after every :meth:`see`."""
        names = self._names.get(model)
        if names is None:
            names = self._names[model] = self._settle(model)
        return {names[raw]: value for raw, value in inputs.items()}

    def manifest(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """``inputs`` under names that a manifest takes for this model: the catalogue's short ones,
        and raw ones where it has none."""
        return {self._words.short(model, raw) or raw: value for raw, value in inputs.items()}

    def image(self, model: str, inputs: Mapping[str, Any]) -> str | None:
        """The picture that the model was given, when there is exactly one."""
        found = [
            value
            for raw, value in inputs.items()
            if isinstance(value, str) and self._words.is_image(model, raw)
        ]
        return found[0] if len(found) == 1 else None

    def _settle(self, model: str) -> dict[str, str]:
        raws = sorted(self._raw.get(model, {}))
        wanted = {raw: self._words.short(model, raw) or without_nodes(raw) for raw in raws}
        names: dict[str, str] = {}
        for raw, name in wanted.items():
            alone = list(wanted.values()).count(name) == 1 and (name == raw or name not in wanted)
            names[raw] = harmless(name if alone else raw)
        return names


def harmless(name: str) -> str:
    """A field's name that loaders don't take for the name of a media file."""
    for ending in ("file_names", "file_name"):
        if name.endswith(ending):
            return name.removesuffix(ending) + ending.replace("_", "")
    return name


def entries(
    job: ExportJob, files: Sequence[ExportFile | None], left_out: str | None = None
) -> Iterator[Entry]:
    """An entry for each of ``files``; None among them is an entry without a file. Inputs are still
    under their raw names."""
    row = _row(job)
    given = {} if left_out is None else replaced(job.inputs, job.local)
    history = [_attempt(one) for one in job.attempts]
    for file in files:
        yield Entry(
            job=job.id,
            row={**row, **_of_file(file)},
            file=None if file is None else {name: getattr(file, name) for name in _FILE},
            state=job.state.value,
            error=job.error,
            folder=job.output_dir,
            history=history,
            left_out=left_out,
            given=given,
        )


def shown_inputs(job: ExportJob) -> dict[str, Any]:
    """A job's inputs under raw names, as people know them: a local file by its path, counted from
    the manifest's folder where it is inside, else absolute; a path says nothing of a machine then,
    where it need not. A file that nobody knows of keeps its reference."""
    if not job.local:
        return dict(job.inputs)
    folder = Path(job.manifest_path).parent
    return replaced(job.inputs, {ref: _below(path, folder) for ref, path in job.local.items()})


def _below(path: str, folder: Path) -> str:
    whole = Path(path)
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else path


def iso(moment: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def _row(job: ExportJob) -> dict[str, Any]:
    newest = job.attempts[-1] if job.attempts else None
    submitted = finished = None
    if newest is not None:
        submitted = newest.intent_at if newest.accepted_at is None else newest.accepted_at
        finished = newest.ended_at if newest.finished_at is None else newest.finished_at
    return {
        "key": job.key,
        "fingerprint": job.fingerprint,
        "batch": job.batch,
        "block": job.block,
        "tags": list(job.tags),
        "repeat": job.repeat,
        "model": job.model,
        "state": job.state.value,
        "request_id": job.request_id,
        "attempts": job.tries,
        "cost": job.cost,
        "submitted_at": iso(submitted),
        "finished_at": iso(finished),
        "inputs": shown_inputs(job),
        "variables": {harmless(name): value for name, value in job.variables.items()},
    }


def _of_file(file: ExportFile | None) -> dict[str, Any]:
    if file is None:
        return {}
    return {
        "position": file.position,
        "sha256": file.sha256,
        "bytes": file.bytes,
        "content_type": file.content_type,
        "suspect": file.suspect,
        "probe": None if file.probe is None else dict(file.probe),
    }


def _attempt(attempt: ExportAttempt) -> dict[str, Any]:
    told = ((name, getattr(attempt, name)) for name in _ATTEMPT)
    return {name: iso(value) if name.endswith("_at") else value for name, value in told}
