"""One job of a manifest, as everything else sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class JobSpec:
    """One job of a manifest; to be read, not changed. (There may be a million, and a frozen one
    takes seven times as long to make.)

    ``position`` counts from 0 through the whole manifest. ``block`` is the block's name, or empty.
    ``inputs`` are what the model is sent: raw names in the schema's order, canonical values.
    ``variables`` leads from each axis or column (an input by its shortest name) to this job's
    value. Values that are lists or mappings are shared between specs: read them, don't change them.

    ``rank`` orders jobs of one ``priority``, ascending. ``repeat`` counts from 1 the times that
    the same inputs are asked for. ``name`` is the wanted path of the job's file, without suffix,
    counted from the output folder; None means the key. ``price`` is what the job is expected to
    cost, in US dollars; None means that nobody knows.
    """

    position: int
    block: str
    key: str
    fingerprint: str
    provider: str
    model: str
    inputs: dict[str, Any]
    variables: dict[str, Any]
    priority: int = 0
    rank: int = 0
    tags: tuple[str, ...] = ()
    repeat: int = 1
    name: str | None = None
    price: float | None = None
