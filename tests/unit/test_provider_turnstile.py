"""Free calls take turns; paid ones never wait."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest

from overnight.providers import turnstile
from overnight.providers.base import Recovery, Request, Running, Traits
from overnight.providers.turnstile import Turnstile, free_calls

R = Request("a/model", "r")


class Slow:
    """A provider whose calls end when they are let go."""

    traits = Traits(name="slow", recovery=Recovery.NONE, cancels_running=False)

    def __init__(self) -> None:
        self.open: list[str] = []
        self.go_on = asyncio.Event()
        self.closed = False

    async def _call(self, name: str) -> Any:
        self.open.append(name)
        await self.go_on.wait()
        self.open.remove(name)
        return Running()

    async def submit(self, model: str, inputs: Any, *, key: str) -> Any:
        return await self._call("submit")

    async def recover(self, model: str, inputs: Any, *, key: str) -> Any:
        return await self._call("recover")

    async def status(self, request: Request) -> Any:
        return await self._call("status")

    async def result(self, request: Request) -> Any:
        return await self._call("result")

    async def cancel(self, request: Request) -> Any:
        return await self._call("cancel")

    async def probe(self) -> Any:
        return await self._call("probe")

    async def aclose(self) -> None:
        self.closed = True


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_free_calls_are_open_than_there_are_turns() -> None:
    slow = Slow()
    provider = Turnstile(slow, 2)
    calls = [provider.status(R), provider.result(R), provider.cancel(R), provider.probe()]
    waiting = [asyncio.ensure_future(call) for call in calls]
    await settle()
    assert slow.open == ["status", "result"]
    slow.go_on.set()
    assert [await call for call in waiting] == [Running()] * 4
    assert slow.open == []


async def test_what_may_be_paid_for_does_not_wait() -> None:
    slow = Slow()
    provider = Turnstile(slow, 1)
    calls = [
        provider.status(R),
        provider.status(R),
        provider.submit("a/model", {}, key="k"),
        provider.recover("a/model", {}, key="k"),
    ]
    waiting = [asyncio.ensure_future(call) for call in calls]
    await settle()
    assert slow.open == ["status", "submit", "recover"]
    slow.go_on.set()
    await asyncio.gather(*waiting)


async def test_a_call_that_is_given_up_leaves_its_turn_to_the_next() -> None:
    slow = Slow()
    provider = Turnstile(slow, 1)
    first, second = (asyncio.ensure_future(provider.status(R)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    slow.go_on.set()
    assert await second == Running()


async def test_it_speaks_for_its_provider_and_closes_it() -> None:
    slow = Slow()
    provider = Turnstile(slow, 1)
    assert provider.traits is slow.traits
    await provider.aclose()
    assert slow.closed


@pytest.mark.parametrize(
    ("files", "calls"),
    [
        (256, 100),
        (200, 44),
        (64, turnstile.LEAST),
        (1024, turnstile.MOST),
        (resource.RLIM_INFINITY, turnstile.MOST),
    ],
)
def test_few_files_allow_few_calls(monkeypatch: pytest.MonkeyPatch, files: int, calls: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert free_calls() == calls
