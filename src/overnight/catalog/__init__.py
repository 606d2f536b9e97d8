"""What models accept: their inputs, the short names people may use for them, and the check of a
value before anybody pays for it.

Pure: schemas are data, either shipped in ``bundled/`` or handed over by another
:class:`~overnight.catalog.lookup.Source`. The schema check itself is compiled on first use, so
importing this package stays cheap.
"""

from overnight.catalog.lookup import Catalog, Source, UnknownModel, bundled_catalog
from overnight.catalog.model import AmbiguousAlias, InputProblem, Model
from overnight.catalog.nearest import nearest
from overnight.catalog.schema import InputSpec, Kind, Media, SchemaError

__all__ = [
    "AmbiguousAlias",
    "Catalog",
    "InputProblem",
    "InputSpec",
    "Kind",
    "Media",
    "Model",
    "SchemaError",
    "Source",
    "UnknownModel",
    "bundled_catalog",
    "nearest",
]
