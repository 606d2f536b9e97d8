"""Writes down where a job's files are from, beside them: for whoever has the folder alone.

What it says depends on the record only, so that it can be written again at any time and comes out
the same. It holds no signature: a signed address is one until it expires.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from overnight.artifacts import sidecar
from overnight.artifacts.place import Place
from overnight.store.files import Provenance
from overnight.store.rows import ArtifactRow, Asset, AttemptRow


def document(of: Provenance, place: Place) -> dict[str, Any]:
    """The sidecar's content. Times are ISO 8601 in UTC, costs US dollars, paths from the output
    folder where they lie in it."""
    costs = [attempt.cost for attempt in of.attempts if attempt.cost is not None]
    return {
        "batch": of.batch,
        "key": of.key,
        "fingerprint": of.fingerprint,
        "provider": of.provider,
        "model": of.model,
        "inputs": dict(of.inputs),
        "variables": dict(of.variables),
        "tags": list(of.tags),
        **({"sent": [_sent(one) for one in of.sent]} if of.sent else {}),
        "manifest": {"path": of.manifest_path, "sha256": of.manifest_digest},
        "request_id": of.attempts[-1].request_id if of.attempts else None,
        "cost": sum(costs) if costs else None,
        "attempts": [_attempt(one, is_last=one is of.attempts[-1]) for one in of.attempts],
        "files": [_file(one, place) for one in of.artifacts if one.path is not None],
    }


def keep(of: Provenance, place: Place) -> None:
    """Write the sidecar of a job to its batch's place. Blocks, and raises what places raise."""
    place.keep_sidecar(of.batch, of.key, document(of, place))


def _attempt(attempt: AttemptRow, *, is_last: bool) -> dict[str, Any]:
    said = {
        "number": attempt.number,
        "request_id": attempt.request_id,
        "submitted_at": _moment(attempt.intent_at),
        "accepted_at": _moment(attempt.accepted_at),
        "running_at": _moment(attempt.running_at),
        "finished_at": _moment(attempt.finished_at),
        "cost": attempt.cost,
    }
    # The last one ends after this is written for the first time.
    return said if is_last else said | {"outcome": attempt.outcome, "error": attempt.error}


def _sent(file: Asset) -> dict[str, Any]:
    """A local file, by its name alone: the folder says more of the user than of the clip."""
    return {
        "input": f"asset:{file.name}",
        "file": Path(file.path).name,
        "bytes": file.bytes,
        "content_type": file.content_type,
    }


def _file(row: ArtifactRow, place: Place) -> dict[str, Any]:
    return {
        "path": place.inside(row.path or ""),
        "bytes": row.bytes,
        "sha256": row.sha256,
        "content_type": row.content_type,
        "source": sidecar.unsigned(row.url),
        "suspect": row.suspect,
        "probe": None if row.probe is None else json.loads(row.probe),
    }


def _moment(at: float | None) -> str | None:
    return (
        None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    )
