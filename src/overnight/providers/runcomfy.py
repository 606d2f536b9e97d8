"""RunComfy's Model API: the calls of a job, each sent as its documents show it; beside them the
catalogue's and the wallet's (:mod:`overnight.providers.catalogue`).

Addresses are built from the base and the request id alone. The URLs that an answer carries are
never called: the token would go wherever they point.

The paid POST goes over a connection of its own; the free calls share a pool. Both go straight to
the transport, past ``httpx.AsyncClient``: its redirects, cookies and authentication are layers
that a call with a token does better without, and they cost a third of the throughput.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote

import httpx

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
from overnight.providers.runcomfy_answers import (
    LARGEST_BODY,
    Answer,
    cancel_outcome,
    is_request_id,
    probe_outcome,
    result_outcome,
    status_outcome,
    submit_outcome,
)
from overnight.providers.transport import AiohttpTransport, NotSentError

_BALANCE_PATH = "/prod/v2/balance"
BALANCE_URL = f"https://api.runcomfy.net{_BALANCE_PATH}"
"""One wallet for all of RunComfy's products, on a host of its own."""

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

    :param paid: carries submits. It must not reuse connections, and must raise
        :class:`~overnight.providers.transport.NotSentError` only when that is certain; any other
        error is taken for 'maybe sent'.
    :param free: carries everything else.
    :param clock: the Unix time, for dates in Retry-After.

    It owns both transports and closes them.
    """

    traits = Traits(name="runcomfy", recovery=Recovery.NONE, cancels_running=False)

    def __init__(
        self,
        account: Account,
        *,
        paid: httpx.AsyncBaseTransport,
        free: httpx.AsyncBaseTransport,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self._paid = paid
        self._free = free
        self._clock = clock
        limits = timeouts or Timeouts()
        self._submit_limits = {"connect": limits.connect, "total": limits.submit}
        self._free_limits = {"connect": limits.connect, "total": limits.free}

    @classmethod
    def connect(
        cls,
        account: Account,
        *,
        connections: int = 0,
        trust_env: bool = True,
        timeouts: Timeouts | None = None,
    ) -> RunComfy:
        """One over real sockets; nothing is opened before the first call.

        ``connections`` limits each kind, paid and free (0: no limit); ``trust_env`` goes through
        the proxy that the environment names.
        """
        return cls(
            account,
            paid=AiohttpTransport(fresh=True, limit=connections, trust_env=trust_env),
            free=AiohttpTransport(limit=connections, trust_env=trust_env),
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
            body = json.dumps(dict(inputs), ensure_ascii=False, indent=0, allow_nan=False).encode()
        except (TypeError, ValueError) as exc:
            return Rejected(f"the inputs can't be written as JSON: {exc}")
        request = httpx.Request(
            "POST",
            f"{self.account.base}/v1/models/{path}",
            headers=[*self._headers(), ("Content-Type", "application/json"), *more],
            content=body,
            extensions={"timeout": self._submit_limits},
        )
        try:
            answer = await self._call(self._paid, request)
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
        outcome = result_outcome(answer, request.id, self.account.plain_http_hosts)
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
            url = BALANCE_URL
        else:
            url = f"{self.account.base}/v1/models?limit=1"
        answer = await self._free_call("GET", url)
        return probe_outcome(answer) if isinstance(answer, Answer) else answer

    async def models(self, *, offset: int, limit: int) -> PageOutcome:
        """A page of the catalogue, ``limit`` (1 to 500) models from ``offset`` on, schemas and
        all."""
        query = f"include_schema=true&limit={limit}&offset={offset}"
        answer = await self._free_call("GET", f"{self.account.base}/v1/models?{query}")
        return page_outcome(answer) if isinstance(answer, Answer) else answer

    async def model(self, model: str) -> ModelOutcome:
        """What the catalogue says of one model."""
        path = _model_path(model)
        if path is None:
            return Gone(f"{model!r} is not a model id")
        answer = await self._free_call("GET", f"{self.account.base}/v1/models/{path}")
        return model_outcome(answer, model) if isinstance(answer, Answer) else answer

    async def balance(self) -> BalanceOutcome:
        """What is in the wallet. It is on a host of its own; at another base, on that one."""
        at_home = self.account.base == DEFAULT_BASE
        url = BALANCE_URL if at_home else f"{self.account.base}{_BALANCE_PATH}"
        answer = await self._free_call("GET", url)
        return balance_outcome(answer) if isinstance(answer, Answer) else answer

    async def aclose(self) -> None:
        """Close both transports."""
        try:
            await self._paid.aclose()
        finally:
            await self._free.aclose()

    async def _ask(self, method: str, request_id: str, what: str) -> Answer | NoAnswer | Gone:
        if not is_request_id(request_id):
            return _NO_SUCH_ID
        url = f"{self.account.base}/v1/requests/{request_id}/{what}"
        return await self._free_call(method, url, what.partition("?")[0])

    async def _free_call(self, method: str, url: str, name: str = "other") -> Answer | NoAnswer:
        request = httpx.Request(
            method, url, headers=self._headers(), extensions={"timeout": self._free_limits}
        )
        try:
            return await self._call(self._free, request)
        except _Lost as lost:
            return NoAnswer(lost.reason, call=lost.call(name))

    async def _call(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Answer:
        """The whole answer. Raises :class:`_Lost`, without the request in its context."""
        began, status = time.monotonic(), None
        try:
            response = await transport.handle_async_request(request)
            status = response.status_code
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except NotSentError as exc:
            reason, sent = exc.reason, False
        except httpx.RequestError as exc:
            reason, sent = str(exc) or type(exc).__name__, True
        else:
            seconds = time.monotonic() - began
            if body is not None:
                body = self.account.token.scrub(body)
                return Answer(status, response.headers, body, self._clock(), seconds)
            reason, sent = f"the answer is longer than {LARGEST_BODY:,} bytes", True
        raise _Lost(reason, sent=sent, seconds=time.monotonic() - began, status=status)


_T = TypeVar("_T", bound=Outcome)


def _from(answer: Answer, name: str, outcome: _T) -> _T:
    """The outcome, with the call that it came from."""
    code: str | None = getattr(outcome, "code", None) or answer.code
    return replace(outcome, call=Call(name, answer.seconds, answer.status, code))


async def _read(response: httpx.Response) -> bytes | None:
    """The body, decoded; None when it is too long to be an answer of the API."""
    body = bytearray()
    async for chunk in _chunks(response):
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    # httpx's decoding costs as much as the rest of a poll; what isn't encoded goes without it.
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)


def _model_path(model: str) -> str | None:
    """A model id as path segments; None where a segment is empty or would climb."""
    segments = model.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return None
    try:
        return "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return None
