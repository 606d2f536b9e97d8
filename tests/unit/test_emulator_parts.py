"""Small pure parts of the emulator: routes, settings, the ledger's masking, the user's page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.cli.emulator import emulator
from overnight.emulator import Call, EmulatorError, Settings, Span
from overnight.emulator.faults import markdown_table
from overnight.emulator.ledger import mask
from overnight.emulator.routes import Route, route

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/models/a/b/c", Route(Call.SUBMIT, "a/b/c")),
        ("GET", "/v1/models/a/b/c", Route(Call.MODELS, "a/b/c")),
        ("GET", "/v1/models", Route(Call.MODELS)),
        ("GET", "/v1/models/", Route(Call.MODELS)),
        ("POST", "/v1/models/", Route(Call.OTHER)),
        ("GET", "/v1/modelsx", Route(Call.OTHER)),
        ("DELETE", "/v1/models/a", Route(Call.OTHER)),
        ("GET", "/v1/requests/r/status", Route(Call.STATUS, "r")),
        ("GET", "/v1/requests/r/result", Route(Call.RESULT, "r")),
        ("POST", "/v1/requests/r/cancel", Route(Call.CANCEL, "r")),
        ("GET", "/v1/requests/r/cancel", Route(Call.OTHER)),
        ("POST", "/v1/requests/r/status", Route(Call.OTHER)),
        ("GET", "/v1/requests//status", Route(Call.OTHER)),
        ("GET", "/v1/requests/by-key/k", Route(Call.LOOKUP, "k")),
        ("GET", "/v1/requests/by-key/", Route(Call.OTHER)),
        ("POST", "/v1/requests/by-key/k", Route(Call.OTHER)),
        ("GET", "/v1/requests/by-key/status", Route(Call.LOOKUP, "status")),
        ("GET", "/v1/requests/by-key/k/status", Route(Call.STATUS, "by-key/k")),
        ("GET", "/v1/requests/r", Route(Call.OTHER)),
        ("GET", "/v1/requests", Route(Call.OTHER)),
        ("GET", "/media/r/x.mp4", Route(Call.MEDIA, "r", "x.mp4")),
        ("HEAD", "/media/r/x.mp4", Route(Call.MEDIA, "r", "x.mp4")),
        ("POST", "/media/r/x.mp4", Route(Call.OTHER)),
        ("GET", "/prod/v2/balance", Route(Call.BALANCE)),
        ("POST", "/prod/v2/balance", Route(Call.OTHER)),
        ("GET", "/", Route(Call.OTHER)),
    ],
)
def test_every_request_line_has_its_call(method: str, path: str, found: Route) -> None:
    assert route(method, path) == found


@given(st.text(), st.text())
def test_no_request_line_breaks_the_routes(method: str, path: str) -> None:
    assert route(method, path).call is Call.OTHER or path.startswith("/")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("5", 5, 5),
        ("2s..6s", 2, 6),
        ("0", 0, 0),
        ("250ms", 0.25, 0.25),
        ("500ms..1.5m", 0.5, 90),
        ("1 .. 2", 1, 2),
    ],
)
def test_times_are_read(text: str, low: float, high: float) -> None:
    assert Span.parse(text) == Span(low, high)


@pytest.mark.parametrize("text", ["", "soon", "-1", "6..2", "1h", "1..", "..2", "1e9", "1...2"])
def test_a_time_that_makes_no_sense_is_a_sentence(text: str) -> None:
    with pytest.raises(EmulatorError, match=r"^(A time range|.* is no time)"):
        Span.parse(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", "", "10.0.0.1"])
def test_any_host_but_this_machine_is_refused(host: str) -> None:
    with pytest.raises(EmulatorError, match=r"this machine only.*Use 127\.0\.0\.1"):
        Settings(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_taken(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"slots": 0},
        {"price": -1.0},
        {"balance": float("nan")},
        {"token": " "},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EmulatorError):
        Settings(**wrong)


def test_the_token_is_in_no_repr() -> None:
    assert "moonrise" not in repr(Settings(token="moonrise"))


def test_masking_keeps_everything_but_the_credentials() -> None:
    raw = ((b"Host", b"x"), (b"AUTHORIZATION", b"Bearer moonrise"), (b"x-A", b"\xe9"))
    assert mask(raw) == (("Host", "x"), ("AUTHORIZATION", "***"), ("x-A", "é"))


def test_the_page_has_the_fault_table_of_the_code() -> None:
    assert markdown_table() in PAGE.read_text("utf-8")


def test_the_page_has_every_option_of_the_command() -> None:
    page = PAGE.read_text("utf-8")
    for parameter in emulator.params:
        assert f"| `{parameter.opts[0]}` |" in page
