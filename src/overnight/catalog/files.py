"""Addresses of input files: what a provider can fetch, judged by the address alone.

A provider fetches images and videos itself, so an input must be a public HTTPS URL that needs no
login. Community models also take the names of RunComfy's own example files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from overnight.catalog.schema import InputSpec, Media

_EXAMPLE = re.compile(
    r"RunComfy_examples_\w+\.(png|jpe?g|webp|gif|mp4|mov|webm|mp3|wav)", re.IGNORECASE
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


_MB = 1024 * 1024
"""Bytes. RunComfy does not say whether its MB are these or a million: the larger reading refuses
nothing that might do."""
_LARGEST = {Media.IMAGE: 50 * _MB, Media.VIDEO: 100 * _MB}
"""Bytes that RunComfy's documents allow a file to have; they name no limit for sounds."""


def largest(spec: InputSpec) -> int | None:
    """The most bytes that an input's file may have, by the schema's own ``file_size_mb<`` or
    else by the provider's documents; None where neither says."""
    for rule in spec.validations:
        if isinstance(rule, Mapping) and rule.get("validation_rule") == "file_size_mb<":
            try:
                limit = float(rule.get("validation_value", ""))
            except (TypeError, ValueError):
                continue
            if 0 < limit < 1e6:
                return round(limit * _MB)
    return _LARGEST.get(spec.media) if spec.media is not None else None


def is_example(spec: InputSpec, address: object) -> bool:
    """Whether the provider has the file itself: one of RunComfy's examples, or the default."""
    return isinstance(address, str) and (
        address == spec.default or _EXAMPLE.fullmatch(address) is not None
    )


def is_local_path(spec: InputSpec, address: object) -> bool:
    """Whether a text is the path of a file on this machine: no example, no URL of any kind."""
    if not isinstance(address, str) or not address.strip() or is_example(spec, address):
        return False
    scheme = _SCHEME.match(address)
    return scheme is None or len(scheme.group(1)) == 1  # one letter is a Windows drive


def address_problem(spec: InputSpec, address: object) -> tuple[str, str | None] | None:
    """What is wrong with the address of a file, and what to do; None when nothing is.

    The message reads on from the input's name: "is a plain http address, …".
    """
    if not isinstance(address, str):
        return None  # the schema allows something that is not an address
    if is_example(spec, address):
        return None
    scheme = _SCHEME.match(address)
    word = scheme.group(1).lower() if scheme else None
    if word == "https":
        return _url_problem(address)
    if word == "http":
        return "is a plain http address, but it must be https", "write https:// in its place"
    need = f"must be a public HTTPS URL of the {spec.media or 'file'}"
    if word is not None and len(word) > 1:  # one letter is a Windows drive
        return f"is a {word}: address, but it {need}", None
    if not address.strip():
        return f"is empty, but it {need}", None
    return (
        f"is a local path, but it {need}",
        "set assets: in the manifest, and overnight uploads the file; or write a URL of it",
    )


def _url_problem(address: str) -> tuple[str, str | None] | None:
    if re.search(r"[\s\x00-\x1f\x7f]", address):
        return "has a space or a line break in its URL", "write a space in a URL as %20"
    try:
        parts = urlsplit(address)
        host, login = parts.hostname, parts.username or parts.password
    except ValueError:
        return "is not a URL that can be read", None
    if not host:
        return "is a URL without a host", "write it as https://host/path"
    if login:
        return (
            "has a user name or a password in its URL",
            "use a public or a presigned URL: this one would be stored and sent as it is",
        )
    return None
