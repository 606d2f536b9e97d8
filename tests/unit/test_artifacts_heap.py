"""Memory for a file's pieces is asked for once, and not again with each piece."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

_PIECES = """
import resource, sys
from overnight.artifacts.heap import keep_freed

def pieces_of_a_file():
    held = [b"x" * 262_144 for _ in range(8)]

if sys.argv[1] == "kept":
    keep_freed()
pieces_of_a_file()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    pieces_of_a_file()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_asked_for(how: str) -> int:
    """Pages that the system had to clear for 100 files of eight pieces, by a Python of its own."""
    environ = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    command = [sys.executable, "-c", _PIECES, how]
    return int(subprocess.run(command, env=environ, check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has another heap")
def test_freed_pieces_serve_the_next_file() -> None:
    pages_of_a_file = 8 * 262_144 // os.sysconf("SC_PAGESIZE")
    assert pages_asked_for("kept") < pages_of_a_file
    assert pages_asked_for("as it is") > 50 * pages_of_a_file
