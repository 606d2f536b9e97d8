"""A job's identity: its content, and nothing of where it was written.

The fingerprint is the SHA-256, in hexadecimal, of :data:`PREFIX` and one canonical JSON text::

    {"inputs":{…},"model":"…","provider":"…"}

with keys sorted, no spaces, UTF-8, inputs under raw names and in the canonical form of the
model's schema (:meth:`overnight.catalog.Model.canonical`). So the order of keys, ``5`` against
``5.0`` on a numeric input, and an alias against a raw name change nothing; each character of a
text does, composed or decomposed, because the model sees it. Jobs of equal inputs that ``repeat``
asks for are told apart by ``"repeat":2`` and so on at the end of the object.

Defaults that the server fills in are not part of it: they were not asked for, and they can change.

Fields may be added to the JSON for jobs that use something new; the prefix changes only when the
same request would have to be written differently.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any

PREFIX = "overnight job 1\n"
"""What is hashed before the JSON: it tells versions of this rule apart."""

_dumps = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return _dumps(value)


def fragment(raw: str, value: Any) -> str:
    """One member of the inputs object, ``"598_seed":7``."""
    # Nearly all are texts and whole numbers, for which the encoder of anything takes far longer.
    if type(value) is str:
        return f"{encode_basestring(raw)}:{encode_basestring(value)}"
    return f"{encode_basestring(raw)}:{value if type(value) is int else _dumps(value)}"


class Fingerprinter:
    """Fingerprints of many jobs of one model, from fragments encoded once each.

    ``repeat`` tells jobs of equal inputs apart, from 1. The first is the same job with and without
    a repeat, so asking for more of a job that is there already buys only the others.
    """

    def __init__(self, provider: str, model: str, repeat: int = 1) -> None:
        self._start = hashlib.sha256(f'{PREFIX}{{"inputs":{{'.encode())
        again = f',"repeat":{repeat}' if repeat > 1 else ""
        tail = f'}},"model":{_dumps(model)},"provider":{_dumps(provider)}{again}}}'
        self._tail = tail

    def of(self, fragments: Iterable[str]) -> str:
        """The fingerprint of inputs whose fragments come in the order of their raw names."""
        digest = self._start.copy()
        digest.update(f"{','.join(fragments)}{self._tail}".encode())
        return digest.hexdigest()


def fingerprint(provider: str, model: str, inputs: Mapping[str, Any], repeat: int = 1) -> str:
    """The fingerprint of one job; ``inputs`` under raw names, values canonical."""
    ordered = sorted(inputs.items())
    return Fingerprinter(provider, model, repeat).of(fragment(raw, value) for raw, value in ordered)
