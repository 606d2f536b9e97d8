"""Where S3 is and who the user is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from overnight.artifacts.aws import PlainHttp, access

KEYS = {"AWS_ACCESS_KEY_ID": "from-environment", "AWS_SECRET_ACCESS_KEY": "s"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = plain\naws_secret_access_key = %secret%\n"
        "[studio]\naws_access_key_id = studio\naws_secret_access_key = x\naws_session_token = t\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile studio]\nregion = eu-central-1\n"
    )
    return tmp_path


def test_the_environment_comes_first(home: Path) -> None:
    found = access({**KEYS, "AWS_SESSION_TOKEN": "t", "AWS_REGION": "us-east-2"}, home)
    assert found.config == {
        "aws_access_key_id": "from-environment",
        "aws_secret_access_key": "s",
        "aws_session_token": "t",
        "region": "us-east-2",
    }


def test_then_the_profile(home: Path) -> None:
    found = access({}, home)
    assert found.config["aws_access_key_id"] == "plain"
    assert found.config["aws_secret_access_key"] == "%secret%"
    assert found.config["region"] == "eu-west-1"
    named = access({"AWS_PROFILE": "studio"}, home).config
    assert (named["aws_session_token"], named["region"]) == ("t", "eu-central-1")


def test_then_what_the_machine_is(home: Path, tmp_path: Path) -> None:
    assert not access({"AWS_PROFILE": "none"}, home).has_keys
    assert not access({}, tmp_path / "nobody").has_keys
    assert not access({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}, home).has_keys
    assert access(KEYS, home).has_keys


def test_files_elsewhere(home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "keys"
    moved.write_text("[default]\naws_access_key_id = moved\naws_secret_access_key = s\n")
    found = access({"AWS_SHARED_CREDENTIALS_FILE": str(moved), "AWS_CONFIG_FILE": "/none"}, home)
    assert found.config == {"aws_access_key_id": "moved", "aws_secret_access_key": "s"}


@pytest.mark.parametrize("content", ["no section", "[default\n", "\xff", "[a]\n[a]\nx\n"])
def test_a_file_that_can_not_be_read_counts_for_nothing(home: Path, content: str) -> None:
    (home / ".aws" / "credentials").write_bytes(content.encode("latin-1"))
    assert not access({}, home).has_keys


def test_plain_http_is_for_this_machine(home: Path) -> None:
    for near in ("http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"):
        found = access({**KEYS, "AWS_ENDPOINT_URL": near}, home)
        assert (found.config["endpoint"], found.allow_http) == (near, True)
    assert not access({**KEYS, "AWS_ENDPOINT_URL_S3": "https://r2.test"}, home).allow_http
    for far in ("http://minio.test", "HTTP://10.0.0.1", "http://localhost.example.org"):
        with pytest.raises(PlainHttp):
            access({**KEYS, "AWS_ENDPOINT_URL": far}, home)


def test_keys_are_not_shown(home: Path) -> None:
    assert "secret" not in repr(access({}, home))
