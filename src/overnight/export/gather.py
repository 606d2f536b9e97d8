"""From the jobs of the database to entries: who is a sample, who is told of, who is only counted.

This is the quick part, done while the database is read: no file is looked at yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from overnight.export.entry import Spool
from overnight.export.formats import Survey
from overnight.export.names import suffix_of
from overnight.export.report import (
    CANCELLED,
    FAILED,
    NO_FILE,
    SOUND,
    STATE,
    SUSPECT,
    UNFINISHED,
    UNKNOWN,
    WHERE,
    Report,
)
from overnight.export.request import Request, Suspects
from overnight.export.rows import InputNames, entries
from overnight.lifecycle import State
from overnight.store.exporting import ExportFile, ExportJob

Condition = Callable[[ExportJob], bool]

_REASONS = {
    State.FAILED: FAILED,
    State.UNKNOWN: UNKNOWN,
    State.CANCELLED: CANCELLED,
    State.SUCCEEDED: STATE,
}
"""Why a job whose state was not asked for is no sample; the rest is unfinished."""

_TOLD = frozenset({State.FAILED, State.UNKNOWN})
"""Jobs that are told of one by one, with their inputs."""


class Gathering:
    """Fills a spool with entries. ``needs_file``: a job without a file can't be a sample."""

    def __init__(
        self, request: Request, spool: Spool, names: InputNames, report: Report, *, needs_file: bool
    ) -> None:
        self._request = request
        self._spool = spool
        self._names = names
        self._report = report
        self._needs_file = needs_file
        self.survey = Survey()
        self.samples = 0

    def take(self, jobs: Iterable[ExportJob], condition: Condition | None) -> Survey:
        """Go through all jobs. ``condition`` may raise; what it raises ends the export."""
        for job in jobs:
            if condition is not None and not condition(job):
                self._report.left_out[WHERE] += 1
            elif job.state in self._request.states:
                self._names.see(job.model, job.inputs)
                self._sample(job)
            else:
                self._pass_over(job)
        return self.survey

    def _pass_over(self, job: ExportJob) -> None:
        reason = _REASONS.get(job.state, UNFINISHED)
        self._report.left_out[reason] += 1
        if job.state in _TOLD:
            self._names.see(job.model, job.inputs)
            self._report.failures += 1
            for entry in entries(job, [None], reason):
                self._spool.add(entry)

    def _sample(self, job: ExportJob) -> None:
        home = [file for file in job.files if file.path is not None and file.sha256 is not None]
        taken: list[ExportFile | None] = [
            file for file in home if self._request.suspects.takes(file.suspect)
        ]
        if len(taken) < len(home):
            reason = SOUND if self._request.suspects is Suspects.YES else SUSPECT
            self._report.left_out[reason] += len(home) - len(taken)
        if not home:
            if self._needs_file:
                self._report.left_out[NO_FILE] += 1
                return
            taken = [None]
        for entry in entries(job, taken):
            self.samples += 1
            self._count(entry.file)
            self._spool.add(entry)

    def _count(self, file: dict[str, object] | None) -> None:
        if file is not None:
            self.survey.files += 1
            self.survey.bytes += int(str(file["bytes"]))
            self.survey.suffixes[suffix_of(str(file["path"]))] += 1
