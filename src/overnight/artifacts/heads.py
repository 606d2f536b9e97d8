"""Reads the head of a file server's answer: is this the file, all of it, and which version?

Pure. Ranges and validators are those of RFC 9110 (sections 8.8, 13.1.5, 14 and 15.3.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx

from overnight.artifacts.naming import MEDIA_SUFFIXES, media_type, suffix_in
from overnight.artifacts.outcomes import Expired, Trouble, TryAgain, Unfetchable
from overnight.artifacts.part import Version

_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""How stores answer a URL that is no longer signed, or whose object is gone. 400 is among them:
S3 and Google say so of an expired token."""
_LATER = frozenset({408, 425, 429})

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_WORDS = frozenset({"application/json", "application/xml", "text/xml", "application/problem+json"})
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title")

_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]+"')
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_SETTLED = 60.0
"""Seconds after which a modification date is a mark to rely on: the file may change twice within
the second that the date can tell."""


def trouble(
    response: httpx.Response, url: str, wait: Callable[[httpx.Headers], float | None], ranged: bool
) -> Trouble | None:
    """What the head says against it. ``wait`` reads Retry-After; ``ranged``: a part was asked for,
    so that a 206 is no surprise (see :func:`continues`)."""
    status, headers = response.status_code, response.headers
    if status in _EXPIRED:
        return Expired(f"the server answered {status}")
    if status in _LATER or status >= 500:
        return TryAgain(f"the server answered {status}", wait(headers))
    if status != 200 and not (status == 206 and ranged):
        kind = Unfetchable if status >= 400 else TryAgain
        return kind(f"the server answered {status} in place of a file")
    kind_sent = media_type(headers.get("content-type"))
    if kind_sent in _PAGES or (kind_sent in _WORDS and suffix_in(url) in MEDIA_SUFFIXES):
        return Expired(f"the server sent {kind_sent} in place of a file")
    if "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", ""):
        return TryAgain("the server does not say how long the file is, so a cut can't be seen")
    return None


def length(response: httpx.Response) -> int | None:
    """The length that the head promises, in bytes."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def version_of(response: httpx.Response) -> Version | None:
    """Which version of the file a 200 sends; None where a later answer could not be compared, so
    that nothing of it can be gone on with."""
    total, headers = length(response), response.headers
    encoded = headers.get("content-encoding", "identity").lower() != "identity"
    if not total or encoded or headers.get("accept-ranges", "").lower() == "none":
        return None
    etag = headers.get("etag", "")
    if etag:
        return Version(total, etag) if _STRONG.fullmatch(etag) else None
    modified = headers.get("last-modified", "")
    return Version(total, modified) if _is_settled(modified, headers.get("date", "")) else None


def continues(response: httpx.Response, version: Version, start: int) -> bool:
    """Whether a 206 is the rest of ``version`` from byte ``start`` on, by all that it says."""
    headers = response.headers
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if match is None or headers.get("content-encoding", "identity").lower() != "identity":
        return False
    wanted = (start, version.total - 1, version.total)
    if tuple(int(number) for number in match.groups()) != wanted:
        return False
    promised = length(response)
    if promised is not None and promised != version.total - start:
        return False
    # An answer to If-Range has to name the ETag again, and may leave the date out.
    marks = {headers.get("etag"), headers.get("last-modified")}
    if version.validator.startswith('"'):
        return version.validator in marks
    said: str = headers.get("last-modified", version.validator)
    return said == version.validator


START = 512
"""Bytes of a file that show whether it is a page."""


def is_page(start: bytes) -> bool:
    """Whether a file that begins like this is a web page, whatever it calls itself."""
    text = start[:START].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    while text.startswith((b"<!--", b"<?")):
        end = b"-->" if text.startswith(b"<!--") else b"?>"
        text = text.partition(end)[2].lstrip()
    return text.startswith(_PAGE_STARTS)


def _is_settled(modified: str, date: str) -> bool:
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except (ValueError, TypeError):
        return False
    return age.total_seconds() >= _SETTLED
