"""What each fault of the wire becomes, call by call: the one table, for tests and for users.

``docs/failures.md`` holds it as Markdown. When it changes, print the new one with
``PYTHONPATH=src python -m tests.grid.table`` and put it there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from overnight.artifacts.download import Expired, TryAgain, Unfetchable
from overnight.lifecycle import Event, State, after
from overnight.providers.base import (
    Gone,
    NoAnswer,
    NotSent,
    Refused,
    Rejected,
    Throttled,
    Unavailable,
    Unknown,
)
from tests.grid.wire import (
    Answer,
    Closes,
    Cuts,
    Fault,
    Refuses,
    Resets,
    Says,
    Silent,
    own,
    page,
    words,
)

REJECTED = (Rejected, Event.REJECTED)
REFUSED = (Refused, Event.REFUSED)
THROTTLED = (Throttled, Event.THROTTLED)
UNAVAILABLE = (Unavailable, Event.UNAVAILABLE)
NOT_SENT = (NotSent, Event.NOT_SENT)
UNKNOWN = (Unknown, Event.UNCERTAIN)


@dataclass(frozen=True)
class Row:
    """One fault, in every shape that makes no difference. ``submit`` is the outcome of the paid
    call and the event that it is for the job; the others are outcomes of the free calls. ``wait``
    is how many seconds the answer asks us to stay away."""

    what: str
    faults: tuple[Fault, ...]
    submit: tuple[type, Event]
    status: type
    result: type
    cancel: type
    download: type
    wait: float | None = None


NOON = "Sun, 01 Nov 2026 12:00:00 GMT"
SOON = "Sun, 01 Nov 2026 12:00:07 GMT"

ROWS = (
    # what happens                    faults                  submit  status  result  cancel  file
    Row("no connection",
        (Refuses(),), NOT_SENT, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("reset before the request is read",
        (Resets(reads=False),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("reset or closed after the request is read",
        (Resets(reads=True), Closes()), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("silence until the time limit",
        (Silent(),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("the answer stops in the middle",
        (Cuts(),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("200 with an error: not now (500001)",
        (own(200, 500001),), UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("200 with an error: no balance (400002)",
        (own(200, 400002),), REFUSED, Refused, Refused, Refused, Expired),
    Row("200 with an error: not found (404001)",
        (own(200, 404001),), REJECTED, Gone, Gone, Gone, Expired),
    Row("200 with a web page",
        (page(200),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("200 with nothing, or nothing of use",
        (words(200), Says(Answer(200))), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("400 in the API's words",
        (own(400, 400010),), REJECTED, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("400 as a web page",
        (page(400),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("401 in any words",
        (own(401, 400004), page(401)), REFUSED, Refused, Refused, Refused, Expired),
    Row("402 in any words",
        (own(402, 400002), page(402)), REFUSED, Refused, Refused, Refused, Unfetchable),
    Row("403 in any words",
        (own(403, 403001), page(403)), REFUSED, Refused, Refused, Refused, Expired),
    Row("404 in the API's words",
        (own(404, 404001),), REJECTED, Gone, Gone, Gone, Expired),
    Row("404 as a web page",
        (page(404),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Expired),
    Row("409 in any words",
        (own(409, 409001), page(409)), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Unfetchable),
    Row("422 in the API's words",
        (own(422, 422001),), REJECTED, NoAnswer, NoAnswer, NoAnswer, Unfetchable),
    Row("422 as a web page",
        (page(422),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, Unfetchable),
    Row("429 in any words",
        (own(429, 429001), page(429)), THROTTLED, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("429 with Retry-After in seconds",
        (own(429, 429001, Retry_After="7"), page(429, Retry_After="7")),
        THROTTLED, NoAnswer, NoAnswer, NoAnswer, TryAgain, wait=7.0),
    Row("429 with Retry-After as a date",
        (own(429, 429001, Retry_After=SOON, Date=NOON), page(429, Retry_After=SOON, Date=NOON)),
        THROTTLED, NoAnswer, NoAnswer, NoAnswer, TryAgain, wait=7.0),
    Row("500 in the API's words",
        (own(500, 500001),), UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("500 as a web page",
        (page(500),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("502 in the API's words",
        (own(502, 502001),), UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("502 as a web page",
        (page(502),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("503 in the API's words",
        (own(503, 503001),), UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("503 in the API's words, with Retry-After",
        (own(503, 503001, Retry_After="7"),),
        UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, TryAgain, wait=7.0),
    Row("503 as a web page",
        (page(503),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("504 in the API's words",
        (own(504, 504001),), UNAVAILABLE, NoAnswer, NoAnswer, NoAnswer, TryAgain),
    Row("504 as a web page",
        (page(504),), UNKNOWN, NoAnswer, NoAnswer, NoAnswer, TryAgain),
)  # fmt: skip


def markdown() -> str:
    """The table for users."""
    lines = [
        "| what happens | submit | then the job is | status | result | cancel | file |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        outcome, event = row.submit
        free = (row.status, row.result, row.cancel, row.download)
        state = f"`{after(State.SUBMITTING, event)}`"
        cells = (row.what, spoken(outcome), state, *map(spoken, free))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spoken(outcome: type) -> str:
    """An outcome's name in words: ``NoAnswer`` is ``no answer``."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in outcome.__name__).strip()


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
