"""Which event loop a night runs on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from overnight.cli import eventloop


async def its_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_without_uvloop_a_night_runs_on_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert eventloop.quickest() is None
    assert eventloop.run(its_loop()).startswith("asyncio.")


def test_a_night_runs_on_uvloop_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert eventloop.run(its_loop()).startswith("uvloop")


def test_what_goes_wrong_comes_out() -> None:
    async def wrong() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        eventloop.run(wrong())
