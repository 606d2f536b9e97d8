"""The store of local files, tried before a night: a real S3 server, and nothing stays there."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from overnight.artifacts import trial
from overnight.cli import check
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.providers.catalogue import Balance, Page
from tests.s3 import KEY_ID, S3, SECRET, s3_server
from tests.unit.cli_night import Capture


class Older(S3):
    """A server that knows no conditions on a write; ``answers`` such a one, or passes over it."""

    answers: int | None = None
    deletes = True
    """Objects are deleted by a POST to the bucket."""

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        asked = environ.pop("HTTP_IF_MATCH", None)
        if asked is not None and self.answers is not None:
            start_response(f"{self.answers} No", [("Content-Length", "0")])
            return []
        if environ["REQUEST_METHOD"] == "POST" and not self.deletes:
            start_response("403 No", [("Content-Length", "0")])
            return []
        return super()._answer(environ, start_response)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Older]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "tok-9")
    monkeypatch.chdir(tmp_path)

    async def ask(_: object) -> tuple[Any, Any]:
        return Balance(100.0), Page((), 0)

    monkeypatch.setattr(check, "_ask_account", ask)
    with s3_server(Older) as server:
        assert isinstance(server, Older)
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        write("s3://night/in")
        yield server


def write(store: str) -> None:
    Path("jobs.yaml").write_text(
        "version: 1\nname: night\nmodel: community/wan-2-1/fusionx/image-to-video\n"
        "inputs: {prompt: A boat, image: RunComfy_examples_1235_1.png, seed: 1}\n"
        f"assets: {{store: {store}}}\n"
    )


def told(capsys: Capture) -> dict[str, Any]:
    """What was found out about the store; no key is ever shown."""
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    assert KEY_ID not in captured.out + captured.err
    [found] = [
        one for one in map(json.loads, captured.out.splitlines()) if one["check"] == "assets"
    ]
    return dict(found)


def objects(s3: S3) -> list[str]:
    """What the bucket has, asked past every rule of the test."""
    s3.refuses = None
    with urllib.request.urlopen(f"{s3.url}/night") as answer:
        return [part.split("<")[0] for part in answer.read().decode().split("<Key>")[1:]]


def test_a_store_that_takes_files_is_left_as_it_was(s3: Older, capsys: Capture) -> None:
    assert run(["check", "jobs.yaml", "--json"]) == Exit.DONE
    assert told(capsys) == {
        "check": "assets",
        "level": "ok",
        "text": "s3://night/in can be reached and takes files; nothing was written.",
        "advice": "",
    }
    assert objects(s3) == []


@pytest.mark.parametrize("answers", [None, 501])
def test_a_store_that_knows_no_conditions_is_emptied_again(
    s3: Older, capsys: Capture, answers: int | None
) -> None:
    s3.answers = answers
    assert run(["check", "jobs.yaml", "--json"]) == Exit.DONE
    assert told(capsys)["level"] == "ok"
    assert [method for method, _ in s3.calls] == ["PUT", "POST"]
    assert objects(s3) == []


def test_what_could_not_be_taken_away_is_named(s3: Older, capsys: Capture) -> None:
    s3.answers, s3.deletes = 501, False
    assert run(["check", "jobs.yaml", "--json"]) == Exit.DONE
    found = told(capsys)
    [left] = objects(s3)
    assert found["level"] == "warning"
    assert left.removeprefix("in/") in found["advice"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_turns_the_user_away_is_a_problem(
    s3: Older, capsys: Capture, status: int
) -> None:
    s3.refuses = status
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    found = told(capsys)
    assert found["level"] == "problem"
    assert "turned the upload away. Check the AWS credentials" in found["text"]


@pytest.mark.parametrize("answers", [None, 501])
def test_a_bucket_that_is_not_there_is_a_problem(
    s3: Older, capsys: Capture, answers: int | None
) -> None:
    s3.answers = answers
    write("s3://nights/in")
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    assert "There is no such bucket: s3://nights/in." in told(capsys)["text"]


def test_a_store_that_is_away_is_a_problem(
    s3: Older, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody listens there
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    assert "could not be reached" in told(capsys)["text"]
    monkeypatch.setattr(trial, "PATIENCE", 0.0)
    assert run(["check", "jobs.yaml", "--json"]) == Exit.USAGE
    assert "gave no answer" in told(capsys)["text"]
    assert s3.calls == []


def test_offline_it_is_not_tried(s3: Older, capsys: Capture) -> None:
    assert run(["check", "jobs.yaml", "--json", "--offline"]) == Exit.DONE
    assert told(capsys)["text"] == "s3://night/in was not tried (--offline)."
    assert s3.calls == []
