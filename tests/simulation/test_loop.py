"""The virtual loop keeps asyncio's rules, and time is free."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.loop import NEVER, Clock, StuckError, VirtualLoop, advance


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


def test_a_long_sleep_only_moves_the_clock(loop: VirtualLoop) -> None:
    async def night() -> float:
        await asyncio.sleep(8 * 3600)
        return asyncio.get_running_loop().time()

    assert loop.run(night()) == 8 * 3600
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@given(st.lists(st.floats(0, 1e6), max_size=30))
def test_timers_ring_in_time_and_ties_in_order(delays: list[float]) -> None:
    loop, rung = VirtualLoop(), list[tuple[float, int]]()

    def ring(n: int) -> None:
        rung.append((loop.time(), n))

    for n, delay in enumerate(delays):
        loop.call_later(delay, ring, n)
    loop.run(asyncio.sleep(1e6 + 1))
    assert rung == sorted((delay, n) for n, delay in enumerate(delays))
    loop.close()


def test_a_cancelled_timer_never_rings_and_holds_nothing_up(loop: VirtualLoop) -> None:
    rung: list[int] = []
    loop.call_later(1, rung.append, 1).cancel()
    assert loop.next_alarm() == NEVER
    ready = loop.call_soon(rung.append, 2)
    ready.cancel()
    loop.run(asyncio.sleep(2))
    assert rung == []


def test_asyncio_works_on_it(loop: VirtualLoop) -> None:
    async def late(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def night() -> tuple[float, ...]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late(10), 5)
        async with asyncio.Semaphore(1):
            event = asyncio.Event()
            asyncio.get_running_loop().call_later(1, event.set)
            await event.wait()
        return tuple(await asyncio.gather(late(3), late(1), late(2)))

    assert loop.run(night()) == (3, 1, 2)
    assert loop.time() == 9


def test_what_never_comes_is_noticed(loop: VirtualLoop) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError):
        loop.run(wait())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    while loop.ready:
        loop.step()


def test_an_exception_that_nobody_asks_for_is_kept(loop: VirtualLoop) -> None:
    async def bug() -> None:
        raise ValueError("bug")

    async def night() -> None:
        task = asyncio.create_task(bug())
        await asyncio.sleep(1)
        assert task.done()

    loop.run(night())
    gc.collect()
    assert [type(c["exception"]) for c in loop.complaints] == [ValueError]


def test_loops_share_a_clock_and_a_frozen_one_catches_up() -> None:
    clock = Clock(100.0)
    frozen, awake = VirtualLoop(clock), VirtualLoop(clock)
    rung: list[tuple[str, float]] = []
    frozen.call_later(1, lambda: rung.append(("frozen", clock.now)))
    awake.call_later(5, lambda: rung.append(("awake", clock.now)))
    advance([awake])
    awake.step()
    advance([frozen, awake])
    frozen.step()
    assert rung == [("awake", 105.0), ("frozen", 105.0)]
    frozen.close()
    awake.close()


def test_threads_are_not_for_it(loop: VirtualLoop) -> None:
    with pytest.raises(RuntimeError, match="no threads"):
        loop.call_soon_threadsafe(print)
