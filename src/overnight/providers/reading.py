"""Takes one HTTP/1.1 answer as its bytes come in. Pure: no connection, no clock.

The parsing is llhttp's, which Node and aiohttp read with too; here is what a caller must know of an
answer: whether it is whole, and whether the connection can carry another one. Strict, because doubt
is cheap here and a wrong belief is not: what is not plainly an answer after RFC 9112 is
:class:`UnreadableError`, and so the fate of a paid request is unknown rather than guessed. The
only transfer coding is ``chunked``. Interim answers (1xx) are passed over.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_LONGEST_HEAD = 64 * 1024
"""Bytes of status line and headers, and of what stands between the chunks of a body."""

_VERSIONS = frozenset({"1.0", "1.1"})
_BODILESS = frozenset({204, 304})


class UnreadableError(Exception):
    """What came is no answer in HTTP."""


class TooLongError(Exception):
    """The body is longer than was asked for."""


class Reading:
    """One answer: fed with bytes until it is whole.

    ``longest`` is the most bytes of a body that are wanted. :attr:`status` and :attr:`headers`
    (names in lower case, repeated ones joined with commas) stand once the head is there.
    """

    def __init__(self, longest: int) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.keep = False
        """Whether the connection can carry another request after this answer."""
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._longest = longest
        self._found: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._between = 0
        """Bytes since the head or anything of the body was complete."""
        self._whole = self._too_long = False

    @property
    def body(self) -> bytes:
        """What has come of the body, as it was sent."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes) -> bool:
        """Take what came next; True once the answer is whole.

        Raises :class:`UnreadableError` and :class:`TooLongError`.
        """
        assert self._parser is not None, "nothing is fed to what is whole"
        self._between += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise UnreadableError from None
        except HttpParserError:
            if not self._whole:
                raise (TooLongError if self._too_long else UnreadableError) from None
            self.keep = False  # what belongs to no request may belong to the next one
        if self._whole:
            self._parser = None  # it refers to this, and the two would wait for the collector
        elif self._between > _LONGEST_HEAD:
            raise UnreadableError
        return self._whole

    def end(self) -> bool:
        """The connection has ended in order; True where the answer is whole by that."""
        return self.status is not None and not self._told()

    def _told(self) -> bool:
        """Whether the answer tells its own end (RFC 9112, 6.3)."""
        named = "content-length" in self.headers or "transfer-encoding" in self.headers
        return named or self.status in _BODILESS

    # --- what the parser tells --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second answer that nobody asked for spoils the connection, not the first one."""
        if self._whole:
            raise UnreadableError

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")
        self._found[key] = f"{self._found[key]}, {text}" if key in self._found else text

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        found, self._found = self._found, {}
        status, version = parser.get_status_code(), parser.get_http_version()
        coding = found.get("transfer-encoding")
        chunked = coding is not None and coding.lower() == "chunked"
        long = sum(len(key) + len(text) for key, text in found.items()) > _LONGEST_HEAD
        if long or version not in _VERSIONS or status == 101:
            raise UnreadableError
        if status < 200:
            return
        if coding is not None and (not chunked or version == "1.0"):
            raise UnreadableError
        self.status, self.headers, self._between = status, found, 0
        if int(found.get("content-length", 0)) > self._longest and status not in _BODILESS:
            self._stop()

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._between = 0
        if self._size > self._longest:
            self._stop()

    def on_message_complete(self) -> None:
        parser = self._parser
        if self.status is not None and parser is not None:
            self._whole = True
            self.keep = parser.get_http_version() == "1.1" and parser.should_keep_alive()

    def _stop(self) -> None:
        # The parser hides what its listener raises behind an error of its own.
        self._too_long = True
        raise TooLongError
