"""Which versions of the peers are here, as one line for people.

python -m bench.peers.versions
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from bench.peers.cluster import binaries

PACKAGES = ("celery", "dbos", "huey", "procrastinate", "httpx-aiohttp")


def package(name: str) -> str:
    """Its name and version, or that it is not here."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def postgres() -> str:
    """The server's name and version, or that it is not here."""
    try:
        program = binaries() / "postgres"
    except RuntimeError:
        return "no PostgreSQL"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return f"PostgreSQL {told.stdout.split()[2]}"


def main() -> None:
    """Say it."""
    sys.stdout.write(", ".join([*map(package, PACKAGES), postgres()]) + "\n")


if __name__ == "__main__":
    main()
