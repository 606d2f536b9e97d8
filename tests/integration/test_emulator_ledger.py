"""The ledger is exact: what was accepted, what was open at once, and what came over the wire."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from overnight.emulator import DEFAULT_TOKEN, Call, Emulator, Settings, Span

MODEL = "community/wan-2-1/fusionx/image-to-video"
INPUTS = {"600_prompt": "a heron in the reeds", "608_image": "RunComfy_examples_1235_1.png"}
AUTH = {"Authorization": f"Bearer {DEFAULT_TOKEN}"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def submit(
    emulator: Emulator, session: aiohttp.ClientSession, more: dict[str, Any] | bytes | None = None
) -> str | None:
    """Send inputs, or a body as it is. The new request's id; None when no answer names it."""
    data = more if isinstance(more, bytes) else json.dumps(INPUTS | (more or {})).encode()
    url = f"{emulator.base_url}/v1/models/{MODEL}"
    try:
        async with session.post(url, data=data, headers=AUTH) as answer:
            return str((await answer.json())["request_id"])
    except (aiohttp.ClientError, ValueError, KeyError):
        return None


async def control(
    emulator: Emulator, session: aiohttp.ClientSession, method: str, name: str, **more: Any
) -> tuple[int, Any]:
    url = f"{emulator.base_url}/_emulator/{name}"
    async with session.request(method, url, **more) as answer:
        return answer.status, await answer.json()


async def test_under_random_faults_every_submit_is_accepted_once_or_turned_away(
    session: aiohttp.ClientSession,
) -> None:
    faults = [
        "submit:drop-before@10%",
        "submit:drop-after@10%",
        "submit:http-500@10%",
        "submit:html-504-after@10%",
        "submit:throttle@10%",
        "submit:cut@10%",
        "submit:garbage-200@10%",
        "submit:garbage-200-after@10%",
    ]
    async with Emulator(Settings(seed=4), faults=faults) as emulator:
        ids = await asyncio.gather(
            *(submit(emulator, session, {"598_seed": n}) for n in range(200))
        )
        ledger = emulator.ledger
        told = {name for name in ids if name}
        accepted = [entry.request_id for entry in ledger.accepted]
        assert ledger.calls[Call.SUBMIT] == 200
        assert len(accepted) + ledger.turned_away.total() == 200
        assert len(set(accepted)) == len(accepted)
        assert told < set(accepted)
        assert sorted(entry.inputs["598_seed"] for entry in ledger.accepted) == sorted(
            {entry.inputs["598_seed"] for entry in ledger.accepted}
        )
        assert ledger.duplicates == []
        spoiled = sum(
            ledger.faults[f"submit:{name}"]
            for name in ("drop-after", "html-504-after", "cut", "garbage-200-after")
        )
        assert len(accepted) == len(told) + spoiled
        paid = emulator.settings.balance - emulator.service.balance_micro / 1e6
        assert paid == pytest.approx(len(accepted) * emulator.settings.price)


async def test_most_open_at_once_follows_the_times_and_not_the_polls(
    session: aiohttp.ClientSession,
) -> None:
    now = [0.0]
    settings = Settings(slots=2, service=Span(10, 10))
    async with Emulator(settings, clock=lambda: now[0]) as emulator:
        for now[0] in (0, 1, 2):
            await submit(emulator, session)
        assert (emulator.open, emulator.ledger.max_open) == (3, 3)
        # At 15 two have ended, and nobody has asked since: the next makes two, not four.
        now[0] = 15
        await submit(emulator, session)
        assert (emulator.open, emulator.ledger.max_open) == (2, 3)
        now[0] = 100
        assert emulator.open == 0


async def test_open_submits_are_bounded_by_a_client_that_is(session: aiohttp.ClientSession) -> None:
    rng = random.Random(1)
    async with Emulator(Settings(slots=3, service=Span(0.0, 0.004), seed=2)) as emulator:

        async def one(number: int, budget: asyncio.Semaphore) -> None:
            async with budget:
                name = await submit(emulator, session, {"598_seed": number})
                word = ""
                while word != "completed":
                    await asyncio.sleep(rng.random() / 500)
                    url = f"{emulator.base_url}/v1/requests/{name}/status"
                    async with session.get(url, headers=AUTH) as answer:
                        word = (await answer.json())["status"]

        budget = asyncio.Semaphore(5)
        await asyncio.gather(*(one(n, budget) for n in range(60)))
        assert 2 <= emulator.ledger.max_open <= 5
        assert len(emulator.ledger.accepted) == 60


async def test_equal_work_is_a_duplicate_however_it_is_written(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator() as emulator:
        first = await submit(emulator, session, {"598_cfg": 1, "598_seed": 3})
        reordered = json.dumps({"598_seed": 3, **INPUTS, "598_cfg": 1.0}, indent=2).encode()
        second = await submit(emulator, session, reordered)
        await submit(emulator, session, {"598_cfg": 1, "598_seed": 4})
        third = await submit(emulator, session, {"598_cfg": 1, "598_seed": 3})
        ledger = emulator.ledger
        assert [(e.request_id, e.duplicate_of) for e in ledger.duplicates] == [
            (second, first),
            (third, first),
        ]
        assert len(ledger.accepted) == 4
        assert ledger.accepted[1].body_sha256 == hashlib.sha256(reordered).hexdigest()


async def test_bodies_and_headers_are_kept_as_they_came_without_the_token(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator(Settings(keep_submits=2)) as emulator:
        bodies = [json.dumps(INPUTS | {"598_seed": n}, indent=n).encode() for n in range(3)]
        bodies.append('{"600_prompt": "é \\u00e9",  "nonsense":1}'.encode())
        for body in bodies:
            await submit(emulator, session, body)
        assert [received.body for received in emulator.ledger.received] == bodies[2:]
        received = emulator.ledger.received[-1]
        assert (received.method, received.path) == ("POST", f"/v1/models/{MODEL}")
        assert ("Authorization", "***") in received.headers
        _, told = await control(emulator, session, "GET", "ledger")
        assert base64.b64decode(told["received"][-1]["body_base64"]) == bodies[3]
        assert DEFAULT_TOKEN not in json.dumps(told)


async def test_the_ledger_can_be_read_from_outside(session: aiohttp.ClientSession) -> None:
    async with Emulator(Settings(balance=1, price=0.25, service=Span(99, 99))) as emulator:
        name = await submit(emulator, session)
        await submit(emulator, session)
        await submit(emulator, session, b"{}")
        status, told = await control(emulator, session, "GET", "ledger")
        assert status == 200
        assert (told["accepted"], told["duplicates"], told["open"], told["max_open"]) == (
            2,
            1,
            2,
            2,
        )
        assert told["turned_away"] == {"bad-inputs": 1}
        assert told["calls"]["submit"] == 3
        assert told["states"] == {
            "in_queue": 0,
            "in_progress": 2,
            "completed": 0,
            "cancelled": 0,
        }
        assert told["balance_usd"] == 0.5
        assert told["submits"][1]["duplicate_of"] == told["submits"][0]["request_id"] == name
        assert told["submits"][0]["inputs"] == INPUTS
        _, brief = await control(emulator, session, "GET", "ledger?brief=1")
        assert brief == {k: v for k, v in told.items() if k in brief}
        assert "submits" not in brief


async def test_reset_forgets_everything_but_the_rules(session: aiohttp.ClientSession) -> None:
    async with Emulator(Settings(balance=1, price=0.25)) as emulator:
        emulator.faults.add("submit:http-500@1x")
        for _ in range(3):
            name = await submit(emulator, session)
        assert await control(emulator, session, "POST", "reset") == (200, {"balance_usd": 1.0})
        assert (emulator.ledger.accepted, emulator.ledger.calls, emulator.open) == ([], {}, 0)
        url = f"{emulator.base_url}/v1/requests/{name}/status"
        async with session.get(url, headers=AUTH) as answer:
            assert answer.status == 404
        assert await submit(emulator, session) is None
        assert await submit(emulator, session)


async def test_faults_can_be_turned_on_and_off_while_it_runs(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator() as emulator:
        rules: Any = [
            "submit:http-500@1x",
            {"call": "submit", "fault": "throttle", "times": 1, "retry_after": 2},
        ]
        status, told = await control(emulator, session, "POST", "faults", json=rules)
        assert (status, [rule["fault"] for rule in told["faults"]]) == (
            200,
            ["http-500", "throttle"],
        )
        assert [await submit(emulator, session) for _ in range(2)] == [None, None]
        _, told = await control(emulator, session, "GET", "faults")
        assert [(rule["matched"], rule["struck"]) for rule in told["faults"]] == [(2, 1), (1, 1)]
        await control(emulator, session, "POST", "faults", json="submit:http-502")
        assert await control(emulator, session, "DELETE", "faults") == (200, {"faults": []})
        assert await submit(emulator, session)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("faults", "submit:throtle"),
        ("faults", ["submit:throttle", {"call": "submit"}]),
        ("faults", 7),
        ("balance", {"balance_usd": "much"}),
        ("balance", {"balance_usd": True}),
        ("balance", [1]),
    ],
)
async def test_wrong_control_calls_change_nothing(
    session: aiohttp.ClientSession, name: str, body: Any
) -> None:
    async with Emulator() as emulator:
        status, told = await control(emulator, session, "POST", name, json=body)
        assert (status, list(told)) == (400, ["error"])
        assert list(emulator.faults) == []
        assert emulator.service.balance_micro == 10_000_000_000
        status, _ = await control(emulator, session, "POST", name, data=b"{")
        assert status == 400
        assert (await control(emulator, session, "PUT", name))[0] == 404


async def test_the_balance_can_be_set(session: aiohttp.ClientSession) -> None:
    async with Emulator(Settings(price=0.25)) as emulator:
        await control(emulator, session, "POST", "balance", json={"balance_usd": 0.3})
        assert await submit(emulator, session)
        assert await submit(emulator, session) is None
        assert emulator.ledger.turned_away == {"no-balance": 1}


async def test_a_client_that_leaves_in_mid_body_is_turned_away(
    session: aiohttp.ClientSession,
) -> None:
    async with Emulator() as emulator:
        port = int(emulator.base_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/models/{MODEL} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
        writer.write(head.encode() + b'{"600_prompt": ')
        await writer.drain()
        await emulator.until(lambda ledger: ledger.calls[Call.SUBMIT] == 1)
        writer.close()
        await emulator.until(lambda ledger: ledger.turned_away["unread"] == 1)
        assert emulator.ledger.accepted == []
        assert await submit(emulator, session)
