"""What models accept and cost: their inputs, the short names people may use for them, their prices,
and the check of a value before anybody pays for it.

Schemas are data: shipped in ``bundled/``, kept from the provider's catalogue
(:mod:`overnight.catalog.cache`) or given in a file (:mod:`overnight.catalog.given`); nothing here
calls anybody. The schema check itself is compiled on first use, so importing this package stays
cheap.
"""

from overnight.catalog.entry import Entry, Origin, Price
from overnight.catalog.lookup import Catalog, Source, UnknownModel, bundled_catalog
from overnight.catalog.model import AmbiguousAlias, InputProblem, Model
from overnight.catalog.nearest import nearest
from overnight.catalog.schema import InputSpec, Kind, Media, SchemaError

__all__ = [
    "AmbiguousAlias",
    "Catalog",
    "Entry",
    "InputProblem",
    "InputSpec",
    "Kind",
    "Media",
    "Model",
    "Origin",
    "Price",
    "SchemaError",
    "Source",
    "UnknownModel",
    "bundled_catalog",
    "nearest",
]
