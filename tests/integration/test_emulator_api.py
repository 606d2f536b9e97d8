"""Every call of the emulated API over a real socket, when nothing goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from overnight.emulator import DEFAULT_TOKEN, Call, Emulator, Settings, Span

MODEL = "community/wan-2-1/fusionx/image-to-video"
INPUTS = {"600_prompt": "a heron in the reeds", "608_image": "RunComfy_examples_1235_1.png"}
AUTH = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}
ID = "00000000-0000-4000-8000-000000000000"


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """The API as a caller sees it."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        url = path if path.startswith("http") else self.emulator.base_url + path
        async with self.session.request(method, url, **{"headers": AUTH} | more) as answer:
            return answer.status, await answer.json()

    async def submit(self, **inputs: Any) -> dict[str, Any]:
        status, answer = await self.ask("POST", f"/v1/models/{MODEL}", json=INPUTS | inputs)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[Client]:
    settings = Settings(slots=1, service=Span(10, 10), balance=1.0, price=0.25)
    async with Emulator(settings, clock=clock) as emulator, aiohttp.ClientSession() as session:
        yield Client(emulator, session)


async def test_a_submit_is_accepted_and_says_where_to_look(client: Client) -> None:
    answer = await client.submit()
    assert set(answer) == {"request_id", "status_url", "result_url", "cancel_url"}
    stem = f"{client.emulator.base_url}/v1/requests/{answer['request_id']}"
    assert [answer[f"{verb}_url"] for verb in ("status", "result", "cancel")] == [
        f"{stem}/status",
        f"{stem}/result",
        f"{stem}/cancel",
    ]
    assert client.emulator.ledger.accepted[0].request_id == answer["request_id"]


async def test_a_request_goes_from_the_line_to_its_result(client: Client, clock: Clock) -> None:
    first, second = await client.submit(), await client.submit(**{"598_seed": 7})
    _, waits = await client.ask("GET", second["status_url"])
    assert waits == {
        "request_id": second["request_id"],
        "status": "in_queue",
        "status_url": second["status_url"],
        "result_url": second["result_url"],
        "queue_position": 1,
    }
    _, runs = await client.ask("GET", first["status_url"])
    assert (runs["status"], "queue_position" in runs) == ("in_progress", False)
    clock.now += 10
    assert (await client.ask("GET", first["status_url"]))[1]["status"] == "completed"
    assert (await client.ask("GET", second["status_url"]))[1]["status"] == "in_progress"
    _, result = await client.ask("GET", first["result_url"])
    assert (result["status"], list(result["output"])) == ("succeeded", ["video"])
    took = datetime.fromisoformat(result["finished_at"]) - datetime.fromisoformat(
        result["created_at"]
    )
    assert took.total_seconds() == 10


async def test_an_unfinished_result_is_the_state_instead(client: Client) -> None:
    request = await client.submit()
    _, state = await client.ask("GET", request["status_url"])
    assert await client.ask("GET", request["result_url"]) == (200, state)


async def test_the_result_tells_the_cost_when_asked(client: Client, clock: Clock) -> None:
    request = await client.submit()
    clock.now += 10
    _, plain = await client.ask("GET", request["result_url"])
    _, priced = await client.ask("GET", request["result_url"] + "?include_cost=true")
    assert ("cost" in plain, priced["cost"]) == (False, 0.25)


async def test_a_waiting_request_can_be_cancelled_and_a_running_one_not(client: Client) -> None:
    runs, waits = await client.submit(), await client.submit(**{"598_seed": 7})
    status, answer = await client.ask("POST", runs["cancel_url"])
    assert (status, answer["outcome"]) == (202, "not_cancellable")
    cancelled = {
        "request_id": waits["request_id"],
        "status": "completed",
        "outcome": "cancelled",
    }
    assert await client.ask("POST", waits["cancel_url"]) == (202, cancelled)
    assert await client.ask("POST", waits["cancel_url"]) == (202, cancelled)
    assert client.emulator.ledger.cancelled == [waits["request_id"]]
    _, state = await client.ask("GET", waits["status_url"])
    _, result = await client.ask("GET", waits["result_url"] + "?include_cost=true")
    assert (state["status"], result["status"], result["cost"]) == ("cancelled", "cancelled", 0)


async def test_a_finished_request_is_not_cancellable(client: Client, clock: Clock) -> None:
    request = await client.submit()
    clock.now += 10
    status, answer = await client.ask("POST", request["cancel_url"])
    assert (status, answer["outcome"]) == (202, "not_cancellable")


async def test_money_goes_with_each_accept_and_comes_back_with_a_cancel(client: Client) -> None:
    async def balance() -> Any:
        return (await client.ask("GET", "/prod/v2/balance"))[1]

    assert await balance() == {
        "balance_usd": 1.0,
        "balance_microdollars": 1_000_000,
        "currency": "USD",
    }
    requests = [await client.submit(**{"598_seed": n}) for n in range(4)]
    assert (await balance())["balance_microdollars"] == 0
    status, answer = await client.ask("POST", f"/v1/models/{MODEL}", json=INPUTS)
    assert (status, answer["error_code"]) == (402, 400002)
    await client.ask("POST", requests[3]["cancel_url"])
    assert (await balance())["balance_usd"] == 0.25
    await client.submit()
    assert client.emulator.ledger.turned_away == {"no-balance": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": DEFAULT_TOKEN},
        {"Authorization": f"Basic {DEFAULT_TOKEN}"},
        {"Authorization": "Bearer "},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/v1/models/{MODEL}"),
        ("GET", f"/v1/models/{MODEL}"),
        ("GET", "/v1/models"),
        ("GET", "/prod/v2/balance"),
        ("GET", f"/v1/requests/{ID}/status"),
        ("GET", f"/v1/requests/{ID}/result"),
        ("POST", f"/v1/requests/{ID}/cancel"),
    ],
)
async def test_every_call_needs_the_token(
    client: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    status, answer = await client.ask(method, path, headers=headers)
    assert (status, answer["error_code"], bool(answer["error_message"])) == (401, 400004, True)


@pytest.mark.parametrize("verb", ["status", "result", "cancel"])
async def test_unknown_and_impossible_ids(client: Client, verb: str) -> None:
    method = "POST" if verb == "cancel" else "GET"
    status, answer = await client.ask(method, f"/v1/requests/{ID}/{verb}")
    assert (status, answer["error_code"]) == (404, 404001)
    status, answer = await client.ask(method, f"/v1/requests/no-such/{verb}")
    assert (status, answer["error_code"]) == (400, 400001)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"598_steps": 40}, "598_steps"),
        ({"598_steps": "8"}, "598_steps"),
        ({"602_widthx602_height": "481x480"}, "602_widthx602_height"),
        ({"600_promt": "x"}, "600_promt"),
        ({"598_cfg": float("nan")}, "598_cfg"),
        ({"half a pair \ud800": 1}, "half a pair"),
    ],
)
async def test_inputs_are_checked_against_the_schema(
    client: Client, inputs: dict[str, Any], told: str
) -> None:
    status, answer = await client.ask("POST", f"/v1/models/{MODEL}", json=INPUTS | inputs)
    assert (status, answer["error_code"]) == (422, 422001)
    assert told in answer["error_message"]
    assert client.emulator.ledger.turned_away == {"bad-inputs": 1}
    assert client.emulator.ledger.accepted == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"text"', b"null", b"[" * 99_999])
async def test_a_body_that_is_no_object_is_turned_away(client: Client, body: bytes) -> None:
    status, answer = await client.ask("POST", f"/v1/models/{MODEL}", data=body)
    assert (status, answer["error_code"]) == (422, 422001)
    assert client.emulator.ledger.turned_away == {"bad-body": 1}


async def test_a_required_input_can_t_be_left_out(client: Client) -> None:
    status, answer = await client.ask("POST", f"/v1/models/{MODEL}", json={"600_prompt": "x"})
    assert (status, "608_image" in answer["error_message"]) == (422, True)


async def test_an_unknown_model_is_not_found(client: Client) -> None:
    for method in ("POST", "GET"):
        status, answer = await client.ask(method, "/v1/models/no/such", json={})
        assert (status, answer["error_code"]) == (404, 404001)
    assert client.emulator.ledger.turned_away == {"unknown-model": 1}


async def test_the_catalogue_lists_and_describes(client: Client) -> None:
    _, listed = await client.ask("GET", "/v1/models")
    assert (listed["total"], listed["limit"], listed["offset"]) == (4, 50, 0)
    model = listed["models"][0]
    assert (model["model_id"], model["base_price_usd"], model["price_unit"]) == (
        MODEL,
        0.25,
        "output",
    )
    assert model["required_inputs"] == ["600_prompt", "608_image"]
    assert "input_schema" not in model
    _, full = await client.ask("GET", "/v1/models?include_schema=true&search=FUSIONX&limit=500")
    _, one = await client.ask("GET", f"/v1/models/{MODEL}")
    assert full["models"] == [one]
    assert one["input_schema"]["properties"]["598_steps"]["maximum"] == 20


@pytest.mark.parametrize(
    ("query", "total", "shown"),
    [
        ("search=nothing-like-it", 0, 0),
        ("search=LANTERN", 2, 2),
        ("search=plain%20input%20names", 1, 1),
        ("kind=video", 4, 4),
        ("kind=audio", 0, 0),
        ("category=image-to-video", 3, 3),
        ("category=upscaling", 0, 0),
        ("offset=1&limit=2", 4, 2),
        ("offset=3&limit=2", 4, 1),
        ("offset=4", 4, 0),
    ],
)
async def test_the_catalogue_can_be_searched(
    client: Client, query: str, total: int, shown: int
) -> None:
    _, listed = await client.ask("GET", f"/v1/models?{query}")
    assert (listed["total"], len(listed["models"])) == (total, shown)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "offset=-1"])
async def test_pages_have_limits(client: Client, query: str) -> None:
    assert (await client.ask("GET", f"/v1/models?{query}"))[0] == 422


@pytest.mark.parametrize(
    ("model", "inputs", "micro"),
    [
        ("emulator/lantern/text-to-video", {"prompt": "a kite"}, 80_000),
        ("emulator/lantern/text-to-video", {"prompt": "a kite", "duration": 8}, 160_000),
        (
            "emulator/lantern/image-to-video",
            {"prompt": "a kite", "image_url": "https://example.org/kite.png"},
            80_000,
        ),
        (
            "emulator/mosaic/references-to-video",
            {"prompt": "a kite", "images": ["https://example.org/kite.png"]},
            150_000,
        ),
        (MODEL, INPUTS, 250_000),
    ],
)
async def test_each_model_has_its_own_price(
    client: Client, clock: Clock, model: str, inputs: dict[str, Any], micro: int
) -> None:
    status, request = await client.ask("POST", f"/v1/models/{model}", json=inputs)
    assert status == 200, request
    assert client.emulator.service.balance_micro == 1_000_000 - micro
    clock.now += 10
    _, result = await client.ask("GET", f"{request['result_url']}?include_cost=true")
    assert (result["status"], result["cost"]) == ("succeeded", micro / 1_000_000)


async def test_the_invented_models_check_their_inputs(client: Client) -> None:
    path = "/v1/models/emulator/mosaic/references-to-video"
    inputs = {"prompt": "a kite", "images": [], "duration": 5}
    status, answer = await client.ask("POST", path, json=inputs)
    assert (status, answer["error_code"]) == (422, 422001)
    assert "images" in answer["error_message"]
    assert "duration" in answer["error_message"]
    assert client.emulator.service.balance_micro == 1_000_000


async def test_stray_calls_are_counted(client: Client) -> None:
    assert (await client.ask("GET", "/v1/requests"))[0] == 404
    assert (await client.ask("DELETE", f"/v1/models/{MODEL}"))[0] == 404
    assert client.emulator.ledger.calls[Call.OTHER] == 2


async def test_work_makes_a_request_run_longer(clock: Clock) -> None:
    settings = Settings(service=Span(10, 10), service_by_work=True)
    async with Emulator(settings, clock=clock) as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        short, long = await client.submit(), await client.submit(**{"598_steps": 20})
        clock.now += 10
        words = [(await client.ask("GET", r["status_url"]))[1]["status"] for r in (short, long)]
        assert words == ["completed", "in_progress"]
        clock.now += 10
        assert (await client.ask("GET", long["status_url"]))[1]["status"] == "completed"


@pytest.mark.parametrize(
    ("path", "status"), [("a.png", 200), ("missing.png", 422), ("page.png", 422)]
)
async def test_input_files_are_fetched_where_that_is_asked_for(
    path: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(16))
    (tmp_path / "page.png").write_bytes(b"<html>please log in</html>")
    files = web.Application()
    files.router.add_static("/", tmp_path)
    runner = web.AppRunner(files)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        address = f"http://127.0.0.1:{port}/{path}"
        for fetch, expected in ((True, status), (False, 422)):
            settings = Settings(fetch_inputs=fetch)
            async with Emulator(settings) as emulator, aiohttp.ClientSession() as session:
                client = Client(emulator, session)
                body = INPUTS | {"608_image": address}
                got, _ = await client.ask("POST", f"/v1/models/{MODEL}", json=body)
                assert (got, len(emulator.ledger.accepted)) == (expected, expected == 200)
    finally:
        await runner.cleanup()
