"""What a manifest says about how its batch is worked on, and where the files go.

These settings are no part of a job's identity: changing them makes no new job.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from overnight.manifest.shape_parts import AssetsShape
    from overnight.manifest.shapes import RunShape


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """How long a job may take in each part of its way, in seconds; None is the engine's limit."""

    queue: float | None = None
    run: float | None = None
    collect: float | None = None

    def as_json(self) -> dict[str, float]:
        """Only the limits that the manifest sets."""
        limits = {"queue": self.queue, "run": self.run, "collect": self.collect}
        return {part: limit for part, limit in limits.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class HaltSettings:
    """Stop the batch when ``failures``, a number of jobs or a share such as ``10%``, is reached,
    once ``after`` jobs have settled."""

    failures: int | str
    after: int

    def as_json(self) -> dict[str, Any]:
        """Both, as they are."""
        return {"failures": self.failures, "after": self.after}


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The most that a batch may be: ``jobs``, and ``cost`` in US dollars; None is no limit."""

    jobs: int | None = None
    cost: float | None = None

    def as_json(self) -> dict[str, float]:
        """Only the limits that the manifest sets."""
        limits = {"jobs": self.jobs, "cost": self.cost}
        return {part: limit for part, limit in limits.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a batch is worked on.

    ``concurrency`` (1 to 1000) jobs with the provider at once; at most ``attempts`` (1 to 20) paid
    tries of each; at most ``rate`` submits in a time, such as ``30/min``; ``canary`` jobs of each
    block that have to succeed before the others go; ``price`` is what one job costs in US dollars,
    or the text of an expression that says so.
    """

    concurrency: int
    attempts: int
    rate: str | None = None
    on_unknown: Literal["hold", "resubmit"] = "hold"
    timeout: TimeoutSettings = TimeoutSettings()
    canary: int | None = None
    halt: HaltSettings | None = None
    limits: LimitSettings = LimitSettings()
    price: float | str | None = None

    @classmethod
    def of(cls, shape: RunShape) -> RunSettings:
        """The settings of a ``run`` block that has passed its checks."""
        waits, rule, most = shape.timeout, shape.halt, shape.limits
        return cls(
            concurrency=shape.concurrency,
            attempts=shape.attempts,
            rate=shape.rate,
            on_unknown=shape.on_unknown,
            timeout=TimeoutSettings()
            if waits is None
            else TimeoutSettings(waits.queue, waits.run, waits.collect),
            canary=shape.canary,
            halt=None if rule is None else HaltSettings(rule.failures, rule.after),
            limits=LimitSettings() if most is None else LimitSettings(most.jobs, most.cost),
            price=shape.price,
        )

    def as_json(self) -> dict[str, Any]:
        """What the database keeps of it and the engine reads, as JSON values.

        ``concurrency`` and ``attempts`` are always there. The others only where the manifest sets
        them: ``rate`` (text), ``on_unknown`` (``resubmit``; holding is the rule), ``timeout``
        (seconds by part), ``canary``, ``halt`` (``failures`` and ``after``), ``limits`` (``jobs``
        and ``cost``) and ``price`` (a number, or an expression's text).
        """
        kept: dict[str, Any] = {"concurrency": self.concurrency, "attempts": self.attempts}
        if self.rate is not None:
            kept["rate"] = self.rate
        if self.on_unknown != "hold":
            kept["on_unknown"] = self.on_unknown
        if limits := self.timeout.as_json():
            kept["timeout"] = limits
        if self.canary is not None:
            kept["canary"] = self.canary
        if self.halt is not None:
            kept["halt"] = self.halt.as_json()
        if most := self.limits.as_json():
            kept["limits"] = most
        if self.price is not None:
            kept["price"] = self.price
        return kept


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """Where files go.

    ``dir`` is an absolute path, which need not exist yet, or the text of an address such as
    ``s3://bucket/prefix``. ``name`` is the template of a file's path without
    suffix, counted from there; None means the job's key. ``download`` files are fetched at once.
    ``on_suspect`` says whether a job whose file looks wrong is bought again, ``poster`` whether
    each clip gets a JPEG beside it.
    """

    dir: Path | str
    name: str | None = None
    download: int = 4
    on_suspect: Literal["keep", "retry"] = "keep"
    poster: bool = False

    def as_json(self) -> dict[str, Any]:
        """What the database keeps of it beside the folder: ``download``, and where the manifest
        says them ``name``, ``on_suspect`` (``retry``; keeping is the rule) and ``poster``."""
        kept: dict[str, Any] = {"download": self.download}
        if self.name is not None:
            kept["name"] = self.name
        if self.on_suspect != "keep":
            kept["on_suspect"] = self.on_suspect
        if self.poster:
            kept["poster"] = True
        return kept


DEFAULT_PRESIGN = 24 * 3600.0
"""Seconds that a signed address works, where the manifest does not say."""


@dataclass(frozen=True, slots=True)
class AssetSettings:
    """How local files get to the provider: from ``store`` (``s3://bucket/prefix``) under addresses
    that are signed for ``presign`` seconds, or under ``public_base`` without a signature; or, with
    ``data_uri``, inside the request. Pictures are scaled to at most ``max_side`` pixels a side."""

    store: str | None = None
    presign: float = DEFAULT_PRESIGN
    public_base: str | None = None
    data_uri: bool = False
    max_side: int | None = None

    @classmethod
    def of(cls, shape: AssetsShape | None) -> AssetSettings | None:
        """The settings of an ``assets`` block that has passed its checks; None without one."""
        if shape is None:
            return None
        return cls(
            store=shape.store,
            presign=shape.presign or DEFAULT_PRESIGN,
            public_base=shape.public_base,
            data_uri=shape.data_uri,
            max_side=None if shape.fit is None else shape.fit.max_side,
        )

    def as_json(self) -> dict[str, Any]:
        """What the database keeps of it for the time of submitting: ``data_uri``, or ``store``
        with either ``public_base`` or ``presign`` (seconds). How pictures are scaled stands in
        each job's reference."""
        if self.data_uri:
            return {"data_uri": True}
        if self.public_base is not None:
            return {"store": self.store, "public_base": self.public_base}
        return {"store": self.store, "presign": self.presign}
