"""Which call a request line means. Pure: method and path in, :class:`Route` out.

The emulator has no router with patterns: a model id holds slashes, stray calls must be counted
like any other, and a benchmark sends thousands of calls a second through here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Call(StrEnum):
    """Every kind of call that the ledger counts. The values are the words of a fault rule."""

    SUBMIT = "submit"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    LOOKUP = "lookup"
    """Which request a key became; answered in the emulator's look-up mode alone."""
    MEDIA = "media"
    MODELS = "models"
    BALANCE = "balance"
    OTHER = "other"
    """A method and path that the API does not have."""


@dataclass(frozen=True, slots=True)
class Route:
    """A call and what it is about: a model id, a request id, a key, or nothing."""

    call: Call
    target: str = ""
    tail: str = ""
    """For media: the file's name."""


_MODELS = "/v1/models"
_REQUESTS = "/v1/requests/"
_BY_KEY = "/v1/requests/by-key/"
_MEDIA = "/media/"
_BALANCE = "/prod/v2/balance"

_ON_A_REQUEST = {
    ("GET", "status"): Call.STATUS,
    ("GET", "result"): Call.RESULT,
    ("POST", "cancel"): Call.CANCEL,
}


def route(method: str, path: str) -> Route:
    """The call that ``method`` on the decoded ``path`` means; ``OTHER`` when it means none."""
    if path.startswith(_BY_KEY) and method == "GET" and "/" not in path[len(_BY_KEY) :]:
        key = path[len(_BY_KEY) :]
        return Route(Call.LOOKUP, key) if key else Route(Call.OTHER)
    if path.startswith(_REQUESTS):
        target, _, verb = path[len(_REQUESTS) :].rpartition("/")
        call = _ON_A_REQUEST.get((method, verb))
        return Route(call, target) if call and target else Route(Call.OTHER)
    if path.startswith(_MODELS):
        return _on_models(method, path[len(_MODELS) :])
    if path.startswith(_MEDIA) and method in ("GET", "HEAD"):
        target, _, name = path[len(_MEDIA) :].partition("/")
        return Route(Call.MEDIA, target, name)
    if path == _BALANCE and method == "GET":
        return Route(Call.BALANCE)
    return Route(Call.OTHER)


def _on_models(method: str, rest: str) -> Route:
    model = rest.removeprefix("/")
    if method == "GET" and rest in ("", "/"):
        return Route(Call.MODELS)
    if not model or not rest.startswith("/"):
        return Route(Call.OTHER)
    if method == "POST":
        return Route(Call.SUBMIT, model)
    return Route(Call.MODELS, model) if method == "GET" else Route(Call.OTHER)
