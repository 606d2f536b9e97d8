"""What every format is asked, in the order in which it is asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.export.columns import Type, conformed
from overnight.export.entry import Entry, Spool
from overnight.export.report import Report
from overnight.export.request import Request
from overnight.export.target import Target


@dataclass
class Survey:
    """What the database promises, before any file has been looked at."""

    files: int = 0
    bytes: int = 0
    suffixes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Contents:
    """What is to be written: all entries in order, each placed, and the types of the columns."""

    request: Request
    spool: Spool
    types: Mapping[str, Type]
    report: Report

    @property
    def splits(self) -> list[str]:
        """Splits that have a sample, in the order asked for."""
        return [name for name in self.request.splits.names if self.report.tally.samples[name]]

    def entries(self, split: str | None = None) -> Iterator[Entry]:
        """Every entry, or those of one split; also the ones that are no samples."""
        return (entry for entry in self.spool if split is None or entry.split == split)

    def samples(self, split: str) -> Iterator[tuple[Entry, dict[str, Any]]]:
        """The samples of a split, each with its row."""
        for entry in self.entries(split):
            if entry.left_out is None:
                yield entry, conformed(entry.row, self.types)


class Format(ABC):
    """One way to lay out a data set. Made once the survey is known."""

    needs_file = True
    """Whether a job without a file can't be a sample."""
    dots = True
    """Whether the names of its files may have dots before the suffix."""
    carded = True
    """Whether it has a card and tables at all, or only files."""

    def __init__(self, request: Request, survey: Survey) -> None:
        self._request = request
        self._survey = survey

    @classmethod
    def require(cls) -> None:
        """Raise :class:`~overnight.export.errors.ExportError` when a library is missing."""
        return

    @abstractmethod
    def place(self, split: str, name: str) -> str | None:
        """Where a sample's file is put; None when it is packed, or not taken along."""

    @abstractmethod
    def file_name(self, split: str, name: str) -> str | None:
        """What the row says of it, seen from its table."""

    def refusal(self, suffix: str, size: int) -> str | None:
        """Why a file can't be held, in a few words; None when it can. ``size`` is in bytes."""
        return None

    @abstractmethod
    def write(self, contents: Contents, target: Target) -> dict[str, Any]:
        """Write tables and packed files; returns what the card tells loaders."""

    def usage(self, contents: Contents) -> list[str]:
        """Lines of Python that read it, for the card; ``root`` is the folder."""
        return ["from datasets import load_dataset", "", f'dataset = load_dataset("{_HERE}")']


_HERE = "path/to/this/folder"


def config(features: list[dict[str, Any]] | None, files: Mapping[str, list[str]]) -> dict[str, Any]:
    """A card's one configuration: which files are which split, and the types of the columns."""
    told: dict[str, Any] = {"config_name": "default"}
    if features is not None:
        told["features"] = features
    told["data_files"] = [{"split": split, "path": paths} for split, paths in files.items()]
    return told
