"""Puts a file aside, so that its name is free; nothing is overwritten and nothing deleted.

``clip.mp4`` goes to ``.changed/clip.mp4`` beside it; the folder's dot keeps it out of data sets.
Everything here blocks, and OSErrors come through as they are.
"""

from __future__ import annotations

import errno
from pathlib import Path

FOLDER = ".changed"

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def put_aside(path: Path) -> Path:
    """Move ``path`` aside, whatever it is; where it is now."""
    folder = path.parent / FOLDER
    folder.mkdir(exist_ok=True)
    place, number = folder / path.name, 1
    while not _move(path, place):
        number += 1
        place = folder / f"{path.stem}~{number}{path.suffix}"
    return place


def put_back(place: Path, path: Path) -> bool:
    """Give it its name again; False when that has been taken meanwhile."""
    return _move(place, path)


def _move(source: Path, target: Path) -> bool:
    """Move to a name that is free; False when it is taken."""
    try:
        # Unlike a rename, this never replaces anything.
        target.hardlink_to(source)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists() or target.is_symlink():
            return False
        source.rename(target)
        return True
    try:
        source.unlink()
    except OSError:
        # It can't go, so it does not stay in two places either.
        target.unlink()
        raise
    return True
