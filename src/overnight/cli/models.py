"""``overnight models``: what can be asked for, what it takes and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, line

if TYPE_CHECKING:
    from overnight.catalog import Catalog, Entry, InputSpec, Model

_LIST = "list"


class SearchOrShow(click.Group):
    """A group whose first word may also be the first word of a search."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        word = next((arg for arg in args if not arg.startswith("-")), None)
        if word not in self.commands and not {"-h", "--help"} & set(args):
            args = [_LIST, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[SEARCH…] [--refresh] [--json]")
        formatter.write_usage(ctx.command_path, "show MODEL [--refresh] [--json]")


@click.group(cls=SearchOrShow)
def models() -> None:
    """List the models that overnight knows, search among them, or show one.

    Without --refresh nothing is asked of the provider: what was fetched last is used, with its
    date, and what travels with overnight.
    """


@models.command(name=_LIST)
@click.argument("search", nargs=-1, metavar="[SEARCH]…")
@click.option("--refresh", is_flag=True, help="Fetch the provider's catalogue first.")
@options.schema_files
@options.as_json
def list_models(
    search: tuple[str, ...], refresh: bool, schema_files: tuple[str, ...], as_json: bool
) -> int:
    """List models: those with every word of SEARCH in their id, name, description or category."""
    from overnight.cli.catalog import users_catalog

    output = Output(as_json=as_json)
    if refresh:
        from overnight.cli import fetch

        fetch.refresh(output)
    catalog = users_catalog(schema_files)
    found = list(_wanted(catalog, search))
    for entry in found:
        output.record(fields(entry))
    if not as_json:
        _table(output, found)
    if not found:
        output.note(f"No model that is known here has all of: {line(' '.join(search))}.")
    if not any(entry.origin == "fetched" for entry in found):
        output.note("The provider's catalogue has more: overnight models --refresh fetches it.")
    return Exit.DONE


@models.command()
@click.argument("model")
@click.option("--refresh", is_flag=True, help="Fetch the model from the provider first.")
@options.schema_files
@options.as_json
def show(model: str, refresh: bool, schema_files: tuple[str, ...], as_json: bool) -> int:
    """Show what MODEL takes and costs, and a manifest to paste."""
    from overnight.cli.catalog import users_catalog

    output = Output(as_json=as_json)
    if refresh:
        from overnight.cli import fetch

        if not fetch.fetch(model, output):
            output.note("The provider's catalogue has no such model.")
    found = known(users_catalog(schema_files), model)
    if as_json:
        output.record(details(found))
    else:
        _show(output, found)
    return Exit.DONE


def known(catalog: Catalog, model_id: str) -> Model:
    """The model, or a :class:`~overnight.cli.failures.UserError` that says how to get it."""
    from overnight.catalog import SchemaError, UnknownModel
    from overnight.cli.failures import UserError

    try:
        return catalog.find(model_id)
    except UnknownModel as error:
        parts = (str(error), error.hint)
        raise UserError(" ".join(f"{text[0].upper()}{text[1:]}." for text in parts)) from None
    except SchemaError as error:
        raise UserError(f"{error} Give another one with --schema FILE.") from None


def _wanted(catalog: Catalog, search: Sequence[str]) -> Iterator[Entry]:
    words = [word.casefold() for text in search for word in text.split()]
    for entry in catalog.entries():
        about = (
            entry.model_id,
            entry.display_name,
            entry.description,
            entry.kind,
            *entry.categories,
        )
        described = " ".join(about).casefold()
        if all(word in described for word in words):
            yield entry


# --- for people -------------------------------------------------------------------------------


def _table(output: Output, found: Sequence[Entry]) -> None:
    from overnight.cli.fetch import price_words

    if not found:
        return
    rows = [
        [
            line(entry.model_id),
            price_words(entry),
            entry.as_of or entry.origin.value,
            line(", ".join(entry.categories) or entry.kind),
        ]
        for entry in found
    ]
    # The id is there to be copied, so it is never cut while anything else can be.
    output.table(["model", "price", "as of", "makes"], rows, whole=["model"])


def _show(output: Output, model: Model) -> None:
    from overnight.cli import starter
    from overnight.cli.fetch import price_words

    entry = model.entry
    output.say(line(model.id))
    facts = [
        ("name", line(entry.display_name)),
        ("about", line(entry.description, 2000)),
        ("makes", line(", ".join(entry.categories) or entry.kind)),
        ("price", _price(entry, price_words(entry))),
        ("from", _origin(entry)),
    ]
    output.facts([(label, text) for label, text in facts if text])
    output.say(f"\n{count(len(model.inputs), 'input')} (* must be given):")
    output.facts([(_label(model, spec), _input(model, spec)) for spec in model.inputs])
    output.say("\nTo begin with:\n")
    output.say(starter.block(model))


def _price(entry: Entry, words: str) -> str:
    note = line(entry.price.note, 500) if entry.price else ""
    return f"{words}. {note}" if note else words


def _origin(entry: Entry) -> str:
    if entry.origin == "bundled":
        return "bundled with overnight"
    if entry.origin == "file":
        return f"the file {line(entry.place)}"
    return f"the catalogue of {line(entry.place)}, as of {entry.as_of}"


def _label(model: Model, spec: InputSpec) -> str:
    return line(f"{model.shortest(spec.name)}{' *' if spec.required else ''}", 60)


def _input(model: Model, spec: InputSpec) -> str:
    from overnight.catalog.wording import shown, takes

    parts = [takes(spec)]
    if spec.has_default:
        parts.append(f"{shown(spec.default)} by default")
    limit = _largest(spec)
    if limit is not None:
        parts.append(f"at most {limit / 2**20:g} MB")
    lines = [line("; ".join(parts), 2000)]
    if spec.description:
        lines.append(line(spec.description, 1000))
    others = other_names(model, spec)
    if others:
        lines.append(line(f"also {', '.join(others)}"))
    return "\n".join(lines)


def other_names(model: Model, spec: InputSpec) -> list[str]:
    """Every name that means an input, but for its shortest."""
    aliases = [alias for alias, raw in model.aliases.owner.items() if raw == spec.name]
    best = model.shortest(spec.name)
    return [name for name in (spec.name, *aliases) if name != best]


def _largest(spec: InputSpec) -> int | None:
    from overnight.catalog.files import largest

    return largest(spec)


# --- for programs -----------------------------------------------------------------------------


def fields(entry: Entry) -> dict[str, Any]:
    """One model of the list."""
    price = entry.price
    return {
        "model": entry.model_id,
        "name": entry.display_name,
        "description": entry.description,
        "kind": entry.kind,
        "categories": list(entry.categories),
        "price": None
        if price is None
        else {"usd": price.amount, "unit": price.unit, "note": price.note},
        "from": entry.origin.value,
        "place": entry.place,
        "date": entry.as_of,
    }


def details(model: Model) -> dict[str, Any]:
    """One model in full: :func:`fields`, its inputs, its schema, and a manifest to begin with."""
    from overnight.cli import starter

    return {
        **fields(model.entry),
        "inputs": [_input_fields(model, spec) for spec in model.inputs],
        "schema_digest": model.schema_digest,
        "input_schema": model.input_schema,
        "example": starter.block(model),
    }


def _input_fields(model: Model, spec: InputSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "short": model.shortest(spec.name),
        "other_names": other_names(model, spec),
        "type": spec.kind.value,
        "required": spec.required,
        "has_default": spec.has_default,
        "default": spec.default,
        "minimum": spec.minimum,
        "maximum": spec.maximum,
        "enum": list(spec.enum),
        "media": spec.media.value if spec.media else None,
        "max_bytes": _largest(spec),
        "title": spec.title,
        "description": spec.description,
    }
