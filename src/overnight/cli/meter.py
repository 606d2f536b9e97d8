"""How far the jobs of a manifest have come on their way into the database, or past a reader.

On a terminal a bar appears when it takes long enough to wonder; elsewhere there is a line a
minute, and with ``--json`` nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from overnight.cli.output import Output, count, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")

EVERY = 2_000
"""Jobs between two looks at the clock."""

PATIENCE = 0.6
"""Seconds before a bar appears: most manifests are done by then."""

REDRAW = 0.1
"""Seconds between two drawings of the bar."""

LINE = 60.0
"""Seconds between two lines where there is no terminal."""


def metered(
    items: Iterable[Item],
    output: Output,
    doing: str,
    expected: int | None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Item, None, None]:
    """``items``, while it is shown how many have passed. ``doing`` is a word such as "Loading";
    ``expected`` is how many there will be, where that is known. Whoever may stop before the end
    closes it, so that the terminal is put right before anything else is said."""
    if output.as_json:
        yield from items
        return
    display = _Bar(doing, expected) if is_terminal(sys.stderr) else _Lines(output, doing, expected)
    due = clock() + display.first_after
    try:
        for passed, item in enumerate(items, 1):
            if not passed % EVERY and clock() >= due:
                # A terminal that has gone is no reason to stop.
                with suppress(OSError):
                    display.show(passed)
                due = clock() + display.interval
            yield item
    finally:
        with suppress(OSError):
            display.close()


class _Bar:
    first_after = PATIENCE
    interval = REDRAW

    def __init__(self, doing: str, expected: int | None) -> None:
        self._doing = doing
        self._expected = expected
        self._progress: Progress | None = None

    def show(self, passed: int) -> None:
        from rich.progress import TaskID

        if self._progress is None:
            self._progress = self._begin()
        self._progress.update(TaskID(0), completed=passed)
        self._progress.refresh()

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        counted = "{task.completed:,.0f} of {task.total:,.0f} jobs"
        columns = [BarColumn(30), TextColumn(counted), TimeRemainingColumn(compact=True)]
        if self._expected is None:
            columns = [TextColumn("{task.completed:,.0f} jobs")]
        progress = Progress(
            TextColumn("{task.description}"),
            *columns,
            console=Console(stderr=True, force_terminal=True),
            auto_refresh=False,
            transient=True,
        )
        progress.add_task(self._doing, total=self._expected)
        progress.start()
        return progress

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


class _Lines:
    first_after = LINE
    interval = LINE

    def __init__(self, output: Output, doing: str, expected: int | None) -> None:
        self._output = output
        self._doing = doing
        self._of = "" if expected is None else f" of {expected:,}"

    def show(self, passed: int) -> None:
        jobs = f"{passed:,}{self._of} jobs" if self._of else count(passed, "job")
        self._output.note(f"{time.strftime('%H:%M:%S')} {self._doing}: {jobs}")

    def close(self) -> None:
        return
