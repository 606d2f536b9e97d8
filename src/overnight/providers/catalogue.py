"""RunComfy's catalogue and wallet: three free calls beside the jobs' own.

What the catalogue says of a model is handed on as it came; :mod:`overnight.catalog` reads it. The
whole catalogue is many pages, and a page that does not come is asked for again: these calls cost
nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from overnight.providers.base import Gone, NoAnswer, Refused
from overnight.providers.runcomfy_answers import Answer, call_trouble, turned_away

PAGE = 50
"""Models asked for at once: with their schemas they fill a megabyte at most."""

_MOST_MODELS = 50_000
"""Where a catalogue that never ends is taken for a fault."""
_AGAIN = ((1.0, PAGE // 2), (4.0, PAGE // 10))
"""Seconds before each further try of a page, and how many models it then asks for: a page may
fail because it is too long."""
_LONGEST_WAIT = 30.0

_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the catalogue's models, as it describes them. ``total`` is what it says that there
    are in all; None where it does not say."""

    models: tuple[Mapping[str, Any], ...]
    total: int | None


@dataclass(frozen=True, slots=True)
class Described:
    """One model, as the catalogue describes it."""

    model: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Balance:
    """What is in the wallet, in US dollars; it can be below zero."""

    usd: float


PageOutcome = Page | Refused | NoAnswer
ModelOutcome = Described | Gone | Refused | NoAnswer
BalanceOutcome = Balance | Refused | NoAnswer


class Catalogue(Protocol):
    """A provider that has a catalogue."""

    async def models(self, *, offset: int, limit: int) -> PageOutcome:
        """``limit`` models from the place ``offset`` on, with their input schemas."""
        ...


async def whole_catalogue(
    provider: Catalogue, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> Page | Refused | NoAnswer:
    """Every model of the catalogue, none twice; or the first trouble that repeating did not mend.

    ``sleep`` waits that many seconds between the tries of one page.
    """
    found: dict[object, Mapping[str, Any]] = {}
    offset = 0
    while True:
        page = await _page(provider, offset, sleep)
        if not isinstance(page, Page):
            return page
        known = len(found)
        for model in page.models:
            found.setdefault(model.get("model_id"), model)
        offset += len(page.models)
        # Nothing new: the end, or a server that does not know offsets.
        if len(found) == known or (page.total is not None and offset >= page.total):
            return Page(tuple(found.values()), page.total)
        if len(found) > _MOST_MODELS:
            return NoAnswer(f"the catalogue does not end after {_MOST_MODELS:,} models")


async def _page(
    provider: Catalogue, offset: int, sleep: Callable[[float], Awaitable[object]]
) -> PageOutcome:
    page = await provider.models(offset=offset, limit=PAGE)
    for wait, limit in _AGAIN:
        if not isinstance(page, NoAnswer):
            break
        await sleep(min(wait if page.retry_after is None else page.retry_after, _LONGEST_WAIT))
        page = await provider.models(offset=offset, limit=limit)
    return page


def page_outcome(answer: Answer) -> PageOutcome:
    """What a page of the catalogue says. Entries that are no objects, or name no model, are left
    out."""
    trouble = call_trouble(answer)
    if isinstance(trouble, Gone):
        return NoAnswer(f"there is no catalogue at this address: {trouble.reason}")
    if trouble is not None:
        return trouble
    words = answer.words or {}
    listed = words.get("models")
    if not isinstance(listed, list):
        return NoAnswer("the answer is no catalogue: it lists no models")
    models = tuple(
        model for model in listed if isinstance(model, dict) and _is_text(model.get("model_id"))
    )
    return Page(models, _whole(words.get("total")))


def model_outcome(answer: Answer, model: str) -> ModelOutcome:
    """What the catalogue says of one model; an answer about another one is no answer."""
    trouble = call_trouble(answer)
    if trouble is not None:
        return trouble
    words = answer.words or {}
    if words.get("model_id") != model:
        return NoAnswer("the answer is not about this model")
    return Described(words)


def balance_outcome(answer: Answer) -> BalanceOutcome:
    """What is in the wallet. Refused means that the token is not taken: an account that may not
    read its wallet (403) can still run jobs, so that is no answer."""
    if turned_away(answer) and (answer.code == "400004" or answer.family == 401):
        return Refused(answer.described(), answer.code)
    if call_trouble(answer) is not None:
        return NoAnswer(answer.described(), answer.retry_after)
    words = answer.words or {}
    dollars = _amount(words.get("balance_usd"))
    if dollars is None:
        micro = _amount(words.get("balance_microdollars"))
        dollars = None if micro is None else micro / _MICRO
    return NoAnswer("the answer names no balance") if dollars is None else Balance(dollars)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 and not math.isnan(value) else None
