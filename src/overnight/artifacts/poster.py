"""A picture for each clip, to be leafed through: a JPEG beside it. Never a reason to fail a job."""

from __future__ import annotations

import asyncio
from pathlib import Path

from overnight.artifacts import aside, naming
from overnight.artifacts.bucket import BucketError
from overnight.artifacts.outcomes import Fetched
from overnight.artifacts.place import Place
from overnight.artifacts.probe import Prober


async def add(place: Place, fetched: Fetched, prober: Prober) -> bool:
    """Make the poster of ``fetched``, and put it beside it; False when there is none to be had.

    Only a clip that has just come home, and could be decoded, gets one. Raises nothing but
    cancellation.
    """
    if fetched.opinion is None or fetched.opinion.probe.get("kind") != "video":
        return False
    path = fetched.path.with_name(naming.poster_name(fetched.path.name))
    part = path.with_name(f".{path.name}.part")
    try:
        if not await prober.draw(fetched.path, part):
            return False
        await asyncio.to_thread(_name, part, path)
        await asyncio.to_thread(place.add_poster, fetched, path)
    except (OSError, BucketError):
        return False
    return True


def _name(part: Path, path: Path) -> None:
    # Whatever has that name keeps it: the same poster from before a crash, or the user's own file.
    if not aside.put_back(part, path):
        part.unlink()
