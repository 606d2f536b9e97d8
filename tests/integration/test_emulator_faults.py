"""Every fault over a real socket: what the caller sees, and what the ledger says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from overnight.emulator import (
    DEFAULT_TOKEN,
    FAULTS,
    Call,
    Emulator,
    Fault,
    Kind,
    Ledger,
    Settings,
    Span,
)

MODEL = "community/wan-2-1/fusionx/image-to-video"
INPUTS = {"600_prompt": "a heron in the reeds", "608_image": "RunComfy_examples_1235_1.png"}
AUTH = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Seen:
    """What came back. ``lost`` says how the answer ended early, if it did."""

    status: int = 0
    kind: str = ""
    body: bytes = b""
    lost: str = ""
    headers: Any = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Makes calls on connections of their own, so that nothing is repeated behind our back."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.emulator = emulator
        self.session = session
        self.clock = clock

    async def call(self, method: str, url: str, **more: Any) -> Seen:
        url = url if url.startswith("http") else self.emulator.base_url + url
        options: dict[str, Any] = {"headers": AUTH, "allow_redirects": False} | more
        try:
            async with self.session.request(method, url, **options) as answer:
                try:
                    body = await answer.read()
                except aiohttp.ClientPayloadError:
                    return Seen(answer.status, answer.content_type, lost="cut")
                return Seen(answer.status, answer.content_type, body, headers=answer.headers)
        except aiohttp.ClientConnectionError:
            return Seen(lost="dropped")

    async def submit(self, **more: Any) -> Seen:
        return await self.call("POST", f"/v1/models/{MODEL}", **{"json": INPUTS} | more)

    async def accepted(self) -> str:
        """The path of a request that was accepted just now."""
        seen = await self.submit()
        assert seen.status == 200, seen
        return f"/v1/requests/{seen.json['request_id']}"

    async def status(self, stem: str) -> Any:
        return (await self.call("GET", f"{stem}/status")).json

    async def result(self, stem: str) -> Any:
        return (await self.call("GET", f"{stem}/result")).json

    async def media(self, stem: str) -> str:
        return str((await self.result(stem))["output"]["video"])


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = Clock()
    settings = Settings(slots=1, service=Span(10, 10), balance=100, price=0.25)
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        Emulator(settings, clock=clock) as emulator,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        # aiohttp would repeat a GET whose connection was lost, and hide what we look for.
        session._retry_connection = False
        yield Client(emulator, session, clock)


# What a struck submit looks like from outside: (rule, status, content type, error code, lost).
REFUSED = [
    ("no-balance", 402, "application/json", 400002, ""),
    ("bad-token", 401, "application/json", 400004, ""),
    ("forbidden", 403, "application/json", 403001, ""),
    ("throttle", 429, "application/json", 429001, ""),
    ("drop-before", 0, "", None, "dropped"),
    ("http-500", 500, "application/json", 500001, ""),
    ("http-502", 502, "application/json", 502001, ""),
    ("http-503", 503, "application/json", 503001, ""),
    ("http-504", 504, "application/json", 504001, ""),
    ("html-500", 500, "text/html", None, ""),
    ("html-502", 502, "text/html", None, ""),
    ("html-503", 503, "text/html", None, ""),
    ("html-504", 504, "text/html", None, ""),
    ("error-200", 200, "application/json", 500001, ""),
    ("error-200,code=400002", 200, "application/json", 400002, ""),
    ("garbage-200", 200, "text/html", None, ""),
    ("garbage-200,as=json", 200, "application/json", None, ""),
    ("garbage-200,as=empty", 200, "application/json", None, ""),
    ("garbage-200,as=no-id", 200, "application/json", None, ""),
]
ACCEPTED = [
    ("drop-after", 0, "", "dropped"),
    ("html-504-after", 504, "text/html", ""),
    ("garbage-200-after", 200, "text/html", ""),
    ("garbage-200-after,as=json", 200, "application/json", ""),
    ("garbage-200-after,as=no-id", 200, "application/json", ""),
    ("cut", 200, "application/json", "cut"),
    ("slow,delay=0.01", 200, "application/json", ""),
]


def error_code(seen: Seen) -> Any:
    try:
        return seen.json.get("error_code")
    except ValueError:
        return None


@pytest.mark.parametrize(("rule", "status", "kind", "code", "lost"), REFUSED)
async def test_a_refused_submit_is_neither_accepted_nor_paid(
    client: Client, rule: str, status: int, kind: str, code: int | None, lost: str
) -> None:
    client.emulator.faults.add(f"submit:{rule},times=1")
    seen = await client.submit()
    assert (seen.status, seen.kind, error_code(seen), seen.lost) == (status, kind, code, lost)
    ledger = client.emulator.ledger
    name = rule.partition(",")[0]
    assert (ledger.accepted, ledger.turned_away) == ([], {name: 1})
    assert ledger.faults == {f"submit:{name}": 1}
    assert client.emulator.service.balance_micro == 100_000_000
    await client.accepted()
    assert len(ledger.accepted) == 1


@pytest.mark.parametrize(("rule", "status", "kind", "lost"), ACCEPTED)
async def test_an_answer_that_is_lost_or_spoiled_leaves_the_submit_accepted_and_paid(
    client: Client, rule: str, status: int, kind: str, lost: str
) -> None:
    client.emulator.faults.add(f"submit:{rule},times=1")
    seen = await client.submit()
    assert (seen.status, seen.kind, seen.lost) == (status, kind, lost)
    ledger = client.emulator.ledger
    assert (len(ledger.accepted), ledger.turned_away, ledger.max_open) == (1, {}, 1)
    assert client.emulator.service.balance_micro == 99_750_000
    await client.accepted()
    assert [entry.duplicate_of for entry in ledger.duplicates] == [ledger.accepted[0].request_id]


@pytest.mark.parametrize(("fault", "accepted"), [("hang", 0), ("hang-after", 1)])
async def test_a_hanging_submit_stays_silent(client: Client, fault: str, accepted: int) -> None:
    client.emulator.faults.add(f"submit:{fault}@1x")
    call = asyncio.create_task(client.submit())
    await client.emulator.until(
        lambda ledger: bool(ledger.faults) and len(ledger.accepted) == accepted
    )
    assert not call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert len(client.emulator.ledger.accepted) == accepted


async def test_stopping_lets_hanging_callers_go() -> None:
    async with aiohttp.ClientSession() as session:
        async with Emulator(faults=["models:hang"]) as emulator:
            client = Client(emulator, session, Clock())
            call = asyncio.create_task(client.call("GET", "/v1/models"))
            await emulator.until(lambda ledger: bool(ledger.faults))
        assert (await call).lost == "dropped"


async def test_throttling_says_when_to_come_back(client: Client) -> None:
    client.emulator.faults.add("submit:throttle@1x")
    assert "Retry-After" not in (await client.submit()).headers
    client.emulator.faults.add("submit:throttle@1x,retry_after=7")
    assert (await client.submit()).headers["Retry-After"] == "7"
    client.emulator.faults.add("submit:throttle@1x,retry_after=7,as=date")
    headers = (await client.submit()).headers
    date, after = (parsedate_to_datetime(headers[name]) for name in ("Date", "Retry-After"))
    assert (after - date).total_seconds() == 7


async def test_a_503_can_say_when_to_come_back_too(client: Client) -> None:
    for rule in ("http-503", "html-503"):
        client.emulator.faults.add(f"submit:{rule}@1x,retry_after=3")
        assert (await client.submit()).headers["Retry-After"] == "3"


@pytest.mark.parametrize("verb", ["status", "result"])
async def test_a_poll_that_goes_wrong_changes_nothing(client: Client, verb: str) -> None:
    stem = await client.accepted()
    honest = await client.call("GET", f"{stem}/{verb}")
    wanted = {
        "404-on-poll": (404, "", 404001),
        "http-500": (500, "", 500001),
        "html-504": (504, "", None),
        "garbage-200": (200, "", None),
        "error-200": (200, "", 500001),
        "throttle": (429, "", 429001),
        "bad-token": (401, "", 400004),
        "drop-before": (0, "dropped", None),
        "drop-after": (0, "dropped", None),
        "cut": (200, "cut", None),
    }
    for fault, outcome in wanted.items():
        client.emulator.faults.add(f"{verb}:{fault}@1x")
        seen = await client.call("GET", f"{stem}/{verb}")
        assert (seen.status, seen.lost, error_code(seen)) == outcome, fault
    assert (await client.call("GET", f"{stem}/{verb}")).body == honest.body
    assert client.emulator.ledger.turned_away == {}


async def test_a_cancel_can_lose_its_answer_and_count(client: Client) -> None:
    await client.accepted()
    stems = [await client.accepted() for _ in range(3)]
    for stem, fault in zip(stems, ("drop-after", "html-504-after", "says-cancelled"), strict=True):
        client.emulator.faults.add(f"cancel:{fault}@1x")
        seen = await client.call("POST", f"{stem}/cancel")
        assert (await client.status(stem))["status"] == "cancelled"
    assert seen.json["status"] == "cancelled"
    assert len(client.emulator.ledger.cancelled) == 3
    client.emulator.faults.add("cancel:http-500@1x")
    stem = await client.accepted()
    await client.call("POST", f"{stem}/cancel")
    assert (await client.status(stem))["status"] == "in_queue"


@pytest.mark.parametrize(
    ("rule", "word", "error"),
    [
        ("job-fails", "completed", "The worker ran out of memory."),
        (
            "job-fails,as=object",
            "completed",
            {"code": "worker_error", "message": "The worker ran out of memory."},
        ),
        ("completed-but-failed", "completed", None),
        ("status-failed", "failed", "The worker ran out of memory."),
    ],
)
async def test_jobs_that_fail(client: Client, rule: str, word: str, error: Any) -> None:
    client.emulator.faults.add(f"submit:{rule},times=1")
    stem = await client.accepted()
    assert (await client.status(stem))["status"] == "in_progress"
    client.clock.now = 10
    assert (await client.status(stem))["status"] == word
    result = await client.result(stem)
    assert (result["status"], result.get("error"), "output" in result) == ("failed", error, False)
    assert "finished_at" in result
    assert client.emulator.open == 0


async def test_one_that_never_finishes_stays_open(client: Client) -> None:
    client.emulator.faults.add("submit:never-finishes@1x")
    stem = await client.accepted()
    client.clock.now = 1e8
    assert (await client.status(stem))["status"] == "in_progress"
    assert (await client.result(stem))["status"] == "in_progress"
    assert client.emulator.open == 1


async def test_a_word_that_nobody_knows_passes(client: Client) -> None:
    client.emulator.faults.add("submit:unknown-word@1x,word=dozing")
    stem = await client.accepted()
    assert (await client.status(stem))["status"] == "dozing"
    assert (await client.result(stem))["status"] == "dozing"
    client.clock.now = 10
    assert (await client.status(stem))["status"] == "completed"
    assert (await client.result(stem))["status"] == "succeeded"


async def test_a_requeued_job_waits_again_and_still_succeeds(client: Client) -> None:
    client.emulator.faults.add("submit:requeue@1x")
    stem, other = await client.accepted(), await client.accepted()
    words = []
    for client.clock.now in (0, 4, 6, 16, 21):
        words.append((await client.status(stem))["status"])
    assert words == ["in_progress", "in_progress", "in_queue", "in_progress", "completed"]
    assert (await client.status(other))["status"] == "completed"
    assert (await client.result(stem))["status"] == "succeeded"


@pytest.mark.parametrize("word", ["cancelled", "canceled"])
async def test_the_provider_cancels_in_either_spelling(client: Client, word: str) -> None:
    client.emulator.faults.add(f"submit:cancelled-remotely@1x,as={word}")
    stem = await client.accepted()
    assert (await client.status(stem))["status"] == word
    assert (await client.result(stem))["status"] == word
    assert client.emulator.ledger.cancelled == []


async def test_a_forgotten_request_is_not_found_by_any_call(client: Client) -> None:
    client.emulator.faults.add("submit:forgotten@1x")
    stem = await client.accepted()
    for method, verb in (("GET", "status"), ("GET", "result"), ("POST", "cancel")):
        seen = await client.call(method, f"{stem}/{verb}")
        assert (seen.status, error_code(seen)) == (404, 404001)
    assert client.emulator.open == 1


async def test_job_faults_stick_to_their_request_and_outlive_the_rule(client: Client) -> None:
    client.emulator.faults.add("submit:job-fails@1x,after=1")
    stems = [await client.accepted() for _ in range(3)]
    client.emulator.faults.clear()
    client.clock.now = 100
    verdicts = [(await client.result(stem))["status"] for stem in stems]
    assert verdicts == ["succeeded", "failed", "succeeded"]
    assert client.emulator.ledger.faults == {"submit:job-fails": 1}


async def test_a_lost_answer_and_a_failing_job_go_together(client: Client) -> None:
    client.emulator.faults.add("submit:drop-after@1x")
    client.emulator.faults.add("submit:job-fails@1x")
    assert (await client.submit()).lost == "dropped"
    client.clock.now = 10
    request_id = client.emulator.ledger.accepted[0].request_id
    assert (await client.result(f"/v1/requests/{request_id}"))["status"] == "failed"


# --- media ------------------------------------------------------------------------------------


async def finished_media(client: Client) -> tuple[str, str, bytes]:
    """A finished request, its media URL, and the true file."""
    stem = await client.accepted()
    client.clock.now += 10
    url = await client.media(stem)
    seen = await client.call("GET", url, headers={})
    assert (seen.status, len(seen.body)) == (200, 4096)
    return stem, url, seen.body


async def test_truncated_media_promise_more_than_they_send(client: Client) -> None:
    _, url, whole = await finished_media(client)
    client.emulator.faults.add("media:truncate@1x")
    async with client.session.get(url) as answer:
        assert answer.headers["Content-Length"] == str(len(whole))
        part = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            async for chunk in answer.content.iter_any():
                part += chunk
    assert part == whole[: len(whole) // 2]


async def test_short_media_look_clean(client: Client) -> None:
    _, url, whole = await finished_media(client)
    client.emulator.faults.add("media:short")
    seen = await client.call("GET", url)
    assert (seen.status, seen.body, seen.lost) == (200, whole[: len(whole) // 2], "")
    assert (await client.call("HEAD", url)).headers["Content-Length"] == str(len(whole))


@pytest.mark.parametrize("code", [403, 404, 410])
async def test_an_expired_url_stays_dead_and_a_fresh_one_works(client: Client, code: int) -> None:
    stem, url, whole = await finished_media(client)
    client.emulator.faults.add(f"media:expired@1x,code={code}")
    assert (await client.call("GET", url)).status == code
    assert (await client.call("GET", url)).status == 403
    fresh = await client.media(stem)
    assert fresh != url
    assert (await client.call("GET", fresh)).body == whole


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("html", 200, "text/html"),
        ("http-503", 503, "text/plain"),
        ("html-502", 502, "text/html"),
        ("throttle", 429, "application/json"),
    ],
)
async def test_media_can_be_something_else_for_a_while(
    client: Client, fault: str, status: int, kind: str
) -> None:
    _, url, whole = await finished_media(client)
    client.emulator.faults.add(f"media:{fault}@1x")
    seen = await client.call("GET", url)
    assert (seen.status, seen.kind) == (status, kind)
    assert (await client.call("GET", url)).body == whole


async def test_a_redirect_leads_to_the_file_even_when_every_call_is_struck(client: Client) -> None:
    _, url, whole = await finished_media(client)
    client.emulator.faults.add("media:redirect")
    seen = await client.call("GET", url)
    assert (seen.status, seen.headers["Location"].startswith("/media/")) == (302, True)
    assert (await client.call("GET", url, allow_redirects=True, headers={})).body == whole


async def test_dropped_media_can_be_fetched_again(client: Client) -> None:
    _, url, whole = await finished_media(client)
    client.emulator.faults.add("media:drop-before@1x")
    assert (await client.call("GET", url)).lost == "dropped"
    assert (await client.call("GET", url)).body == whole


# --- ranges that lie, and bad clips ---------------------------------------------------------------


@pytest.mark.parametrize("how", ["ignored", "start", "total", "etag", "bytes"])
async def test_a_lie_about_a_range(client: Client, how: str) -> None:
    _, url, whole = await finished_media(client)
    asked = {"headers": {"Range": "bytes=100-"}}
    honest = await client.call("GET", url, **asked)
    assert (honest.status, honest.body) == (206, whole[100:])
    client.emulator.faults.add(f"media:range-lies,as={how}")
    lie = await client.call("GET", url, **asked)
    told = {name: lie.headers.get(name) for name in ("Content-Range", "ETag")}
    true = {name: honest.headers[name] for name in ("Content-Range", "ETag")}
    assert (lie.status, lie.body, told) == {
        "ignored": (200, whole, true | {"Content-Range": None}),
        "start": (206, whole, true | {"Content-Range": "bytes 0-4095/4096"}),
        "total": (206, whole[100:], true | {"Content-Range": "bytes 100-4095/40960"}),
        "etag": (206, whole[100:], true | {"ETag": '"another"'}),
        "bytes": (206, whole[: len(whole) - 100], true),
    }[how]
    assert (await client.call("GET", url)).body == whole


async def test_a_page_may_call_itself_a_clip_and_a_file_may_be_empty(client: Client) -> None:
    _, url, _ = await finished_media(client)
    client.emulator.faults.add("media:html@1x,as=mp4")
    client.emulator.faults.add("media:empty@1x")
    page, nothing = await client.call("GET", url), await client.call("GET", url)
    assert (page.status, page.kind) == (200, "video/mp4")
    assert page.body.startswith(b"<!DOCTYPE html>")
    assert (nothing.status, nothing.kind, nothing.body) == (200, "video/mp4", b"")


# --- every fault, for every call that it can strike ---------------------------------------------

WAITS = {"hang", "hang-after"}


def struck_once(key: str) -> Callable[[Ledger], bool]:
    return lambda ledger: ledger.faults[key] == 1


@pytest.mark.parametrize("fault", [f for f in FAULTS.values() if f.kind is not Kind.JOB])
async def test_every_fault_strikes_every_call_that_it_names(client: Client, fault: Fault) -> None:
    stem, media, _ = await finished_media(client)
    calls = {
        Call.SUBMIT: ("POST", f"/v1/models/{MODEL}"),
        Call.STATUS: ("GET", f"{stem}/status"),
        Call.RESULT: ("GET", f"{stem}/result"),
        Call.CANCEL: ("POST", f"{stem}/cancel"),
        Call.LOOKUP: ("GET", "/v1/requests/by-key/k"),
        Call.MEDIA: ("GET", media),
        Call.MODELS: ("GET", "/v1/models"),
        Call.BALANCE: ("GET", "/prod/v2/balance"),
        Call.OTHER: ("GET", "/nowhere"),
    }
    for call in sorted(fault.calls):
        method, url = calls[call]
        body: dict[str, Any] = {"json": INPUTS} if call is Call.SUBMIT else {}
        if fault.name == "range-lies":
            body = {"headers": {"Range": "bytes=10-"}}
        honest = await client.call(method, url, **body)
        assert honest.lost == ""
        more = ",delay=0" if fault.name == "slow" else ""
        client.emulator.faults.add(f"{call}:{fault.name}@1x{more}")
        if fault.name in WAITS:
            task = asyncio.create_task(client.call(method, url, **body))
            await client.emulator.until(struck_once(f"{call}:{fault.name}"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            continue
        seen = await client.call(method, url, **body)
        assert client.emulator.ledger.faults[f"{call}:{fault.name}"] == 1
        if fault.name != "slow":
            assert (seen.status, seen.body, seen.lost) != (honest.status, honest.body, "")
        client.emulator.faults.clear()
