"""One connection, and what is said on it: a request, then its whole answer.

Here is the moment that everything about money hangs on. :meth:`Line.ask` looks whether the
connection still stands and then writes, in one step of the event loop: before it, not one byte of
the request has left; after it, any may have.
"""

from __future__ import annotations

import asyncio
from typing import cast

from overnight.providers.reading import Reading, TooLongError, UnreadableError
from overnight.providers.transport import MaybeSentError, NotSentError, system_words
from overnight.providers.wire import LONGEST_BODY, Reply, too_long, unpacked


class Line(asyncio.Protocol):
    """A connection for one request at a time. Made for :meth:`asyncio.loop.create_connection`;
    it is in ``standing`` from :meth:`join` on, for as long as it stands."""

    def __init__(self, loop: asyncio.AbstractEventLoop, standing: set[Line]) -> None:
        self.reused = False
        """It has carried a request before the present one."""
        self.late = False
        """The time for an answer to the present request is up."""
        self._resting_since = 0.0
        self._gone: asyncio.Future[None] | None = None
        self._loop = loop
        self._standing = standing
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._heard = False
        self._ended = False
        self._waiting: asyncio.Future[Reply] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def join(self) -> None:
        """Be in ``standing`` until the connection is lost; for whoever was handed a whole one.

        Not from the moment it was made: who is cancelled between the two never has it, and its end
        is told to nobody then (by uvloop; asyncio tells it).
        """
        if self._transport is not None:
            self._standing.add(self)

    @property
    def open(self) -> bool:
        """Whether it still stands, as far as can be seen from here."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def heard(self) -> bool:
        """Whether any byte of an answer to the present request has come."""
        return self._heard

    def ask(self, request: bytes, until: float | None = None) -> asyncio.Future[Reply]:
        """Write the request; the future has its answer, or a
        :class:`~overnight.providers.transport.MaybeSentError`. ``until`` is the loop's time by
        which the whole answer has to be here.

        Raises :class:`~overnight.providers.transport.NotSentError`, with nothing written.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise NotSentError("the connection was lost before the request was written to it")
        self._reading, self._heard = Reading(LONGEST_BODY), False
        self._waiting = waiting = self._loop.create_future()
        # One timer is all that it takes; asyncio.timeout() costs as much as writing the request.
        self._alarm = None if until is None else self._loop.call_at(until, self._expire)
        transport.write(request)
        return waiting

    def hang_up(self) -> None:
        """Close it at once, whatever is going on."""
        if self._transport is not None:
            self._transport.abort()

    def rest(self) -> None:
        """From now on nobody is using it."""
        self._resting_since = self._loop.time()

    def older_than(self, seconds: float) -> bool:
        """Whether nobody has used it for that long."""
        return self._loop.time() - self._resting_since > seconds

    def gone(self) -> asyncio.Future[None]:
        """Done once the connection is closed; to be asked for while it stands."""
        if self._gone is None:
            self._gone = self._loop.create_future()
        return self._gone

    def _expire(self) -> None:
        self.late = True
        self._fail("the request was sent, and no whole answer came in time")

    # --- what the event loop tells ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        reading = self._reading
        if reading is None:
            self.hang_up()  # nobody asked: what comes now would be taken for the next answer
            return
        self._heard = True
        try:
            if reading.feed(data):
                self._answered(reading)
        except UnreadableError:
            self._fail("the request was sent, and what came back is not HTTP")
        except TooLongError:
            self._end(too_long(reading.status or 0))

    def eof_received(self) -> None:
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._standing.discard(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        reading = self._reading
        if reading is None:
            return
        # Only the other end can end an answer: hanging up here doesn't make half of one whole.
        if self._ended and exc is None and reading.end():
            self._answered(reading)
        elif reading.status is not None:
            self._fail("the answer broke off before its end")
        elif isinstance(exc, OSError):
            words = system_words(exc)
            self._fail(f"the request was sent, then the connection was lost: {words}")
        else:
            which = "a reused connection" if self.reused else "the connection"
            self._fail(f"the request was sent, then {which} was closed without an answer")

    def _answered(self, reading: Reading) -> None:
        assert reading.status is not None
        try:
            reply = unpacked(reading.status, reading.headers, reading.body)
        except MaybeSentError as exc:
            self._end(exc)
            return
        if not reading.keep:
            self.hang_up()
        self.reused = True
        self._end(reply)

    def _fail(self, reason: str) -> None:
        assert self._reading is not None
        self._end(MaybeSentError(reason, self._reading.status))

    def _end(self, found: Reply | MaybeSentError) -> None:
        """Give it to whoever waits; after an error the connection is of no more use."""
        waiting, self._waiting, self._reading = self._waiting, None, None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if isinstance(found, MaybeSentError):
            self.hang_up()
        if waiting is None or waiting.done():
            return
        if isinstance(found, MaybeSentError):
            waiting.set_exception(found)
        else:
            waiting.set_result(found)
