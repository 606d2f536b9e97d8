"""``output: {dir: az://…}`` against a real Azure Blob server, where one is installed.

What the other stores share is tested with S3; here is what a bucket promises, and one night.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from overnight.artifacts import bucket
from overnight.artifacts.bucket import Address, Bucket, BucketError, Found
from overnight.emulator import Emulator, Settings
from tests import azurite
from tests.integration.cli_shell import Shell

pytestmark = pytest.mark.skipif(
    not azurite.is_installed(),
    reason=f"{azurite.PROGRAM} is not installed: npm install -g azurite",
)

PLACE = Address("az", azurite.CONTAINER, "clips")
CONTENT = bytes(range(256)) * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with azurite.azurite() as found:
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.mark.parametrize("in_one_call", [bucket.IN_ONE_CALL, 1000])
def test_an_object_is_whole_known_and_never_replaced(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, in_one_call: int
) -> None:
    monkeypatch.setattr(bucket, "IN_ONE_CALL", in_one_call)
    held, key = Bucket(PLACE), "clips/Käfig im Nebel~2.mp4"
    assert held.look(key) is None
    assert held.create(key, CONTENT, sha256=SHA256, media_type="video/mp4")
    assert not held.create(key, CONTENT[1:], sha256="0" * 64, media_type="video/mp4")
    assert held.look(key) == Found(len(CONTENT), SHA256)
    assert held.sha256(key) == SHA256
    held.move(key, "clips/.changed/a.mp4")
    assert held.look(key) is None
    assert held.look("clips/.changed/a.mp4") == Found(len(CONTENT), SHA256)
    assert list(held.keys("clips/")) == [["clips/.changed/a.mp4"]]
    held.remove("clips/.changed/a.mp4")
    assert list(held.keys("")) == []


def test_what_is_wrong_is_told(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketError, match="There is no container missing") as caught:
        Bucket(Address("az", "missing")).replace("a", b"a", "text/plain")
    assert not caught.value.passes
    wrong = base64.b64encode(b"not the key").decode()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", wrong)
    with pytest.raises(BucketError, match="refuses access") as caught:
        Bucket(PLACE).look("a")
    assert not caught.value.passes
    assert wrong not in str(caught.value)


async def test_a_night_ends_in_the_container(environ: dict[str, str], tmp_path: Path) -> None:
    async with Emulator(Settings(media="clip", slots=4)) as emulator:
        shell = Shell(tmp_path, emulator)
        shell.clips = str(PLACE)
        shell.manifest(3)
        shell.environ |= environ
        done = await shell.run("run", "jobs.yaml", "--yes")
        assert done.code == 0, done
        assert (await shell.run("verify")).code == 0
    with closing(sqlite3.connect(tmp_path / "overnight.db")) as connection:
        rows = connection.execute("SELECT path, sha256 FROM artifacts").fetchall()
    assert len(rows) == 3
    held = Bucket(PLACE)
    for path, digest in rows:
        address = Address.parse(path)
        assert address is not None
        assert held.sha256(address.key) == digest
    sidecars = [key for page in held.keys("clips/.provenance/") for key in page]
    assert len(sidecars) == 3
    assert json.loads(held.read(sidecars[0]) or b"")["batch"] == "night"
    assert not list(tmp_path.glob("*.spool"))
