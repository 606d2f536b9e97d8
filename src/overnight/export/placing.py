"""Entry by entry: its split, its name, its file proven and put in its place, its columns seen."""

from __future__ import annotations

from overnight.export import place
from overnight.export.columns import Columns
from overnight.export.entry import Entry
from overnight.export.errors import LeftOut
from overnight.export.formats import Format
from overnight.export.names import FileNames, suffix_of
from overnight.export.report import KIND, Lost, Report
from overnight.export.request import Request
from overnight.export.rows import COLUMNS, InputNames
from overnight.export.target import Target


class Placing:
    """Takes entries in order; afterwards ``columns`` has seen every sample."""

    def __init__(
        self, request: Request, layout: Format, target: Target, names: InputNames, report: Report
    ) -> None:
        self.layout = layout
        self.columns = Columns(COLUMNS)
        self._request = request
        self._target = target
        self._names = names
        self._report = report
        self._file_names = FileNames(dots=layout.dots)

    def place(self, entry: Entry) -> None:
        """Complete ``entry``. A file that can't be part of the data set makes it none."""
        self._complete(entry)
        if entry.left_out is not None:
            return
        suffix = ""
        if entry.file is not None:
            suffix = suffix_of(entry.file["path"])
            try:
                self._bring(entry, suffix)
            except LeftOut as left:
                self._lose(entry, left)
                return
        self.columns.see(entry.row)
        self._report.tally.add(entry.split, suffix, entry.size, entry.row)

    def _complete(self, entry: Entry) -> None:
        row, model = entry.row, entry.row["model"]
        entry.split = self._request.splits.of(row["fingerprint"])
        sent = row["inputs"]
        row["inputs"] = self._names.columns(model, sent)
        row["input_image"] = self._names.image(model, sent)
        if entry.left_out is not None:
            entry.given = self._names.manifest(model, entry.given)

    def _bring(self, entry: Entry, suffix: str) -> None:
        assert entry.file is not None
        refusal = self.layout.refusal(suffix, entry.size)
        if refusal is not None:
            raise LeftOut(KIND, refusal)
        entry.name = self._file_names.give(entry)
        entry.row["file_name"] = self.layout.file_name(entry.split, entry.name)
        where = self.layout.place(entry.split, entry.name)
        if where is None:
            place.prove(entry.file)
            return
        path = self._target.claim(where)
        scratch = self._target.scratch()
        how = place.bring(entry.file, path, scratch, copy=self._request.copy)
        self._report.placed[how] += 1
        self._target.register(where, entry.file["sha256"])

    def _lose(self, entry: Entry, left: LeftOut) -> None:
        assert entry.file is not None
        entry.left_out = left.reason
        row = entry.row
        self._report.lose(
            Lost(
                row["batch"],
                row["key"],
                row["fingerprint"],
                entry.file["path"],
                left.reason,
                left.detail,
            )
        )
