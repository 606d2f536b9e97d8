"""A real Azure Blob server on this machine, for tests: Microsoft's Azurite, where it is installed.

It comes with npm (``npm install -g azurite``) and needs Node. Its account and key are fixed, and
printed in its manual: they open nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

PROGRAM = "azurite-blob"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINER = "night"

_VERSION = "2021-08-06"


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


@contextmanager
def azurite() -> Iterator[dict[str, str]]:
    """A server with one empty container, for as long as the block lasts; what a program needs in
    its environment to use it."""
    program = shutil.which(PROGRAM)
    assert program is not None
    options = ("--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence")
    command = [program, *options, "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = _port(process)
            _create_container(port)
            yield {
                "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": KEY,
                "AZURE_STORAGE_USE_EMULATOR": "true",
                "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}",
                "AZURE_ALLOW_HTTP": "true",
            }
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    """The port that it listens on, which it says when it does."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"successfully listens on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError(f"{PROGRAM} ended before it listened")


def _create_container(port: int) -> None:
    date = formatdate(usegmt=True)
    path = f"/{ACCOUNT}/{CONTAINER}"
    # The empty lines are headers that this call does not have.
    signed = (
        f"PUT{chr(10) * 12}x-ms-date:{date}\nx-ms-version:{_VERSION}\n"
        f"/{ACCOUNT}{path}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": _VERSION,
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        "Content-Length": "0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"{path}?restype=container", headers=headers)
    assert connection.getresponse().status == 201
    connection.close()
