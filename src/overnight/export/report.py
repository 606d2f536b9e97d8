"""What an export holds, what it left out and why: for people, for ``--json`` and for the card.

Whatever is not in the data set is counted under one reason. A file that should have been in it and
can't be is also named, because somebody has to do something about it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from overnight.export.columns import as_text

FAILED = "failed"
UNKNOWN = "unknown"
UNFINISHED = "unfinished"
CANCELLED = "cancelled"
STATE = "state"
WHERE = "where"
SUSPECT = "suspect"
SOUND = "sound"
NO_FILE = "no_file"
MISSING = "missing"
CHANGED = "changed"
KIND = "kind"
ELSEWHERE = "elsewhere"

REASONS = {
    FAILED: "failed",
    UNKNOWN: "unknown, so possibly paid for",
    UNFINISHED: "not finished",
    CANCELLED: "cancelled",
    STATE: "in a state that was not asked for",
    WHERE: "for which --where is not true",
    SUSPECT: "with a suspect file",
    SOUND: "without a suspect file",
    NO_FILE: "without a file",
    MISSING: "with a file that is missing",
    CHANGED: "with a file that is not what was downloaded",
    KIND: "with a file that this format can't hold",
    ELSEWHERE: "with a file that is neither on this machine nor in a bucket",
}
"""Every reason, as words after a number of jobs."""

TROUBLE = frozenset({MISSING, CHANGED, KIND, ELSEWHERE})
"""Reasons that nobody asked for: each such file is named, and the command's exit code says so."""

AXES_SHOWN = 50
VALUES_SHOWN = 12
"""Values of an axis that are counted apart; more than that is "more than"."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that should have been in the data set."""

    batch: str
    key: str
    fingerprint: str
    path: str
    reason: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "path": self.path,
            "reason": self.reason,
            "detail": self.detail,
        }


@dataclass
class Tally:
    """The figures of the samples, for the card. Times are ISO 8601, cost is in US dollars."""

    samples: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    batches: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    suffixes: Counter[str] = field(default_factory=Counter)
    axes: dict[str, set[str]] = field(default_factory=dict)
    cost: float | None = None
    first: str | None = None
    last: str | None = None
    _counted: tuple[str, str] | None = None

    def add(self, split: str, suffix: str, size: int, row: dict[str, Any]) -> None:
        """Count one sample; a job's samples come one after the other, and it costs once."""
        self.samples[split] += 1
        self.bytes += size
        self.batches[row["batch"]] += 1
        self.models[row["model"]] += 1
        self.suffixes[suffix] += 1
        job = (row["batch"], row["fingerprint"])
        if job == self._counted:
            return
        self._counted = job
        if row["cost"] is not None:
            self.cost = (self.cost or 0.0) + row["cost"]
        for moment in (row["submitted_at"], row["finished_at"]):
            if moment is not None:
                self.first = min(self.first or moment, moment)
                self.last = max(self.last or moment, moment)
        for name, value in row["variables"].items():
            self._axis(name, value)

    def _axis(self, name: str, value: Any) -> None:
        if name not in self.axes and len(self.axes) >= AXES_SHOWN:
            return
        values = self.axes.setdefault(name, set())
        if value is not None and len(values) <= VALUES_SHOWN:
            values.add(value if isinstance(value, str) else as_text(value))


@dataclass
class Report:
    """How an export ended. ``placed`` counts files by how they came: linked, copied, or kept from
    an export before."""

    tally: Tally = field(default_factory=Tally)
    left_out: Counter[str] = field(default_factory=Counter)
    lost: list[Lost] = field(default_factory=list)
    placed: Counter[str] = field(default_factory=Counter)
    as_json_text: list[str] = field(default_factory=list)
    """Columns whose values differ in kind, written as JSON text."""
    failures: int = 0
    """Rows of ``failures.jsonl``."""

    @property
    def samples(self) -> int:
        return self.tally.samples.total()

    def lose(self, lost: Lost) -> None:
        """Count and name a file that can't be part of it."""
        self.left_out[lost.reason] += 1
        self.lost.append(lost)

    def reasons(self) -> list[tuple[str, int, str]]:
        """Each reason that occurred, how often, and its words, in a fixed order."""
        return [(r, self.left_out[r], words) for r, words in REASONS.items() if self.left_out[r]]
