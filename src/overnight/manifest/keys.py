"""A job's key: readable, stable, and safe as a file name.

A key is made of the block's name, a word for each axis value, and the first eight hexadecimal
digits of the fingerprint: ``lighthouse-seed7-steps8-1f3a9c2e``. It says what the job is, never
where it stood in the file. The fingerprint is the identity; two jobs of a very large batch may,
rarely, share a key.

Letters of every script stay. Dots, slashes, spaces, signs and emoji become ``-``; a key is lower
case, NFC, at most :data:`LONGEST` characters and :data:`LONGEST_BYTES` bytes of UTF-8, and ends
in a digit or letter, so it is a good name on every file system.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from typing import Any

LONGEST = 100
"""Characters of a key."""
LONGEST_BYTES = 180
"""Bytes of a key: a file system's 255 less what is put after it."""
_DIGITS = 8
_ROOM = LONGEST - _DIGITS - 1
_PART = 24
_NAME = 32
_ASCII_WORD = re.compile(r"[a-z0-9]+")


def slug(text: str, longest: int = _PART) -> str:
    """Text as lower-case words joined by ``-``; cut at a word where it is too long.

    May be empty, when the text has no letter and no digit.
    """
    if text.isascii():
        return _first_words(_ASCII_WORD.findall(text[: 8 * longest].lower()), longest)
    words: list[str] = []
    word = ""
    for char in unicodedata.normalize("NFC", text[: 8 * longest].lower()):
        kind = unicodedata.category(char)[0]
        if kind in "LN" or (kind == "M" and word):
            word += char
        elif word:
            words.append(word)
            word = ""
    return _first_words([*words, word] if word else words, longest)


def _first_words(words: list[str], longest: int) -> str:
    taken = ""
    for word in words:
        longer = f"{taken}-{word}" if taken else word
        if len(longer) > longest:
            break
        taken = longer
    return taken or (words[0][:longest] if words else "")


def block_part(name: str) -> str:
    """What a block's name adds to a key."""
    return slug(name, _NAME)


def value_part(name: str, value: Any) -> str:
    """What one axis value adds to a key: text by its first words, anything else after its name.

    ``seed``, 7 → ``seed7``; ``cfg``, 1.5 → ``cfg1_5``; ``subject``, "An old boat" →
    ``an-old-boat``.
    """
    if isinstance(value, str):
        return slug(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{_name(name)}{str(value).replace('.', '_').replace('+', '')}"[:_PART]
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"{_name(name)}-{slug(text)}"[:_PART].rstrip("-")


def file_part(address: str) -> str:
    """What the address of an input file adds to a key: the file's name without its suffix."""
    name = address.split("?", 1)[0].split("#", 1)[0].rstrip("/").rsplit("/", 1)[-1]
    return slug(name.rsplit(".", 1)[0])


@lru_cache(maxsize=1024)
def _name(name: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFC", name.lower()) if _is_word(char))


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()


def join(parts: list[str], fingerprint: str) -> str:
    """The key. Parts that are empty are left out; without any it begins with ``job``."""
    readable = "-".join(filter(None, parts)) or "job"
    if len(readable) > _ROOM or not readable.isascii():
        readable = _cut(readable, _ROOM, LONGEST_BYTES - _DIGITS - 1)
    return f"{readable}-{fingerprint[:_DIGITS]}"


def _cut(text: str, characters: int, size: int) -> str:
    return text[:characters].encode()[:size].decode("utf-8", "ignore").rstrip("-_")
