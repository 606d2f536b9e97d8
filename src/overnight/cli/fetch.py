"""Asking the provider's catalogue, when the user says so, and keeping what it answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from overnight.cli import session
from overnight.cli.catalog import cached
from overnight.cli.exits import Exit
from overnight.cli.output import Output, count, line

if TYPE_CHECKING:
    from overnight.catalog import Entry
    from overnight.providers.base import Gone, NoAnswer, Refused
    from overnight.providers.runcomfy import RunComfy

_T = TypeVar("_T")

_MOST_CHANGES = 30
"""Changed models of which each change is told."""


class NotFetched(click.ClickException):
    """The catalogue could not be had; the message says why."""

    exit_code = Exit.ERROR


class AccountRefused(NotFetched):
    """The provider does not take the account."""

    exit_code = Exit.REFUSED


def refresh(output: Output) -> None:
    """Fetch the whole catalogue, keep it, and say what changed.

    Raises :class:`NotFetched`, and :class:`~overnight.providers.credentials.CredentialsError`
    where there is no token; the cache is as it was then.
    """
    from overnight.providers.catalogue import Page, whole_catalogue

    answer = ask(whole_catalogue)
    if not isinstance(answer, Page):
        raise not_fetched(answer)
    changes = _keep(answer.models)
    short = len(answer.models) < (answer.total or 0)
    missing = f" (the provider speaks of {answer.total:,})" if short else ""
    output.note(f"{count(len(answer.models), 'model')} fetched{missing}: {changes.sentence()}.")
    changes.tell(output)


def fetch(model_id: str, output: Output) -> bool:
    """Fetch one model and keep it; whether the provider has it. Raises as :func:`refresh` does."""
    from overnight.providers.base import Gone
    from overnight.providers.catalogue import Described

    answer = ask(lambda provider: provider.model(model_id))
    if isinstance(answer, Gone):
        return False
    if not isinstance(answer, Described):
        raise not_fetched(answer)
    _keep([answer.model]).tell(output)
    return True


def ask(question: Callable[[RunComfy], Awaitable[_T]]) -> _T:
    """One question to the provider, over connections that are closed after it."""
    from overnight.providers.runcomfy import RunComfy

    account = session.users_account()

    async def answered() -> _T:
        provider = RunComfy.connect(account)
        try:
            return await question(provider)
        finally:
            await provider.aclose()

    return asyncio.run(answered())


def not_fetched(answer: Refused | Gone | NoAnswer) -> NotFetched:
    """The error for an answer that is not the catalogue."""
    from overnight.providers.base import Refused

    reason = line(answer.reason).rstrip(".")
    if isinstance(answer, Refused):
        return AccountRefused(f"The provider turns the account away: {reason}. Check your token.")
    return NotFetched(
        f"The catalogue could not be fetched: {reason}. What was fetched before is kept; try "
        "again later."
    )


class Changes:
    """What a fetch changed in the cache: new models, other schemas (what differs, by model), other
    prices."""

    def __init__(self) -> None:
        self.new: list[str] = []
        self.schemas: dict[str, list[str]] = {}
        self.prices: dict[str, str] = {}

    def note(self, before: Entry | None, after: Entry) -> None:
        """Set a model as it was beside what it is now."""
        from overnight.catalog.changes import describe

        if before is None:
            self.new.append(after.model_id)
            return
        if before.input_schema is not None and after.input_schema is not None:
            said = describe(before.input_schema, after.input_schema)
            if said:
                self.schemas[after.model_id] = said
        old, new = price_words(before), price_words(after)
        if old != new:
            self.prices[after.model_id] = f"costs {new} (was {old})"

    def sentence(self) -> str:
        """``3 new, 1 with other inputs, 2 with another price``."""
        parts = [f"{len(self.new):,} new"]
        if self.schemas:
            parts.append(f"{len(self.schemas):,} with other inputs")
        if self.prices:
            parts.append(f"{len(self.prices):,} with another price")
        return ", ".join(parts)

    def tell(self, output: Output) -> None:
        """Each model whose schema or price changed, and how."""
        changed = sorted({*self.schemas, *self.prices})
        for model_id in changed[:_MOST_CHANGES]:
            said = [*self.schemas.get(model_id, []), *filter(None, [self.prices.get(model_id)])]
            output.note(line(f"{model_id}: {'; '.join(said)}.", 2000))
        if len(changed) > _MOST_CHANGES:
            output.note(f"… and {count(len(changed) - _MOST_CHANGES, 'model')} more.")


def price_words(entry: Entry) -> str:
    """``$0.08 an output``, ``$0.02 a second``; ``unknown`` where the catalogue gives no price."""
    from overnight.cli.bill import money

    price = entry.price
    if price is None:
        return "unknown"
    unit = line(price.unit, 40)
    if not unit:
        return f"{money(price.amount)}, by what is not said"
    return f"{money(price.amount)} {'an' if unit[0] in 'aeiou' else 'a'} {unit}"


def _keep(models: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]]) -> Changes:
    """Put what was fetched into the cache. A model that another source had before is not new in
    any way that matters, so it is compared with what the user knew until now."""
    from overnight.catalog import Origin, SchemaError
    from overnight.catalog.entry import read_entry
    from overnight.catalog.lookup import bundled
    from overnight.providers.credentials import find_base

    now = time.time()
    today = datetime.fromtimestamp(now, UTC).date().isoformat()
    base = find_base(os.environ)
    cache, shipped, changes, entries = cached(), bundled(), Changes(), []
    for model in models:
        try:
            entry = read_entry(model, origin=Origin.FETCHED, as_of=today, place=base)
        except SchemaError:
            continue
        before = cache.entry(entry.model_id) or shipped.entry(entry.model_id)
        changes.note(before, entry)
        entries.append(entry)
    cache.keep(entries, now)
    return changes
