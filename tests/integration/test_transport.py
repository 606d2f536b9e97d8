"""What the transport says when a server misbehaves, over real sockets on loopback.

The question behind every test is one: may the request have reached the server?
"""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from overnight.providers.transport import AiohttpTransport, MaybeSentError, NotSentError
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


def post(url: str, **timeout: float) -> httpx.Request:
    return httpx.Request(
        "POST",
        url,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        content=b'{"a": 1}',
        extensions={"timeout": timeout or {"connect": 5.0, "total": 5.0}},
    )


async def fault_of(transport: AiohttpTransport, request: httpx.Request) -> Exception:
    """What the call raises, be it at the head or in the body; checked for the token."""
    try:
        response = await transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
    except httpx.HTTPError as exc:
        assert_silent(exc)
        return exc
    raise AssertionError("the call went well")


@pytest.fixture(params=[True, False], ids=["fresh", "pooled"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(fresh=request.param) as made:
        yield made


@pytest.fixture
async def fresh() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(fresh=True) as made:
        yield made


@pytest.fixture
async def pooled() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as made:
        yield made


# --- surely not sent ------------------------------------------------------------------------------


async def test_a_refused_connection_is_not_sent(transport: AiohttpTransport) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        fault = await fault_of(transport, post(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert isinstance(fault, NotSentError)
    assert "no connection to 127.0.0.1" in fault.reason


async def test_a_name_that_does_not_resolve_is_not_sent(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    fault = await fault_of(transport, post("http://api.example.invalid/"))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the name api.example.invalid can't be resolved"


async def test_a_failed_tls_handshake_is_not_sent(transport: AiohttpTransport) -> None:
    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with on(Stage(not_tls)) as stage:
        fault = await fault_of(transport, post(stage.url.replace("http:", "https:")))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the TLS handshake with 127.0.0.1 failed"


async def test_a_tls_handshake_that_is_reset_is_not_sent(transport: AiohttpTransport) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async with on(Stage(hang_up)) as stage:
        fault = await fault_of(transport, post(stage.url.replace("http:", "https:")))
    assert isinstance(fault, NotSentError)


async def test_a_connection_that_takes_too_long_is_not_sent(transport: AiohttpTransport) -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with on(Stage(mute)) as stage:
        # A TLS handshake that never goes on: the connection never stands.
        slow = post(stage.url.replace("http:", "https:"), connect=0.05, total=5.0)
        fault = await fault_of(transport, slow)
    assert isinstance(fault, NotSentError)
    assert fault.reason == "no connection in time"


async def test_a_total_limit_that_ends_before_the_connection_stands_is_not_sent(
    transport: AiohttpTransport,
) -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with on(Stage(mute)) as stage:
        slow = post(stage.url.replace("http:", "https:"), connect=5.0, total=0.05)
        fault = await fault_of(transport, slow)
    assert isinstance(fault, NotSentError)


async def test_a_call_that_waits_in_vain_for_a_free_connection_is_not_sent() -> None:
    stage = Stage()

    async def busy(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        await reader.read()

    stage.scenes.append(busy)
    async with on(stage), AiohttpTransport(fresh=True, limit=1) as transport:
        first = asyncio.create_task(transport.handle_async_request(post(stage.url)))
        await reached(stage.heard, first)
        fault = await fault_of(transport, post(stage.url, connect=0.05))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert isinstance(fault, NotSentError)
    assert len(stage.requests) == 1


async def test_a_header_that_could_smuggle_another_is_not_sent(fresh: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        request = httpx.Request("POST", stage.url, headers={"X-Tag": "a\r\nB: c"}, content=b"{}")
        fault = await fault_of(fresh, request)
    # aiohttp only looks at headers once the connection stands, so the claim is the careful one.
    assert isinstance(fault, MaybeSentError)
    assert stage.requests == []


async def test_after_closing_nothing_is_sent(fresh: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        await fresh.aclose()
        fault = await fault_of(fresh, post(stage.url))
    assert isinstance(fault, NotSentError)
    assert stage.connections == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_that_is_not_trusted_keeps_the_request_back(
    certificate: Path, trusted: bool
) -> None:
    stage = Stage()
    says(stage, OK)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    server = await asyncio.start_server(stage.meet, "127.0.0.1", 0, ssl=serving)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/call"
    context = ssl.create_default_context(cafile=str(certificate)) if trusted else None
    async with AiohttpTransport(fresh=True, tls=context) as transport:
        if trusted:
            assert (await talk(transport, post(url))).status_code == 200
            assert stage.requests[0].endswith(b'{"a": 1}')
        else:
            fault = await fault_of(transport, post(url))
            assert isinstance(fault, NotSentError)
            assert fault.reason == "the certificate of 127.0.0.1 can't be trusted"
            assert stage.requests == []
    server.close()


# --- maybe sent -----------------------------------------------------------------------------------


async def test_read_then_reset_is_maybe_sent(transport: AiohttpTransport) -> None:
    stage = Stage()

    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        reset(writer)

    stage.scenes.append(scene)
    async with on(stage):
        fault = await fault_of(transport, post(stage.url))
    assert isinstance(fault, MaybeSentError)
    assert "the connection was lost" in fault.reason
    assert len(stage.requests) == 1


async def test_read_then_close_is_maybe_sent(transport: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        says(stage, b"", then_close=True)
        fault = await fault_of(transport, post(stage.url))
    assert isinstance(fault, MaybeSentError)
    assert fault.reason == "the request was sent, then the connection was closed without an answer"
    assert len(stage.requests) == 1


@pytest.mark.parametrize("limit", ["total", "read"])
async def test_read_then_silence_is_maybe_sent(transport: AiohttpTransport, limit: str) -> None:
    async with on(Stage()) as stage:
        says(stage, b"")
        fault = await fault_of(transport, post(stage.url, **{limit: 0.5}))
    assert isinstance(fault, MaybeSentError)
    assert fault.reason == "the request was sent, and no whole answer came in time"
    assert len(stage.requests) == 1


async def test_a_reset_before_anything_is_read_is_never_called_unsent_once_written(
    transport: AiohttpTransport,
) -> None:
    async def scene(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with on(Stage(scene)) as stage:
        faults = [await fault_of(transport, post(stage.url)) for _ in range(20)]
    # The reset may win the race against the connection itself; then, and only then, it is not
    # sent, and the reason says that there was no connection.
    assert all(
        isinstance(fault, MaybeSentError)
        or (isinstance(fault, NotSentError) and fault.reason.startswith("no connection"))
        for fault in faults
    )


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{half\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"what is this?\r\n\r\n",
    ],
    ids=["head", "length", "chunked", "bad-chunk", "not-http"],
)
async def test_half_an_answer_is_maybe_sent(transport: AiohttpTransport, half: bytes) -> None:
    async with on(Stage()) as stage:
        says(stage, half, then_close=True)
        fault = await fault_of(transport, post(stage.url))
    assert isinstance(fault, MaybeSentError)
    assert len(stage.requests) == 1


async def test_a_body_that_stops_in_the_middle_runs_into_the_limit(
    transport: AiohttpTransport,
) -> None:
    async with on(Stage()) as stage:
        says(stage, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half")
        fault = await fault_of(transport, post(stage.url, read=0.1))
    assert isinstance(fault, MaybeSentError)


async def test_cancelling_passes_through(transport: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        says(stage, b"")
        call = asyncio.create_task(transport.handle_async_request(post(stage.url)))
        await reached(stage.heard, call)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# --- connections ----------------------------------------------------------------------------------


async def talk(transport: AiohttpTransport, request: httpx.Request) -> httpx.Response:
    response = await transport.handle_async_request(request)
    await response.aread()
    await response.aclose()
    return response


async def test_free_calls_share_a_connection_and_paid_ones_never_do(
    pooled: AiohttpTransport, fresh: AiohttpTransport
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, OK, OK)
        for _ in range(3):
            await talk(pooled, httpx.Request("GET", stage.url))
        assert stage.connections == 1
        for _ in range(3):
            await talk(fresh, post(stage.url))
        assert stage.connections == 4


async def test_a_post_on_a_dying_connection_is_not_repeated(pooled: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"", then_close=True)  # answers one, hears the next, and hangs up
        says(stage, OK)
        await talk(pooled, post(stage.url))
        fault = await fault_of(pooled, post(stage.url))
        assert isinstance(fault, MaybeSentError)
        assert "a reused connection" in fault.reason
        assert len(stage.requests) == 2


async def test_a_free_call_on_a_dying_connection_is_repeated_once(
    pooled: AiohttpTransport,
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, b"", then_close=True)
        says(stage, OK)
        await talk(pooled, httpx.Request("GET", stage.url))
        assert (await talk(pooled, httpx.Request("GET", stage.url))).status_code == 200
        assert len(stage.requests) == 3


@pytest.mark.parametrize("method", ["paid", "free"])
async def test_a_connection_that_the_server_closed_between_two_calls_does_no_harm(
    pooled: AiohttpTransport, fresh: AiohttpTransport, method: str
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK, then_close=True)
        for calls in range(1, 6):
            if method == "paid":
                answer = await talk(fresh, post(stage.url))
            else:
                answer = await talk(pooled, httpx.Request("GET", stage.url))
            assert answer.status_code == 200
            assert len(stage.requests) == calls


async def test_no_hidden_limit_holds_calls_back(pooled: AiohttpTransport) -> None:
    together = 130  # aiohttp's own limit is 100
    gate = asyncio.Barrier(together)
    stage = Stage()

    async def wait_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        await gate.wait()  # answers nobody until all are here
        writer.write(OK)
        await writer.drain()

    stage.scenes.append(wait_for_all)
    async with on(stage):
        calls = [talk(pooled, post(stage.url, total=20.0)) for _ in range(together)]
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}


# --- what goes over the wire, and what comes back -----------------------------------------------


async def test_nothing_is_added_to_the_request_but_how_the_connection_ends(
    pooled: AiohttpTransport, fresh: AiohttpTransport
) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        await talk(pooled, post(stage.url))
        await talk(fresh, post(stage.url))
    common = {
        f"host: 127.0.0.1:{stage.port}",
        f"authorization: bearer {TOKEN}",
        "content-type: application/json",
        "content-length: 8",
    }
    heads = [r.split(b"\r\n\r\n")[0].decode().lower().split("\r\n")[1:] for r in stage.requests]
    assert set(heads[0]) == common
    assert set(heads[1]) == common | {"connection: close"}
    assert all(request.endswith(b'\r\n\r\n{"a": 1}') for request in stage.requests)


async def test_the_path_goes_out_as_it_was_encoded(pooled: AiohttpTransport) -> None:
    async with on(Stage()) as stage:
        says(stage, OK)
        await talk(pooled, httpx.Request("GET", stage.url + "/a%2Fb/%E3%81%82?x=%20y&z"))
    assert stage.requests[0].startswith(b"GET /call/a%2Fb/%E3%81%82?x=%20y&z HTTP/1.1\r\n")


async def test_a_redirect_is_handed_back_and_a_cookie_forgotten(pooled: AiohttpTransport) -> None:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    async with on(Stage()) as stage:
        says(stage, moved, OK)
        answer = await talk(pooled, post(stage.url))
        await talk(pooled, post(stage.url))
    assert answer.status_code == 302
    assert answer.headers["location"] == "/elsewhere"
    assert len(stage.requests) == 2
    assert b"cookie" not in stage.requests[1].lower()


async def test_a_compressed_body_is_unpacked_exactly_once(pooled: AiohttpTransport) -> None:
    packed = gzip.compress(b'{"ok": true}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with on(Stage()) as stage:
        says(stage, head + packed)
        answer = await talk(pooled, httpx.Request("GET", stage.url))
    assert answer.content == b'{"ok": true}'
    assert answer.num_bytes_downloaded == len(packed)


async def test_a_body_streams_while_it_is_still_coming(pooled: AiohttpTransport) -> None:
    go_on = asyncio.Event()
    stage = Stage()

    async def in_two_parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stage.hear(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await writer.drain()
        await go_on.wait()  # only a client that has seen the first half lets it go on
        writer.write(b"after")
        await writer.drain()

    stage.scenes.append(in_two_parts)
    async with on(stage):
        response = await pooled.handle_async_request(httpx.Request("GET", stage.url))
        chunks = []
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            go_on.set()
        await response.aclose()
    assert b"".join(chunks) == b"firstafter"


# --- the environment ----------------------------------------------------------------------------


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
        async with AiohttpTransport(fresh=True, trust_env=True) as asked:
            assert (await talk(asked, post(stage.url))).status_code == 200
            assert proxy.connections == 0
            fault = await fault_of(asked, post("https://api.example.invalid/call"))
    assert isinstance(fault, NotSentError)
    assert fault.reason == "the proxy answered 407"
    assert proxy.requests[0].startswith(b"CONNECT api.example.invalid:443 ")
    assert TOKEN.encode() not in proxy.requests[0]


@pytest.mark.parametrize("login", [True, False])
async def test_a_proxy_gets_a_login_only_when_it_may(
    monkeypatch: pytest.MonkeyPatch, login: bool
) -> None:
    async with on(Stage()) as proxy:
        says(proxy, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with AiohttpTransport(trust_env=True, proxy_login=login) as transport:
            fault = await fault_of(transport, post("https://api.example.invalid/call"))
    assert isinstance(fault, NotSentError)
    assert (b"proxy-authorization" in proxy.requests[0].lower()) is login


async def test_without_being_asked_the_environment_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on(Stage()) as proxy:
        says(proxy, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setattr(socket, "getaddrinfo", _no_such_name)
        async with AiohttpTransport() as plain:
            fault = await fault_of(plain, post("https://api.example.invalid/call"))
        assert isinstance(fault, NotSentError)
        assert proxy.connections == 0


def _no_such_name(*_: object, **__: object) -> object:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def test_the_netrc_file_is_never_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with on(Stage()) as stage, AiohttpTransport(trust_env=True) as transport:
        says(stage, OK, OK)
        await talk(transport, post(stage.url))
        await talk(transport, httpx.Request("GET", stage.url))
    assert f"authorization: bearer {TOKEN}".encode() in stage.requests[0].lower()
    assert b"authorization" not in stage.requests[1].lower()
