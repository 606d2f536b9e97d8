"""The account and the machine behind the API: money, requests, verdicts. Knows no HTTP.

What is not documented of the real service is decided here, in one place: a submit is paid when it
is accepted, a cancel from the line gives the money back, a job that fails keeps it.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from overnight.catalog import Model, estimates
from overnight.emulator import asked
from overnight.emulator.ledger import Accepted, Ledger
from overnight.emulator.queue import Phase, Queue, Request
from overnight.emulator.rules import Rule, Rules
from overnight.emulator.settings import Settings

Clock = Callable[[], float]
"""Seconds that only grow, from any start."""

_MICRO = 1_000_000
_FAILS = frozenset({"job-fails", "completed-but-failed", "status-failed"})


class Service:
    """Everything that lasts between two calls. Never awaits, so each method is one step."""

    def __init__(self, settings: Settings, clock: Clock, rules: Rules) -> None:
        self.settings = settings
        self.rules = rules
        self._clock = clock
        self._started = clock()
        self._epoch = datetime.now(UTC).timestamp() - self._started
        self.reset()

    def reset(self) -> None:
        """Back to the start: no requests, a full balance, an empty ledger, rules from anew."""
        self.queue = Queue(self.settings.slots)
        self.ledger = Ledger(self.settings.keep_submits)
        self.requests: dict[str, Request] = {}
        self.by_key: dict[str, Request] = {}
        """What was accepted under an ``Idempotency-Key``: the first of each."""
        self.balance_micro = round(self.settings.balance * _MICRO)
        self._rng = random.Random(self.settings.seed)  # noqa: S311 - must be repeatable
        self.rules.restart()

    def price_micro(self, model: Model, inputs: Mapping[str, Any]) -> int:
        """What a submit costs, in millionths of a US dollar: by the model's own price, or the
        settings' where it has none."""
        own = estimates.price(model, inputs)
        return round((self.settings.price if own is None else own) * _MICRO)

    def now(self) -> float:
        """Seconds of the emulator's clock."""
        return self._clock()

    def since_start(self) -> float:
        """Seconds since the emulator was started."""
        return self._clock() - self._started

    def wall(self, at: float) -> float:
        """Unix time of a moment of the emulator's clock."""
        return self._epoch + at

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        self.queue.advance(self._clock())

    def can_pay(self, model: Model, inputs: Mapping[str, Any]) -> bool:
        """Whether the balance holds this submit."""
        return self.balance_micro >= self.price_micro(model, inputs)

    def set_balance(self, dollars: float) -> None:
        """Replace the balance, in US dollars."""
        self.balance_micro = round(dollars * _MICRO)

    def accept(
        self, model: Model, inputs: Mapping[str, Any], body: bytes, key: str = ""
    ) -> Request:
        """Take a submit: line it up, take the money, write it down. One step, no await."""
        now = self._clock()
        digest = work_digest(model, inputs)
        request = Request(
            id=str(uuid.uuid4()),
            model=model.id,
            inputs=inputs,
            digest=digest,
            accepted_at=now,
            service=self._service_time(model, inputs),
            price_micro=self.price_micro(model, inputs),
            queue_delay=self.settings.queue_delay.draw(self._rng),
        )
        if rule := self.rules.on_accept(model.id):
            _stick(request, rule)
            self.ledger.faults[f"submit:{rule.fault.name}"] += 1
        self.requests[request.id] = request
        if key:
            self.by_key.setdefault(key, request)
        self.queue.add(request, now)
        self.balance_micro -= request.price_micro
        body_sha256 = hashlib.sha256(body).hexdigest()
        entry = Accepted(request.id, model.id, inputs, body_sha256, now - self._started, None)
        self.ledger.accept(entry, digest)
        self.ledger.saw_open(self.queue.open)
        return request

    def cancel(self, request: Request) -> bool:
        """Cancel a request that waits, money back; True when it is cancelled, now or before."""
        if request.phase is Phase.CANCELLED:
            return True
        if not self.queue.cancel(request, self._clock()):
            return False
        self.balance_micro += request.price_micro
        self.ledger.cancelled.append(request.id)
        return True

    def known(self, request_id: str) -> Request | None:
        """The request with this id, unless there is none or the service has forgotten it."""
        request = self.requests.get(request_id)
        return None if request is None or request.fault == "forgotten" else request

    def status_word(self, request: Request) -> str:
        """What the status call says."""
        if request.phase is Phase.COMPLETED and request.fault == "status-failed":
            return "failed"
        if request.phase is Phase.IN_PROGRESS and request.fault == "unknown-word":
            return request.options["word"]
        if request.phase is Phase.CANCELLED and request.fault == "cancelled-remotely":
            return request.options["as"]
        return request.phase.value

    def verdict(self, request: Request) -> str:
        """What the result call says: the status, or for one that is done, whether it worked."""
        if request.phase is not Phase.COMPLETED:
            return self.status_word(request)
        return "failed" if request.fault in _FAILS else "succeeded"

    def states(self) -> dict[str, int]:
        """How many requests are in each phase."""
        counts = {phase.value: 0 for phase in Phase}
        for request in self.requests.values():
            counts[request.phase.value] += 1
        return counts

    def _service_time(self, model: Model, inputs: Mapping[str, Any]) -> float:
        seconds = self.settings.service.draw(self._rng)
        return seconds * asked.work(model, inputs) if self.settings.service_by_work else seconds


def _stick(request: Request, rule: Rule) -> None:
    request.fault = rule.fault.name
    request.options = rule.options
    if request.fault == "never-finishes":
        request.service = math.inf
    request.requeues = request.fault == "requeue"
    request.dies_at_start = request.fault == "cancelled-remotely"


def work_digest(model: Model, inputs: Mapping[str, Any]) -> str:
    """SHA-256 that equal paid work shares. Key order does not matter, nor does ``5`` against
    ``5.0`` where the schema says number. ``inputs`` have passed the model's check."""
    canonical = {name: model.canonical(name, value) for name, value in inputs.items()}
    text = json.dumps([model.id, canonical], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
