"""Every fault of the wire × every call, over a real socket, through the real client.

The table is in :mod:`tests.grid.table`; this runs each of its cells, and holds the users' page to
it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from overnight.artifacts.download import (
    Downloader,
    Expired,
    Fetched,
    FetchOutcome,
    TryAgain,
    Unfetchable,
)
from overnight.engine.retry import Policy, after_submit
from overnight.lifecycle import TABLE, UNCOUNTED, Event, State
from overnight.providers import base
from overnight.providers.base import NoAnswer, Request, Throttled, Unavailable, Unknown
from overnight.providers.credentials import Account
from overnight.providers.redaction import Secret
from overnight.providers.retry_after import retry_after
from overnight.providers.runcomfy import RunComfy, Timeouts
from overnight.providers.transport import AiohttpTransport
from tests.grid.table import ROWS, Row, markdown
from tests.grid.wire import Answer, FarEnd, Fault, Refuses, Says, Silent

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
TOKEN = "tok-4f9a-secret-value"
REQUEST = Request("shop/model", "req-1")
CLIP = bytes(range(256)) * 64
FOREVER = 30.0

CELLS = [(row, fault) for row in ROWS for fault in row.faults]
each_cell = pytest.mark.parametrize(
    ("row", "fault"), CELLS, ids=[f"{row.what}-{n}" for n, (row, _) in enumerate(CELLS)]
)


def honest(request: str) -> Answer:
    """What a call is answered when all is well."""
    if "/files/" in request:
        return Answer(200, CLIP, {"Content-Type": "video/mp4"})
    said: dict[str, object] = {"request_id": REQUEST.id}
    if request.startswith("GET"):
        said |= {"status": "completed", "output": {"video": "http://127.0.0.1:9/a.mp4"}}
    elif "/cancel" in request:
        said |= {"status": "completed", "outcome": "cancelled"}
    return Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})


def patience(fault: Fault) -> float:
    """Seconds to wait for an answer: short only where none will come."""
    return 0.1 if isinstance(fault, Silent) else FOREVER


async def asked(fault: Fault, call: Callable[[RunComfy], Awaitable[object]]) -> tuple[object, int]:
    """What a call through the real provider becomes, and how many requests arrived."""
    limit = patience(fault)
    async with FarEnd(fault, honest).open() as far:
        provider = RunComfy.connect(
            Account(far.base, Secret(TOKEN), "test"),
            trust_env=False,
            timeouts=Timeouts(submit=limit, free=limit),
        )
        try:
            outcome = await call(provider)
        finally:
            await provider.aclose()
    assert TOKEN not in repr(outcome)
    return outcome, len(far.requests)


async def fetched(fault: Fault, folder: Path) -> FetchOutcome:
    """What a download through the real downloader becomes."""
    async with FarEnd(fault, honest).open() as far:
        downloader = Downloader(
            AiohttpTransport(),
            retry_after=retry_after,
            plain_http_hosts=frozenset({"127.0.0.1"}),
            read=patience(fault),
        )
        try:
            return await downloader.fetch(f"{far.base}/files/a.mp4", folder / "a.mp4")
        finally:
            await downloader.aclose()


def wait_of(outcome: object) -> float | None:
    seconds = getattr(outcome, "retry_after", None)
    assert seconds is None or isinstance(seconds, float)
    return seconds


# --- the cells ------------------------------------------------------------------------------------


@each_cell
async def test_submit(row: Row, fault: Fault) -> None:
    outcome, arrived = await asked(fault, lambda api: api.submit("shop/model", {"a": 1}, key="k"))
    kind, event = row.submit
    assert type(outcome) is kind, outcome
    assert isinstance(outcome, base.SubmitOutcome)
    # Paid: sent once, whatever becomes of it; and not at all only where that is what it says.
    assert arrived == (0 if isinstance(fault, Refuses) else 1)
    decision = after_submit(outcome, 0, Policy(), Random(1))
    assert decision.event is event
    assert decision.error
    if isinstance(outcome, Throttled | Unavailable):
        assert wait_of(outcome) == row.wait
        assert decision.wait >= (row.wait or 0.0)


@each_cell
async def test_status(row: Row, fault: Fault) -> None:
    outcome, _ = await asked(fault, lambda api: api.status(REQUEST))
    assert type(outcome) is row.status, outcome
    assert wait_of(outcome) == (row.wait if row.status is NoAnswer else None)


@each_cell
async def test_result(row: Row, fault: Fault) -> None:
    outcome, _ = await asked(fault, lambda api: api.result(REQUEST))
    assert type(outcome) is row.result, outcome
    assert wait_of(outcome) == (row.wait if row.result is NoAnswer else None)


@each_cell
async def test_cancel(row: Row, fault: Fault) -> None:
    outcome, _ = await asked(fault, lambda api: api.cancel(REQUEST))
    assert type(outcome) is row.cancel, outcome
    assert wait_of(outcome) == (row.wait if row.cancel is NoAnswer else None)


@each_cell
async def test_download(row: Row, fault: Fault, tmp_path: Path) -> None:
    outcome = await fetched(fault, tmp_path)
    assert type(outcome) is row.download, outcome
    assert isinstance(outcome, Expired | TryAgain | Unfetchable)
    assert outcome.reason
    assert wait_of(outcome) == row.wait
    assert list(tmp_path.iterdir()) == []


# --- the table itself ---------------------------------------------------------------------------


async def test_without_a_fault_every_call_goes_well(tmp_path: Path) -> None:
    """The honest answers are good ones, so that a cell is what it is for its fault alone."""

    async def well(call: Callable[[RunComfy], Awaitable[object]], line: str) -> object:
        outcome, _ = await asked(Says(honest(line)), call)
        return type(outcome)

    assert await well(lambda api: api.submit("m", {}, key="k"), "POST /m") is base.Accepted
    assert await well(lambda api: api.status(REQUEST), "GET /status") is base.Finished
    assert await well(lambda api: api.result(REQUEST), "GET /result") is base.Delivered
    assert await well(lambda api: api.cancel(REQUEST), "POST /cancel") is base.Cancelled
    outcome = await fetched(Says(honest("GET /files/a.mp4")), tmp_path)
    assert isinstance(outcome, Fetched)
    assert outcome.path.read_bytes() == CLIP


def test_only_what_surely_was_not_accepted_is_submitted_again_by_itself() -> None:
    again = {row.submit[0] for row in ROWS if row.submit[1] in UNCOUNTED}
    assert again == {base.NotSent, base.Refused, base.Throttled, base.Unavailable}
    assert all(
        (row.submit[0] is Unknown) == (TABLE[State.SUBMITTING][row.submit[1]] is State.UNKNOWN)
        for row in ROWS
    )


def test_a_broken_wire_is_never_taken_for_an_answer_of_the_provider() -> None:
    for row in ROWS:
        if not any(isinstance(fault, Says) for fault in row.faults):
            assert {row.status, row.result, row.cancel} == {NoAnswer}
            assert row.submit[1] in (Event.UNCERTAIN, Event.NOT_SENT)


def test_the_users_page_has_this_table() -> None:
    assert markdown() in PAGE.read_text("utf-8")
