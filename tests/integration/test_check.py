"""``overnight check`` as another program sees it: a real HTTPS server, an emulator, exit codes."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from overnight.emulator import Call, Emulator, Settings
from tests.integration.cli_shell import Shell

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs a certificate")

TOKEN = "tok-5f9c1e7a2b"
PICTURE = b"\x89PNG\r\n\x1a\n" + b"0" * 3000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


class Site:
    """Input files over HTTPS, and the headers of every call."""

    def __init__(self) -> None:
        self.headers: list[str] = []
        self.base = ""

    async def meet(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(str(dict(request.headers)))
        match request.path:
            case "/page.png":
                return web.Response(text="<html>Sign in</html>", content_type="text/html")
            case "/moved.png":
                return web.Response(status=302, headers={"Location": "/a.png"})
            case "/down.png":
                return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/a.png"})
            case "/gone.png":
                return web.Response(status=404)
        if request.method == "HEAD" and request.path == "/shy.png":
            return web.Response(status=403)
        return web.Response(body=PICTURE, content_type="image/png")


@pytest.fixture
async def site(certificate: Path) -> AsyncIterator[Site]:
    made = Site()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    runner = web.ServerRunner(web.Server(made.meet), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    made.base = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(token=TOKEN, balance=7.5)) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, emulator: Emulator, certificate: Path) -> Shell:
    made = Shell(tmp_path, emulator)
    made.environ["SSL_CERT_FILE"] = str(certificate)
    return made


def write(shell: Shell, site: Site, *files: str) -> None:
    addresses = "".join(f"    - {site.base}/{name}\n" for name in files)
    (shell.folder / "jobs.yaml").write_text(
        "version: 1\nname: stills\nmodel: emulator/lantern/image-to-video\n"
        f"inputs: {{prompt: A kite, seed: 1}}\nmatrix:\n  image_url:\n{addresses}"
    )


async def fetched(shell: Shell) -> None:
    assert (await shell.run("models", "--refresh")).code == 0


async def test_good_files_and_a_good_account(shell: Shell, site: Site, emulator: Emulator) -> None:
    await fetched(shell)
    write(shell, site, "a.png", "moved.png", "shy.png")
    done = await shell.run("check", "jobs.yaml")
    assert done.code == 0, done
    assert "3 different addresses of input files asked: 3 as they should be." in done.out
    assert "$7.50; all of the jobs cost $0.24." in done.out
    assert emulator.ledger.calls[Call.SUBMIT] == 0
    assert not any("uthorization" in headers for headers in site.headers)
    assert not any(TOKEN in headers for headers in site.headers)
    assert {path.name for path in shell.folder.iterdir()} == {"jobs.yaml", ".cache"}


async def test_bad_files_are_named_and_end_with_2(shell: Shell, site: Site) -> None:
    await fetched(shell)
    write(shell, site, "a.png", "page.png", "gone.png", "down.png")
    done = await shell.run("check", "jobs.yaml", "--json")
    assert done.code == 2
    told = {one["url"]: one for one in done.objects if one["check"] == "address"}
    levels = {url.rpartition("/")[2]: one["level"] for url, one in told.items()}
    assert levels == {
        "a.png": "ok",
        "page.png": "problem",
        "gone.png": "problem",
        "down.png": "warning",
    }
    assert told[f"{site.base}/page.png"]["line"] == 8
    assert "plain http" in told[f"{site.base}/down.png"]["text"]
    assert done.err == "2 problems, 1 warning.\n"


async def test_a_refused_token_ends_with_4(shell: Shell, site: Site, emulator: Emulator) -> None:
    await fetched(shell)
    write(shell, site, "a.png")
    emulator.faults.add("any:bad-token")
    done = await shell.run("check", "jobs.yaml")
    assert done.code == 4
    assert "turns the account away" in done.out


async def test_a_wallet_that_is_closed_is_said_and_no_fault(
    shell: Shell, site: Site, emulator: Emulator
) -> None:
    await fetched(shell)
    write(shell, site, "a.png")
    emulator.faults.add("balance:forbidden")
    done = await shell.run("check", "jobs.yaml")
    assert done.code == 0
    assert "warning  balance   It could not be read: HTTP 403" in done.out
