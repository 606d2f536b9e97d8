"""What a measurement was taken on, and how much memory a process took: for every benchmark."""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil


def surroundings() -> dict[str, Any]:
    """The machine and the versions that a figure depends on."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": [round(figure, 2) for figure in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "overnight": version("overnight"),
        **{name: _version(name) for name in ("sqlalchemy", "aiohttp", "httpx", "uvloop")},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def peak_memory() -> float:
    """The most memory that this process ever held, in MB (RSS)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # Kilobytes here; a process that was started by a larger one may be told of that one.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
