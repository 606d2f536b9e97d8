"""How anything reaches a person or a program.

With ``--json`` stdout carries JSON Lines and nothing else, and what is said to people goes to
stderr. Without it, answers go to stdout; progress, notices and questions go to stderr, so that a
pipe holds only what was asked for. Colour and lines are for terminals alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from overnight.cli.columns import GAP, cells
from overnight.providers.redaction import plain

if TYPE_CHECKING:
    from rich.console import RenderableType


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads ``stream``, on something that can move a cursor."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def can_ask() -> bool:
    """Whether there is a person to put a question to, and to answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Output:
    """One command's way out. ``as_json`` is its ``--json`` flag."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, text: str = "") -> None:
        """An answer, for people."""
        click.echo(text, err=self.as_json)

    def note(self, text: str) -> None:
        """Something beside the answer: a notice, a warning, progress."""
        click.echo(text, err=True)

    def record(self, fields: Mapping[str, Any], *, flush: bool = False) -> None:
        """One line of JSON on stdout; nothing without ``--json``.

        ``flush``: a program is waiting for it.
        """
        if not self.as_json:
            return
        # Characters as they are, except where stdout's own encoding can't carry them.
        escape = sys.stdout.encoding.lower().replace("-", "") != "utf8"
        sys.stdout.write(json.dumps(fields, ensure_ascii=escape) + "\n")
        if flush:
            sys.stdout.flush()

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Short labels, and beside each a text; a terminal's texts are wrapped under themselves."""
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in facts:
            grid.add_row(Text(label, style="bold"), Text(text))
        self._draw(grid)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        numbers: Sequence[str] = (),
        whole: Sequence[str] = (),
    ) -> None:
        """A table for people; columns in ``numbers`` are set to the right, those in ``whole`` are
        cut last of all."""
        stream = sys.stderr if self.as_json else sys.stdout
        terminal = is_terminal(stream)
        room = _width(stream) if terminal else None
        head, *body = cells(columns, rows, numbers=numbers, whole=whole, room=room)
        if terminal:
            head = [click.style(cell, bold=True) for cell in head]
            if not os.environ.get("NO_COLOR"):
                body = [list(map(_coloured, *pair)) for pair in zip(body, rows, strict=True)]
        lines = [GAP.join(line).rstrip() for line in (head, *body)]
        click.echo("\n".join(lines), file=stream, color=terminal)

    def _draw(self, drawing: RenderableType) -> None:
        """On a terminal within its width; off it nothing is cut, and no colour gets into a file."""
        from rich.console import Console

        stream = sys.stderr if self.as_json else sys.stdout
        terminal = is_terminal(stream)
        console = Console(
            file=stream,
            force_terminal=terminal,
            no_color=None if terminal else True,
            width=None if terminal else 100_000,
        )
        with console.capture() as captured:
            console.print(drawing)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), file=stream)


def _width(stream: TextIO) -> int:
    """The width of the terminal behind ``stream`` in characters."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH


USUAL_WIDTH = 80
"""Characters, where a terminal doesn't tell."""


def _coloured(cell: str, text: str) -> str:
    """``cell``, which shows ``text``, in the colour of the state that it names."""
    colour = _COLOURS.get(text)
    return cell if colour is None else click.style(cell, fg=colour)


_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "unknown": "yellow",
    "running": "cyan",
    "collecting": "cyan",
}


def iso(moment: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def local(moment: float) -> str:
    """Seconds since 1970 as the reader's own date and time."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``, ``1,234 jobs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Bytes, in the unit that keeps the number short."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} TB"


def span(seconds: float) -> str:
    """A duration in the two units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def line(text: str, limit: int = 500) -> str:
    """Text from outside (a prompt, a key, a server's words) as one line fit for a terminal."""
    return plain(text, limit)
