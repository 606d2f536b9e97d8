"""What each answer of RunComfy's Model API becomes.

The table is also the one in ``docs/providers.md``. When it changes, print the new one with
``PYTHONPATH=src python tests/unit/test_provider_answers.py`` and put it there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.providers.base import (
    Accepted,
    Cancelled,
    Delivered,
    Failed,
    Finished,
    Gone,
    NoAnswer,
    NotCancellable,
    Queued,
    Refused,
    Rejected,
    Running,
    Throttled,
    Unavailable,
    Unknown,
)
from overnight.providers.runcomfy_answers import (
    Answer,
    cancel_outcome,
    is_request_id,
    probe_outcome,
    result_outcome,
    status_outcome,
    submit_outcome,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

ID = "a1b2-c3"
PAGE = b"<html><body>Bad gateway</body></html>"
DOCS = Path(__file__).parents[2] / "docs" / "providers.md"


def said(status: int = 200, /, **words: Any) -> Answer:
    return Answer(status, {"content-type": "application/json"}, json.dumps(words).encode())


def page(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, {"content-type": "text/html", **(headers or {})}, PAGE)


def own(status: int, code: int | str) -> Answer:
    return said(status, error_code=code, error_message="the words of the API")


@dataclass(frozen=True)
class Row:
    """One kind of answer, and what each call makes of it. No ``submit``: it is an answer to the
    other calls, and a submit that gets it has no request id to go by."""

    what: str
    answers: tuple[Answer, ...]
    submit: type | None
    free: type
    result: type | None = None
    cancel: type | None = None


GRID = [
    Row("200 with a request id", (said(request_id="new-1"),), Accepted, NoAnswer),
    Row("error 400002 (no balance), 400004 (token), 403001 (forbidden), as any status",
        tuple(own(s, c) for s in (200, 400, 401, 403, 500) for c in (400002, "400004", 403001)),
        Refused, Refused),
    Row("error 400001 (bad id), 404001 (not found), as any status",
        tuple(own(s, c) for s in (200, 400, 404, 500) for c in (400001, "404001")),
        Rejected, Gone),
    Row("another error 4xx… of the API",
        (own(200, 400777), own(422, 422001), own(400, "no_such_input")), Rejected, NoAnswer),
    Row("error 429… of the API", (own(200, 429001),), Throttled, NoAnswer),
    Row("error 409… of the API", (own(200, 409001), own(409, "conflict")), Unknown, NoAnswer),
    Row("error 5xx… of the API, as any status",
        (own(200, 500001), own(503, 503000), own(502, "upstream")), Unavailable, NoAnswer),
    Row("200 with an error and a request id",
        (said(request_id=ID, error_code=500001, error_message="?"),), Unknown, NoAnswer),
    Row("200 with HTML, broken JSON, nothing, or no request id and no state",
        (page(200), Answer(200, {}, b'{"request_id": "a'), Answer(200), said(ok=True),
         Answer(200, {}, b"[]"), Answer(200, {}, b"\xff\xfe")), Unknown, NoAnswer),
    Row("3xx", (Answer(302, {"location": "https://elsewhere.example"}),), Unknown, NoAnswer),
    Row("401, 402, 403 from anybody", tuple(f(s) for s in (401, 402, 403) for f in (page, said)),
        Refused, Refused),
    Row("404 in JSON that names an error, or with `detail`",
        (said(404, detail="Not Found"), said(404, error="no such thing")), Rejected, Gone),
    Row("404 in other JSON, plain text or without a body",
        (said(404, message="no route"), Answer(404, {}, b"not found"), Answer(404)),
        Unknown, Gone),
    Row("404 as an HTML page", (page(404),), Unknown, NoAnswer),
    Row("400, 405, 415, 422 in JSON that names an error",
        tuple(said(s, detail=[{"loc": ["body"]}]) for s in (400, 405, 415, 422)),
        Rejected, NoAnswer),
    Row("400, 405, 415, 422 as an HTML page, or with a bare `message`",
        (*(page(s) for s in (400, 405, 415, 422)), said(400, message="bad")),
        Unknown, NoAnswer),
    Row("413, 414, 431 from anybody", tuple(page(s) for s in (413, 414, 431)),
        Rejected, NoAnswer),
    Row("408, 425 in the API's own words", (own(408, "slow"), own(425, 425000)),
        Unavailable, NoAnswer),
    Row("408, 425 from anybody else", (page(408), Answer(425)), Unknown, NoAnswer),
    Row("409 in any words", (page(409), said(409, detail="taken")), Unknown, NoAnswer),
    Row("429 from anybody", (page(429), Answer(429), said(429, detail="slow down")),
        Throttled, NoAnswer),
    Row("5xx from anybody else",
        (*(page(s) for s in (500, 502, 503, 504)), Answer(503), said(500, detail="oops")),
        Unknown, NoAnswer),
    Row("`in_queue`", (said(status="in_queue"), said(status="IN_QUEUE")),
        None, Queued, cancel=NoAnswer),
    Row("`in_progress`", (said(status="in_progress"),), None, Running, cancel=NotCancellable),
    Row("`pending`, `waiting`, `starting`, `processing`",
        tuple(said(status=w) for w in ("pending", "waiting", "starting", "processing")),
        None, Running, cancel=NoAnswer),
    Row("a state that nobody knows", (said(status="pondering"),), None, Running,
        cancel=NoAnswer),
    Row("`completed` or `succeeded`, with files in `output`",
        tuple(said(status=w, output={"video": "https://cdn.example/a.mp4"})
              for w in ("completed", "succeeded")),
        None, Finished, result=Delivered, cancel=NoAnswer),
    Row("`completed` or `succeeded`, without a file",
        (said(status="completed"), said(status="succeeded", output={"text": "hello"})),
        None, Finished, result=NoAnswer, cancel=NoAnswer),
    Row("`completed`, without a file and with an error",
        (said(status="completed", error="out of memory"),), None, Finished, result=Failed,
        cancel=NoAnswer),
    Row("`failed`", (said(status="failed", error={"message": "boom"}),), None, Failed,
        cancel=NoAnswer),
    Row("`cancelled` or `canceled`", (said(status="cancelled"), said(status="canceled")),
        None, Cancelled),
    Row("outcome `cancelled`", (said(202, status="completed", outcome="cancelled"),),
        None, Finished, result=NoAnswer, cancel=Cancelled),
    Row("outcome `not_cancellable`", (said(202, status="completed", outcome="not_cancellable"),),
        None, Finished, result=NoAnswer, cancel=NotCancellable),
    Row("an answer about another request",
        (said(request_id="other", status="completed", output={"video": "https://a.example/b"}),),
        Accepted, NoAnswer),
]  # fmt: skip

CELLS = [(row, answer) for row in GRID for answer in row.answers]


@pytest.mark.parametrize(("row", "answer"), CELLS, ids=[f"{r.what}-{a.status}" for r, a in CELLS])
def test_each_answer_becomes_what_the_table_says(row: Row, answer: Answer) -> None:
    assert type(submit_outcome(answer)) is (row.submit or Unknown)
    assert type(status_outcome(answer, ID)) is row.free
    assert type(result_outcome(answer, ID)) is (row.result or row.free)
    assert type(cancel_outcome(answer, ID)) is (row.cancel or row.free)


def table() -> str:
    """The table as Markdown."""
    lines = ["| answer | submit | status | result | cancel |", "| --- | --- | --- | --- | --- |"]
    for row in GRID:
        kinds = (row.submit, row.free, row.result or row.free, row.cancel or row.free)
        lines.append(f"| {row.what} | " + " | ".join(map(_words, kinds)) + " |")
    return "\n".join(lines)


def _words(kind: type | None) -> str:
    if kind is None:
        return "–"
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind.__name__).strip()


def test_the_docs_have_this_table() -> None:
    assert table() in DOCS.read_text("utf-8")


# --- details of submit ----------------------------------------------------------------------------


def test_an_accepted_submit_keeps_the_request_id() -> None:
    assert submit_outcome(said(201, request_id="a.b_c~d-1")) == Accepted("a.b_c~d-1")


def test_an_error_code_of_nought_is_no_error() -> None:
    answer = said(request_id="a", error_code=0, error_message="")
    assert submit_outcome(answer) == Accepted("a")


@pytest.mark.parametrize(
    "bad", [7, None, "", ".", "..", "a/b", "a b", "é", "a" * 201, ["a"], "a\n"]
)
def test_an_id_that_can_t_stand_in_a_url_is_unknown(bad: object) -> None:
    outcome = submit_outcome(said(request_id=bad))
    assert isinstance(outcome, Unknown)
    assert outcome.reason


def test_throttling_carries_the_wait() -> None:
    outcome = submit_outcome(page(429, {"retry-after": "7"}))
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after == 7.0


def test_unavailable_carries_the_wait() -> None:
    answer = Answer(503, {"retry-after": "7"}, b'{"error_message": "full"}')
    assert submit_outcome(answer) == Unavailable("HTTP 503: full", 7.0)


def test_a_refusal_says_why_and_keeps_the_code() -> None:
    outcome = submit_outcome(said(error_code=400002, error_message="No\nbalance \x1b[31m"))
    assert outcome == Refused("No balance [31m (400002)", "400002")


@UNHURRIED
@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_without_a_request_id_is_taken_for_accepted(status: int, body: bytes) -> None:
    answer = Answer(status, {}, body)
    outcome = submit_outcome(answer)
    if isinstance(outcome, Accepted):
        assert 200 <= status < 300
        assert json.loads(body)["request_id"] == outcome.request_id


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_fields = st.sampled_from(
    ["request_id", "status", "output", "error", "error_code", "error_message", "detail", "outcome",
     "queue_position", "cost", "balance_usd"]
)  # fmt: skip


@UNHURRIED
@given(st.sampled_from([200, 202, 302, 400, 404, 409, 429, 500]), st.dictionaries(_fields, _json))
def test_any_json_becomes_some_outcome(status: int, words: dict[str, Any]) -> None:
    answer = said(status, **words)
    submitted = submit_outcome(answer)
    if isinstance(submitted, Accepted):
        assert answer.ok
        assert is_request_id(submitted.request_id)
    for outcome in (
        status_outcome(answer, ID),
        result_outcome(answer, ID),
        cancel_outcome(answer, ID),
        probe_outcome(answer),
    ):
        for text in (getattr(outcome, "reason", ""), getattr(outcome, "word", "") or ""):
            assert "\n" not in text
            text.encode()


def test_json_nested_beyond_reason_is_no_answer() -> None:
    answer = Answer(200, {}, b"[" * 200_000)
    assert isinstance(submit_outcome(answer), Unknown)
    assert isinstance(status_outcome(answer, ID), NoAnswer)


# --- details of the free calls --------------------------------------------------------------------


def test_the_place_in_the_queue_is_kept_where_it_is_one() -> None:
    assert status_outcome(said(status="in_queue", queue_position=3), ID) == Queued(3)
    for odd in (True, "3", -1, 2.5, None):
        assert status_outcome(said(status="in_queue", queue_position=odd), ID) == Queued(None)


def test_an_answer_that_names_the_request_asked_for_counts() -> None:
    assert status_outcome(said(request_id=ID, status="in_queue"), ID) == Queued()


def test_an_unknown_word_is_handed_on() -> None:
    assert status_outcome(said(status="pondering\x1b"), ID) == Running(word="pondering")
    assert status_outcome(said(status="processing"), ID) == Running()


def test_a_poll_that_is_put_off_carries_the_wait() -> None:
    outcome = status_outcome(page(503, {"retry-after": "12"}), ID)
    assert outcome == NoAnswer("HTTP 503 with an HTML page", 12.0)


@pytest.mark.parametrize(
    ("error", "reason", "final"),
    [
        ({"error": "boom"}, "boom", False),
        ({"error": {"message": "bad size", "code": 400010}}, "bad size", True),
        ({"error_message": "no such model", "error_code": 404001}, "no such model", True),
        ({"error_message": "no balance", "error_code": 400002}, "no balance", False),
        ({"error_message": "busy", "error_code": 500001}, "busy", False),
        ({"error": {"why": 7}}, '{"why": 7}', False),
        ({}, "the provider says that it failed, and not why", False),
    ],
)
def test_a_failure_says_why_and_whether_it_can_get_better(
    error: dict[str, Any], reason: str, final: bool
) -> None:
    for outcome in (
        status_outcome(said(status="failed", **error), ID),
        result_outcome(said(status="failed", **error), ID),
    ):
        assert isinstance(outcome, Failed)
        assert (outcome.reason, outcome.final) == (reason, final)


def test_a_long_error_is_cut() -> None:
    outcome = result_outcome(said(status="failed", error="x" * 10_000), ID)
    assert isinstance(outcome, Failed)
    assert len(outcome.reason) == 500


def test_a_job_s_own_error_code_is_no_refusal_of_the_account() -> None:
    outcome = status_outcome(said(status="failed", error_code=403001, error_message="nsfw"), ID)
    assert outcome == Failed("nsfw", "403001", False)


def test_files_come_in_the_order_of_the_schema_and_none_twice() -> None:
    output = {
        "more": {"deep": [{"url": "https://cdn.example/e"}]},
        "videos": ["https://cdn.example/d", "https://cdn.example/a"],
        "images": ["https://cdn.example/c"],
        "video": "https://cdn.example/b",
        "image": "https://cdn.example/a",
    }
    answer = said(status="succeeded", output=output, inputs={"image": "https://mine.example/x"})
    outcome = result_outcome(answer, ID)
    assert isinstance(outcome, Delivered)
    assert [url[-1] for url in outcome.urls] == ["a", "b", "c", "d", "e"]
    assert outcome.output == output


@pytest.mark.parametrize(
    "text",
    ["http://cdn.example/a", "ftp://a.example/b", "https://", "https://u:p@a.example/b",
     "https://a.example/b c", "https://[bad/b", "RunComfy_example.png", "https://a.example/\ud800"],
)  # fmt: skip
def test_what_is_no_safe_url_is_no_file(text: str) -> None:
    answer = said(status="succeeded", output={"video": text})
    assert isinstance(result_outcome(answer, ID), NoAnswer)


def test_plain_http_counts_only_on_the_hosts_that_were_named() -> None:
    answer = said(status="succeeded", output={"video": "http://127.0.0.1:9/a.mp4"})
    assert isinstance(result_outcome(answer, ID), NoAnswer)
    outcome = result_outcome(answer, ID, frozenset({"127.0.0.1"}))
    assert isinstance(outcome, Delivered)
    assert outcome.urls == ("http://127.0.0.1:9/a.mp4",)


def test_a_result_without_a_state_counts_by_its_output() -> None:
    outcome = result_outcome(said(output={"image": "https://cdn.example/a.png"}), ID)
    assert isinstance(outcome, Delivered)
    assert isinstance(status_outcome(said(output={}), ID), NoAnswer)


def test_the_cost_is_kept_where_it_is_a_number() -> None:
    output = {"video": "https://cdn.example/a.mp4"}
    for value, cost in [(0.06, 0.06), (2, 2.0), (0, 0.0), ("1", None), (True, None), (-1, None)]:
        outcome = result_outcome(said(status="succeeded", output=output, cost=value), ID)
        assert isinstance(outcome, Delivered)
        assert outcome.cost == cost


# --- the probe ------------------------------------------------------------------------------------


def test_a_probe_is_content_with_any_answer_to_the_account() -> None:
    assert probe_outcome(said(balance_usd=1.5)) is None
    assert probe_outcome(said(models=[], total=0)) is None
    assert probe_outcome(page(404)) is None


def test_a_probe_sees_a_refusal_and_an_empty_wallet() -> None:
    assert isinstance(probe_outcome(said(401)), Refused)
    assert isinstance(probe_outcome(own(200, 400004)), Refused)
    assert probe_outcome(said(balance_usd=-1.2)) == Refused("the balance is -1.20 US dollars")
    assert isinstance(probe_outcome(said(balance_usd=0)), Refused)


def test_a_probe_sees_an_outage() -> None:
    assert probe_outcome(page(503, {"retry-after": "9"})) == NoAnswer(
        "HTTP 503 with an HTML page", 9.0
    )
    assert isinstance(probe_outcome(page(200)), NoAnswer)
    assert isinstance(probe_outcome(Answer(429)), NoAnswer)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
