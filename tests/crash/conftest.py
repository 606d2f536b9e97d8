"""The report of ``make crash``: what all nights add up to."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the tests recorded, wherever they ran."""
    figures: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for name, value in report.user_properties:
                if name == "crash":
                    assert isinstance(value, dict)
                    figures.update(value)
    if not figures:
        return
    terminalreporter.section("killed and begun again")
    for line in _lines(figures):
        terminalreporter.write_line(line)


def _lines(figures: Counter[str]) -> list[str]:
    unknown = (
        f"{figures['unknown']:,} jobs are unknown: {figures['paid_unknown']:,} were accepted "
        f"without their id being recorded, {figures['unsent_unknown']:,} were never sent"
    )
    return [
        f"{figures['kills']:,} kills in {figures['nights']:,} nights of {figures['jobs']:,} jobs",
        f"{figures['accepted']:,} submits accepted, {figures['duplicates']:,} of them duplicates",
        f"{figures['succeeded']:,} jobs succeeded, {figures['missing']:,} are missing",
        unknown,
    ]
