"""What a job will cost and how long it will take, as far as its inputs and the catalogue tell.

Nothing is guessed: a price is either what the catalogue's own words come to, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overnight.catalog import measures
from overnight.catalog.model import Model


def price(model: Model, inputs: Mapping[str, Any]) -> float | None:
    """What one job costs in US dollars by the catalogue's price; None when it can't be known.

    A price by the ``output`` counts each file that the inputs ask for (one, where the model has no
    such input). A price by the ``second`` needs the length of the clip: a duration, or frames ÷
    frames per second, with the schema's defaults for what is left out. ``inputs`` are under raw
    names, in canonical form.
    """
    listed = model.price
    if listed is None:
        return None
    if listed.unit == "output":
        count = measures.outputs(model, inputs)
    elif listed.unit == "second":
        count = _seconds_in_all(model, inputs)
    else:
        return None
    return None if count is None else listed.amount * count


def _seconds_in_all(model: Model, inputs: Mapping[str, Any]) -> float | None:
    length, files = measures.seconds(model, inputs), measures.outputs(model, inputs)
    return None if length is None or files is None else length * files


def work(model: Model, inputs: Mapping[str, Any]) -> float:
    """A measure of how long a job takes, to set jobs of one model against each other.

    Steps × frames × pixels × files, where the model has such inputs; a factor that it lacks, or
    that can't be read, counts as 1.
    """
    factors = (
        measures.steps(model, inputs),
        measures.frames(model, inputs),
        measures.pixels(model, inputs),
        measures.outputs(model, inputs),
    )
    total = 1.0
    for factor in factors:
        total *= 1.0 if factor is None else factor
    return total
