"""``overnight init``: a commented manifest to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.output import Output, line

if TYPE_CHECKING:
    from overnight.catalog import Catalog

DEFAULT = Path("jobs.yaml")
_FIRST = "community/wan-2-1/fusionx/image-to-video"
"""The model of a manifest for which none is named: the one whose schema is bundled."""


@click.command()
@click.argument("model", required=False)
@click.option(
    "--output",
    "-o",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=DEFAULT,
    show_default=True,
    help="Where to write it; a file that is there is left alone.",
)
@click.option("--offline", is_flag=True, help="Don't ask the provider about MODEL.")
@options.schema_files
def init(model: str | None, target: Path, offline: bool, schema_files: tuple[str, ...]) -> int:
    """Write a manifest for MODEL, with every input that it has, and what each takes.

    A MODEL that is named is fetched from the provider's catalogue first, where there is a token;
    what is known here is used otherwise.
    """
    from overnight.cli import schema, starter
    from overnight.cli.catalog import users_catalog
    from overnight.cli.models import known

    output = Output()
    if target.exists():
        raise UserError(f"{target} is there already. Give another name with -o FILE.")
    if model is not None and model.lower().endswith((".yaml", ".yml")):
        hint = f"To write that file: overnight init -o {shlex.quote(model)}"
        raise UserError(f"{model} is no model's name. {hint}")
    if model is not None and not offline and not _given(model, schema_files):
        _fetch(model, output)
    catalog = users_catalog(schema_files)
    found = known(catalog, model or _FIRST)
    beside = target.parent / schema.BESIDE
    text = starter.manifest(found, (schema.first_line(beside),)).replace("FILE", str(target))
    schema.write(beside)  # first: it may be refused, and then nothing is written
    _create(target, text)
    output.say(f"Wrote {target}, and {beside} for your editor.")
    _check(target, catalog, output)
    more = "".join(f" --schema {shlex.quote(text)}" for text in schema_files)
    output.note(f"Change it as you like, then: overnight plan {shlex.quote(str(target))}{more}")
    return Exit.DONE


def _given(model: str, schema_files: tuple[str, ...]) -> bool:
    from overnight.cli.catalog import given

    return model in given(schema_files).model_ids()


def _fetch(model: str, output: Output) -> None:
    """Ask the provider, where that can be done; where it can't, say so and go on."""
    from overnight.cli import fetch
    from overnight.providers.credentials import CredentialsError

    try:
        if not fetch.fetch(model, output):
            output.note("The provider's catalogue has no such model.")
    except CredentialsError:
        output.note("There is no API token, so the provider was not asked about the model.")
    except fetch.NotFetched as error:
        output.note(line(error.format_message()))


def _create(target: Path, text: str) -> None:
    """Write a file that was not there; half a file is taken away again."""
    with target.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            target.unlink()
            raise


def _check(target: Path, catalog: Catalog, output: Output) -> None:
    """A schema may ask for what nobody can make up; then it is said what is left to fill in."""
    from overnight.manifest import ManifestError, read_manifest

    try:
        read_manifest(target, catalog)
    except ManifestError as error:
        output.note(f"These values are yours to fill in:\n\n{error.pretty()}\n")
