"""What the peers share: their arguments, a folder, calls from threads, and the end of the work.

    python -m bench.peers.MODULE ORIGIN JOBS IN_FLIGHT [--folder FOLDER [--resume] [--put-back]]

With ``--resume`` nothing is enqueued: what an earlier run on the same folder left when it was
killed is taken up again, as the queue's documentation says, until no more results come.
``--put-back`` does by hand what some queues lack: whatever has no result is enqueued again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.calls import HEADERS, MODEL_PATH, inputs
from bench.stopwatch import more_files

PATIENCE = 300.0
"""Seconds after which a peer that is not done counts as stuck."""
QUIET = 4.0
"""Seconds without a new result after which a resumed peer has nothing left that it knows of."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to do, the folder to do it in, and whether an earlier run left something there."""

    origin: str
    jobs: int
    in_flight: int
    folder: Path
    resume: bool = False
    put_back: bool = False


@contextmanager
def asked(description: str | None) -> Iterator[Asked]:
    """The command line's wish; its folder is gone after the block, unless it was named."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("origin")
    parser.add_argument("jobs", type=int)
    parser.add_argument("in_flight", type=int)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--put-back", action="store_true")
    given = parser.parse_args()
    more_files()
    wish = partial(
        Asked,
        given.origin,
        given.jobs,
        given.in_flight,
        resume=given.resume,
        put_back=given.put_back,
    )
    if given.folder is not None:
        yield wish(folder=given.folder)
        return
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as folder:
        yield wish(folder=Path(folder))


def until_quiet(kept: Callable[[], int], jobs: int) -> int:
    """How many results ``kept`` counts once it counts ``jobs``, or none has come for some time."""
    count, since = kept(), time.monotonic()
    while count < jobs and time.monotonic() - since < QUIET:
        time.sleep(0.1)
        if (now := kept()) != count:
            count, since = now, time.monotonic()
    return count


class ThreadedCalls:
    """The three calls for queues that work in threads: one kept connection for each thread, over
    the standard library's client, which costs less than any package there is for it."""

    def __init__(self, origin: str) -> None:
        self._host = urlsplit(origin).netloc
        self._own = threading.local()

    def submit(self, seed: int) -> str:
        """The request id."""
        request_id: str = self._call("POST", MODEL_PATH, inputs(seed))["request_id"]
        return request_id

    def until_done(self, request_id: str) -> None:
        """Ask until the status says that it is completed."""
        while self._call("GET", f"/v1/requests/{request_id}/status")["status"] != "completed":
            pass

    def result(self, request_id: str) -> Any:
        """The whole answer."""
        return self._call("GET", f"/v1/requests/{request_id}/result")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._host, timeout=60)
        connection: http.client.HTTPConnection = self._own.connection
        content = None if body is None else json.dumps(body)
        headers = HEADERS if body is None else {**HEADERS, "Content-Type": "application/json"}
        connection.request(method, path, body=content, headers=headers)
        return json.loads(connection.getresponse().read())


class Countdown:
    """Set off once ``jobs`` jobs are done, whichever threads they are done in."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self._lock = threading.Lock()
        self._over = threading.Event()

    def one_done(self) -> bool:
        """Count one; whether it was the last."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._over.set()
            return self._left == 0

    def wait(self) -> None:
        """Until all are done. Raises :class:`TimeoutError` when that never comes."""
        if not self._over.wait(PATIENCE):
            raise TimeoutError(f"{self._left} jobs were not done after {PATIENCE:.0f} s")
