"""The files that a result's ``output`` names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

_FIRST = ("image", "video", "images", "videos")
"""Where the API's own schema puts files; whatever else a model adds comes after."""

_USUAL = re.compile(r"(https?)://([a-z0-9.-]+)(?::[1-5]?[0-9]{1,4})?/[A-Za-z0-9._~/?&=%+-]*")
"""A URL that needs no closer look: scheme and host."""

_DEEPEST = 20
_MOST = 1000
_LONGEST_URL = 8 * 1024


def file_urls(output: object, plain_http_hosts: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Every https URL in ``output``, in its order, none twice; at most 1000.

    The fields of the API's schema come first, then any other text that is a URL, however deep.
    ``http`` counts only on ``plain_http_hosts``.
    """
    found: dict[str, None] = {}
    for text in _texts(_in_order(output), 0):
        if _is_file_url(text, plain_http_hosts):
            found[text] = None
            if len(found) == _MOST:
                break
    return tuple(found)


def _in_order(output: object) -> object:
    if not isinstance(output, Mapping):
        return output
    first = [output[name] for name in _FIRST if name in output]
    return first + [value for name, value in output.items() if name not in _FIRST]


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value.strip()
    elif depth < _DEEPEST:
        children = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, Mapping | list):
            for child in children:
                yield from _texts(child, depth + 1)


def _is_file_url(text: str, plain_http_hosts: frozenset[str]) -> bool:
    if len(text) > _LONGEST_URL:
        return False
    usual = _USUAL.fullmatch(text)
    scheme, host = usual.groups() if usual else _unusual(text)
    return bool(host) and (scheme == "https" or host in plain_http_hosts)


def _unusual(text: str) -> tuple[str, str]:
    """Scheme and host of a URL of another form; no host where it is none to be fetched."""
    if not text.lower().startswith(("https://", "http://")):
        return "", ""
    if not text.isprintable() or " " in text:  # no other space counts as printable
        return "", ""
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return "", ""
    return url.scheme, "" if url.username is not None or host is None else host
