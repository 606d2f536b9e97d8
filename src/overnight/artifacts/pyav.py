"""Whether PyAV is here, without which nothing is decoded; and what to say when it is not."""

from __future__ import annotations

import importlib.util

HOW_TO_GET = 'pip install "overnight[probe]"'

NOT_INSTALLED = "PyAV is not installed"
"""Why a file was not decoded, where that can change."""


def is_installed() -> bool:
    """Whether files can be decoded here. Loads nothing."""
    return importlib.util.find_spec("av") is not None
