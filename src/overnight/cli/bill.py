"""Money: what jobs are expected to cost, how sure that is, and what the manifest allows. Pure.

A price that nobody knows is never guessed and never counted as nothing: it is told as a number of
jobs, and a limit that can't be checked for them is a limit that is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from overnight.cli.failures import UserError
from overnight.cli.output import count

SMALLEST = 6
"""Decimals of a dollar that are told apart: sums of floats differ in the ones behind."""


@dataclass(frozen=True, slots=True)
class Cost:
    """``dollars`` for ``priced`` jobs; ``unpriced`` jobs come on top, for nobody knows how much."""

    dollars: float = 0.0
    priced: int = 0
    unpriced: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.dollars + other.dollars,
            self.priced + other.priced,
            self.unpriced + other.unpriced,
        )

    @property
    def jobs(self) -> int:
        return self.priced + self.unpriced

    @property
    def amount(self) -> float | None:
        """US dollars in all; None while the price of any job is unknown."""
        return None if self.unpriced else round(self.dollars, SMALLEST)

    def more_than(self, other: Cost) -> bool:
        """Whether there are more jobs, more dollars, or more that nobody knows the price of."""
        more_dollars = round(self.dollars - other.dollars, SMALLEST) > 0
        return self.jobs > other.jobs or self.unpriced > other.unpriced or more_dollars

    def words(self) -> str:
        """``$0.78``, ``unknown``, or what is known and for how many jobs nothing is."""
        if not self.unpriced:
            return money(self.dollars)
        if not self.priced:
            return "unknown"
        return f"{money(self.dollars)}, and unknown for {count(self.unpriced, 'job')}"


def total(costs: Iterable[Cost]) -> Cost:
    """All of them together."""
    return sum(costs, Cost())


def money(dollars: float) -> str:
    """``$12.50``; fractions of a cent are shown where the sum is less than a dollar."""
    dollars = round(dollars, SMALLEST)
    if 0 < dollars < 1 and round(dollars, 2) != dollars:
        return f"${dollars:.4f}" if dollars >= 0.0001 else f"${dollars:.{SMALLEST}f}"
    return f"${dollars:,.2f}"


@dataclass(frozen=True, slots=True)
class Limit:
    """``limits.cost`` of a manifest, held against a batch.

    ``spent`` is for every attempt that may have been paid for: what the provider told, else what
    was expected. ``to_spend`` is for the jobs that would be submitted now.
    """

    dollars: float
    spent: Cost
    to_spend: Cost

    @property
    def over(self) -> bool:
        """Whether the known part alone is more than is allowed."""
        known = self.spent.dollars + self.to_spend.dollars
        return round(known, SMALLEST) > round(self.dollars, SMALLEST)

    @property
    def kept(self) -> bool:
        """Whether it surely is not more. Where nothing is to be submitted, nothing can be."""
        return not self.to_spend.jobs or not (self.over or self.to_spend.unpriced)

    def sentence(self) -> str:
        """How the batch stands to its limit."""
        limit = f"limits.cost allows {money(self.dollars)}"
        if not self.to_spend.jobs:
            return f"{limit}; nothing is to be submitted."
        spent = self._spent()
        if self.over:
            return f"{limit}{spent}; this would cost {self.to_spend.words()}, which is too much."
        if self.to_spend.unpriced:
            return (
                f"{limit}{spent}, which can't be checked: the price of "
                f"{count(self.to_spend.unpriced, 'job')} is unknown."
            )
        return f"{limit}{spent}; this keeps to it."

    def _spent(self) -> str:
        parts = []
        if self.spent.priced:
            parts.append(f", {money(self.spent.dollars)} of it spent already")
        if self.spent.unpriced:
            attempts = count(self.spent.unpriced, "earlier attempt")
            parts.append(f", and what {attempts} cost is unknown and not counted")
        return "".join(parts)

    def require(self, nothing: str) -> None:
        """Raise :class:`UserError` unless it is kept. ``nothing`` ends the sentence: what was not
        done therefore."""
        if self.kept:
            return
        advice = (
            "Ask for less, or raise limits.cost in the manifest."
            if self.over
            else "Write price: under run: in the manifest, or take limits.cost out."
        )
        raise UserError(f"{self.sentence()} {advice} {nothing}")


def limit_of(run: Mapping[str, Any]) -> float | None:
    """``limits.cost`` of a batch's run settings, in US dollars; None without one."""
    limits = run.get("limits")
    cost = limits.get("cost") if isinstance(limits, Mapping) else None
    return float(cost) if isinstance(cost, int | float) else None
