"""The models that this user knows: schema files that were named, what was fetched, what is bundled.

Nothing here calls the provider; ``overnight models --refresh`` does, when it is told to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from overnight.cli.failures import UserError

if TYPE_CHECKING:
    from overnight.catalog import Catalog
    from overnight.catalog.cache import Cached
    from overnight.catalog.given import Given


def users_catalog(schema_files: Sequence[str] = ()) -> Catalog:
    """Every model that can be checked without a network; the first that has it decides:
    ``schema_files`` (each ``FILE`` or ``MODEL=FILE``), the cache, the package.

    Raises :class:`UserError` for a schema file that can't be used, and
    :class:`~overnight.providers.credentials.CredentialsError` for an API address that can't be one.
    """
    from overnight.catalog import Catalog
    from overnight.catalog.lookup import bundled

    return Catalog([given(schema_files), cached(), bundled()])


def given(schema_files: Sequence[str]) -> Given:
    """The models of the files that were named. Raises :class:`UserError`."""
    from overnight.catalog.given import Given, GivenSchemaError

    try:
        return Given(schema_files)
    except GivenSchemaError as error:
        raise UserError(str(error)) from None


def cached() -> Cached:
    """What was fetched from the catalogue of the API that the user's environment names."""
    from overnight.catalog.cache import Cached, cache_folder
    from overnight.providers.credentials import find_base

    return Cached(cache_folder(os.environ, find_base(os.environ)))


def earlier_schema(model_id: str, digest: str) -> Mapping[str, Any] | None:
    """The input schema that a batch was checked against, by its digest, where it is still known
    here: to say what has changed since. None when it isn't."""
    from overnight.catalog.lookup import bundled
    from overnight.catalog.model import schema_digest

    shipped = bundled().entry(model_id)
    schema = shipped.input_schema if shipped is not None else None
    if schema is not None and schema_digest(schema) == digest:
        return schema
    return cached().schema(digest)
