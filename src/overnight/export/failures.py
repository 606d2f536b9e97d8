"""``failures.jsonl`` and ``left-out.jsonl``: what is not in the data set, one line each.

A line of ``failures.jsonl`` holds a failed or unknown job's inputs under names that a manifest
takes, so the file can be a manifest's ``rows`` as it stands. Local files are there by absolute
paths, because a manifest counts others from its own folder, which may be any. What else is known of
the job begins with ``job_``. ``left-out.jsonl`` names files that should have been in the data set.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from overnight.export.entry import Entry
from overnight.export.formats import Contents
from overnight.export.report import FAILED, UNKNOWN
from overnight.export.tables import json_line
from overnight.export.target import Target

FAILURES = "failures.jsonl"
LEFT_OUT = "left-out.jsonl"


def write(contents: Contents, target: Target) -> None:
    """Write each of the two files that has a line."""
    report = contents.report
    if report.failures:

        def failures(file: BinaryIO) -> None:
            for entry in contents.entries():
                if entry.left_out in (FAILED, UNKNOWN):
                    file.write(json_line(_row(entry)))

        target.write(FAILURES, failures)
    if report.lost:

        def lost(file: BinaryIO) -> None:
            file.writelines(json_line(one.as_json()) for one in report.lost)

        target.write(LEFT_OUT, lost)


def _row(entry: Entry) -> dict[str, Any]:
    row = entry.row
    return {
        **entry.given,
        "job_key": row["key"],
        "job_fingerprint": row["fingerprint"],
        "job_batch": row["batch"],
        "job_model": row["model"],
        "job_state": entry.state,
        "job_error": entry.error,
        "job_request_id": row["request_id"],
    }
