"""The models that an emulator serves: the bundled one, and invented ones of other shapes.

The invented ones have plain input names, lists of pictures, and prices by the second or by the
output, so that everything which depends on the model can be tried for nothing. Their ids begin
with ``emulator/``, which no real model's does.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from overnight.catalog import Catalog
from overnight.catalog.lookup import Packaged, bundled


@cache
def emulated_catalog() -> Catalog:
    """The bundled model, and those in ``catalogue/``."""
    invented = Packaged(resources.files("overnight.emulator").joinpath("catalogue"))
    return Catalog([bundled(), invented])
