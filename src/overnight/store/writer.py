"""One writer, group commit.

SQLite takes one writer at a time and pays for every commit with a flush to the disk. So a single
thread owns the writing connection, takes whatever has gathered while the last commit was being
flushed, runs it as one transaction, and answers everybody once it is durable.

An operation is a function of a connection; those of a kind may be run in one go
(:mod:`overnight.store.group`). One that raises is undone alone: the group is rolled back and run
again one by one, so that a bug in one write can't take another one with it. When the
storage itself fails (full disk, I/O error) the writer says so to everybody, now and from then on:
after that, nothing may be claimed to be saved.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, IntegrityError

from overnight.store import driver
from overnight.store import group as group_of
from overnight.store.database import Database
from overnight.store.errors import StoreError

T = TypeVar("T")
Operation = Callable[[Connection], T]

GROUP = 512
"""The most operations in one transaction; about what gathers in flight at once."""


class Recorder(Protocol):
    """Where the engine's writes go: a :class:`Writer`, or a simulation's own."""

    async def record(self, operation: Operation[T]) -> T:
        """Run ``operation`` in a transaction; return its value once that is durable."""
        ...


@dataclass(slots=True)
class _Entry:
    operation: Operation[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    value: Any = None
    error: BaseException | None = None


class Writer:
    """The thread that owns the writing connection. ``start`` once, ``stop`` once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handed_over: queue.SimpleQueue[list[_Entry] | None] = queue.SimpleQueue()
        self._incoming: list[_Entry] = []
        self._gathered: deque[_Entry] = deque()
        """What the thread has taken and not begun."""
        self._thread = threading.Thread(target=self._run, name="overnight-writer", daemon=True)
        self._failure: StoreError | None = None
        self._stopped = False
        # Held while entries are handed over, so that none can slip in behind the last one.
        self._door = threading.Lock()

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Finish what was handed over, then end the thread."""
        with self._door:
            self._stopped = True
            self._handed_over.put(self._incoming)
            self._handed_over.put(None)
            self._incoming = []
        await asyncio.to_thread(self._thread.join)

    async def record(self, operation: Operation[T]) -> T:
        """Run ``operation`` in the next group's transaction; return once it is durable.

        Raises what ``operation`` raised, or a :class:`StoreError` when the storage failed.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(operation, loop.create_future(), loop)
        with self._door:
            if self._failure is not None:
                raise self._failure
            if self._stopped:
                raise StoreError("The writer has stopped; nothing more can be saved.")
            is_first = not self._incoming or self._incoming[-1].loop is not loop
            self._incoming.append(entry)
        if is_first:
            # What else this turn of the loop records is handed over with it: waking the thread for
            # the first alone would have it run a transaction of one.
            loop.call_soon(self._hand_over)
        value: T = await entry.future
        return value

    def _hand_over(self) -> None:
        with self._door:
            if self._incoming:
                self._handed_over.put(self._incoming)
                self._incoming = []

    # --- in the writer's own thread -----------------------------------------------------------

    def _run(self) -> None:
        engine = self._database.writer_engine()
        try:
            self._serve(engine)
        except BaseException as error:
            # Nobody else would hear of it: everything waiting must fail, loudly.
            self._fail(error)
            raise
        finally:
            engine.dispose()

    def _serve(self, engine: Engine) -> None:
        try:
            connection = engine.connect()
        except DatabaseError as error:
            self._fail(driver.plainly(error, str(self._database)))
            return
        with connection:
            while (group := self._gather()) is not None:
                # Answered in the order in which they are run: who reads the figures hears of them
                # after those whose steps are in them.
                group.sort(key=lambda entry: group_of.comes_later(entry.operation))
                try:
                    self._commit(connection, group)
                except DatabaseError as error:
                    self._fail(driver.plainly(error, str(self._database)), group)
                    return
                except BaseException as error:
                    self._fail(error, group)
                    raise
                _answer(group)

    def _gather(self) -> list[_Entry] | None:
        """What has come in since the last commit; None when it is time to stop."""
        gathered = self._gathered
        while len(gathered) < GROUP:
            try:
                entries = self._handed_over.get(block=not gathered)
            except queue.Empty:
                break
            if entries is None:
                if not gathered:
                    return None
                # Stop after this group: put the mark back for the next round.
                self._handed_over.put(None)
                break
            gathered.extend(entries)
        return [gathered.popleft() for _ in range(min(GROUP, len(gathered)))]

    def _commit(self, connection: Connection, group: list[_Entry]) -> None:
        try:
            with connection.begin():
                values = group_of.run(connection, [entry.operation for entry in group])
            for entry, value in zip(group, values, strict=True):
                entry.value = value
        except Exception as error:
            if _storage_failed(error):
                raise
            self._one_by_one(connection, group)

    def _one_by_one(self, connection: Connection, group: list[_Entry]) -> None:
        for entry in group:
            try:
                with connection.begin():
                    entry.value = entry.operation(connection)
            except Exception as error:
                if _storage_failed(error):
                    raise
                entry.error = error

    def _fail(self, error: BaseException, group: list[_Entry] | None = None) -> None:
        failure = error if isinstance(error, StoreError) else _died(error)
        waiting = [*(group or []), *self._gathered]
        with self._door:
            self._failure = failure
            waiting += self._incoming
            self._incoming = []
        while True:
            try:
                waiting += self._handed_over.get_nowait() or []
            except queue.Empty:
                break
        for entry in waiting:
            entry.error = failure
        _answer(waiting)


def _died(error: BaseException) -> StoreError:
    return StoreError(f"The writer died of {type(error).__name__}: {error}. Nothing more is saved.")


def _storage_failed(error: BaseException) -> bool:
    """The disk or the file, rather than one operation's own data."""
    return isinstance(error, DatabaseError) and not isinstance(error, IntegrityError)


def _answer(group: list[_Entry]) -> None:
    """Wake everybody whose write is decided; one call into each loop for the whole group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Entry]] = {}
    for entry in group:
        by_loop.setdefault(entry.loop, []).append(entry)
    for loop, entries in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, entries)


def _settle(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.future.done():
            continue
        if entry.error is not None:
            entry.future.set_exception(entry.error)
        else:
            entry.future.set_result(entry.value)
