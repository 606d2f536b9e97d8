"""The exit codes: what a script learns from a command without reading a word of it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended. ``docs/cli.md`` holds the same table, and a test compares the two."""

    DONE = 0
    """Everything asked for was done; after a run, no job failed and none is unknown."""
    ERROR = 1
    """Something went wrong; the sentence on stderr says what to do."""
    USAGE = 2
    """The command line or the manifest has to be changed first."""
    JOBS_FAILED = 3
    """The work is over, but some jobs failed or are unknown and need a decision."""
    REFUSED = 4
    """The provider turned the account away."""
    LIMIT = 8
    """A limit that the user set was reached. No command uses it yet."""
    ANOTHER_WORKER = 11
    """Another worker holds the database."""
    INTERRUPTED = 130
    """Stopped by a signal; the same command goes on from there."""
