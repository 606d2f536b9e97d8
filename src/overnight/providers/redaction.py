"""Keeps the account's token, and a stranger's control characters, out of everything we show.

A :class:`Secret` can be passed about, printed and logged without harm; only :meth:`Secret.reveal`
gives the value, and only the place that writes the Authorization header calls it. :func:`plain`
makes one short line of any text that a server sent, fit for a terminal and a database.
"""

from __future__ import annotations

import re
import unicodedata

MASK = "***"

_LONGEST = 500
"""Characters of a server's text that are worth keeping."""


class Secret:
    """A text that shows as ``***`` wherever Python turns it into text by itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it only where it leaves for the provider."""
        return self._value

    def scrub(self, body: bytes) -> bytes:
        """``body`` with every copy of the value masked, also as JSON escapes its slashes."""
        value = self._value.encode()
        if not value:
            return body
        masked = body.replace(value, MASK.encode())
        return masked.replace(value.replace(b"/", b"\\/"), MASK.encode())

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Imported here: it brings hashlib and OpenSSL, and most starts compare no secret.
        import hmac

        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be pickled")


_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*", re.IGNORECASE)
_SIGNED = re.compile(r"(X-Amz-[A-Za-z-]+(?:=|%3D))[^\s\"'<>&]+", re.IGNORECASE)
_CONTENT = re.compile(r"(data:[\w.+/-]+;base64,)[A-Za-z0-9+/=_-]+", re.IGNORECASE)


def unsigned(text: str) -> str:
    """``text`` without what an address in it may be signed with: the queries of URLs, AWS's
    parameters wherever they stand, and the content of data URIs."""
    text = _QUERY.sub(r"\1?…", text)
    return _CONTENT.sub(r"\1…", _SIGNED.sub(rf"\1{MASK}", text))


def plain(text: str, limit: int = _LONGEST) -> str:
    """``text`` as one line of at most ``limit`` characters, without control characters.

    Runs of white space become one space. What a terminal could obey (escapes, direction marks)
    and what a database can't store (lone surrogates) is left out.
    """
    shown = text[: 8 * limit]
    # Printable as a whole, as most texts are: none of its characters has to be looked at alone.
    if not shown.isprintable():
        shown = "".join(" " if c.isspace() else c for c in shown if _shows(c))
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _shows(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
