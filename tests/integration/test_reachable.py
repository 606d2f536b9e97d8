"""Asking for input files: servers good and bad, over real sockets on loopback, and who is told
what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from aiohttp import web

from overnight.artifacts.reachable import Look, Reach, Reached, Trouble, is_inside
from overnight.providers.transport import AiohttpTransport

PICTURE = b"\x89PNG\r\n\x1a\n" + b"0" * 5000
PAGE = b"<!DOCTYPE html><html><body><form>Sign in</form></body></html>"

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Site:
    """A file server, and every call that it got."""

    def __init__(self) -> None:
        self.handle: Handle = file()
        self.calls: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.base = ""

    async def meet(self, request: web.BaseRequest) -> web.StreamResponse:
        self.calls.append((request.method, request.path))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return await self.handle(request)

    async def look(self, path: str = "/a.png", total: float = 20.0) -> Look:
        reach = Reach(AiohttpTransport(), total=total)
        try:
            return await reach.look(path if "://" in path else self.base + path)
        finally:
            await reach.aclose()

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]


def file(
    content: bytes = PICTURE,
    kind: str | None = "image/png",
    *,
    head: int = 200,
    ranges: bool = True,
) -> Handle:
    """A server of one file; ``head`` is how it answers HEAD."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Content-Type": kind} if kind is not None else {}
        if request.method == "HEAD" and head != 200:
            return web.Response(status=head)
        if request.method == "GET" and ranges and "Range" in request.headers:
            part = content[:1024]
            headers["Content-Range"] = f"bytes 0-{len(part) - 1}/{len(content)}"
            return web.Response(status=206, body=part, headers=headers)
        return web.Response(body=content, headers=headers)

    return handle


def status(code: int, **headers: str) -> Handle:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return handle


def redirects(to: str, then: Handle | None = None) -> Handle:
    onward = then or file()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/a.png":
            return web.Response(status=302, headers={"Location": to})
        return await onward(request)

    return handle


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    runner = web.ServerRunner(web.Server(made.meet), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_one_head_is_enough(site: Site) -> None:
    assert await site.look() == Reached(f"{site.base}/a.png", "image/png", len(PICTURE))
    assert site.methods == ["HEAD"]


@pytest.mark.parametrize("code", [400, 403, 404, 405, 500, 501])
async def test_a_refused_head_is_followed_by_one_ranged_get(site: Site, code: int) -> None:
    site.handle = file(head=code)
    assert await site.look() == Reached(f"{site.base}/a.png", "image/png", len(PICTURE))
    assert site.methods == ["HEAD", "GET"]
    assert site.headers[1]["range"] == "bytes=0-1023"


async def test_a_server_without_ranges_is_not_read_to_its_end(site: Site) -> None:
    content = PICTURE + b"0" * 30_000_000
    site.handle = file(content, head=405, ranges=False)
    assert await site.look() == Reached(f"{site.base}/a.png", "image/png", len(content))


async def test_a_head_that_says_no_type_is_followed_by_a_get(site: Site) -> None:
    site.handle = file(kind="application/octet-stream")
    found = await site.look()
    assert found == Reached(f"{site.base}/a.png", "application/octet-stream", len(PICTURE))
    assert site.methods == ["HEAD", "GET"]


async def test_no_credentials_are_ever_sent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "tok-1234")
    site.handle = file(head=405)
    await site.look()
    await site.look("http://user:secret@127.0.0.1:1/a.png")
    for headers in site.headers:
        assert set(headers) <= {"host", "accept", "accept-encoding", "user-agent", "range"}
        assert "tok-1234" not in str(headers)


async def test_an_address_with_a_login_is_not_asked(site: Site) -> None:
    found = await site.look(site.base.replace("http://", "http://user:secret@") + "/a.png")
    assert found == Trouble("has a user name or a password in it", certain=True)
    assert site.calls == []


@pytest.mark.parametrize(
    ("handle", "trouble"),
    [
        (status(404), Trouble("answers 404", certain=True)),
        (status(410), Trouble("answers 410", certain=True)),
        (status(403), Trouble("answers 403", certain=True)),
        (status(401), Trouble("answers 401: it wants a login", certain=True)),
        (
            status(407),
            Trouble("gives no answer from here: a proxy wants a login", certain=False),
        ),
        (status(204), Trouble("answers 204", certain=True)),
        (status(429), Trouble("answers 429 at the moment", certain=False)),
        (status(503), Trouble("answers 503 at the moment", certain=False)),
        (status(416), Trouble("is an empty file", certain=True)),
        (file(b"", ranges=False), Trouble("is an empty file", certain=True)),
        (
            file(PAGE, "text/html; charset=utf-8"),
            Trouble("is a web page, perhaps a login page, and no file", certain=True),
        ),
        (
            file(b"\xef\xbb\xbf  " + PAGE, "application/octet-stream"),
            Trouble("is a web page, perhaps a login page, and no file", certain=True),
        ),
        (status(302), Trouble("redirects, and does not say where", certain=True)),
        (
            status(302, Location="http://[bad/"),
            Trouble("redirects to an address that can't be read", certain=True),
        ),
        (status(301, Location="/a.png"), Trouble("redirects more than 5 times", certain=True)),
        (
            status(302, Location="ftp://example.org/a"),
            Trouble("redirects to plain ftp at example.org", certain=False),
        ),
        (
            redirects("/login", file(PAGE, "text/html")),
            Trouble("redirects to a web page at 127.0.0.1, perhaps a login page", certain=True),
        ),
        (
            redirects("http://u:p@127.0.0.1/b.png"),
            Trouble("redirects to an address with a login in it", certain=True),
        ),
    ],
)
async def test_what_is_wrong_in_words(site: Site, handle: Handle, trouble: Trouble) -> None:
    site.handle = handle
    assert await site.look() == trouble


async def test_a_redirect_to_the_file_is_fine(site: Site) -> None:
    site.handle = redirects("/b.png")
    assert await site.look() == Reached(f"{site.base}/b.png", "image/png", len(PICTURE))
    assert site.calls == [("HEAD", "/a.png"), ("HEAD", "/b.png")]


@pytest.mark.parametrize(
    ("to", "trouble"),
    [
        (
            "http://example.org/b.png",
            Trouble("redirects to plain http at example.org", certain=False),
        ),
        (
            "https://192.168.0.7/b.png",
            Trouble("redirects to 192.168.0.7, inside a private network", certain=True),
        ),
    ],
)
async def test_redirects_of_an_https_address(to: str, trouble: Trouble) -> None:
    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert request.url.host == "example.org"
            return httpx.Response(302, headers={"Location": to})

    assert await Reach(Wire()).look("https://example.org/a.png") == trouble


async def test_a_silent_server_is_no_verdict(site: Site) -> None:
    never = asyncio.Event()

    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    site.handle = silent
    found = await site.look(total=0.05)
    assert isinstance(found, Trouble)
    assert not found.certain
    assert site.methods == ["HEAD", "GET"]


async def test_nobody_there_is_no_verdict(site: Site) -> None:
    found = await site.look("http://127.0.0.1:1/a.png")
    assert isinstance(found, Trouble)
    assert not found.certain
    assert found.reason.startswith("gives no answer from here: no connection to 127.0.0.1:1")


async def test_a_broken_head_is_no_verdict_where_get_works(site: Site) -> None:
    whole = file()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "HEAD" and request.transport is not None:
            request.transport.abort()
        return await whole(request)

    site.handle = handle
    assert isinstance(await site.look(), Reached)


@pytest.mark.parametrize("address", ["https://exa mple.org/", "https://[", "\ud800"])
async def test_what_is_no_url(site: Site, address: str) -> None:
    reach = Reach(AiohttpTransport())
    found = await reach.look(address)
    await reach.aclose()
    assert isinstance(found, Trouble)
    assert found.certain


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://localhost/a", True),
        ("https://LOCALHOST./a", True),
        ("https://127.0.0.1/a", True),
        ("https://[::1]/a", True),
        ("https://10.1.2.3/a", True),
        ("https://192.168.1.5:8443/a", True),
        ("https://169.254.1.1/a", True),
        ("https://[fd00::1]/a", True),
        ("https://nas/a", True),
        ("https://printer.local/a", True),
        ("https://files.corp.internal/a", True),
        ("https://example.org/a", False),
        ("https://localhost.example.org/a", False),
        ("https://93.184.216.34/a", False),
        ("https://[2606:4700::1]/a", False),
        ("not a url", False),
        ("https://[", False),
    ],
)
def test_what_only_this_side_can_reach(url: str, inside: bool) -> None:
    assert is_inside(url) is inside
