"""The emulator itself: a server on loopback that counts every call, then answers or misbehaves."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from overnight.catalog import Catalog
from overnight.emulator import control, media
from overnight.emulator.api import Api
from overnight.emulator.clips import require_pyav
from overnight.emulator.control import Control
from overnight.emulator.faults import Kind
from overnight.emulator.ledger import Ledger, Received, mask
from overnight.emulator.media import Media
from overnight.emulator.misbehave import Struck, misbehave, reset, storage_refusal
from overnight.emulator.models import emulated_catalog
from overnight.emulator.routes import Call, Route, route
from overnight.emulator.rules import Rule, Rules
from overnight.emulator.service import Clock, Service
from overnight.emulator.settings import EmulatorError, Settings

_BACKLOG = 2048
_CLOSE_WITHIN = 2.0


class Emulator:
    """A Model API on this machine, for as long as its ``async with`` lasts.

    ``clock`` gives seconds that only grow; it is the event loop's time unless a test brings its
    own. ``catalog`` says which models there are. Raises :class:`EmulatorError` when the port is
    taken, or when real clips are asked for and PyAV is missing.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        faults: Iterable[Rule | str] = (),
        clock: Clock | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.faults = Rules(self.settings.seed, faults)
        self.base_url = ""
        """Such as ``http://127.0.0.1:8700``; known once it is started."""
        self._clock = clock
        self._catalog = catalog or emulated_catalog()
        self._waiting: list[tuple[Callable[[Ledger], bool], asyncio.Event]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and be ready for calls on return."""
        if self.settings.media == "clip":
            require_pyav()
        clock = self._clock or asyncio.get_running_loop().time
        # Bound first: the answers carry the address, and early callers wait in the backlog.
        listening = _bind(self.settings)
        self.base_url = _address(self.settings.host, listening.getsockname()[1])
        self._closing = asyncio.Event()
        self._service = Service(self.settings, clock, self.faults)
        self._media = Media(self._service)
        self._control = Control(self._service)
        media_url = partial(self._media.url, self.base_url)
        self._api = Api(self._service, self._catalog, self.base_url, media_url)
        server = web.Server(
            self._answer,
            # A client that goes away ends its own call, so that nothing hangs about.
            handler_cancellation=True,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_CLOSE_WITHIN)
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=_BACKLOG).start()

    async def stop(self) -> None:
        """Stop listening, let hanging calls go, remove the media files."""
        self._closing.set()
        await self._runner.cleanup()
        await self._media.settle()
        self._media.close()

    @property
    def ledger(self) -> Ledger:
        """What was asked since the start, or since the last reset."""
        return self._service.ledger

    @property
    def service(self) -> Service:
        """The requests and the account behind the API."""
        return self._service

    @property
    def open(self) -> int:
        """How many accepted requests are unfinished now."""
        self._service.advance()
        return self._service.queue.open

    def reset(self) -> None:
        """Forget every request and count, and refill the balance; the rules stay."""
        self._service.reset()

    async def until(self, condition: Callable[[Ledger], bool]) -> None:
        """Wait until the ledger meets ``condition``; it is looked at after every call."""
        if condition(self.ledger):
            return
        met = asyncio.Event()
        self._waiting.append((condition, met))
        await met.wait()

    # --- one call -------------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(control.PREFIX):
            return await self._control.answer(request)
        try:
            return await self._counted(request, route(request.method, request.path))
        finally:
            self._tell()

    async def _counted(self, request: web.BaseRequest, asked: Route) -> web.StreamResponse:
        ledger = self._service.ledger
        ledger.calls[asked.call] += 1
        if asked.call is Call.MEDIA and "Authorization" in request.headers:
            ledger.media_with_token += 1
        self._tell()
        self._service.advance()
        rule = self._rule(request, asked)
        if rule is not None:
            ledger.faults[f"{asked.call}:{rule.fault.name}"] += 1
            if asked.call is Call.SUBMIT and rule.fault.kind is Kind.REFUSES:
                ledger.turned_away[rule.fault.name] += 1
            if rule.fault.name == "drop-before":
                return reset(request)
        refused = rule is not None and rule.fault.kind is Kind.REFUSES
        body = await self._read(request, refused=refused) if asked.call is Call.SUBMIT else b""
        carry_out = partial(self._carry_out, request, asked, body)
        if rule is None:
            return await carry_out()
        self._tell()  # a fault may stay silent for long
        without_range = partial(self._carry_out, _without_range(request), asked, body)
        expire = partial(self._expire, asked)
        struck = Struck(request, asked, rule, carry_out, without_range, self._closing, expire)
        return await misbehave(struck)

    def _rule(self, request: web.BaseRequest, asked: Route) -> Rule | None:
        """The rule that strikes; a HEAD for a file is always answered honestly."""
        if request.method == "HEAD":
            return None
        known = self._service.requests.get(asked.target)
        if known is not None:
            return self.faults.on_call(asked.call, known.id, known.model)
        model = asked.target if asked.call in (Call.SUBMIT, Call.MODELS) else None
        return self.faults.on_call(asked.call, None, model)

    async def _read(self, request: web.BaseRequest, *, refused: bool) -> bytes:
        """The whole body of a submit, kept as it came."""
        try:
            # Straight from the stream: a data URI is larger than what aiohttp reads by itself.
            body = await request.content.read()
        except BaseException:
            # The client went away or sent nonsense: nothing is accepted.
            if not refused:
                self._service.ledger.turned_away["unread"] += 1
            raise
        headers = mask(request.raw_headers)
        at = self._service.since_start()
        received = Received(request.method, request.raw_path, headers, body, at)
        self._service.ledger.received.append(received)
        return body

    async def _carry_out(self, request: web.BaseRequest, asked: Route, body: bytes) -> web.Response:
        if asked.call is Call.MEDIA:
            return await self._file(request, asked)
        wrong = await self._api.unfetchable(asked, body)
        self._service.advance()
        answer = self._api.answer(asked, request, body, wrong)
        self._tell()
        return answer

    async def _file(self, request: web.BaseRequest, asked: Route) -> web.Response:
        known = self._service.requests.get(asked.target)
        if known is None or not self._media.allows(known, asked.tail, request.rel_url.query):
            return storage_refusal(403)
        file = await self._media.file(known, self._catalog.find(known.model))
        return media.answer(request, file)

    def _expire(self, asked: Route) -> None:
        known = self._service.requests.get(asked.target)
        if known is not None:
            self._media.expire(known)

    # --- around it ------------------------------------------------------------------------------

    def _tell(self) -> None:
        if not self._waiting:
            return
        for condition, met in self._waiting:
            if condition(self.ledger):
                met.set()
        self._waiting = [pair for pair in self._waiting if not pair[1].is_set()]


def _without_range(request: web.BaseRequest) -> web.BaseRequest:
    if "Range" not in request.headers:
        return request
    headers = request.headers.copy()
    headers.popall("Range")
    return request.clone(headers=headers)


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sentence = "is taken. Give another one with --port, or 0 for any free one."
            raise EmulatorError(f"Port {settings.port} {sentence}") from None
        raise EmulatorError(
            f"Can't listen on {settings.host}:{settings.port}: {error.strerror}."
        ) from None


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
