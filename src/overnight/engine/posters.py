"""Posters afterwards: for clips that came home before anybody asked for one, or whose poster went.

A poster has no record: it is a picture beside its clip, under a name that only says whose it is. So
one that is there stays, whoever made it, and one that can't be made is left out.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from overnight.artifacts import naming, poster
from overnight.artifacts.bucket import Address, BucketError
from overnight.artifacts.outcomes import Fetched, Opinion
from overnight.artifacts.place import Places
from overnight.artifacts.probe import Prober
from overnight.engine.at_hand import at_hand
from overnight.store.files import RecordedFile


def location(clip: str) -> str:
    """Where the poster of a recorded clip belongs: a path or an address, as the clip's is."""
    address = Address.parse(clip)
    if address is None:
        path = Path(clip)
        return str(path.with_name(naming.poster_name(path.name)))
    key = PurePosixPath(address.key)
    return str(replace(address, key=str(key.with_name(naming.poster_name(key.name)))))


class Posters:
    """Makes what is missing. ``spool`` is a folder for copies of what is in a bucket."""

    def __init__(self, places: Places, prober: Prober, spool: Path) -> None:
        self._places = places
        self._prober = prober
        self._spool = spool

    async def add(self, file: RecordedFile) -> bool:
        """Make the poster of a clip that is whole, unless it has one; whether one was made. Raises
        nothing but cancellation."""
        probe = file.probe or {}
        if probe.get("kind") != "video" or not self._prober.decodes:
            return False
        try:
            if await asyncio.to_thread(self._is_there, location(file.path)):
                return False
            place = self._places.holding(file.path, file.output_dir)
            async with at_hand(file, self._places, self._spool) as (path, digest):
                clip = Fetched(
                    path,
                    file.bytes,
                    digest or file.sha256,
                    file.content_type,
                    opinion=Opinion(file.suspect, probe),
                    address=None if digest is None else file.path,
                )
                return await poster.add(place, clip, self._prober)
        except (OSError, BucketError):
            return False

    def _is_there(self, where: str) -> bool:
        address = Address.parse(where)
        if address is None:
            return os.path.lexists(where)
        return self._places.bucket(address).look(address.key) is not None
