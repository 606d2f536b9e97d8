"""RunComfy's Model API: four calls, each sent as its documents show it.

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
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from overnight import __version__
from overnight.providers.base import (
    CancelOutcome,
    Gone,
    Inputs,
    NoAnswer,
    NotSent,
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

BALANCE_URL = "https://api.runcomfy.net/prod/v2/balance"
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
    """No whole answer came. ``sent`` is False where the request surely never left."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


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
            return Unknown(lost.reason) if lost.sent else NotSent(lost.reason)
        return submit_outcome(answer)

    async def status(self, request: Request) -> StatusOutcome:
        """Ask how far the request is."""
        answer = await self._ask("GET", request.id, "status")
        return status_outcome(answer, request.id) if isinstance(answer, Answer) else answer

    async def result(self, request: Request) -> ResultOutcome:
        """Read the verdict, the files and the cost."""
        answer = await self._ask("GET", request.id, "result?include_cost=true")
        if not isinstance(answer, Answer):
            return answer
        return result_outcome(answer, request.id, self.account.plain_http_hosts)

    async def cancel(self, request: Request) -> CancelOutcome:
        """Ask to cancel; only what is still queued can be."""
        answer = await self._ask("POST", request.id, "cancel")
        return cancel_outcome(answer, request.id) if isinstance(answer, Answer) else answer

    async def probe(self) -> Refused | NoAnswer | None:
        """Read the balance; at another base, where there may be none, the smallest free call."""
        if self.account.base == DEFAULT_BASE:
            url = BALANCE_URL
        else:
            url = f"{self.account.base}/v1/models?limit=1"
        answer = await self._free_call("GET", url)
        return probe_outcome(answer) if isinstance(answer, Answer) else answer

    async def aclose(self) -> None:
        """Close both transports."""
        try:
            await self._paid.aclose()
        finally:
            await self._free.aclose()

    async def _ask(self, method: str, request_id: str, what: str) -> Answer | NoAnswer | Gone:
        if not is_request_id(request_id):
            return _NO_SUCH_ID
        return await self._free_call(method, f"{self.account.base}/v1/requests/{request_id}/{what}")

    async def _free_call(self, method: str, url: str) -> Answer | NoAnswer:
        request = httpx.Request(
            method, url, headers=self._headers(), extensions={"timeout": self._free_limits}
        )
        try:
            return await self._call(self._free, request)
        except _Lost as lost:
            return NoAnswer(lost.reason)

    async def _call(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> Answer:
        """The whole answer. Raises :class:`_Lost`, without the request in its context."""
        try:
            response = await transport.handle_async_request(request)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except NotSentError as exc:
            lost = _Lost(exc.reason, sent=False)
        except httpx.RequestError as exc:
            lost = _Lost(str(exc) or type(exc).__name__, sent=True)
        else:
            if body is None:
                raise _Lost(f"the answer is longer than {LARGEST_BODY:,} bytes", sent=True)
            body = self.account.token.scrub(body)
            return Answer(response.status_code, response.headers, body, self._clock())
        raise lost


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
