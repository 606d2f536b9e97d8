"""What an answer of RunComfy's Model API means. Pure: an answer goes in, an outcome comes out.

The rules, in prose first (``docs/providers.md`` has them as a table):

1. The API's own code in the body outranks the HTTP status, because an error may come as 200. A
   code of six digits starts with an HTTP status, and codes we don't know are read by that.
2. A submit is paid. It surely was not accepted only when somebody who must know says so: the
   API in its own words, or a status that can only be given before the work is taken on (401, 402,
   403, 429, and 413, 414, 431 about the size of what was sent). Everything else is unknown.
3. Another 4xx counts as the API's words when its body is a JSON object that names an error
   (``error_code``, ``error_message``, ``error``, ``errors`` or ``detail``): frameworks that such
   APIs are built with write those. A bare ``message`` is what gateways write, and an HTML page is
   a gateway: it may stand anywhere between us and the API, so it proves nothing. A 5xx counts
   only with ``error_code`` or ``error_message``.
4. 409 is unknown in any words: it may say that the job is there already.
5. A request id together with an error contradicts itself, and is unknown, unless a 4xx says no.
6. Polls, results and cancels are free. Only the API's own words move a job; a gateway's page, a
   word nobody knows and an answer about another request say nothing about it.
7. ``completed`` means finished. The verdict is the result's, and its files are looked for inside
   ``output`` only, because a result may echo the inputs, URLs and all.
8. A result that says it worked and names no file is no answer: it has been paid for, so it is
   asked for again rather than bought again.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overnight.providers.base import (
    Accepted,
    Cancelled,
    CancelOutcome,
    Delivered,
    Failed,
    Finished,
    Gone,
    NoAnswer,
    NotCancellable,
    Queued,
    Refused,
    Rejected,
    ResultOutcome,
    Running,
    StatusOutcome,
    SubmitOutcome,
    Throttled,
    Unavailable,
    Unknown,
)
from overnight.providers.output_urls import file_urls
from overnight.providers.redaction import plain
from overnight.providers.retry_after import retry_after

_decode = json.JSONDecoder().decode

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_OWN_WORDS = ("error_code", "error_message")
_ERROR_WORDS = (*_OWN_WORDS, "error", "errors", "detail")

_REFUSED = frozenset({401, 402, 403})
_TOO_LARGE = frozenset({413, 414, 431})
_LATER = frozenset({408, 425})

_REFUSED_CODES = frozenset({"400002", "400004", "403001"})
"""No balance; missing or bad token; forbidden."""
_NO_SUCH_CODES = frozenset({"400001", "404001"})
"""Bad id; not found, or expired."""

_BLAMES_INPUTS = re.compile(r"(400|404|405|406|410|411|413|414|415|422|431)\d{3}")
"""Codes of a failed job after which the same inputs can only fail again."""

_WAITING_WORDS = frozenset({"in_queue", "queued"})
_RUNNING_WORDS = frozenset({"in_progress", "pending", "waiting", "starting", "processing"})
_FINISHED_WORDS = frozenset({"completed", "succeeded"})
_CANCELLED_WORDS = frozenset({"cancelled", "canceled"})
_STATES = _WAITING_WORDS | _RUNNING_WORDS | _FINISHED_WORDS | _CANCELLED_WORDS | {"failed"}


def is_request_id(text: object) -> bool:
    """Whether ``text`` can stand in a URL's path as it is, and means nothing there but itself."""
    return isinstance(text, str) and bool(_REQUEST_ID.fullmatch(text)) and text not in {".", ".."}


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer. ``headers`` find names in lower case; ``at`` is the Unix time of it, and
    ``seconds`` is how long the call took."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    at: float = 0.0
    seconds: float = 0.0
    words: Mapping[str, Any] | None = field(init=False, repr=False, compare=False)
    """The body where it is a JSON object."""
    code: str | None = field(init=False, repr=False, compare=False)
    """The API's own error code, as text."""

    def __post_init__(self) -> None:
        words = _json_object(self.body)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "code", _code((words or {}).get("error_code")))

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def family(self) -> int:
        """The HTTP status that the answer speaks with: its code's where that has one."""
        if self.code and re.fullmatch(r"[45]\d{5}", self.code):
            return int(self.code[:3])
        return self.status

    def names(self, words: tuple[str, ...]) -> bool:
        """Whether the body has an error under one of ``words``."""
        body = self.words or {}
        return any(body.get(word) and body.get(word) != "0" for word in words)

    @property
    def retry_after(self) -> float | None:
        return retry_after(self.headers, self.at)

    @property
    def is_page(self) -> bool:
        """An HTML page: a gateway's, for no call of the API answers with one."""
        kind = self.headers.get("content-type", "")
        return "html" in kind.lower() or self.body.lstrip()[:1] == b"<"

    def described(self) -> str:
        """One line about the answer, for people: what it said, or what it was."""
        said = error_text(self.words or {})
        code = f" ({self.code})" if self.code else ""
        if said:
            return f"{said}{code}" if self.ok else f"HTTP {self.status}: {said}{code}"
        if self.code:
            return f"HTTP {self.status}, error code {self.code}"
        kind = "an HTML page" if self.is_page else "nothing usable" if self.body else "no body"
        return f"HTTP {self.status} with {kind}"


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        # Not "utf-8-sig", which is written in Python, as are the options of json.loads().
        value = _decode(body.removeprefix(codecs.BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _code(value: object) -> str | None:
    """An error code as text; codes come as numbers and as strings, and 0 is none."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if value in (0, "0", ""):
        return None
    return plain(str(value), 40)


def error_text(words: Mapping[str, Any]) -> str:
    """The provider's own text of an error, from any place it is known to put one; may be empty."""
    for name in ("error_message", "error", "detail", "errors", "message"):
        value = words.get(name)
        if isinstance(value, Mapping):
            inner = error_text(value)
            value = inner or json.dumps(value, ensure_ascii=False)
        elif isinstance(value, list) and value:
            value = json.dumps(value, ensure_ascii=False)
        if isinstance(value, str) and value.strip():
            return plain(value)
    return ""


# --- submit ---------------------------------------------------------------------------------------


def submit_outcome(answer: Answer) -> SubmitOutcome:
    """What became of a paid POST that was answered."""
    request_id = (answer.words or {}).get("request_id")
    wrong = answer.names(_OWN_WORDS)
    if wrong and request_id is not None and (answer.ok or answer.status >= 500):
        return Unknown(f"an error came together with a request id: {answer.described()}")
    if answer.ok and not wrong:
        if is_request_id(request_id):
            return Accepted(str(request_id))
        return Unknown(f"the answer holds no usable request id: {answer.described()}")
    return _no(answer) if _surely_not(answer, wrong=wrong) else Unknown(answer.described())


def _surely_not(answer: Answer, *, wrong: bool) -> bool:
    """Rules 2 to 4: whether an answer that is no acceptance proves that nothing was taken on."""
    if answer.family == 409:
        return False
    if wrong:
        return True
    if answer.status in _REFUSED | _TOO_LARGE | {429}:
        return True
    return 400 <= answer.status < 500 and answer.names(_ERROR_WORDS)


def _no(answer: Answer) -> Rejected | Refused | Throttled | Unavailable:
    """Which kind of no it is."""
    reason, family = answer.described(), answer.family
    if turned_away(answer):
        return Refused(reason, answer.code)
    if answer.code in _NO_SUCH_CODES:
        return Rejected(reason, answer.code)
    if family == 429:
        return Throttled(answer.retry_after, reason)
    if family >= 500 or family in _LATER:
        return Unavailable(reason, answer.retry_after)
    return Rejected(reason, answer.code)


def turned_away(answer: Answer) -> bool:
    """Whether the answer is about the account, not about the call."""
    if answer.code in _REFUSED_CODES:
        return True
    return answer.code not in _NO_SUCH_CODES and answer.family in _REFUSED


# --- status, result, cancel -----------------------------------------------------------------------


def status_outcome(answer: Answer, request_id: str) -> StatusOutcome:
    """What a poll says of the request."""
    trouble = _free_trouble(answer, request_id)
    if trouble is not None:
        return trouble
    words = answer.words or {}
    word = _word(words)
    if word in _FINISHED_WORDS:
        return Finished()
    if word == "failed":
        return _failed(words)
    if word in _CANCELLED_WORDS:
        return Cancelled()
    return _unfinished(word, words)


def result_outcome(
    answer: Answer, request_id: str, plain_http_hosts: frozenset[str] = frozenset()
) -> ResultOutcome:
    """The verdict, or the state the request is still in.

    ``plain_http_hosts``: hosts whose ``http`` URLs count as files; https ones always do.
    """
    trouble = _free_trouble(answer, request_id, stands_for_state="output")
    if trouble is not None:
        return trouble
    words = answer.words or {}
    word = _word(words)
    if word == "failed":
        return _failed(words)
    if word in _CANCELLED_WORDS:
        return Cancelled()
    if word in _FINISHED_WORDS or (not word and "output" in words):
        return _delivered(words, word, plain_http_hosts)
    return _unfinished(word, words)


def cancel_outcome(answer: Answer, request_id: str) -> CancelOutcome:
    """What became of the wish to cancel."""
    trouble = _free_trouble(answer, request_id, stands_for_state="outcome")
    if trouble is not None:
        return trouble
    words = answer.words or {}
    outcome = str(words.get("outcome", "")).strip().lower()
    word = _word(words)
    if outcome == "not_cancellable":
        return NotCancellable()
    if outcome in _CANCELLED_WORDS or (not outcome and word in _CANCELLED_WORDS):
        return Cancelled()
    if not outcome and word == "in_progress":
        return NotCancellable()
    return NoAnswer(f"the answer does not say whether it was cancelled: {answer.described()}")


def probe_outcome(answer: Answer) -> Refused | NoAnswer | None:
    """Whether the API answers and takes the account; an empty wallet counts as turned away.

    A 404 in place of the asked page is an answer too: the account got past the door.
    """
    if turned_away(answer):
        return Refused(answer.described(), answer.code)
    if answer.status == 404:
        return None
    if not answer.ok or answer.words is None or answer.names(_OWN_WORDS):
        return NoAnswer(answer.described(), answer.retry_after)
    balance = answer.words.get("balance_usd")
    if isinstance(balance, int | float) and not balance > 0:
        return Refused(f"the balance is {balance:.2f} US dollars")
    return None


def _free_trouble(
    answer: Answer, request_id: str, stands_for_state: str = ""
) -> Refused | Gone | NoAnswer | None:
    """Why a free call's answer says nothing of a state; None when it does.

    ``stands_for_state`` is a field that may stand in place of ``status``. An error beside a known
    state is the job's own; without one it is the call's.
    """
    words = answer.words
    if not answer.ok or words is None or _word(words) not in _STATES:
        trouble = call_trouble(answer)
        if trouble is not None:
            return trouble
    named = (words or {}).get("request_id")
    if named is not None and named != request_id:
        return NoAnswer("the answer is about another request")
    if not _word(words or {}) and stands_for_state not in (words or {}):
        return NoAnswer("the answer names no state")
    return None


def call_trouble(answer: Answer) -> Refused | Gone | NoAnswer | None:
    """What went wrong with a free call itself, if anything did."""
    if turned_away(answer):
        return Refused(answer.described(), answer.code)
    missing = answer.status == 404 and not answer.is_page and answer.code is None
    if missing or answer.code in _NO_SUCH_CODES:
        return Gone(answer.described())
    if not answer.ok or answer.words is None or answer.names(_OWN_WORDS):
        return NoAnswer(answer.described(), answer.retry_after)
    return None


def _word(words: Mapping[str, Any]) -> str:
    status = words.get("status")
    return status.strip().lower() if isinstance(status, str) else ""


def _unfinished(word: str, words: Mapping[str, Any]) -> Queued | Running:
    if word in _WAITING_WORDS:
        position = words.get("queue_position")
        known = isinstance(position, int) and not isinstance(position, bool) and position >= 0
        return Queued(position if known else None)
    return Running() if word in _RUNNING_WORDS else Running(plain(word, 80))


def _failed(words: Mapping[str, Any]) -> Failed:
    """The verdict that it failed: final where the code blames what was sent."""
    error = words.get("error")
    inner = error if isinstance(error, Mapping) else {}
    code = _code(words.get("error_code") or inner.get("error_code") or inner.get("code"))
    reason = error_text(words) or "the provider says that it failed, and not why"
    final = code is not None and bool(_BLAMES_INPUTS.fullmatch(code))
    return Failed(reason, code, final and code not in _REFUSED_CODES)


def _delivered(
    words: Mapping[str, Any], word: str, plain_http_hosts: frozenset[str]
) -> Delivered | Failed | NoAnswer:
    output = words.get("output")
    urls = file_urls(output, plain_http_hosts)
    if urls:
        whole = output if isinstance(output, Mapping) else {"output": output}
        return Delivered(urls, whole, _cost(words.get("cost")))
    if word == "completed" and error_text(words):
        return _failed(words)
    return NoAnswer("the provider says that it worked, but its output names no file")


def _cost(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
