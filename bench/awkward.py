"""The emulator in a process of its own, as awkward as the real API, to be measured against.

Unlike :mod:`bench.loopback` it keeps a line before its slots, a ledger and signed addresses, and
some of its free calls go wrong: they are throttled, slow, or answered by a gateway. Paid calls do
not, because a limit that is cut would leave fewer jobs in flight than were asked for.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import ours

FAULTS = (
    "status:throttle@1%",
    "status:html-502@1%",
    "status:slow@2%,delay=1",
    "result:http-503@1%",
)
_ORIGIN = re.compile(r"listens at (\S+)")


class Awkward:
    """A running emulator, from the outside."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def ledger(self) -> dict[str, Any]:
        """What it was asked, and what it accepted, without the lists."""
        address = f"{self.origin}/_emulator/ledger?brief"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - loopback
            told: dict[str, Any] = json.loads(answer.read())
            return told


@contextmanager
def running(slots: int, shortest: float, longest: float) -> Iterator[Awkward]:
    """An emulator with so many slots, whose jobs run for that many seconds, for as long as the
    block lasts."""
    options = [
        *("--port", "0", "--token", ours.TOKEN, "--slots", str(slots)),
        *("--service", f"{shortest:g}s..{longest:g}s", "--media", "bytes", "--balance", "1000000"),
        *(part for fault in FAULTS for part in ("--fault", fault)),
    ]
    command = [sys.executable, "-u", "-m", "overnight", "emulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            found = _ORIGIN.search(process.stdout.readline())
            if found is None:
                raise RuntimeError("the emulator did not say where it listens")
            yield Awkward(found[1])
        finally:
            process.kill()
