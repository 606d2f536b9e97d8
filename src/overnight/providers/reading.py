"""Reads one HTTP/1.1 answer as its bytes come in. Pure: no connection, no clock.

Strict, because doubt is cheap here and a wrong belief is not: what is not plainly an answer after
RFC 9112 is :class:`UnreadableError`, and so the fate of a paid request is unknown rather than
guessed. Lines end with CRLF, a length is digits, the only transfer coding is ``chunked``, and an
answer with both a length and a coding contradicts itself. Interim answers (1xx) are passed over.
"""

from __future__ import annotations

import re

_LONGEST_HEAD = 64 * 1024
"""Bytes of status line and headers, and of each line between the chunks of a body."""

_FIRST = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,15}")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_BODILESS = frozenset({204, 304})
_BEGINNING = b"HTTP/1."


class UnreadableError(Exception):
    """What came is no answer in HTTP."""


class TooLongError(Exception):
    """The body is longer than was asked for."""


class Reading:
    """One answer: fed with bytes until it is whole.

    ``longest`` is the most bytes of a body that are wanted. :attr:`status` and :attr:`headers`
    (names in lower case, repeated ones joined with commas) stand once the head is there.
    """

    __slots__ = (
        "_chunks",
        "_left",
        "_longest",
        "_parts",
        "_rest",
        "_size",
        "headers",
        "keep",
        "status",
    )

    def __init__(self, longest: int) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.keep = False
        """Whether the connection can carry another request after this answer."""
        self._longest = longest
        self._rest = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._left: int | None = None
        self._chunks: _Chunks | None = None

    @property
    def body(self) -> bytes:
        """What has come of the body, as it was sent."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, data: bytes) -> bool:
        """Take what came next; True once the answer is whole.

        Raises :class:`UnreadableError` and :class:`TooLongError`.
        """
        if self.status is not None:
            return self._read_body(data)
        data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            if end > _LONGEST_HEAD:
                raise UnreadableError
            final = self._read_head(data[:end].decode("latin-1"))
            data = data[end + 4 :]
            if final:
                self._rest = b""
                return self._read_body(data)
        _require_beginning(data)
        self._rest = data
        return False

    def end(self) -> bool:
        """The connection has ended in order; True where the answer is whole by that."""
        return self.status is not None and self._chunks is None and self._left is None

    def _read_head(self, head: str) -> bool:
        """False for an interim answer: the final one is still to come."""
        first, *lines = head.split("\r\n")
        begins = _FIRST.fullmatch(first)
        if begins is None or not head.count("\r") == head.count("\n") == len(lines):
            raise UnreadableError
        status = int(begins[2])
        if status < 200:
            if status == 101:  # nobody asked for another protocol
                raise UnreadableError
            return False
        self.headers = headers = _headers(lines)
        self.status = status
        self._frame(newer=begins[1] == "1")
        until_end = self._left is None and self._chunks is None
        ends = until_end or "close" in headers.get("connection", "").lower()
        self.keep = begins[1] == "1" and not ends
        return True

    def _frame(self, *, newer: bool) -> None:
        """Find out how the end of the body is told (RFC 9112, 6.3)."""
        coding = self.headers.get("transfer-encoding")
        length = self.headers.get("content-length")
        if coding is not None and (length is not None or not newer or coding.lower() != "chunked"):
            raise UnreadableError
        if length is not None and not _LENGTH.fullmatch(length):
            raise UnreadableError
        if self.status in _BODILESS:
            self._left = 0
        elif coding is not None:
            self._chunks = _Chunks()
        elif length is not None:
            self._left = int(length)
            if self._left > self._longest:
                raise TooLongError

    def _read_body(self, data: bytes) -> bool:
        whole = False
        if self._chunks is not None:
            part, whole = self._chunks.feed(data)
            surplus = whole and self._chunks.surplus
        elif self._left is not None:
            part, surplus = data[: self._left], len(data) > self._left
            self._left -= len(part)
            whole = self._left == 0
        else:
            part, surplus = data, False
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._longest:
            raise TooLongError
        if surplus:
            self.keep = False  # what belongs to no request may belong to the next one
        return whole


class _Chunks:
    """A body that comes in chunks (RFC 9112, 7.1): sizes, chunks, and lines after the last."""

    __slots__ = ("_last", "_left", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        """Bytes of the present chunk that are still to come, the CRLF behind it included."""
        self._last = False

    @property
    def surplus(self) -> bool:
        """Whether more came than belongs to the body."""
        return bool(self._rest)

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What of the body is new, and whether that was its end."""
        self._rest += data
        parts: list[bytes] = []
        whole = False
        while not whole:
            if self._left:
                parts.append(self._take())
                if self._left:
                    break
            line = self._line()
            if line is None:
                break
            if self._last:
                whole = not line
            else:
                self._begin(line)
        return b"".join(parts), whole

    def _begin(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None:
            raise UnreadableError
        length = int(size[1], 16)
        self._last = length == 0
        self._left = length + 2 if length else 0

    def _take(self) -> bytes:
        """What is here of the present chunk, and the CRLF behind it once that is here too."""
        taken = self._rest[: self._left - 2]
        self._rest = self._rest[len(taken) :]
        self._left -= len(taken)
        if self._left == 2 and len(self._rest) >= 2:
            if not self._rest.startswith(b"\r\n"):
                raise UnreadableError
            self._rest = self._rest[2:]
            self._left = 0
        return taken

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\r\n")
        if end < 0:
            if len(self._rest) > _LONGEST_HEAD:
                raise UnreadableError
            return None
        line, self._rest = self._rest[:end], self._rest[end + 2 :]
        return line


def _headers(lines: list[str]) -> dict[str, str]:
    """Fields by their names in lower case; those that are repeated, joined with commas."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\0" in value:
            raise UnreadableError
        name, value = name.lower(), value.strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _require_beginning(data: bytes) -> None:
    """Don't wait for the end of what can't be the beginning of an answer."""
    if len(data) > _LONGEST_HEAD or data[:7] != _BEGINNING[: len(data)]:
        raise UnreadableError
