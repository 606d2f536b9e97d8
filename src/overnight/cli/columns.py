"""A table of texts, in columns that fit a terminal.

rich could draw it, and draws the rest of what people are shown. But its tables take longer to
import than ``status`` and ``jobs`` take to read the database, so theirs are set here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

GAP = "  "
SHORT = 16
"""Characters up to which a column is not cut as long as another one can be."""

Row = Sequence[str]


def cells(
    head: Row,
    rows: Sequence[Row],
    *,
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
    room: int | None = None,
) -> list[list[str]]:
    """The cells of the head and of each row, cut and padded to their columns' widths; with
    :data:`GAP` between them they are the table's lines.

    Columns in ``numbers`` are set to the right, those in ``whole`` are cut last of all. ``room``
    is the terminal's width in characters; None means that nothing is cut.
    """
    table = [head, *rows]
    widths = [max(width(row[place]) for row in table) for place in range(len(head))]
    if room is not None:
        first = [p for p, name in enumerate(head) if widths[p] > SHORT and name not in whole]
        widths = fitted(widths, first, room - len(GAP) * (len(head) - 1))
    to_the_right = [name in numbers for name in head]
    return [[_cell(*cell) for cell in zip(row, widths, to_the_right, strict=True)] for row in table]


def _cell(text: str, most: int, to_the_right: bool) -> str:
    shown = cut(text, most)
    pad = " " * (most - width(shown))
    return pad + shown if to_the_right else shown + pad


def fitted(widths: Sequence[int], first: Collection[int], room: int) -> list[int]:
    """``widths`` made to fit into ``room`` together: the widest gives way first, and none but the
    columns in ``first`` as long as one of these is left with more than a character."""
    fit = [min(each, max(room, 1)) if place in first else each for place, each in enumerate(widths)]
    for able in (first, range(len(fit))):
        while sum(fit) > room and any(fit[place] > 1 for place in able):
            fit[max(able, key=fit.__getitem__)] -= 1
    return fit


def width(text: str) -> int:
    """The places that ``text`` takes on a terminal: two for each wide character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, most: int) -> str:
    """``text``, or its beginning and an ellipsis, in at most ``most`` places."""
    if width(text) <= most:
        return text
    if text.isascii():
        return text[: most - 1] + "…"
    from rich.cells import set_cell_size

    return set_cell_size(text, most - 1) + "…"
