"""What a wire straight onto connections says when a server misbehaves, over real sockets.

The question behind every test is one: may the request have reached the server?
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from overnight.providers import lines as lines_module
from overnight.providers.line import Line
from overnight.providers.lines import Lines
from overnight.providers.routes import Routes
from overnight.providers.transport import MaybeSentError, NotSentError
from overnight.providers.wire import LONGEST_BODY, Ask, Reply, Site, Wire
from tests.integration.stage import (
    OK,
    TOKEN,
    Stage,
    assert_silent,
    on,
    reached,
    reset,
    says,
    self_signed,
)

HEADERS = [("Authorization", f"Bearer {TOKEN}"), ("Content-Type", "application/json")]
POST = {"method": "POST", "body": b'{"a": 1}'}


def ask(stage: Stage | str, method: str = "GET", body: bytes | None = None, **limits: float) -> Ask:
    url = stage if isinstance(stage, str) else f"http://127.0.0.1:{stage.port}"
    found = {"connect": 5.0, "total": 5.0, **limits}
    return Ask(method, Site.of(url), "/call", HEADERS, body, found["connect"], found["total"])


def post(stage: Stage | str, **limits: float) -> Ask:
    return ask(stage, "POST", b'{"a": 1}', **limits)


def secure(stage: Stage) -> str:
    return f"https://127.0.0.1:{stage.port}"


async def fault_of(wire: Wire, asked: Ask) -> NotSentError | MaybeSentError:
    """What the call raises, checked for the token."""
    try:
        await wire.call(asked)
    except (NotSentError, MaybeSentError) as exc:
        assert_silent(exc)
        return exc
    raise AssertionError("the call went well")


@pytest.fixture(params=[True, False], ids=["fresh", "kept"])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Lines]:
    made = Lines(fresh=request.param)
    yield made
    await made.aclose()


@pytest.fixture
async def fresh() -> AsyncIterator[Lines]:
    made = Lines(fresh=True)
    yield made
    await made.aclose()


@pytest.fixture
async def kept() -> AsyncIterator[Lines]:
    made = Lines()
    yield made
    await made.aclose()


async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take everything and never answer: a TLS handshake that doesn't go on."""
    await reader.read()


# --- surely not sent ------------------------------------------------------------------------------


async def test_a_refused_connection_is_not_sent(wire: Lines) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        port = taken.getsockname()[1]
        fault = await fault_of(wire, post(f"http://127.0.0.1:{port}"))
    assert isinstance(fault, NotSentError)
    assert fault.reason == f"no connection to 127.0.0.1:{port}: Connection refused"


async def test_a_name_that_does_not_resolve_is_not_sent(
    wire: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    fault = await fault_of(wire, post("http://api.example.invalid"))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the name api.example.invalid can't be resolved"


async def test_a_failed_tls_handshake_is_not_sent(wire: Lines) -> None:
    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with on(Stage(not_tls)) as stage:
        fault = await fault_of(wire, post(secure(stage)))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the TLS handshake with 127.0.0.1 failed"


async def test_a_tls_handshake_that_is_reset_is_not_sent(wire: Lines) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async with on(Stage(hang_up)) as stage:
        fault = await fault_of(wire, post(secure(stage)))
    assert isinstance(fault, NotSentError)


@pytest.mark.parametrize("limit", ["connect", "total"])
async def test_a_connection_that_takes_too_long_is_not_sent(wire: Lines, limit: str) -> None:
    async with on(Stage(mute)) as stage:
        fault = await fault_of(wire, post(secure(stage), **{limit: 0.05}))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "no connection in time"


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\rb", "é"])
async def test_a_header_that_could_smuggle_another_is_not_sent(fresh: Lines, value: str) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        asked = post(stage)
        asked.headers = [*HEADERS, ("X-Tag", value)]
        fault = await fault_of(fresh, asked)
    assert isinstance(fault, NotSentError)
    assert stage.connections == 0


async def test_after_closing_nothing_is_sent(wire: Lines) -> None:
    async with on(Stage()) as stage:
        await wire.aclose()
        fault = await fault_of(wire, post(stage))
    assert isinstance(fault, NotSentError)
    assert stage.connections == 0


async def test_a_connection_that_is_closing_is_not_written_to() -> None:
    async with on(Stage(mute)) as stage:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(loop, set()), "127.0.0.1", stage.port)
        gone = line.gone()
        line.hang_up()
        with pytest.raises(NotSentError):
            line.ask(b"POST")
        await gone
        with pytest.raises(NotSentError):
            line.ask(b"POST")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_that_is_not_trusted_keeps_the_request_back(
    tmp_path: Path, trusted: bool
) -> None:
    certificate = self_signed(tmp_path)
    stage = Stage()
    says(stage, OK, OK)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    server = await asyncio.start_server(stage.meet, "127.0.0.1", 0, ssl=serving)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    context = ssl.create_default_context(cafile=str(certificate)) if trusted else None
    wire = Lines(tls=context)
    if trusted:
        assert (await wire.call(post(url))).status == 200
        assert (await wire.call(ask(url))).body == b"{}"
        assert stage.requests[0].endswith(b'{"a": 1}')
        assert stage.connections == 1
    else:
        fault = await fault_of(wire, post(url))
        assert isinstance(fault, NotSentError)
        assert fault.reason == "the certificate of 127.0.0.1 can't be trusted"
        assert stage.requests == []
    await wire.aclose()
    server.close()


# --- maybe sent -----------------------------------------------------------------------------------


async def test_read_then_reset_is_maybe_sent(wire: Lines) -> None:
    stage = Stage()

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        reset(writer)

    stage.scenes.append(scene)
    async with on(stage):
        fault = await fault_of(wire, post(stage))
    assert isinstance(fault, MaybeSentError)
    assert "the connection was lost" in fault.reason
    assert len(stage.requests) == 1


async def test_read_then_close_is_maybe_sent(wire: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, b"", then_close=True)
        fault = await fault_of(wire, post(stage))
    assert isinstance(fault, MaybeSentError)
    assert fault.reason == "the request was sent, then the connection was closed without an answer"
    assert len(stage.requests) == 1


@pytest.mark.parametrize("half", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half"])
async def test_read_then_silence_is_maybe_sent(wire: Lines, half: bytes) -> None:
    async with on(Stage()) as stage:
        says(stage, half)
        fault = await fault_of(wire, post(stage, total=0.1))
    assert isinstance(fault, MaybeSentError)
    assert fault.reason == "the request was sent, and no whole answer came in time"
    assert len(stage.requests) == 1


async def test_a_reset_before_anything_is_read_is_never_called_unsent_once_written(
    wire: Lines,
) -> None:
    async def scene(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with on(Stage(scene)) as stage:
        faults = [await fault_of(wire, post(stage)) for _ in range(20)]
    # The reset may win the race against the connection itself, or be seen before anything is
    # written; then, and only then, it is not sent, and the reason says so.
    unsent = ("no connection", "the connection was lost before")
    assert all(
        isinstance(fault, MaybeSentError) or fault.reason.startswith(unsent) for fault in faults
    )


@pytest.mark.parametrize(
    ("half", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half", 200),
        (b"HTTP/1.1 502 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{half\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n", 200),
        (b"what is this?\r\n\r\n", None),
        (b"SSH-2.0-x", None),
    ],
    ids=["head", "length", "chunked", "bad-chunk", "not-http", "not-http-begun"],
)
async def test_half_an_answer_is_maybe_sent(wire: Lines, half: bytes, status: int | None) -> None:
    async with on(Stage()) as stage:
        says(stage, half, then_close=True)
        fault = await fault_of(wire, post(stage))
    assert isinstance(fault, MaybeSentError)
    assert fault.status == status
    assert len(stage.requests) == 1


@pytest.mark.parametrize("framing", [b"", b"Content-Length: %d\r\n" % (LONGEST_BODY + 1)])
async def test_an_endless_answer_is_cut_off(wire: Lines, framing: bytes) -> None:
    async with on(Stage()) as stage:
        says(stage, b"HTTP/1.1 200 OK\r\n%s\r\n" % framing + b" " * (LONGEST_BODY + 1))
        fault = await fault_of(wire, ask(stage))
    assert isinstance(fault, MaybeSentError)
    assert "longer than" in fault.reason


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_cut_off(wire: Lines) -> None:
    packed = gzip.compress(bytes(4 * LONGEST_BODY))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with on(Stage()) as stage:
        says(stage, head + packed)
        fault = await fault_of(wire, ask(stage))
    assert isinstance(fault, MaybeSentError)
    assert "longer than" in fault.reason


async def test_cancelling_passes_through(wire: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, b"")
        call = asyncio.create_task(wire.call(post(stage)))
        await reached(stage.heard, call)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_closing_ends_a_call_under_way(wire: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, b"")
        call = asyncio.create_task(fault_of(wire, post(stage)))
        await reached(stage.heard, call)
        await wire.aclose()
        assert isinstance(await call, MaybeSentError)


@pytest.mark.parametrize("by_whom", ["the server", "us"])
async def test_only_the_server_can_end_a_body_without_a_length(by_whom: str) -> None:
    async with on(Stage(mute)) as stage:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(loop, set()), "127.0.0.1", stage.port)
        answer = line.ask(b"POST")
        line.data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")
        if by_whom == "the server":
            line.eof_received()
        line.hang_up()
        if by_whom == "the server":
            assert (await answer).body == b"{}"
        else:
            with pytest.raises(MaybeSentError):
                await answer


async def test_an_answer_that_comes_as_time_runs_out_counts(
    fresh: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = Line._answered

    def too_late(line: Line, reading: Any) -> None:
        time.sleep(1.1)  # time is up before the call can go on
        answered(line, reading)

    monkeypatch.setattr(Line, "_answered", too_late)
    async with on(Stage()) as stage:
        says(stage, OK)
        assert (await fresh.call(post(stage, total=1.0))).status == 200


async def test_a_get_that_waits_in_vain_on_a_kept_connection_is_not_sent_again(
    kept: Lines,
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"")
        says(stage, OK)  # on another connection, which nobody is to open
        await kept.call(ask(stage))
        fault = await fault_of(kept, ask(stage, total=0.1))
    assert isinstance(fault, MaybeSentError)
    assert fault.reason == "the request was sent, and no whole answer came in time"
    assert (stage.connections, len(stage.requests)) == (1, 2)


async def test_a_call_that_is_still_connecting_when_all_is_closed_is_not_sent(
    fresh: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = Line.connection_made

    def closing(line: Line, transport: asyncio.BaseTransport) -> None:
        fresh._closed = True
        connected(line, transport)

    monkeypatch.setattr(Line, "connection_made", closing)
    async with on(Stage()) as stage:
        says(stage, OK)
        assert isinstance(await fault_of(fresh, post(stage)), NotSentError)
    assert stage.requests == []


# --- connections ----------------------------------------------------------------------------------


async def test_free_calls_share_a_connection_and_paid_ones_never_do(
    kept: Lines, fresh: Lines
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, OK, OK)
        for _ in range(3):
            await kept.call(ask(stage))
        assert stage.connections == 1
        for _ in range(3):
            await fresh.call(post(stage))
        assert stage.connections == 4


async def test_a_post_on_a_dying_connection_is_not_repeated(kept: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"", then_close=True)  # answers one, hears the next, and hangs up
        says(stage, OK)
        await kept.call(post(stage))
        fault = await fault_of(kept, post(stage))
        assert isinstance(fault, MaybeSentError)
        assert "a reused connection" in fault.reason
        assert len(stage.requests) == 2


async def test_a_free_call_on_a_dying_connection_is_repeated_once(kept: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"", then_close=True)
        says(stage, b"", then_close=True)
        says(stage, OK)
        await kept.call(ask(stage))
        fault = await fault_of(kept, ask(stage))
        assert isinstance(fault, MaybeSentError)
        assert len(stage.requests) == 3


async def test_a_repeated_call_that_finds_nobody_may_have_arrived_the_first_time(
    kept: Lines,
) -> None:
    stage, done = Stage(), asyncio.Event()

    async def answer_and_leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        writer.write(OK)
        await stage.hear(reader)
        server.close()
        done.set()

    stage.scenes.append(answer_and_leave)
    server = await asyncio.start_server(stage.meet, "127.0.0.1", 0)
    stage.port = server.sockets[0].getsockname()[1]
    await kept.call(ask(stage))
    fault = await fault_of(kept, ask(stage))
    assert done.is_set()
    assert isinstance(fault, MaybeSentError)
    assert "no connection to" in fault.reason


async def test_a_free_call_that_was_being_answered_is_not_repeated(kept: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"HTTP/1.1 200", then_close=True)
        says(stage, OK)
        await kept.call(ask(stage))
        assert isinstance(await fault_of(kept, ask(stage)), MaybeSentError)
        assert len(stage.requests) == 2


@pytest.mark.parametrize(
    "ending",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    ],
    ids=["close", "1.0", "surplus"],
)
async def test_a_connection_that_can_not_be_trusted_again_is_not_kept(
    kept: Lines, ending: bytes
) -> None:
    async with on(Stage()) as stage:
        says(stage, ending, ending)
        for calls in (1, 2):
            assert (await kept.call(ask(stage))).body == b"{}"
            assert stage.connections == calls


async def test_what_comes_when_nobody_asked_is_never_an_answer(kept: Lines) -> None:
    stage, go_on, spoke = Stage(), asyncio.Event(), asyncio.Event()

    async def one_too_many(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        writer.write(OK)
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
        await reader.read()  # the client hangs up at that
        spoke.set()

    stage.scenes.append(one_too_many)
    says(stage, OK)
    async with on(stage):
        await kept.call(ask(stage))
        go_on.set()
        await spoke.wait()
        assert (await kept.call(ask(stage))).body == b"{}"
        assert stage.connections == 2


@pytest.mark.parametrize("paid", [True, False])
async def test_a_connection_that_the_server_closed_between_two_calls_does_no_harm(
    kept: Lines, fresh: Lines, paid: bool
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, then_close=True)
        for calls in range(1, 6):
            reply = await (fresh.call(post(stage)) if paid else kept.call(ask(stage)))
            assert reply.status == 200
            assert len(stage.requests) == calls


async def test_no_hidden_limit_holds_calls_back(wire: Lines) -> None:
    together = 130
    gate = asyncio.Barrier(together)
    stage = Stage()

    async def wait_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        await gate.wait()  # answers nobody until all are here
        writer.write(OK)
        await writer.drain()

    stage.scenes.append(wait_for_all)
    async with on(stage):
        calls = [wire.call(post(stage, total=20.0)) for _ in range(together)]
        assert {reply.status for reply in await asyncio.gather(*calls)} == {200}


async def test_an_idle_connection_is_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines_module, "_KEEPALIVE", 0.01)
    stage, left = Stage(), asyncio.Event()

    async def until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        writer.write(OK)
        await reader.read()
        left.set()

    stage.scenes.append(until_left)
    async with on(stage):
        wire = Lines()
        await wire.call(ask(stage))
        await left.wait()
        await wire.aclose()


async def test_a_name_is_looked_up_once_for_many_calls(
    fresh: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    honest = socket.getaddrinfo

    def counted(host: Any, *arguments: Any, **more: Any) -> Any:
        if host != "api.example":
            return honest(host, *arguments, **more)
        asked.append(host)
        return honest("127.0.0.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    async with on(Stage()) as stage:
        says(stage, OK)
        there = f"http://api.example:{stage.port}"
        await asyncio.gather(*(fresh.call(post(there)) for _ in range(20)))
        assert len(stage.requests) == 20
        assert all(f"Host: api.example:{stage.port}".encode() in r for r in stage.requests)
    assert len(asked) == 1


async def test_of_several_addresses_the_one_that_answers_is_taken(
    fresh: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        found = [(*tcp, (host, stage.port)) for host in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        for _ in range(2):
            assert (await fresh.call(post(f"http://api.example:{stage.port}"))).status == 200


async def test_an_address_that_no_longer_answers_is_looked_up_anew(
    fresh: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        hosts = ["127.0.0.1"]
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *_, **__: [(*tcp, (hosts[-1], stage.port))]
        )
        there = f"http://api.example:{stage.port}"
        assert (await fresh.call(post(there))).status == 200
        hosts.append("127.0.0.9")
        fresh_again = Lines(fresh=True)
        assert isinstance(await fault_of(fresh_again, post(there)), NotSentError)
        hosts.append("127.0.0.1")
        assert (await fresh_again.call(post(there))).status == 200
        await fresh_again.aclose()


# --- what goes over the wire, and what comes back -----------------------------------------------


async def test_nothing_is_added_to_the_request_but_how_the_connection_ends(
    kept: Lines, fresh: Lines
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, OK)
        await kept.call(post(stage))
        await kept.call(ask(stage))
        await fresh.call(post(stage))
    common = [
        "POST /call HTTP/1.1",
        f"Host: 127.0.0.1:{stage.port}",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        "Content-Length: 8",
    ]
    heads = [r.split(b"\r\n\r\n")[0].decode().split("\r\n") for r in stage.requests]
    assert heads[0] == common
    assert heads[1] == ["GET /call HTTP/1.1", *common[1:4]]
    assert heads[2] == [*common, "Connection: close"]
    assert stage.requests[0].endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.parametrize(
    ("base", "authority", "path"),
    [
        ("http://[::1]:8080/a b/", "[::1]:8080", "/a%20b"),
        ("https://host.example", "host.example", ""),
        ("https://host.example:443/v", "host.example", "/v"),
        ("http://host.example:443", "host.example:443", ""),
    ],
)
def test_a_site_is_read_off_its_base(base: str, authority: str, path: str) -> None:
    site = Site.of(base)
    assert (site.authority, site.prefix) == (authority, path)
    assert site.tls is base.startswith("https")
    assert "[" not in site.host


async def test_a_redirect_is_handed_back_and_a_cookie_forgotten(kept: Lines) -> None:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    async with on(Stage()) as stage:
        says(stage, moved, OK)
        reply = await kept.call(post(stage))
        await kept.call(post(stage))
    assert reply == Reply(
        302, {"location": "/elsewhere", "set-cookie": "a=b", "content-length": "0"}, b""
    )
    assert len(stage.requests) == 2
    assert b"cookie" not in stage.requests[1].lower()


async def test_a_compressed_body_is_unpacked(wire: Lines) -> None:
    packed = gzip.compress(b'{"ok": true}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with on(Stage()) as stage:
        says(stage, head + packed)
        assert (await wire.call(ask(stage))).body == b'{"ok": true}'


async def test_an_encoding_that_nobody_knows_is_left_alone(wire: Lines) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: \xe9\r\nContent-Length: 2\r\n\r\n"
    async with on(Stage()) as stage:
        says(stage, head + b"{}")
        assert (await wire.call(ask(stage))).body == b"{}"


async def test_a_body_may_last_until_the_connection_ends(wire: Lines) -> None:
    async with on(Stage()) as stage:
        says(stage, b"HTTP/1.1 200 OK\r\n\r\n{}", then_close=True)
        assert (await wire.call(ask(stage))).body == b"{}"


# --- the way there --------------------------------------------------------------------------------


async def test_a_proxy_is_used_only_when_asked_for_and_never_for_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on(Stage()) as stage, on(Stage()) as proxy:
        says(stage, OK)
        says(proxy, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        routes = Routes(fresh=True, trust_env=True)
        assert (await routes.call(post(stage))).status == 200
        assert proxy.connections == 0
        fault = await fault_of(routes, post("https://api.example.invalid"))
        await routes.aclose()
        assert isinstance(await fault_of(routes, post(stage)), NotSentError)
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the proxy answered 407"
    assert proxy.requests[0].startswith(b"CONNECT api.example.invalid:443 ")
    assert TOKEN.encode() not in proxy.requests[0]


def test_an_ask_does_not_show_the_token() -> None:
    assert TOKEN not in repr(post("http://127.0.0.1:1"))


# --- on another loop ----------------------------------------------------------------------------


async def _every_kind_of_end() -> list[str]:
    """What becomes of a refused connection, a reset, a close and an answer."""

    async def read_then_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    wire, found = Lines(fresh=True), []
    async with on(Stage(read_then_reset)) as stage:
        says(stage, b"", then_close=True)
        says(stage, b"")
        says(stage, OK)
        for total in (5.0, 5.0, 0.1):
            found.append(type(await fault_of(wire, post(stage, total=total))).__name__)
        found.append(str((await wire.call(post(stage))).status))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        there = f"http://127.0.0.1:{taken.getsockname()[1]}"
        found.append(type(await fault_of(wire, post(there))).__name__)
    await wire.aclose()
    return found


@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
def test_every_loop_tells_the_same(module: str) -> None:
    loop = pytest.importorskip(module) if module == "uvloop" else importlib.import_module(module)
    with asyncio.Runner(loop_factory=loop.new_event_loop) as runner:
        found = runner.run(_every_kind_of_end())
    maybe = MaybeSentError.__name__
    assert found == [maybe, maybe, maybe, "200", NotSentError.__name__]


async def _given_up_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """A call is cancelled when its connection stands and has not been handed to it yet; then
    everything is closed. The connections that were made."""
    made, honest = [], Line.connection_made

    def made_and_given_up(line: Line, transport: asyncio.BaseTransport) -> None:
        honest(line, transport)
        made.append(line)
        call.cancel()

    monkeypatch.setattr(Line, "connection_made", made_and_given_up)
    wire, stage, left = Lines(), Stage(), asyncio.Event()

    async def until_left(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        stage.requests.append(await reader.read())
        left.set()

    stage.scenes.append(until_left)
    async with on(stage):
        call = asyncio.create_task(wire.call(post(stage)))
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(10.0):
            await wire.aclose()
            await left.wait()
    assert stage.requests == [b""]
    return made


@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
def test_closing_does_not_wait_for_a_connection_that_was_given_up_as_it_was_made(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = pytest.importorskip(module) if module == "uvloop" else importlib.import_module(module)
    with asyncio.Runner(loop_factory=loop.new_event_loop) as runner:
        made = runner.run(_given_up_as_it_is_made(monkeypatch))
    assert len(made) == 1
