"""What a result's file is called: a name that is safe on every system and stays in its folder.

A name is made of a job's key and the kind of file. It holds no separator, starts with no dot,
avoids what Windows reserves, is in Unicode NFC, and is short enough that a temporary name and a
suffix for a second file of that name fit as well.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath
from posixpath import splitext
from urllib.parse import unquote

LONGEST = 200
"""Bytes of a name in UTF-8. File systems allow 255; the rest is for temporary names."""

_FORBIDDEN = set('<>:"/\\|?*')
_UNSEEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
_DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Marks that turn the direction of text, and can make ``exe.mp4`` of ``4pm.exe``."""

_PLAIN = re.compile(r"[A-Za-z0-9 ._~=+,@-]*")
"""What needs no look at each character: nearly every key."""

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)

_BY_MEDIA_TYPE = {
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/mpeg": ".mpeg",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/tiff": ".tiff",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "model/gltf-binary": ".glb",
    "application/json": ".json",
    "application/zip": ".zip",
    "text/plain": ".txt",
}
_MEDIA = ("video/", "image/", "audio/", "model/")
_UNTYPED = {".jpeg", ".tif", ".m4v", ".mpg", ".aac", ".opus", ".gltf", ".obj", ".ply"}
MEDIA_SUFFIXES = _UNTYPED | {s for kind, s in _BY_MEDIA_TYPE.items() if kind.startswith(_MEDIA)}
"""Suffixes of pictures, clips, sounds and shapes."""

_KNOWN = MEDIA_SUFFIXES | set(_BY_MEDIA_TYPE.values())


def file_name(key: str, n: int = 1, of: int = 1, *, url: str, content_type: str | None) -> str:
    """The name of file ``n`` (from 1) of the ``of`` files that the job named ``key`` delivered.

    The suffix comes from the URL's path where it is a known one, else from the media type, else
    it is ``.bin``. A key that had to be changed to fit gets a short hash of itself, so that two
    keys don't meet in one name.
    """
    ending = (f"-{n}" if of > 1 else "") + _suffix(url, content_type)
    return stem(key, LONGEST - len(ending.encode())) + ending


def place(wanted: str) -> PurePosixPath:
    """The path that a manifest wants for a job's file, made safe: the folders below the output
    folder, and the file's name without its suffix.

    Each part obeys the rules of a name, so that none climbs out of the output folder.
    """
    parts = [part for part in wanted.split("/") if part.strip(". ")] or ["job"]
    # Room for a suffix, and for what tells several files, or jobs that want the same, apart.
    return PurePosixPath(*[stem(part, LONGEST - 32) for part in parts])


POSTER = ".poster.jpg"
"""How the name of a clip's poster ends."""


def poster_name(clip: str) -> str:
    """What the poster of the clip that is called ``clip`` is called."""
    return PurePosixPath(clip).stem + POSTER


def suffix_in(url: str) -> str:
    """The suffix of the URL's path in lower case, where it is one we know; else nothing."""
    # Not urlsplit(), which looks at all of an address: this is asked of every file.
    _, _, rest = url.partition("#")[0].partition("?")[0].partition("://")
    path = unquote(rest.partition("/")[2])
    suffix = splitext(path.rstrip("/"))[1].lower()
    return suffix if suffix in _KNOWN else ""


def media_type(content_type: str | None) -> str:
    """``video/mp4`` from ``Video/MP4; codecs=…``; nothing from nothing."""
    return (content_type or "").partition(";")[0].strip().lower()


def _suffix(url: str, content_type: str | None) -> str:
    return suffix_in(url) or _BY_MEDIA_TYPE.get(media_type(content_type), ".bin")


def stem(key: str, room: int) -> str:
    """``key`` as a name without a suffix, in at most ``room`` bytes of UTF-8."""
    wanted = unicodedata.normalize("NFC", key)
    name = wanted if _PLAIN.fullmatch(wanted) else "".join(_safe(c) for c in wanted)
    # Dots at the front hide a file, or climb; at the end Windows drops them, as it does spaces.
    name = name.lstrip(". ").rstrip(". ") or "job"
    if _RESERVED.fullmatch(name.partition(".")[0].rstrip()):
        name = f"_{name}"
    if name == wanted and len(name.encode()) <= room:
        return name
    mark = "-" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = name.encode()[: room - len(mark)].decode("utf-8", "ignore")
    return short.rstrip(". ") + mark


def _safe(character: str) -> str:
    if character in _FORBIDDEN or character in _DIRECTIONS:
        return "_"
    return "_" if unicodedata.category(character) in _UNSEEN else character
