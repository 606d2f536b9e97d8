"""The input files that a manifest's jobs name: which they are, where they are written, what is
wrong with them."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from overnight.cli.findings import Level

if TYPE_CHECKING:
    from overnight.artifacts.reachable import Reach, Reached
    from overnight.catalog import InputSpec, Model
    from overnight.manifest import JobSpec, Manifest, Problem
    from overnight.manifest.yaml12 import Span

MOST = 100_000
"""Addresses that are kept and asked; a manifest with more of them is checked up to there."""
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
AT_ONCE = 8
"""Addresses asked at the same time."""


@dataclass(slots=True)
class Wanted:
    """One address: how many jobs name it, and for which inputs."""

    jobs: int = 0
    inputs: dict[tuple[str, str], InputSpec] = field(default_factory=dict)
    """By the model's id and the raw name."""


@dataclass(slots=True)
class Collection:
    """Every distinct https address of a manifest's jobs, in the order in which they first come."""

    wanted: dict[str, Wanted] = field(default_factory=dict)
    left_out: int = 0
    """How often an address was met that is not among the first :data:`MOST`."""

    def add(self, spec: JobSpec, media: Mapping[str, InputSpec]) -> None:
        """The addresses of one job; ``media`` are its model's file inputs by raw name."""
        for raw, said in media.items():
            for address in _addresses(spec.inputs.get(raw)):
                if not _ADDRESS.fullmatch(address):
                    continue
                if address not in self.wanted and len(self.wanted) >= MOST:
                    self.left_out += 1
                    continue
                found = self.wanted.setdefault(address, Wanted())
                found.jobs += 1
                found.inputs[spec.model, raw] = said


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one address; ``size`` in bytes and ``media_type`` where they are
    known."""

    url: str
    jobs: int
    level: Level
    text: str
    advice: str
    media_type: str = ""
    size: int | None = None


def media_inputs(model: Model) -> dict[str, InputSpec]:
    """The inputs that take files, by raw name; among them those of which the schema says nothing,
    as with ``validate: off``: an address there is most likely a file's."""
    from overnight.catalog import Kind

    return {s.name: s for s in model.inputs if s.media is not None or s.kind is Kind.ANY}


def _addresses(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield one


# --- asking -----------------------------------------------------------------------------------


async def ask(
    collection: Collection,
    reach: Reach,
    *,
    private_is_fine: bool,
    told: Callable[[Verdict], None],
) -> None:
    """Ask every address, some at a time, and tell each verdict in the order of the collection.

    ``private_is_fine``: the provider is on this machine itself, so it can reach what we can.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(url: str, wanted: Wanted) -> Verdict:
        async with slots:
            return await _one(reach, url, wanted, private_is_fine=private_is_fine)

    running: deque[asyncio.Task[Verdict]] = deque()
    async with asyncio.TaskGroup() as group:
        for url, wanted in collection.wanted.items():
            running.append(group.create_task(one(url, wanted)))
            if len(running) > 4 * AT_ONCE:
                told(await running.popleft())
        while running:
            told(await running.popleft())


async def _one(reach: Reach, url: str, wanted: Wanted, *, private_is_fine: bool) -> Verdict:
    from overnight.artifacts.reachable import Trouble, is_inside

    if is_inside(url) and not private_is_fine:
        text = "is inside a private network, where the provider can't reach it"
        advice = "Put the file where anybody can download it."
        return Verdict(url, wanted.jobs, Level.WARNING, text, advice)
    look = await reach.look(url)
    if isinstance(look, Trouble):
        level = Level.PROBLEM if look.certain else Level.WARNING
        return Verdict(url, wanted.jobs, level, look.reason, _ADVICE[look.certain])
    return _judged(url, wanted, look)


_ADVICE = {
    True: "The provider needs an address that gives the file itself to anybody.",
    False: "Try it in a browser; the provider may fare better, or no better.",
}


def _judged(url: str, wanted: Wanted, found: Reached) -> Verdict:
    """A file that is there, against what its inputs take; the worst that is found counts."""
    worst = (Level.OK, "is there", "")
    for spec in wanted.inputs.values():
        said = judge(spec, found.media_type, found.size)
        if said is not None and _RANK[said[0]] > _RANK[worst[0]]:
            worst = said
    return Verdict(url, wanted.jobs, *worst, found.media_type, found.size)


_RANK = {Level.OK: 0, Level.WARNING: 1, Level.PROBLEM: 2}


def judge(spec: InputSpec, media_type: str, size: int | None) -> tuple[Level, str, str] | None:
    """What is wrong with a file for an input, by its media type and its size in bytes (None: not
    known); None when nothing is."""
    from overnight.catalog.files import largest

    limit = largest(spec)
    if size is not None and limit is not None and size > limit:
        text = f"has {size / 2**20:,.1f} MB; {limit / 2**20:g} MB are allowed"
        return Level.PROBLEM, text, f"Make the {spec.media} smaller."
    kind, _, _ = media_type.partition("/")
    if media_type in ("", "application/octet-stream", "binary/octet-stream"):
        return None
    if spec.media is not None and kind != spec.media:
        level = Level.PROBLEM if kind in ("text", "image", "video", "audio") else Level.WARNING
        article = "an" if spec.media[0] in "aeiou" else "a"
        return level, f"is {media_type}, and not {article} {spec.media}", "Check the address."
    return None


# --- where it is written ----------------------------------------------------------------------


class Places:
    """Finds the lines of a manifest on which an address stands as it is."""

    def __init__(self, manifest: Manifest) -> None:
        document = manifest.document
        self._document = document
        self._spans: dict[str, Span] = {}
        for trail, value in _texts(document.data, ()):
            if trail in document.values:
                self._spans.setdefault(value, document.values[trail])

    def problem(self, verdict: Verdict) -> Problem:
        """The verdict as a problem at its line; of the file as a whole where a row, a list or a
        template gave the address."""
        from overnight.manifest import Problem

        jobs = f" ({verdict.jobs:,} jobs)" if verdict.jobs > 1 else ""
        span = self._spans.get(verdict.url)
        if span is None:
            message = f"{verdict.url} {verdict.text}{jobs}"
            return Problem(self._document.file, 0, 0, message, verdict.advice or None)
        message = f"this address {verdict.text}{jobs}"
        return self._document.problem(span, message, verdict.advice or None)


def _texts(value: Any, trail: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield trail, value
    inner: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, below in inner:
        yield from _texts(below, (*trail, step))
