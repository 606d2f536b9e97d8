"""The C library's heap, while files come home.

A file arrives in pieces of a quarter of a megabyte, each of which is freed once it is written.
glibc gives memory of that size back to the system and asks for it again with the next piece, and
the system then has to clear every page of it: 5 to 10% of a download's processor time.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache

LARGEST_KEPT = 1024 * 1024
"""Bytes from which on a piece of memory still is the system's own; one read brings far less."""
KEPT = 64 * 1024 * 1024
"""Freed bytes at the heap's end that stay with the process; what lies above goes back as ever."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3), from glibc's malloc.h."""


@cache
def keep_freed() -> None:
    """Let the process keep what it frees, for the next piece. Advice only: other C libraries than
    glibc have no such setting, and nothing relies on it."""
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):
        set_option = ctypes.CDLL(None).mallopt
        # Both: setting either one ends glibc's own adaption of the other.
        set_option(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        set_option(_M_TRIM_THRESHOLD, KEPT)
