"""Every way in which the emulator can misbehave, as one table.

A fault is one of three kinds. ``REFUSES``: the call is not carried out, so a submit is neither
accepted nor paid. ``ACCEPTS``: the call is carried out, and its answer is lost or spoiled. ``JOB``:
the submit is answered properly, and the fault sticks to the request that it made.

The table in ``docs/emulator.md`` is printed from here by :func:`markdown_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from overnight.emulator.routes import Call

ANY = frozenset(Call)
API = ANY - {Call.MEDIA}
_CHANGES = frozenset({Call.SUBMIT, Call.CANCEL})
_SUBMIT = frozenset({Call.SUBMIT})
_ON_A_REQUEST = frozenset({Call.STATUS, Call.RESULT, Call.CANCEL})
_MEDIA = frozenset({Call.MEDIA})


class Kind(StrEnum):
    """What a fault does to the call that it strikes."""

    REFUSES = "refuses"
    ACCEPTS = "accepts"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of a fault. ``choices`` closes the set of words; without them ``shape`` names
    what is allowed: ``seconds`` (0 or more), ``code`` (six digits) or ``word``."""

    default: str
    choices: tuple[str, ...] = ()
    shape: str = "word"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave: its name, the calls that it can strike, and what then happens."""

    name: str
    kind: Kind
    calls: frozenset[Call]
    what: str
    options: Mapping[str, Option] = field(default_factory=dict)


_RETRY_AFTER = {"retry_after": Option("", shape="seconds")}
_GARBAGE = {"as": Option("html", ("html", "json", "empty", "no-id"))}
_AFTER = "Carried out; then "

_REFUSING = (
    Fault("no-balance", Kind.REFUSES, _SUBMIT, "402 with code 400002: the account is empty."),
    Fault("bad-token", Kind.REFUSES, API, "401 with code 400004: the token is not taken."),
    Fault("forbidden", Kind.REFUSES, API, "403 with code 403001: the account may not do this."),
    Fault(
        "throttle",
        Kind.REFUSES,
        ANY,
        "429; with `retry_after` also the header, in seconds or as an HTTP date.",
        _RETRY_AFTER | {"as": Option("seconds", ("seconds", "date"))},
    ),
    Fault(
        "drop-before",
        Kind.REFUSES,
        ANY,
        "The connection is reset before the body is read; nothing is accepted.",
    ),
    Fault("hang", Kind.REFUSES, ANY, "Nothing is accepted, and no answer ever comes."),
    *(
        Fault(
            f"http-{status}",
            Kind.REFUSES,
            ANY,
            f"{status} in the API's own JSON; on media in plain text.",
            _RETRY_AFTER,
        )
        for status in (500, 502, 503, 504)
    ),
    *(
        Fault(
            f"html-{status}",
            Kind.REFUSES,
            ANY,
            f"{status} with a gateway's HTML page; nothing is accepted.",
            _RETRY_AFTER,
        )
        for status in (500, 502, 503, 504)
    ),
    Fault(
        "error-200",
        Kind.REFUSES,
        API,
        "200 whose body is an error with `code`; nothing is accepted.",
        {"code": Option("500001", shape="code")},
    ),
    Fault(
        "garbage-200",
        Kind.REFUSES,
        API,
        "200 with an HTML page, broken JSON, no body, or JSON without the id; nothing is accepted.",
        _GARBAGE,
    ),
    Fault("404-on-poll", Kind.REFUSES, _ON_A_REQUEST, "404 with code 404001, this once."),
)

_ACCEPTING = (
    Fault("drop-after", Kind.ACCEPTS, API, f"{_AFTER}the connection is reset without an answer."),
    Fault("hang-after", Kind.ACCEPTS, _CHANGES, f"{_AFTER}no answer ever comes."),
    Fault("html-504-after", Kind.ACCEPTS, _CHANGES, f"{_AFTER}a gateway's 504 page."),
    Fault(
        "garbage-200-after",
        Kind.ACCEPTS,
        _CHANGES,
        f"{_AFTER}a 200 that nobody can read, as in `garbage-200`.",
        _GARBAGE,
    ),
    Fault("cut", Kind.ACCEPTS, API, f"{_AFTER}the answer stops in the middle of its body."),
    Fault(
        "slow",
        Kind.ACCEPTS,
        ANY,
        "Carried out at once, answered `delay` seconds later.",
        {"delay": Option("5", shape="seconds")},
    ),
    Fault(
        "says-cancelled",
        Kind.ACCEPTS,
        frozenset({Call.CANCEL}),
        "The answer's status reads `cancelled` where it should read `completed`.",
    ),
)

_OF_MEDIA = (
    Fault(
        "truncate",
        Kind.REFUSES,
        _MEDIA,
        "Content-Length promises the whole file, and half of it is sent.",
    ),
    Fault("short", Kind.REFUSES, _MEDIA, "A clean answer that holds only half of the file."),
    Fault(
        "expired",
        Kind.REFUSES,
        _MEDIA,
        "The signed URL stops working for good; the next result call gives a new one.",
        {"code": Option("403", ("403", "404", "410"))},
    ),
    Fault(
        "html",
        Kind.REFUSES,
        _MEDIA,
        "200 with a login page in HTML, which may call itself a clip.",
        {"as": Option("html", ("html", "mp4"))},
    ),
    Fault("empty", Kind.REFUSES, _MEDIA, "A clean answer without a single byte."),
    Fault(
        "range-lies",
        Kind.ACCEPTS,
        _MEDIA,
        "A range is ignored, or answered with another start, total, ETag or other bytes; a call "
        "without a range is answered properly.",
        {"as": Option("ignored", ("ignored", "start", "total", "etag", "bytes"))},
    ),
    Fault("redirect", Kind.REFUSES, _MEDIA, "302 to a URL that serves the file."),
)

_OF_JOBS = (
    Fault(
        "job-fails",
        Kind.JOB,
        _SUBMIT,
        "Status says `completed`; the result says `failed` with an `error`, text or object.",
        {"as": Option("string", ("string", "object"))},
    ),
    Fault(
        "completed-but-failed",
        Kind.JOB,
        _SUBMIT,
        "Status says `completed`; the result says `failed` and not why.",
    ),
    Fault("status-failed", Kind.JOB, _SUBMIT, "Status and result both say `failed`."),
    Fault("never-finishes", Kind.JOB, _SUBMIT, "Stays `in_progress` and keeps its slot."),
    Fault(
        "unknown-word",
        Kind.JOB,
        _SUBMIT,
        "While it runs its status is a word that nobody knows.",
        {"word": Option("hibernating")},
    ),
    Fault("requeue", Kind.JOB, _SUBMIT, "Goes back to the end of the line half way through."),
    Fault(
        "cancelled-remotely",
        Kind.JOB,
        _SUBMIT,
        "The provider cancels it when its turn comes, in either spelling.",
        {"as": Option("cancelled", ("cancelled", "canceled"))},
    ),
    Fault("forgotten", Kind.JOB, _SUBMIT, "Every later call about it is 404 with code 404001."),
    Fault(
        "bad-clip",
        Kind.JOB,
        _SUBMIT,
        "Works, and the clip is not what was asked for: half as long, half as wide and high, all "
        "black, or without any motion. Needs `--media clip`.",
        {"as": Option("short", ("short", "small", "black", "frozen"))},
    ),
)

FAULTS: dict[str, Fault] = {
    fault.name: fault for fault in (*_REFUSING, *_ACCEPTING, *_OF_MEDIA, *_OF_JOBS)
}
"""Every fault by its name, in the order of the documentation."""


def markdown_table() -> str:
    """The faults as the Markdown table of the user's page."""
    lines = ["| fault | calls | what happens | options |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{fault.name}` | {_calls_text(fault.calls)} | {fault.what} "
        f"| {_options_text(fault.options)} |"
        for fault in FAULTS.values()
    ]
    return "\n".join(lines)


def _calls_text(calls: frozenset[Call]) -> str:
    if calls == ANY:
        return "any"
    if calls == API:
        return "any but media"
    return ", ".join(call.value for call in Call if call in calls)


def _options_text(options: Mapping[str, Option]) -> str:
    parts = []
    for name, option in options.items():
        values = "/".join(option.choices) if option.choices else option.default or option.shape
        parts.append(f"`{name}={values}`")
    return ", ".join(parts)
