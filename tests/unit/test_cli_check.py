"""``overnight check``: what it finds, where it says so, and how it ends. Nobody is called."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from overnight.catalog import Entry, Model
from overnight.catalog.cache import Cached, cache_folder
from overnight.cli import check, inputfiles
from overnight.cli.exits import Exit
from overnight.cli.findings import Level
from overnight.cli.main import run
from overnight.providers.base import NoAnswer, Refused
from overnight.providers.catalogue import Balance, Page
from overnight.providers.credentials import DEFAULT_BASE
from overnight.providers.transport import NotSentError

Capture = pytest.CaptureFixture[str]

MANIFEST = """\
version: 1
name: stills
model: community/wan-2-1/fusionx/image-to-video
inputs:
  prompt: A lantern in the fog
matrix:
  image:
    - https://cdn.example.org/one.png
    - https://cdn.example.org/two.png
  seed: [1, 2, 3]
run:
  price: 0.5
"""
ONE, TWO = "https://cdn.example.org/one.png", "https://cdn.example.org/two.png"
TOKEN = "tok-5f9c1e7a2b"

Answer = httpx.Response | Exception


class Web(httpx.AsyncBaseTransport):
    """The whole web: an answer for each address, a picture for all others."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.asked: list[str] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        assert "authorization" not in request.headers
        answer = self.answers.get(str(request.url), picture)()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        self.closed = True


class Empty(httpx.AsyncByteStream):
    """A body without a byte, still to be read."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


def status(code: int) -> httpx.Response:
    return httpx.Response(code, stream=Empty())


def picture(size: int = 5000, kind: str = "image/png") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": kind, "content-length": str(size)})


def login() -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/html", "content-length": "99"})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("RUNCOMFY_", "OVERNIGHT_", "XDG_")) or name == "YOUR_API_TOKEN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OVERNIGHT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture(autouse=True)
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    made = Web()
    monkeypatch.setattr(check, "transport", lambda: made)
    return made


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the provider says to the balance call and to the catalogue call."""
    answers: list[Any] = [Balance(100.0), Page((), 0)]

    async def ask(_: object) -> tuple[Any, Any]:
        return answers[0], answers[1]

    monkeypatch.setattr(check, "_ask_account", ask)
    return answers


def findings(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(text) for text in capture.readouterr().out.splitlines()]


def test_all_is_well(capsys: Capture, web: Web) -> None:
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "ok       manifest  6 jobs of stills.",
        "ok       token     Found in RUNCOMFY_API_TOKEN; the provider takes it.",
        "ok       balance   $100.00; all of the jobs cost $3.00.",
        "ok       files     2 different addresses of input files asked: 2 as they should be.",
    ]
    assert captured.err == "No problem found.\n"
    assert sorted(web.asked) == [ONE, TWO]
    assert web.closed


def test_a_bad_file_is_underlined_at_its_line(capsys: Capture, web: Web) -> None:
    web.answers[TWO] = login
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    captured = capsys.readouterr()
    assert (
        "problem  address   jobs.yaml:9:7: this address is a web page, perhaps a login page, and "
        "no file (3 jobs)\n"
        f"        - {TWO}\n"
        f"          {'^' * len(TWO)}\n"
        "  hint: The provider needs an address that gives the file itself to anybody.\n"
    ) in captured.out
    assert "1 as they should be, 1 not" in captured.out
    assert captured.err == "1 problem.\n"


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (lambda: picture(60 * 2**20), "problem", "has 60.0 MB; 50 MB are allowed"),
        (lambda: picture(50 * 2**20), "ok", "is there"),
        (lambda: picture(kind="video/mp4"), "problem", "is video/mp4, and not an image"),
        (lambda: picture(kind="text/plain"), "problem", "is text/plain, and not an image"),
        (
            lambda: picture(kind="application/zip"),
            "warning",
            "is application/zip, and not an image",
        ),
        (lambda: status(404), "problem", "answers 404"),
        (lambda: status(503), "warning", "answers 503 at the moment"),
        (
            lambda: NotSentError("the name cdn.example.org can't be resolved"),
            "warning",
            "gives no answer from here: the name cdn.example.org can't be resolved",
        ),
    ],
)
def test_each_address_is_one_object(
    capsys: Capture, web: Web, answer: Callable[[], Answer], level: str, said: str
) -> None:
    web.answers[ONE] = answer
    code = run(["check", "jobs.yaml", "--json"])
    assert code == (Exit.USAGE if level == "problem" else Exit.DONE)
    found = [one for one in findings(capsys) if one["check"] == "address"]
    assert [(one["url"], one["level"]) for one in found] == [(ONE, level), (TWO, "ok")]
    assert (found[0]["text"], found[0]["jobs"], found[0]["line"]) == (said, 3, 8)


def test_only_public_addresses_are_asked(capsys: Capture, web: Web, home: Path) -> None:
    (home / "jobs.yaml").write_text(MANIFEST.replace("cdn.example.org", "192.168.0.4"))
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.out.count("is inside a private network") == 2
    assert captured.err == "No problem found, 2 warnings.\n"
    assert web.asked == []


def test_beside_a_local_provider_local_addresses_are_fine(
    web: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCOMFY_MODEL_API_BASE", "http://127.0.0.1:8700/v1")
    (home / "jobs.yaml").write_text(MANIFEST.replace("cdn.example.org", "127.0.0.1"))
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    assert len(web.asked) == 2


def test_an_address_of_a_template_has_no_line(capsys: Capture, web: Web, home: Path) -> None:
    text = MANIFEST.replace(f"    - {ONE}\n    - {TWO}\n", "").replace("  image:\n", "")
    text = text.replace("  prompt:", '  image: "https://cdn.example.org/{{ seed }}.png"\n  prompt:')
    (home / "jobs.yaml").write_text(text)
    web.answers["https://cdn.example.org/2.png"] = login
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    said = "problem  address   jobs.yaml: https://cdn.example.org/2.png is a web page"
    assert said in capsys.readouterr().out


def test_examples_of_the_provider_are_not_asked_for(capsys: Capture, web: Web, home: Path) -> None:
    text = MANIFEST.replace(ONE, "RunComfy_examples_1235_1.png").replace(f"    - {TWO}\n", "")
    (home / "jobs.yaml").write_text(text)
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    assert "No job names an address of its own" in capsys.readouterr().out
    assert web.asked == []


def test_offline_asks_nobody(capsys: Capture, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNCOMFY_API_TOKEN")
    assert run(["check", "jobs.yaml", "--offline"]) == Exit.DONE
    assert capsys.readouterr().out.splitlines() == [
        "ok       manifest  6 jobs of stills.",
        "ok       files     2 different addresses of input files; not asked (--offline).",
        "ok       account   Not asked (--offline).",
    ]
    assert web.asked == []


def test_without_a_schema_it_says_that_nothing_was_checked(
    capsys: Capture, web: Web, home: Path
) -> None:
    text = MANIFEST.replace("community/wan-2-1/fusionx/image-to-video", "lab/still")
    (home / "jobs.yaml").write_text(text.replace("version: 1", "version: 1\nvalidate: off"))
    web.answers[TWO] = login
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    out = capsys.readouterr().out
    assert "6 jobs of stills, their inputs unchecked (validate: off)." in out
    assert "this address is a web page" in out
    assert sorted(web.asked) == [ONE, TWO]


def test_a_schema_that_is_none_is_told_at_the_models_line(capsys: Capture, home: Path) -> None:
    schema = {"properties": {"image": {"type": "string", "pattern": "("}, "prompt": {}, "seed": {}}}
    kept = Cached(cache_folder(os.environ, DEFAULT_BASE))
    kept.keep([Entry("lab/still", schema)], 1_795_348_800.0)
    text = MANIFEST.replace("community/wan-2-1/fusionx/image-to-video", "lab/still")
    (home / "jobs.yaml").write_text(text)
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert err.startswith("jobs.yaml:3:8: The schema of lab/still can't be used: its input image")


def test_a_manifest_that_is_wrong_is_told_as_ever(capsys: Capture, web: Web, home: Path) -> None:
    (home / "jobs.yaml").write_text(MANIFEST.replace("seed:", "sed:"))
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    captured = capsys.readouterr()
    [told] = [json.loads(text) for text in captured.out.splitlines()]
    assert [(one["line"], one["column"]) for one in told["problems"]] == [(10, 3)]
    assert "jobs.yaml:10:3" in captured.err
    assert web.asked == []


# --- the account ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balance", "page", "code", "said"),
    [
        (Refused("HTTP 401: no"), Refused("HTTP 401: no"), Exit.REFUSED, "turns the account away"),
        (NoAnswer("HTTP 500"), Refused("HTTP 403: no"), Exit.REFUSED, "turns the account away"),
        (Balance(9.0), Refused("HTTP 403: no"), Exit.DONE, "the provider takes it"),
        (NoAnswer("HTTP 403: no"), Page((), 0), Exit.DONE, "could not be read: HTTP 403: no."),
        (NoAnswer("no way"), NoAnswer("no way"), Exit.DONE, "gives no answer: no way."),
        (Balance(2.5), Page((), 0), Exit.DONE, "$2.50, and all of the jobs cost $3.00."),
        (Balance(0.0), Page((), 0), Exit.USAGE, "$0.00: nothing would be accepted."),
        (Balance(-1.0), Page((), 0), Exit.USAGE, "-$1.00: nothing would be accepted."),
    ],
)
def test_the_account(
    capsys: Capture, account: list[Any], balance: Any, page: Any, code: Exit, said: str
) -> None:
    account[:] = [balance, page]
    assert run(["check", "jobs.yaml"]) == code
    captured = capsys.readouterr()
    assert said in captured.out
    assert TOKEN not in captured.out + captured.err


def test_files_are_asked_for_even_when_the_account_is_refused(account: list[Any], web: Web) -> None:
    account[:] = [Refused("no"), Refused("no")]
    assert run(["check", "jobs.yaml"]) == Exit.REFUSED
    assert len(web.asked) == 2


def test_without_a_token_the_rest_is_checked_all_the_same(
    capsys: Capture, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNCOMFY_API_TOKEN")
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    assert "problem  token     No API token found." in capsys.readouterr().out
    assert len(web.asked) == 2


def test_a_cost_that_nobody_knows_is_not_guessed(capsys: Capture, home: Path) -> None:
    (home / "jobs.yaml").write_text(MANIFEST.replace("run:\n  price: 0.5\n", ""))
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    assert "$100.00; nobody can say what the jobs cost." in capsys.readouterr().out


# --- many addresses, and what an input takes -----------------------------------------------------


def test_many_bad_addresses_are_cut_for_people_and_whole_for_programs(
    capsys: Capture, web: Web, home: Path
) -> None:
    urls = [f"https://cdn.example.org/{n}.png" for n in range(60)]
    text = MANIFEST.replace(f"    - {ONE}\n    - {TWO}\n", "".join(f"    - {u}\n" for u in urls))
    (home / "jobs.yaml").write_text(text)
    web.answers = dict.fromkeys(urls, login)
    assert run(["check", "jobs.yaml"]) == Exit.USAGE
    captured = capsys.readouterr()
    assert captured.out.count("problem  address") == 50
    assert "60 not (the first 50 are shown; --json tells all)" in captured.out
    assert "60 problems." in captured.err
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    told = [one["url"] for one in findings(capsys) if one["check"] == "address"]
    assert told == urls


def test_more_addresses_than_are_kept_are_counted(
    capsys: Capture, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputfiles, "MOST", 1)
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    assert web.asked == [ONE]
    assert "Only the first 1 were asked." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("schema", "kind", "size", "level"),
    [
        ({"format": "video_uri"}, "video/mp4", 90 * 2**20, None),
        ({"format": "video_uri"}, "video/mp4", 101 * 2**20, Level.PROBLEM),
        ({"format": "video_uri"}, "image/png", 5, Level.PROBLEM),
        ({"format": "audio_uri"}, "audio/wav", 500 * 2**20, None),
        ({"format": "image_uri"}, "application/octet-stream", 5, None),
        ({"format": "image_uri"}, "", None, None),
        ({"format": "image_uri"}, "image/png", None, None),
        (
            {
                "format": "image_uri",
                "validations": [{"validation_rule": "file_size_mb<", "validation_value": "5"}],
            },
            "image/png",
            6 * 2**20,
            Level.PROBLEM,
        ),
        (
            {
                "format": "image_uri",
                "validations": [{"validation_rule": "file_size_mb<", "validation_value": "much"}],
            },
            "image/png",
            6 * 2**20,
            None,
        ),
    ],
)
def test_a_file_against_its_input(
    schema: dict[str, Any], kind: str, size: int | None, level: Level | None
) -> None:
    model = Model.from_schema("a/b", {"properties": {"x": {"type": "string", **schema}}})
    said = inputfiles.judge(model.inputs[0], kind, size)
    assert (said and said[0]) == level


def test_a_long_check_says_how_far_it_is(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_TOLD_EVERY", 1)
    assert run(["check", "jobs.yaml"]) == Exit.DONE
    assert capsys.readouterr().err.splitlines()[:2] == [
        "1 of 2 addresses asked…",
        "2 of 2 addresses asked…",
    ]
