"""RunComfy's Model API: the calls of a job, each sent as its documents show it; beside them the
catalogue's and the wallet's (:mod:`overnight.providers.catalogue`).

Addresses are built from the base and the request id alone. The URLs that an answer carries are
never called: the token would go wherever they point.

The paid POST goes over a connection of its own; the free calls share theirs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

from overnight import __version__
from overnight.providers.base import (
    Call,
    CancelOutcome,
    Gone,
    Inputs,
    NoAnswer,
    NotSent,
    Outcome,
    RecoverOutcome,
    Recovery,
    Refused,
    Rejected,
    Request,
    ResultOutcome,
    StatusOutcome,
    SubmitOutcome,
    Traits,
    Unknown,
)
from overnight.providers.catalogue import (
    BalanceOutcome,
    ModelOutcome,
    PageOutcome,
    balance_outcome,
    model_outcome,
    page_outcome,
)
from overnight.providers.credentials import DEFAULT_BASE, Account
from overnight.providers.routes import Routes
from overnight.providers.runcomfy_answers import (
    Answer,
    cancel_outcome,
    is_request_id,
    probe_outcome,
    result_outcome,
    status_outcome,
    submit_outcome,
)
from overnight.providers.transport import MaybeSentError, NotSentError
from overnight.providers.wire import Ask, Site, Wire

_BALANCE_PATH = "/prod/v2/balance"
BALANCE_URL = f"https://api.runcomfy.net{_BALANCE_PATH}"
"""One wallet for all of RunComfy's products, on a host of its own."""
_BALANCE_SITE = Site.of("https://api.runcomfy.net")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",\n", ": ")).encode
_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Kinds of values that stand on one line."""

_NO_SUCH_ID = Gone("this can't be a request id of RunComfy's")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of a call, in seconds. ``connect`` is for the connection (name, TCP, TLS); the
    others are for a whole call with its answer, connection included."""

    connect: float = 10.0
    submit: float = 120.0
    free: float = 30.0


class _Lost(Exception):
    """No whole answer came, after ``seconds``. ``sent`` is False where the request surely never
    left; ``status`` is that of an answer which broke off."""

    def __init__(self, reason: str, *, sent: bool, seconds: float, status: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.seconds = seconds
        self.status = status

    def call(self, name: str) -> Call:
        """What is kept of it."""
        return Call(name, self.seconds, self.status)


class RunComfy:
    """The Model API for one account; a :class:`~overnight.providers.base.Provider`.

    :param paid: carries submits. It must not reuse connections.
    :param free: carries everything else.
    :param clock: the Unix time, for dates in Retry-After.

    It owns both wires and closes them.
    """

    traits = Traits(name="runcomfy", recovery=Recovery.NONE, cancels_running=False)

    def __init__(
        self,
        account: Account,
        *,
        paid: Wire,
        free: Wire,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self._paid = paid
        self._free = free
        self._clock = clock
        self._site = Site.of(account.base)
        self._plain_http_hosts = account.plain_http_hosts
        self._limits = timeouts or Timeouts()

    @classmethod
    def connect(
        cls,
        account: Account,
        *,
        trust_env: bool = True,
        timeouts: Timeouts | None = None,
    ) -> RunComfy:
        """One over real sockets; nothing is opened before the first call.

        ``trust_env`` goes through the proxy that the environment names.
        """
        return cls(
            account,
            paid=Routes(fresh=True, trust_env=trust_env),
            free=Routes(trust_env=trust_env),
            timeouts=timeouts,
        )

    def __repr__(self) -> str:
        return f"RunComfy({self.account.base!r}, account={self.account.id!r})"

    def _headers(self) -> list[tuple[str, str]]:
        # Made anew for each call, so that no object of ours keeps the token in the open.
        return [
            ("Accept", "application/json"),
            ("User-Agent", f"overnight/{__version__}"),
            ("Authorization", f"Bearer {self.account.token.reveal()}"),
        ]

    async def submit(self, model: str, inputs: Inputs, *, key: str) -> SubmitOutcome:
        """Send the paid POST, once. ``key`` is left out: this API has none."""
        return await self._post(model, inputs)

    async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
        """Nothing can be found out: the API keeps no key and lists no requests."""
        return Unknown("RunComfy can't tell what became of a submit whose answer was lost")

    async def _post(self, model: str, inputs: Inputs, *more: tuple[str, str]) -> SubmitOutcome:
        """The paid POST, with ``more`` headers for an API of the same shape that knows some."""
        path = _model_path(model)
        if path is None:
            return Rejected(f"{model!r} is not a model id")
        try:
            body = one_a_line(inputs).encode()
        except (TypeError, ValueError) as exc:
            return Rejected(f"the inputs can't be written as JSON: {exc}")
        headers = [*self._headers(), ("Content-Type", "application/json"), *more]
        limits = self._limits
        ask = Ask(
            "POST", self._site, f"/v1/models/{path}", headers, body, limits.connect, limits.submit
        )
        try:
            answer = await self._call(self._paid, ask)
        except _Lost as lost:
            outcome = Unknown if lost.sent else NotSent
            return outcome(lost.reason, call=lost.call("submit"))
        return _from(answer, "submit", submit_outcome(answer))

    async def status(self, request: Request) -> StatusOutcome:
        """Ask how far the request is."""
        answer = await self._ask("GET", request.id, "status")
        if not isinstance(answer, Answer):
            return answer
        return _from(answer, "status", status_outcome(answer, request.id))

    async def result(self, request: Request) -> ResultOutcome:
        """Read the verdict, the files and the cost."""
        answer = await self._ask("GET", request.id, "result?include_cost=true")
        if not isinstance(answer, Answer):
            return answer
        outcome = result_outcome(answer, request.id, self._plain_http_hosts)
        return _from(answer, "result", outcome)

    async def cancel(self, request: Request) -> CancelOutcome:
        """Ask to cancel; only what is still queued can be."""
        answer = await self._ask("POST", request.id, "cancel")
        if not isinstance(answer, Answer):
            return answer
        return _from(answer, "cancel", cancel_outcome(answer, request.id))

    async def probe(self) -> Refused | NoAnswer | None:
        """Read the balance; at another base, where there may be none, the smallest free call."""
        if self.account.base == DEFAULT_BASE:
            answer = await self._free_call("GET", _BALANCE_PATH, site=_BALANCE_SITE)
        else:
            answer = await self._free_call("GET", "/v1/models?limit=1")
        return probe_outcome(answer) if isinstance(answer, Answer) else answer

    async def models(self, *, offset: int, limit: int) -> PageOutcome:
        """A page of the catalogue, ``limit`` (1 to 500) models from ``offset`` on, schemas and
        all."""
        query = f"include_schema=true&limit={limit}&offset={offset}"
        answer = await self._free_call("GET", f"/v1/models?{query}")
        return page_outcome(answer) if isinstance(answer, Answer) else answer

    async def model(self, model: str) -> ModelOutcome:
        """What the catalogue says of one model."""
        path = _model_path(model)
        if path is None:
            return Gone(f"{model!r} is not a model id")
        answer = await self._free_call("GET", f"/v1/models/{path}")
        return model_outcome(answer, model) if isinstance(answer, Answer) else answer

    async def balance(self) -> BalanceOutcome:
        """What is in the wallet. It is on a host of its own; at another base, on that one."""
        at_home = self.account.base == DEFAULT_BASE
        site = _BALANCE_SITE if at_home else self._site
        answer = await self._free_call("GET", _BALANCE_PATH, site=site)
        return balance_outcome(answer) if isinstance(answer, Answer) else answer

    async def aclose(self) -> None:
        """Close both wires."""
        try:
            await self._paid.aclose()
        finally:
            await self._free.aclose()

    async def _ask(self, method: str, request_id: str, what: str) -> Answer | NoAnswer | Gone:
        if not is_request_id(request_id):
            return _NO_SUCH_ID
        path = f"/v1/requests/{request_id}/{what}"
        return await self._free_call(method, path, what.partition("?")[0])

    async def _free_call(
        self, method: str, path: str, name: str = "other", *, site: Site | None = None
    ) -> Answer | NoAnswer:
        limits = self._limits
        ask = Ask(
            method, site or self._site, path, self._headers(), None, limits.connect, limits.free
        )
        try:
            return await self._call(self._free, ask)
        except _Lost as lost:
            return NoAnswer(lost.reason, call=lost.call(name))

    async def _call(self, wire: Wire, ask: Ask) -> Answer:
        """The whole answer. Raises :class:`_Lost`, without the request in its context."""
        began = time.monotonic()
        try:
            status, headers, body = await wire.call(ask)
        except NotSentError as exc:
            reason, sent, broken = exc.reason, False, None
        except MaybeSentError as exc:
            reason, sent, broken = exc.reason, True, exc.status
        else:
            seconds = time.monotonic() - began
            body = self.account.token.scrub(body)
            return Answer(status, headers, body, self._clock(), seconds)
        raise _Lost(reason, sent=sent, seconds=time.monotonic() - began, status=broken)


_T = TypeVar("_T", bound=Outcome)


def _from(answer: Answer, name: str, outcome: _T) -> _T:
    """The outcome, with the call that it came from."""
    code: str | None = getattr(outcome, "code", None) or answer.code
    return outcome.told_by(Call(name, answer.seconds, answer.status, code))


def one_a_line(inputs: Inputs) -> str:
    """Inputs as JSON in the form that the API's own documents show: unescaped, and each on a line
    of its own, however deep.

    Raises :class:`TypeError` and :class:`ValueError` for what is not JSON.
    """
    if all(type(name) is str and type(value) in _PLAIN for name, value in inputs.items()):
        # The same text, from the encoder written in C: json.dumps with indent has none.
        return "{\n" + _encode(dict(inputs))[1:-1] + "\n}" if inputs else "{}"
    return json.dumps(dict(inputs), ensure_ascii=False, indent=0, allow_nan=False)


@lru_cache(maxsize=1000)
def _model_path(model: str) -> str | None:
    """A model id as path segments; None where a segment is empty or would climb."""
    segments = model.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return None
    try:
        return "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return None
