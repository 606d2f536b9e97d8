"""What can go wrong with an export, as sentences for the user."""

from __future__ import annotations


class ExportError(Exception):
    """The export can't be made, or not there. The message says what to do."""


class LeftOut(Exception):
    """One file can't be part of the export. ``reason`` is one of :mod:`overnight.export.report`,
    ``detail`` a few words that say more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
