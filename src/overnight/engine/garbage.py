"""Python's collector of garbage, while thousands of jobs are in flight.

The collector looks for objects that only hold each other. A look at all objects stops everything
else: with 5,000 jobs in flight and Python's own settings it took up to 0.14 s, and its looks
together a fifth of a run's processor time. A run leaves next to nothing behind that needs it,
because what it is done with is freed at once, by counting references. So it looks more rarely here,
and never again at what was there before the run began: modules, tables, statements.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (10_000, 20, 50)
"""New objects until the youngest are looked at (Python's own is 700), and how many such looks until
an older generation is. What garbage can gather until then is a few megabytes."""


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Python's collector is out of the way in this block; as it was afterwards."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
