"""Ctrl-C and its relatives: the first stops in an orderly way, the second leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from overnight.cli.exits import Exit

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""All of them mean "stop": from the keyboard, from the system, from a terminal that was closed."""


def terminate_like_ctrl_c() -> None:
    """Let SIGTERM end what runs now the way Ctrl-C does: by KeyboardInterrupt, with clean-up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def draining(
    drain: Callable[[signal.Signals], None], before_leaving: Callable[[], None]
) -> Iterator[None]:
    """While this is open, the first signal calls ``drain`` and the second ends the process.

    Must be entered with a loop running. ``before_leaving`` puts the terminal right; nothing else
    needs to be: everything that matters is in the database already, at any moment.
    """
    # Imported here: who only sets a signal's handler need not wait for it.
    import asyncio

    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []

    def received(which: signal.Signals) -> None:
        seen.append(which)
        if len(seen) == 1:
            drain(which)
            return
        try:
            before_leaving()
        finally:
            os._exit(Exit.INTERRUPTED)

    # Whoever started us with a signal ignored (nohup) wants it so.
    caught = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    for which in caught:
        loop.add_signal_handler(which, received, which)
    try:
        yield
    finally:
        for which in caught:
            loop.remove_signal_handler(which)
