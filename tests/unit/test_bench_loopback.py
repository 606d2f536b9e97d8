"""The server of the benchmarks counts right, and a stopwatch says of what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from bench import loopback, stopwatch

ORIGIN = "http://127.0.0.1:1"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def answers(self) -> list[Any]:
        """The JSON bodies written so far."""
        return [
            json.loads(part.partition(b"\r\n\r\n")[2])
            for part in self.written.split(b"HTTP/1.1 ")[1:]
        ]


def exchange(
    service: float = 0.0, latency: float = 0.0
) -> tuple[loopback.Requests, loopback.Exchange, Wire]:
    requests = loopback.Requests(service, 0.0, ORIGIN)
    made, wire = loopback.Exchange(requests, b"film", latency), Wire()
    made.connection_made(wire)
    return requests, made, wire


def submit(seed: int, *more: str) -> bytes:
    body = json.dumps({"598_seed": seed})
    head = [f"POST /v1/models/a/b/c HTTP/1.1\r\nContent-Length: {len(body)}", *more]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_a_job_without_service_time_goes_through_its_three_calls() -> None:
    requests, made, wire = exchange()
    made.data_received(submit(7))
    made.data_received(get("/v1/requests/r0/status") + get("/v1/requests/r0/result"))
    accepted, status, result = wire.answers()
    assert accepted == {"request_id": "r0"}
    assert status["status"] == "completed"
    assert result["output"] == {"video": f"{ORIGIN}/files/r0.mp4"}
    told = json.loads(requests.stats())
    assert (told["submits"], told["polls"], told["results"], told["collected"]) == (1, 1, 1, 1)


def test_a_job_of_an_hour_is_not_done() -> None:
    requests, made, wire = exchange(service=3600.0)
    made.data_received(submit(1) + get("/v1/requests/r0/status"))
    assert wire.answers()[1]["status"] == "in_progress"
    assert json.loads(requests.stats())["collected"] == 0


def test_a_job_bought_twice_is_seen_in_the_bodies() -> None:
    requests, made, _ = exchange()
    made.data_received(submit(1) + submit(2) + submit(1))
    told = json.loads(requests.stats())
    assert (told["submits"], told["bought"]) == (3, 2)


def test_a_request_in_pieces_is_answered_once_it_is_whole() -> None:
    _, made, wire = exchange()
    whole = submit(3)
    made.data_received(whole[:-4])
    assert wire.written == b""
    made.data_received(whole[-4:])
    assert wire.answers() == [{"request_id": "r0"}]


def test_who_wants_the_connection_closed_gets_it() -> None:
    _, made, wire = exchange()
    made.data_received(submit(3))
    assert not wire.closed
    made.data_received(submit(3, "Connection: close"))
    assert wire.closed


def test_a_mark_begins_the_counts_anew_and_keeps_the_jobs() -> None:
    requests, made, wire = exchange()
    made.data_received(submit(1) + b"POST /mark HTTP/1.1\r\n\r\n" + get("/v1/requests/r0/status"))
    told = json.loads(requests.stats())
    assert (told["submits"], told["requests"], told["polls"]) == (0, 1, 1)
    assert wire.answers()[2]["status"] == "completed"


def test_what_nobody_serves_is_not_found() -> None:
    _, made, wire = exchange()
    made.data_received(get("/elsewhere"))
    assert b"404 Not Found" in wire.written


class Later:
    """A loop that only notes what is to come; nothing of it waits."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, seconds: float, act: Callable[..., object], *given: object) -> None:
        self.due.append((seconds, partial(act, *given)))

    def next(self) -> float:
        seconds, act = self.due.pop(0)
        act()
        return seconds


def test_with_latency_a_kill_may_come_between_the_purchase_and_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Later()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    requests, made, wire = exchange(latency=0.1)
    made.data_received(submit(1))
    assert json.loads(requests.stats())["submits"] == 0
    there = loop.next()
    assert json.loads(requests.stats())["submits"] == 1
    assert wire.written == b""
    back = loop.next()
    assert wire.answers() == [{"request_id": "r0"}]
    assert there == back and 0.025 <= there <= 0.075

    made.data_received(submit(2))
    loop.next()
    wire.closed = True
    loop.next()
    assert len(wire.answers()) == 1


def test_a_stopwatch_tells_figures_of_its_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    figures = stopwatch.Stopwatch().figures(10, kept=3.0)
    assert figures["jobs/s"] == pytest.approx(10 / figures["seconds"])
    assert figures["CPU ms/job"] >= 0
    assert figures["peak MB"] > 1
    assert figures["kept"] == 3.0
    stopwatch.hand_over(figures)
    assert json.loads(capsys.readouterr().out) == figures
