"""Reading one HTTP/1.1 answer: whole, in pieces, cut, wrong; and beside another parser."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.providers.reading import Reading, TooLongError, UnreadableError

LONGEST = 1000


def read(*pieces: bytes, ended: bool = False) -> Reading:
    """The answer, which must be whole with the last piece, or with the end."""
    reading = Reading(LONGEST)
    done = [reading.feed(piece) for piece in pieces]
    assert done == [*[False] * (len(pieces) - 1), not ended]
    assert reading.end() or not ended
    return reading


def head(*fields: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([first, *fields, "", ""]).encode("latin-1")


WITH_LENGTH = head("Content-Length: 5", "X-A: one", "x-a:\t two ") + b"hello"
CHUNKED = (
    head("Transfer-Encoding: Chunked") + b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = head(first="HTTP/1.1 103 Early Hints") + head(first="HTTP/1.1 100") + WITH_LENGTH


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, INTERIM])
def test_an_answer_is_the_same_however_it_is_cut(answer: bytes) -> None:
    whole = read(answer)
    assert (whole.status, whole.body, whole.keep) == (200, b"hello", True)
    for cut in range(1, len(answer)):
        parts = read(answer[:cut], answer[cut:])
        assert (parts.status, parts.headers, parts.body) == (200, whole.headers, b"hello")
        assert parts.keep
    assert read(*(bytes([byte]) for byte in answer)).body == b"hello"


def test_fields_have_lower_names_and_are_joined() -> None:
    assert read(WITH_LENGTH).headers == {"content-length": "5", "x-a": "one, two"}


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (head(first="HTTP/1.1 204 No Content"), b""),
        (head("Content-Length: 9", first="HTTP/1.1 304 Not Modified"), b""),
        (head("Content-Length: 0", first="HTTP/1.1 500"), b""),
        (head("Transfer-Encoding: chunked") + b"0\r\n\r\n", b""),
    ],
)
def test_an_answer_may_have_no_body(answer: bytes, body: bytes) -> None:
    assert read(answer).body == body


def test_a_body_without_a_length_lasts_until_the_end() -> None:
    reading = read(head() + b"hel", b"lo", ended=True)
    assert reading.body == b"hello"
    assert not reading.keep


@pytest.mark.parametrize(
    "cut",
    [b"", b"HTTP/1.1 200 OK\r\n", WITH_LENGTH[:-1], CHUNKED[:-1], CHUNKED[:40]],
)
def test_what_is_cut_is_not_whole_at_the_end(cut: bytes) -> None:
    reading = Reading(LONGEST)
    assert not reading.feed(cut)
    assert not reading.end()


@pytest.mark.parametrize(
    "answer",
    [
        head("Connection: close", "Content-Length: 0"),
        head("Connection: x, Close", "Content-Length: 0"),
        head("Content-Length: 0", first="HTTP/1.0 200 OK"),
        head("Content-Length: 0") + b"more",
        head("Transfer-Encoding: chunked") + b"0\r\n\r\nmore",
    ],
)
def test_a_connection_is_not_kept_after(answer: bytes) -> None:
    assert not read(answer).keep


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"<html>",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        head(first="HTTP/1.1 101 Switching Protocols"),
        head("no colon"),
        head(" folded: x"),
        head("na me: x"),
        head(": x"),
        head("x: a\nb"),
        head("x: a\rb"),
        head("x: a\0b"),
        head("Content-Length: -1"),
        head("Content-Length: 1_0"),
        head("Content-Length: 5, 6"),
        head("Content-Length: 5", "Content-Length: 5"),
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"),
        head("Transfer-Encoding: chunked") + b"x\r\n",
        head("Transfer-Encoding: chunked") + b"\r\n",
        head("Transfer-Encoding: chunked") + b"1\r\nab\r\n",
        head("x: " + 70_000 * "x"),
        b"HTTP/1.1 200 OK\r\nx: " + 70_000 * b"x",
    ],
)
def test_what_is_not_plainly_an_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(UnreadableError):
        Reading(LONGEST).feed(answer)


@pytest.mark.parametrize(
    "answer",
    [
        head("Content-Length: 1001"),
        head() + 1001 * b"x",
        head("Transfer-Encoding: chunked") + b"3e9\r\n" + 1001 * b"x",
    ],
)
def test_a_body_that_is_too_long_is_refused(answer: bytes) -> None:
    with pytest.raises(TooLongError):
        Reading(LONGEST).feed(answer)


def test_no_end_is_waited_for_between_chunks() -> None:
    reading = Reading(LONGEST)
    assert not reading.feed(head("Transfer-Encoding: chunked"))
    with pytest.raises(UnreadableError):
        reading.feed(b"1;" + 70_000 * b"x")


def test_a_head_and_much_of_a_body_may_come_in_one_piece() -> None:
    reading = Reading(300_000)
    assert reading.feed(head("Content-Length: 250000") + 250_000 * b"x")
    assert len(reading.body) == 250_000


def test_as_long_as_is_wanted_is_not_too_long() -> None:
    assert len(read(head("Content-Length: 1000") + 1000 * b"x").body) == LONGEST


# --- beside another parser ------------------------------------------------------------------------

names = st.sampled_from(["Content-Length", "Transfer-Encoding", "Connection", "X-A", "Date"])
values = st.sampled_from(
    ["0", "5", "05", "+5", "chunked", "close", "keep-alive", "", "gzip", "\t a"]
)
fields = st.lists(st.builds("{}: {}".format, names, values), max_size=4)
firsts = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 204 X", "HTTP/1.1 500", "HTTP/1.1 404 A b"]
)
bodies = st.sampled_from(
    [b"", b"hello", b"hello and more", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5\r\nhel"]
)


def by_h11(answer: bytes) -> Any:
    """Status and body as h11 reads them, which has a parser of its own; None where the answer isn't
    whole."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(answer)
    status, body = None, b""
    while True:
        match connection.next_event():
            case h11.Response(status_code=code):
                status = code
            case h11.Data(data=data):
                body += bytes(data)
            case h11.EndOfMessage():
                return status, body
            case _:
                return None


@given(firsts, fields, bodies)
def test_what_we_take_for_whole_another_parser_reads_the_same(
    first: str, lines: list[str], body: bytes
) -> None:
    start = head(*lines, first=first)
    for end in range(len(body) + 1):  # what follows the first answer is no business of this test
        reading = Reading(LONGEST)
        try:
            whole = reading.feed(start + body[:end])
        except UnreadableError:
            return
        if whole:
            assert by_h11(start + body[:end]) == (reading.status, reading.body)
            return
