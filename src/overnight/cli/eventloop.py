"""The event loop that a night runs on: uvloop's where it is installed, else asyncio's own.

Both behave alike here: signals, subprocesses and sockets are tested on either. Short commands take
asyncio's own, which is there at once.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """``asyncio.run``, on the quickest loop there is."""
    with asyncio.Runner(loop_factory=quickest()) as runner:
        return runner.run(main)


def quickest() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes loops; None stands for asyncio's own."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(
            "uvloop"
        ).new_event_loop
    except ImportError:
        return None
    return factory
