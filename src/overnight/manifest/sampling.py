"""Choosing some of many combinations, the same ones every time. Pure.

A sample depends on its seed and on nothing of the machine, the Python version or the order in
which axes are written. Random numbers are SHA-256 of the seed and a counter (:class:`Stream`).

:func:`pick` takes from a product by arithmetic, so a product of 10¹⁸ costs no more than one of a
thousand. :class:`Bottom` takes from a stream whose length nobody knows: it keeps the items whose
hash is smallest, so a file that grew by some rows gives the same sample but for those rows.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

LARGEST_PRODUCT = 2**127
"""Combinations that a product may have."""
MOST_ENUMERATED = 2_000_000
"""Combinations that are looked at one by one when chance doesn't find enough."""
MOST_TRIES = 1_000_000
"""Draws beyond four for each wanted combination, before chance is given up."""

Indices = tuple[int, ...]
Chooser = Callable[["Stream"], int]

_Item = TypeVar("_Item")


class SamplingProblem(ValueError):
    """A sample that can't be had. The text is a sentence for people."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Stream:
    """An endless row of random numbers from a seed."""

    def __init__(self, seed: int, purpose: str = "sample") -> None:
        """``purpose`` makes rows of one seed different from one another."""
        self._start = hashlib.sha256(f"overnight {purpose}\n{seed}\n".encode())
        self._counter = 0
        self._words: list[int] = []

    def word(self) -> int:
        """A number from 0 to 2⁶⁴ - 1."""
        if not self._words:
            block = self._start.copy()
            block.update(struct.pack("<Q", self._counter))
            self._counter += 1
            self._words.extend(struct.unpack("<4Q", block.digest()))
        return self._words.pop()

    def below(self, end: int) -> int:
        """A number from 0 to ``end - 1``, each as likely as the other. ``end`` is at most
        :data:`LARGEST_PRODUCT`."""
        words = 1 if end <= 1 << 62 else 2
        space = 1 << 64 * words
        fair = space - space % end
        while True:
            number = self.word()
            if words == 2:
                number = number << 64 | self.word()
            if number < fair:
                return number % end

    def fraction(self) -> float:
        """A number from 0 up to 1, 1 excluded."""
        return (self.word() >> 11) * 2.0**-53


def pick(
    sizes: Mapping[str, int],
    n: int,
    seed: int,
    accept: Callable[[Indices], bool] | None = None,
    choosers: Mapping[str, Chooser] | None = None,
) -> list[Indices]:
    """``n`` different combinations of a product, as places on each axis, in the product's order.

    ``sizes`` are the axes' lengths, by name; ``accept`` says which combinations may be taken, and
    each of these is as likely as another. ``choosers`` gives an axis another distribution than the
    even one: a function that draws a place (weights of a prompt's variants). It counts for as long
    as chance decides; where more than half of a small product is wanted, each is equally likely.

    Fewer than ``n`` come back when there are no more; that is known for products of at most
    :data:`MOST_ENUMERATED` combinations. Raises :class:`SamplingProblem` when a larger product has
    too few that may be taken, or is larger than :data:`LARGEST_PRODUCT`.
    """
    draw = _Draw(sizes, seed, choosers or {})
    few = draw.total <= MOST_ENUMERATED
    if not few or n * 2 <= draw.total:
        found = _by_chance(draw, n, accept)
        if len(found) == n:
            return sorted(found)
        if not few:
            raise SamplingProblem(
                f"only {len(found):,} of the {n:,} wanted combinations were found, because nearly "
                "all are excluded",
                "ask for fewer, or exclude whole values by leaving them out of their axis",
            )
    return _by_counting(draw, n, seed, accept)


class _Draw:
    """Draws combinations. Axes take their turn by name, so their written order changes nothing."""

    def __init__(
        self, sizes: Mapping[str, int], seed: int, choosers: Mapping[str, Chooser]
    ) -> None:
        self.total = math.prod(sizes.values())
        if self.total > LARGEST_PRODUCT:
            raise SamplingProblem(
                "the axes make more combinations than can be numbered", "make some axes shorter"
            )
        self.stream = Stream(seed)
        places = {name: place for place, name in enumerate(sizes)}
        self._even = [(places[name], sizes[name]) for name in sorted(sizes) if name not in choosers]
        self._even_total = math.prod(size for _, size in self._even)
        self._odd = [(places[name], choosers[name]) for name in sorted(sizes) if name in choosers]
        self._all = [(places[name], sizes[name]) for name in sorted(sizes)]

    def next(self) -> Indices:
        """A combination, any of them."""
        indices = self._unravel(self._even, self.stream.below(self._even_total))
        for place, choose in self._odd:
            indices[place] = choose(self.stream)
        return tuple(indices)

    def at(self, number: int) -> Indices:
        """The combination of a number, below :attr:`total`."""
        return tuple(self._unravel(self._all, number))

    def _unravel(self, axes: Sequence[tuple[int, int]], number: int) -> list[int]:
        indices = [0] * len(self._all)
        for place, size in axes:
            number, indices[place] = divmod(number, size)
        return indices


def _by_chance(draw: _Draw, n: int, accept: Callable[[Indices], bool] | None) -> set[Indices]:
    found: set[Indices] = set()
    if draw.total == 0:
        return found
    for _ in range(4 * n + min(MOST_TRIES, 4 * draw.total)):
        if len(found) == n:
            break
        indices = draw.next()
        if indices not in found and (accept is None or accept(indices)):
            found.add(indices)
    return found


def _by_counting(
    draw: _Draw, n: int, seed: int, accept: Callable[[Indices], bool] | None
) -> list[Indices]:
    """Look at every combination, and leave to chance only which of the accepted ones are taken."""
    numbers = range(draw.total)
    allowed = [number for number in numbers if accept is None or accept(draw.at(number))]
    stream = Stream(seed, "sample by counting")
    wanted = min(n, len(allowed))
    for place in range(wanted):
        other = place + stream.below(len(allowed) - place)
        allowed[place], allowed[other] = allowed[other], allowed[place]
    return sorted(draw.at(number) for number in allowed[:wanted])


class Bottom(Generic[_Item]):
    """The ``n`` items of a stream whose hashes are smallest. Holds no more than ``n`` of them."""

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._start = hashlib.sha256(f"overnight bottom\n{seed}\n".encode())
        self._heap: list[tuple[int, int, _Item]] = []
        self._seen = 0

    def offer(self, identity: str, item: _Item) -> None:
        """Consider an item. Whether it stays depends on its identity; of equal ones the first."""
        digest = self._start.copy()
        digest.update(identity.encode("utf-8", "surrogatepass"))
        rank = -int.from_bytes(digest.digest()[:16], "big")
        self._seen += 1
        # The heap's first is the one to go: the largest hash, and among equal ones the latest.
        if len(self._heap) < self._n:
            heapq.heappush(self._heap, (rank, -self._seen, item))
        elif self._n and rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, -self._seen, item))

    def items(self) -> list[_Item]:
        """Those that stayed, in the order in which they came."""
        return [item for _, _, item in sorted(self._heap, key=lambda held: -held[1])]


def shuffled_rank(fingerprint: str) -> int:
    """A job's place in a shuffled order, 0 to 2³¹ - 1.

    It comes from the fingerprint alone, so jobs that are added later fall between the others and
    move none of them.
    """
    return int(fingerprint[:8], 16) >> 1
