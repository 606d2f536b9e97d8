"""Where the token and the base URL come from, and that the token stays out of sight."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.providers.credentials import (
    DEFAULT_BASE,
    Account,
    CredentialsError,
    find_account,
    find_base,
    find_token,
)
from overnight.providers.redaction import Secret, plain

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

TOKEN = "tok-4f9a/secret"


def token_file(folder: Path, token: object = TOKEN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "token.json"
    path.write_text(json.dumps({"access_token": token}))
    return path


# --- the token ------------------------------------------------------------------------------------


def test_places_are_asked_in_their_order(tmp_path: Path) -> None:
    home, own, xdg = tmp_path / "home", tmp_path / "own", tmp_path / "xdg"
    places = {
        str(token_file(own, "t-own")): ("RUNCOMFY_CONFIG_DIR", str(own)),
        str(token_file(xdg / "runcomfy", "t-xdg")): ("XDG_CONFIG_HOME", str(xdg)),
        str(token_file(home / ".config/runcomfy", "t-home")): ("", ""),
    }
    environ = {name: value for name, value in places.values() if name}
    for name in ("YOUR_API_TOKEN", "RUNCOMFY_TOKEN", "RUNCOMFY_API_TOKEN"):
        environ[name] = f"t-{name}"
    for name in ("RUNCOMFY_API_TOKEN", "RUNCOMFY_TOKEN", "YOUR_API_TOKEN"):
        assert find_token(environ, home) == (Secret(f"t-{name}"), name)
        del environ[name]
    for path, (name, _) in places.items():
        assert find_token(environ, home)[1] == path
        environ.pop(name, None)


def test_an_empty_variable_counts_as_none_and_white_space_is_stripped(tmp_path: Path) -> None:
    environ = {"RUNCOMFY_API_TOKEN": "  ", "RUNCOMFY_TOKEN": f" {TOKEN}\r\n"}
    assert find_token(environ, tmp_path) == (Secret(TOKEN), "RUNCOMFY_TOKEN")


def test_no_token_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="export RUNCOMFY_API_TOKEN"):
        find_token({}, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["<token>", "$YOUR_API_TOKEN", "${TOKEN}", "YOUR_API_TOKEN", "your-token-here", "...", "xxxx",
     "a\nb", "tok en", "töken", "Bearer abc", "a\x00b"],
)  # fmt: skip
def test_what_can_t_be_a_token_is_named_without_being_shown(text: str, tmp_path: Path) -> None:
    environ = {"RUNCOMFY_API_TOKEN": text, "RUNCOMFY_TOKEN": TOKEN}
    with pytest.raises(CredentialsError) as caught:
        find_token(environ, tmp_path)
    message = str(caught.value)
    assert message.startswith("RUNCOMFY_API_TOKEN ")
    if text not in {"YOUR_API_TOKEN", "..."}:
        assert text not in message


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"[]", b"{}", b'{"access_token": 7}', b"\xff", b'{"access_token": " "}'],
)  # fmt: skip
def test_a_broken_token_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = token_file(tmp_path / ".config/runcomfy")
    path.write_bytes(content)
    with pytest.raises(CredentialsError) as caught:
        find_token({}, tmp_path)
    assert str(path) in str(caught.value)


def test_a_token_file_that_can_t_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "token.json").mkdir()
    with pytest.raises(CredentialsError, match=r"token\.json can't be read: Is a directory"):
        find_token({"RUNCOMFY_CONFIG_DIR": str(tmp_path)}, tmp_path)


# --- the base URL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("", DEFAULT_BASE),
        ("https://api.example.com", "https://api.example.com"),
        ("https://API.example.com/v1/", "https://api.example.com"),
        ("https://gw.example.com/run/comfy/v1", "https://gw.example.com/run/comfy"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://127.3.2.1", "http://127.3.2.1"),
        ("http://localhost:1/", "http://localhost:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_bases_come_in_several_forms(text: str, base: str) -> None:
    assert find_base({"RUNCOMFY_MODEL_API_BASE": f" {text}\n"}) == base


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://api.example.com", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        ("http://127.0.0.1.example.com", "unencrypted"),
        ("http://0.0.0.0:80", "unencrypted"),
        ("ftp://api.example.com", "not a web address"),
        ("api.example.com", "not a web address"),
        ("https://", "not a web address"),
        ("https://me:pw@api.example.com", "no user name"),
        ("https://api.example.com/?a=b", "no user name"),
        ("https://api.example.com/#a", "no user name"),
        ("https://api.example.com:port", "not a web address"),
        ("https://api.example.com:0", "port"),
        ("https://api.exa mple.com", "spaces"),
        ("https://[half", "not a web address"),
    ],
)
def test_a_base_that_would_not_do_is_explained(text: str, problem: str) -> None:
    with pytest.raises(CredentialsError, match=problem) as caught:
        find_base({"RUNCOMFY_MODEL_API_BASE": text})
    assert str(caught.value).startswith("RUNCOMFY_MODEL_API_BASE ")


def test_only_a_loopback_base_lets_files_come_without_tls() -> None:
    assert Account(DEFAULT_BASE, Secret(TOKEN), "x").plain_http_hosts == frozenset()
    assert Account("https://127.0.0.1", Secret(TOKEN), "x").plain_http_hosts == frozenset()
    hosts = Account("http://127.0.0.9:80", Secret(TOKEN), "x").plain_http_hosts
    assert hosts == {"127.0.0.9", "127.0.0.1", "::1", "localhost"}


# --- the account ----------------------------------------------------------------------------------


def test_the_account_s_id_follows_token_and_base_and_nothing_else(tmp_path: Path) -> None:
    one = find_account({"RUNCOMFY_API_TOKEN": TOKEN}, tmp_path)
    same = find_account({"YOUR_API_TOKEN": TOKEN}, tmp_path)
    other_token = find_account({"YOUR_API_TOKEN": TOKEN + "x"}, tmp_path)
    other_base = Account("https://else.example", Secret(TOKEN), "x")
    assert one.id == same.id
    assert len({one.id, other_token.id, other_base.id}) == 3
    assert TOKEN not in one.id


def test_the_token_never_shows_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    account = find_account({"RUNCOMFY_API_TOKEN": TOKEN}, tmp_path)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("%s %r %s", account, account.token, {"a": account.token})
    shown = (
        f"{account} {account!r} {account.token} {account.token!r} {account.token:>9} {caplog.text}"
    )
    assert TOKEN not in shown
    assert "***" in shown
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(account.token)


def test_a_secret_is_equal_to_its_like_alone() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))


def test_scrubbing_masks_every_form_that_json_gives_the_token() -> None:
    body = f"a {TOKEN} b ".encode() + TOKEN.replace("/", "\\/").encode()
    assert Secret(TOKEN).scrub(body) == b"a *** b ***"
    assert Secret("").scrub(b"abc") == b"abc"


@UNHURRIED
@given(st.text(), st.integers(1, 50))
def test_plain_text_is_one_short_line_that_can_be_stored(text: str, limit: int) -> None:
    line = plain(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    line.encode()
