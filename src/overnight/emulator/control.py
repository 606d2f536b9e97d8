"""The emulator's own calls under ``/_emulator/``: what tests read, and what they turn."""

from __future__ import annotations

import json
import math
from typing import Any

from aiohttp import web

from overnight.emulator.answers import say
from overnight.emulator.rules import Rule
from overnight.emulator.service import Service
from overnight.emulator.settings import EmulatorError

PREFIX = "/_emulator/"


class Control:
    """Reads and changes a :class:`Service` from outside. Needs no token: only this machine can
    reach it, and nothing behind it is worth anything."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Carry out one control call; a mistake is 400 with a sentence in ``error``."""
        name = request.path.removeprefix(PREFIX)
        try:
            match (request.method, name):
                case ("GET", "ledger"):
                    return say(self.ledger(brief="brief" in request.rel_url.query))
                case ("POST", "reset"):
                    self._service.reset()
                case ("GET", "faults"):
                    pass
                case ("POST", "faults"):
                    self._add_faults(await _body(request))
                case ("DELETE", "faults"):
                    self._service.rules.clear()
                case ("POST", "balance"):
                    self._set_balance(await _body(request))
                case _:
                    return say({"error": f"There is no {request.method} {request.path}."}, 404)
        except EmulatorError as error:
            return say({"error": str(error)}, 400)
        if name == "faults":
            return say({"faults": self._service.rules.as_json()})
        return say({"balance_usd": self._service.balance_micro / 1_000_000})

    def ledger(self, *, brief: bool) -> dict[str, Any]:
        """The ledger, with what is open now, how many requests are in each state, and the
        balance in US dollars."""
        self._service.advance()
        return self._service.ledger.as_json(brief=brief) | {
            "open": self._service.queue.open,
            "states": self._service.states(),
            "balance_usd": self._service.balance_micro / 1_000_000,
        }

    def _add_faults(self, value: Any) -> None:
        """One rule or a list of them, each as an object or as text; all are added, or none."""
        items = value if isinstance(value, list) else [value]
        rules = [Rule.parse(v) if isinstance(v, str) else Rule.from_json(v) for v in items]
        for rule in rules:
            self._service.rules.add(rule)

    def _set_balance(self, value: Any) -> None:
        dollars = value.get("balance_usd") if isinstance(value, dict) else None
        if isinstance(dollars, bool) or not isinstance(dollars, int | float):
            dollars = math.nan
        if not math.isfinite(dollars):
            raise EmulatorError('The balance is an amount in US dollars: {"balance_usd": 25}.')
        self._service.set_balance(dollars)


async def _body(request: web.BaseRequest) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise EmulatorError("The body must be JSON.") from None
