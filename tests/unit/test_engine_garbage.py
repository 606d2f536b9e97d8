"""The collector is out of the way for a run, and only for a run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from overnight.engine.garbage import THRESHOLDS, rarely_collected


class Knot:
    """Holds itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def at_our_word() -> Iterator[None]:
    """The collector looks only when it is told to."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("at_our_word")
def test_what_was_there_before_is_not_looked_at() -> None:
    old = weakref.ref(Knot())
    with rarely_collected():
        new = weakref.ref(Knot())
        gc.collect()
        assert gc.get_threshold() == THRESHOLDS
        assert new() is None
        assert old() is not None
    gc.collect()
    assert old() is None


def test_it_is_as_before_also_after_a_failure() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), rarely_collected():
        raise RuntimeError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
