"""Input files as a provider sees them: it fetches what a submit names before it takes the job.

Only an emulator that was started with ``fetch_inputs`` does this. It then takes addresses on this
very machine and data URIs as well, which the real API does not, so that object stores of tests can
stand in for public ones.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from overnight.assets import kinds
from overnight.catalog import InputSpec, Model
from overnight.catalog.files import is_example

_SECONDS = 10.0
_STAND_IN = "https://files.invalid/input"


def relaxed(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as the model's schema is to see them: what can be fetched here is a public URL."""
    found = dict(inputs)
    for name in inputs.keys() & {spec.name for spec in model.inputs if spec.media is not None}:
        found[name] = _relaxed(inputs[name])
    return found


def _relaxed(value: Any) -> Any:
    if isinstance(value, list):
        return [_relaxed(item) for item in value]
    return _STAND_IN if isinstance(value, str) and _is_near(value) else value


def _is_near(address: str) -> bool:
    if address.startswith("data:"):
        return True
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")


async def unfetchable(model: Model, inputs: Mapping[str, Any]) -> str | None:
    """A sentence on the first input file that can't be fetched whole, or is of another kind than
    its input takes; None when all is well."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        for spec, address in _addresses(model, inputs):
            wrong = await _wrong(session, spec, address)
            if wrong is not None:
                # The address is quoted whole, as careless servers do.
                return f"The {spec.media} of {spec.name} {wrong}: {address}"
    return None


def _addresses(model: Model, inputs: Mapping[str, Any]) -> Iterator[tuple[InputSpec, str]]:
    for spec in model.inputs:
        value = inputs.get(spec.name) if spec.media is not None else None
        for address in value if isinstance(value, list) else [value]:
            if isinstance(address, str) and not is_example(spec, address):
                yield spec, address


async def _wrong(session: aiohttp.ClientSession, spec: InputSpec, address: str) -> str | None:
    try:
        content = await _content(session, address)
    except (aiohttp.ClientError, TimeoutError, ValueError, binascii.Error):
        return "could not be fetched"
    if content is None:
        return "could not be fetched"
    kind = kinds.kind(content[: kinds.LONGEST])
    return None if kind is not None and kind.media == spec.media else "is of another kind"


async def _content(session: aiohttp.ClientSession, address: str) -> bytes | None:
    if address.startswith("data:"):
        return base64.b64decode(address.partition(",")[2], validate=True)
    async with session.get(address, allow_redirects=False) as answer:
        return await answer.read() if answer.status == 200 else None
