"""What a person, or a program, sees while a run goes on: a live block, lines, or JSON Lines.

On a terminal a block at the bottom is drawn anew a few times a second; elsewhere there is one line
a minute, fit for a log. Both go to stderr. Output that fails (a terminal that was closed, a reader
that left) never harms the run itself.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from overnight.cli.figures import Figures, Pace
from overnight.cli.output import Output, is_terminal, line
from overnight.lifecycle import HELD, State

if TYPE_CHECKING:
    from rich.text import Text

    from overnight.engine.report import JobNotice, Notice, Snapshot

TROUBLES_SHOWN = 5
"""Failed jobs that are named while a run goes on; its summary groups them all."""


BAR = 50
"""Characters of the live block's bar."""


class Display(Protocol):
    """Where the figures are shown. ``interval`` is in seconds, and so is ``first_after``."""

    interval: float
    first_after: float

    def show(self, figures: Figures) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class LiveBlock:
    """A block on a terminal that is drawn over itself; what is said scrolls by above it."""

    interval = 0.25
    first_after = 0.0

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title = title
        self._console = Console(stderr=True, force_terminal=True)
        # Drawn by our own loop: a thread of rich's would read the engine's figures as they change.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, figures: Figures) -> None:
        self._live.update(block(self._title, figures), refresh=True)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def close(self) -> None:
        self._live.stop()


class Lines:
    """One line a minute, with the time, for logs."""

    interval = 60.0
    first_after = 60.0

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, figures: Figures) -> None:
        paused = f" ({figures.paused})" if figures.paused else ""
        self.say(f"{figures.counts()}; {figures.pace()}{paused}")

    def say(self, text: str) -> None:
        self._output.note(f"{time.strftime('%H:%M:%S')} {text}")

    def close(self) -> None:
        return


def block(title: str, figures: Figures) -> Text:
    """The live block: title and share, a bar, counts, pace, and why nothing is submitted."""
    from rich.text import Text

    full = round(figures.share * BAR)
    lines = [
        Text.assemble((title, "bold"), f"  {figures.share:.0%}, {figures.room()}"),
        Text.assemble(("━" * full, "green"), ("─" * (BAR - full), "dim")),
        Text(figures.counts()),
        Text(figures.pace()),
    ]
    if figures.paused:
        lines.append(Text(line(figures.paused), style="yellow"))
    return Text("\n").join(lines)


class Watch:
    """Follows one run. ``notice`` is what the engine calls; ``lost`` is called once when the
    reader of ``--json`` has left, because then nobody wants the rest."""

    def __init__(self, title: str, output: Output, batches: dict[int, str]) -> None:
        self._output = output
        self._batches = batches
        self._pace = Pace()
        self._troubles = 0
        self._gone = False
        self.lost: Callable[[], None] = lambda: None
        self._display: Display = LiveBlock(title) if is_terminal(sys.stderr) else Lines(output)

    def notice(self, notice: Notice) -> None:
        """Pass on what the engine tells."""
        try:
            self._record(notice)
        except OSError:
            self.lost()
        job = notice.job
        if job is None:
            self.say(notice.text)
        elif job.state in (State.FAILED, State.UNKNOWN):
            self._trouble(notice.text)

    def say(self, text: str) -> None:
        """A line beside the figures."""
        self._try(partial(self._display.say, line(text)))

    def close(self) -> None:
        """Put the terminal right."""
        self._try(self._display.close)

    @asynccontextmanager
    async def following(self, snapshot: Callable[[], Snapshot]) -> AsyncIterator[None]:
        """Show the figures until this is left."""
        shower = asyncio.create_task(self._follow(snapshot))
        try:
            yield
        finally:
            shower.cancel()
            with suppress(asyncio.CancelledError):
                await shower
            self.close()

    async def _follow(self, snapshot: Callable[[], Snapshot]) -> None:
        loop = asyncio.get_running_loop()
        self._pace.figures(snapshot(), loop.time())
        await asyncio.sleep(self._display.first_after)
        while True:
            figures = self._pace.figures(snapshot(), loop.time())
            # Before the table has been read there is nothing to show.
            if figures.total:
                self._try(partial(self._display.show, figures))
            await asyncio.sleep(self._display.interval)

    def _trouble(self, text: str) -> None:
        self._troubles += 1
        if self._troubles <= TROUBLES_SHOWN:
            self.say(text)
        if self._troubles == TROUBLES_SHOWN:
            self.say("Further failures are only counted here; the end of the run groups them.")

    def _record(self, notice: Notice) -> None:
        job = notice.job
        if job is None:
            fields = {"event": "notice", "level": notice.level, "text": notice.text}
            self._output.record(fields, flush=True)
        elif job.state in HELD:
            self._output.record(self._settled(job), flush=True)

    def _settled(self, job: JobNotice) -> dict[str, object]:
        return {
            "event": "job",
            "id": job.id,
            "batch": self._batches.get(job.batch_id),
            "key": job.key,
            "state": job.state.value,
            "outcome": job.event.value,
            "error": job.error,
        }

    def _try(self, act: Callable[[], None]) -> None:
        """Draw, unless the terminal is gone; that it went is no trouble of the run's."""
        if self._gone:
            return
        try:
            act()
        except OSError:
            self._gone = True
