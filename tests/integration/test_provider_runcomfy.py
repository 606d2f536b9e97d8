"""RunComfy's four calls and the probe, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from overnight import __version__
from overnight.providers.base import (
    Accepted,
    Call,
    Cancelled,
    Delivered,
    Finished,
    Gone,
    NoAnswer,
    NotSent,
    Provider,
    Queued,
    Refused,
    Rejected,
    Request,
    Unknown,
)
from overnight.providers.credentials import DEFAULT_BASE, Account
from overnight.providers.redaction import Secret
from overnight.providers.runcomfy import BALANCE_URL, RunComfy, Timeouts
from overnight.providers.transport import MaybeSentError, NotSentError
from overnight.providers.wire import LONGEST_BODY, OverTransport

TOKEN = "tok-4f9a/secret-value"
MODEL = "community/wan-2-1/fusionx/image-to-video"
REQUEST = Request(MODEL, "req-1")

FIRST_REQUEST_BODY = (
    b"{\n"
    b'"600_prompt": "A close-up shot of a young woman standing against a graffiti-covered corridor '
    b"wall. She wears a grey hoodie with a faded bear graphic, her hair tied in a messy bun. The "
    b"camera slowly dolly zooms out as she raises her chin slightly and smiles with subtle "
    b"confidence, eyes fixed on the lens. Warm bokeh lights blur behind her down the hallway, "
    b"adding depth and intimacy. Her expression shifts from surprise to playful defiance, as if "
    b"teasing the viewer with a secret. The mood is cinematic, cozy, and spontaneous \xe2\x80\x94 "
    b'a slice of street-life charm.",\n'
    b'"608_image": "RunComfy_examples_1235_1.png"\n'
    b"}"
)
"""The body of the first request in the API's own documents, byte for byte."""

Handle = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Api:
    """A raw server that records what it is sent and answers by ``handle``."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.requests: list[bytes] = []
        self.heard = asyncio.Event()
        self.base = ""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                self.heard.set()
                await self.handle(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went first
        finally:
            writer.close()


@asynccontextmanager
async def api(
    handle: Handle, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[Api, RunComfy]]:
    served = Api(handle)
    server = await asyncio.start_server(served.meet, "127.0.0.1", 0)
    served.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    provider = RunComfy.connect(
        Account(served.base, Secret(TOKEN), "test"), trust_env=False, timeouts=timeouts
    )
    try:
        yield served, provider
    finally:
        await provider.aclose()
        server.close()


def gives(status: int = 200, /, **words: object) -> Handle:
    return raw(status, json.dumps(words).encode(), b"application/json")


def raw(status: int, body: bytes, kind: bytes = b"text/html") -> Handle:
    async def handle(_request: bytes, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (status, kind, len(body)) + body)

    return handle


async def submit(provider: RunComfy) -> object:
    return await provider.submit(MODEL, {"600_prompt": "a"}, key="k")


async def reached(event: asyncio.Event, task: asyncio.Task[Any]) -> None:
    """Wait for ``event``; a task that ends before it fails the test rather than hangs it."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert event.is_set(), task


def target(request: bytes) -> str:
    return request.split(b"\r\n")[0].decode()


# --- on the wire ----------------------------------------------------------------------------------


async def test_the_first_request_of_the_documents_goes_out_byte_for_byte() -> None:
    inputs = json.loads(FIRST_REQUEST_BODY)
    async with api(gives(request_id="new-1")) as (served, provider):
        assert await provider.submit(MODEL, inputs, key="k") == Accepted("new-1")
    (request,) = served.requests
    head, body = request.split(b"\r\n\r\n", 1)
    first, *headers = head.decode().split("\r\n")
    assert body == FIRST_REQUEST_BODY
    assert first == f"POST /v1/models/{MODEL} HTTP/1.1"
    assert "Content-Type: application/json" in headers
    assert f"Authorization: Bearer {TOKEN}" in headers
    assert {header.lower() for header in headers} == {
        f"host: {served.base.removeprefix('http://')}",
        "content-type: application/json",
        f"authorization: bearer {TOKEN}",
        "accept: application/json",
        f"user-agent: overnight/{__version__}",
        f"content-length: {len(FIRST_REQUEST_BODY)}",
        "connection: close",
    }


async def test_each_call_has_its_address() -> None:
    async with api(gives(404)) as (served, provider):
        await provider.status(REQUEST)
        await provider.result(REQUEST)
        await provider.cancel(REQUEST)
        await provider.probe()
        await provider.submit("shop/ü %2F?#/v1.0", {}, key="k")
    assert [target(request) for request in served.requests] == [
        "GET /v1/requests/req-1/status HTTP/1.1",
        "GET /v1/requests/req-1/result?include_cost=true HTTP/1.1",
        "POST /v1/requests/req-1/cancel HTTP/1.1",
        "GET /v1/models?limit=1 HTTP/1.1",
        "POST /v1/models/shop/%C3%BC%20%252F%3F%23/v1.0 HTTP/1.1",
    ]
    assert all(f"Bearer {TOKEN}".encode() in request for request in served.requests)
    assert served.requests[2].endswith(b"\r\n\r\n")


async def test_a_url_in_an_answer_is_never_called() -> None:
    async def point_elsewhere(_request: bytes, writer: asyncio.StreamWriter) -> None:
        there = "http://127.0.0.1:9/steal"
        words = {"status_url": there, "result_url": there, "cancel_url": there}
        answer = {"request_id": "req-1", "status": "in_queue", **words}
        await gives(**answer)(_request, writer)

    async with api(point_elsewhere) as (served, provider):
        assert await submit(provider) == Accepted("req-1")
        assert await provider.status(REQUEST) == Queued()
        assert await provider.result(REQUEST) == Queued()
    assert len(served.requests) == 3


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async def redirect(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with api(redirect) as (served, provider):
        assert isinstance(await submit(provider), Unknown)
        assert isinstance(await provider.status(REQUEST), NoAnswer)
    assert not any("elsewhere" in target(request) for request in served.requests)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a?b", "a#b", "é", "a b", "a" * 201, "%2e"])
async def test_an_id_that_could_change_the_address_is_never_sent(bad: str) -> None:
    async with api(gives()) as (served, provider):
        for call in (provider.status, provider.result, provider.cancel):
            assert isinstance(await call(Request(MODEL, bad)), Gone)
    assert served.requests == []


@pytest.mark.parametrize("model", ["", "a//b", "/a", "a/", "../a", "a/.", "a/\ud800"])
async def test_a_model_id_that_could_change_the_address_is_never_sent(model: str) -> None:
    async with api(gives(request_id="a")) as (served, provider):
        assert isinstance(await provider.submit(model, {}, key="k"), Rejected)
    assert served.requests == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), "\ud800"])
async def test_inputs_that_are_no_json_are_never_sent(value: object) -> None:
    async with api(gives(request_id="a")) as (served, provider):
        assert isinstance(await provider.submit(MODEL, {"a": value}, key="k"), Rejected)
    assert served.requests == []


# --- a job's life ---------------------------------------------------------------------------------


async def test_a_job_from_submit_to_delivery() -> None:
    answers: dict[str, dict[str, object]] = {
        f"POST /v1/models/{MODEL} HTTP/1.1": {"request_id": "req-1"},
        "GET /v1/requests/req-1/status HTTP/1.1": {"request_id": "req-1", "status": "completed"},
        "GET /v1/requests/req-1/result?include_cost=true HTTP/1.1": {
            "status": "succeeded",
            "output": {"video": "http://127.0.0.1:9/a.mp4"},
            "cost": 0.06,
        },
        "POST /v1/requests/req-1/cancel HTTP/1.1": {"status": "completed", "outcome": "cancelled"},
    }

    async def by_path(request: bytes, writer: asyncio.StreamWriter) -> None:
        await gives(**answers[target(request)])(request, writer)

    async with api(by_path) as (_, provider):
        assert await submit(provider) == Accepted("req-1")
        assert await provider.status(REQUEST) == Finished()
        delivered = await provider.result(REQUEST)
        assert isinstance(delivered, Delivered)
        assert delivered.urls == ("http://127.0.0.1:9/a.mp4",)
        assert delivered.cost == 0.06
        assert await provider.cancel(REQUEST) == Cancelled()


# --- trouble --------------------------------------------------------------------------------------


async def silence(_request: bytes, writer: asyncio.StreamWriter) -> None:
    await writer.drain()


async def hang_up(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_request: bytes, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half(_request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"request_id": "a"')
    writer.close()


@pytest.mark.parametrize(
    "handle",
    [silence, hang_up, reset, half, raw(200, b"<html>"), raw(504, b"<html>"), raw(200, b"")],
    ids=["silence", "close", "reset", "half", "html-200", "html-504", "empty"],
)
async def test_a_probe_that_gets_no_answer_says_so(handle: Handle) -> None:
    """The other calls' faults are in ``tests/grid``."""
    async with api(handle, Timeouts(free=0.1)) as (_, provider):
        assert isinstance(await provider.probe(), NoAnswer)


async def test_an_endless_answer_is_cut_off() -> None:
    body = b" " * (LONGEST_BODY + 1)
    async with api(raw(200, body)) as (_, provider):
        submitted = await submit(provider)
        polled = await provider.status(REQUEST)
    assert isinstance(submitted, Unknown)
    assert "longer than" in submitted.reason
    assert isinstance(polled, NoAnswer)


async def test_a_broken_compression_is_a_doubt() -> None:
    async def broken(_request: bytes, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"nope")

    async with api(broken) as (_, provider):
        assert isinstance(await submit(provider), Unknown)
        assert isinstance(await provider.status(REQUEST), NoAnswer)


async def test_cancelling_a_submit_passes_through() -> None:
    async with api(silence) as (served, provider):
        call = asyncio.create_task(submit(provider))
        await reached(served.heard, call)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# --- the account ----------------------------------------------------------------------------------


async def test_a_refusal_echoing_the_token_does_not_show_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = f"bad token {TOKEN}, seen in 'Bearer {TOKEN}'"
    with caplog.at_level(logging.DEBUG):
        async with api(gives(401, error_code=400004, error_message=said)) as (_, provider):
            outcomes = [await submit(provider), await provider.status(REQUEST)]
            outcomes.append(await provider.probe())
            shown = f"{provider!r} {vars(provider)!r} {outcomes!r}"
    assert all(isinstance(outcome, Refused) for outcome in outcomes)
    assert "bad token ***, seen in 'Bearer ***'" in shown
    assert TOKEN not in shown
    assert TOKEN not in caplog.text


class Recorder(httpx.AsyncBaseTransport):
    """Takes the place of the wire where the real host would be called."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.urls: list[str] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def aclose(self) -> None:
        self.closed = True


def recorded(answer: httpx.Response | Exception) -> tuple[RunComfy, Recorder, Recorder]:
    paid, free = Recorder(answer), Recorder(answer)
    account = Account(DEFAULT_BASE, Secret(TOKEN), "test")
    wires = OverTransport(paid), OverTransport(free)
    return RunComfy(account, paid=wires[0], free=wires[1], clock=lambda: 0.0), paid, free


async def test_the_balance_is_asked_for_at_the_real_host_alone() -> None:
    provider, paid, free = recorded(httpx.Response(200, json={"balance_usd": 0}))
    assert isinstance(await provider.probe(), Refused)
    assert free.urls == [BALANCE_URL]
    assert paid.urls == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotSentError("no connection"), NotSent("no connection")),
        (MaybeSentError("cut"), Unknown("cut")),
        (httpx.ConnectError("says it never connected"), Unknown("says it never connected")),
        (httpx.ConnectTimeout(""), Unknown("ConnectTimeout")),
    ],
)
async def test_only_our_own_word_makes_a_submit_unsent(error: Exception, outcome: object) -> None:
    provider, _, _ = recorded(error)
    assert await submit(provider) == outcome


async def test_it_is_a_provider_that_closes_what_it_was_given() -> None:
    made, paid, free = recorded(httpx.Response(200))
    provider: Provider = made
    assert provider.traits.name == "runcomfy"
    await provider.aclose()
    assert paid.closed
    assert free.closed


# --- what is kept of a call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handle", "status", "code"),
    [
        (gives(request_id="r"), 200, None),
        (gives(422, error_code="422001", error_message="no"), 422, "422001"),
        (gives(error_code=400002, error_message="no balance"), 200, "400002"),
        (raw(503, b"<html>"), 503, None),
        (hang_up, None, None),
    ],
)
async def test_an_outcome_of_a_submit_knows_its_call(
    handle: Handle, status: int | None, code: str | None
) -> None:
    async with api(handle) as (_, provider):
        outcome = await provider.submit(MODEL, {}, key="k")
    assert outcome.call is not None
    assert (outcome.call.name, outcome.call.status, outcome.call.code) == ("submit", status, code)
    assert outcome.call.seconds >= 0.0


async def test_an_answer_that_breaks_off_has_a_status() -> None:
    async def cut(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        await writer.drain()
        writer.close()

    async with api(cut) as (_, provider):
        outcome = await provider.submit(MODEL, {}, key="k")
    assert isinstance(outcome, Unknown)
    assert outcome.call is not None
    assert outcome.call.status == 200


async def test_free_calls_know_theirs_too() -> None:
    failed = gives(request_id="req-1", status="failed", error={"code": "500007"})
    async with api(failed) as (_, provider):
        for name in ("status", "result", "cancel"):
            outcome = await getattr(provider, name)(REQUEST)
            assert (outcome.call.name, outcome.call.status) == (name, 200)
            wanted = None if name == "cancel" else "500007"
            assert outcome.call.code == wanted
    async with api(hang_up) as (_, provider):
        outcome = await provider.status(REQUEST)
    assert outcome.call is not None
    assert (outcome.call.name, outcome.call.status) == ("status", None)


async def test_what_was_never_called_has_no_call() -> None:
    async with api(gives()) as (_, provider):
        assert (await provider.submit("..", {}, key="k")).call is None
        assert (await provider.status(Request(MODEL, "a/b"))).call is None


def test_equal_outcomes_are_equal_whatever_their_call() -> None:
    assert Accepted("r", call=Call("submit", 0.4, 200)) == Accepted("r")
    assert "submit" not in repr(Accepted("r", call=Call("submit", 0.4, 200)))
