"""The calls of the Model API: each takes what came over the wire and gives the honest answer."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from overnight.catalog import Catalog, Model, UnknownModel
from overnight.catalog.entry import as_catalogue_json
from overnight.emulator import answers
from overnight.emulator.answers import refuse, say
from overnight.emulator.inputs import relaxed, unfetchable
from overnight.emulator.queue import Phase, Request
from overnight.emulator.routes import Call, Route
from overnight.emulator.service import Service

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LIMIT = range(1, 501)


class Api:
    """Answers calls from the state of a :class:`Service`. ``media_url`` gives the URL of a
    finished request's file, ``base`` the address under which the emulator is reached."""

    def __init__(
        self,
        service: Service,
        catalog: Catalog,
        base: str,
        media_url: Callable[[Request], str],
    ) -> None:
        self._service = service
        self._catalog = catalog
        self._base = base
        self._media_url = media_url
        self._token = service.settings.token.encode()
        self._on_a_request = {
            Call.STATUS: self._status,
            Call.RESULT: self._result,
            Call.CANCEL: self._cancel,
        }

    async def unfetchable(self, route: Route, body: bytes) -> str | None:
        """What is wrong with the files that a submit names, where that is looked at."""
        if route.call is not Call.SUBMIT or not self._service.settings.fetch_inputs:
            return None
        inputs = _read(body)
        try:
            model = self._catalog.find(route.target)
        except UnknownModel:
            return None
        return await unfetchable(model, inputs) if isinstance(inputs, dict) else None

    def answer(
        self, route: Route, request: web.BaseRequest, body: bytes, wrong: str | None = None
    ) -> web.Response:
        """The honest answer to any call but media. ``wrong`` is what :meth:`unfetchable` said."""
        if route.call is Call.OTHER:
            return refuse(answers.NOT_FOUND, "There is no such call.")
        if not self._takes(request.headers.get("Authorization", "")):
            if route.call is Call.SUBMIT:
                self._service.ledger.turned_away["bad-token"] += 1
            return refuse(answers.BAD_TOKEN, "Missing or invalid token.")
        if route.call is Call.SUBMIT:
            key = request.headers.get("Idempotency-Key", "")
            return self._submit(route.target, body, key, wrong)
        if route.call is Call.BALANCE:
            return self._balance()
        if route.call is Call.MODELS:
            return self._one(route.target) if route.target else self._list(request.rel_url.query)
        if route.call is Call.LOOKUP:
            return self._look_up(route.target)
        if not _ID.fullmatch(route.target):
            return refuse(answers.BAD_ID, "This is no request id.")
        known = self._service.known(route.target)
        if known is None:
            return refuse(answers.NOT_FOUND, "The request was not found or has expired.")
        return self._on_a_request[route.call](known, request.rel_url.query)

    def _takes(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode("utf-8", "surrogateescape"), self._token
        )

    # --- submit -------------------------------------------------------------------------------

    def _submit(self, model_id: str, body: bytes, key: str, wrong: str | None) -> web.Response:
        first = self._service.by_key.get(key)
        if first is not None and self._service.settings.recovery == "replay":
            return self._replay(first, model_id, body)
        return self._first(model_id, body, key, wrong)

    def _first(self, model_id: str, body: bytes, key: str, wrong: str | None) -> web.Response:
        try:
            model = self._catalog.find(model_id)
        except UnknownModel:
            return self._turn_away("unknown-model", answers.NOT_FOUND, "There is no such model.")
        inputs = _read(body)
        if not isinstance(inputs, dict):
            sentence = "The body must be a JSON object of the model's inputs."
            return self._turn_away("bad-body", answers.BAD_INPUTS, sentence)
        is_lax = self._service.settings.fetch_inputs
        problems = model.problems(relaxed(model, inputs) if is_lax else inputs)
        if problems or wrong is not None:
            sentence = "; ".join([problem.message for problem in problems] or [wrong or ""])
            return self._turn_away("bad-inputs", answers.BAD_INPUTS, sentence)
        if not self._service.can_pay(model, inputs):
            return self._turn_away("no-balance", answers.NO_BALANCE, "Insufficient balance.")
        return self._accepted(self._service.accept(model, inputs, body, key))

    def _replay(self, first: Request, model_id: str, body: bytes) -> web.Response:
        """The answer of the submit that used the key first; a key stands for one body only."""
        if model_id != first.model or _read(body) != first.inputs:
            sentence = "The key was used for another request."
            return self._turn_away("other-key", answers.BAD_INPUTS, sentence)
        self._service.ledger.replayed += 1
        return self._accepted(first)

    def _accepted(self, request: Request) -> web.Response:
        return say({"request_id": request.id} | self._urls(request, "status", "result", "cancel"))

    def _look_up(self, key: str) -> web.Response:
        """Which request a key became."""
        if self._service.settings.recovery != "lookup":
            return refuse(answers.NOT_FOUND, "There is no such call.")
        found = self._service.by_key.get(key)
        if found is None:
            return refuse(answers.NOT_FOUND, "No request was accepted under this key.")
        return say(self._state(found))

    def _turn_away(self, kind: str, code: int, sentence: str) -> web.Response:
        self._service.ledger.turned_away[kind] += 1
        return refuse(code, sentence)

    def _urls(self, request: Request, *verbs: str) -> dict[str, str]:
        stem = f"{self._base}/v1/requests/{request.id}"
        return {f"{verb}_url": f"{stem}/{verb}" for verb in verbs}

    # --- what became of it --------------------------------------------------------------------

    def _state(self, request: Request) -> dict[str, Any]:
        state = {"request_id": request.id, "status": self._service.status_word(request)}
        state |= self._urls(request, "status", "result")
        if request.phase is Phase.IN_QUEUE:
            return state | {"queue_position": self._service.queue.position(request)}
        return state

    def _status(self, request: Request, _: Mapping[str, str]) -> web.Response:
        return say(self._state(request))

    def _result(self, request: Request, query: Mapping[str, str]) -> web.Response:
        if request.open:
            return say(self._state(request))
        verdict = self._service.verdict(request)
        result: dict[str, Any] = {"request_id": request.id, "status": verdict}
        if verdict == "succeeded":
            result["output"] = {"video": self._media_url(request)}
        elif request.fault in ("job-fails", "status-failed"):
            result["error"] = _reason(request)
        result["created_at"] = self._moment(request.accepted_at)
        result["finished_at"] = self._moment(request.finished_at or request.accepted_at)
        if query.get("include_cost") == "true":
            paid = 0 if request.phase is Phase.CANCELLED else request.price_micro
            result["cost"] = paid / 1_000_000
        return say(result)

    def _cancel(self, request: Request, _: Mapping[str, str]) -> web.Response:
        cancelled = self._service.cancel(request)
        outcome = "cancelled" if cancelled else "not_cancellable"
        return say({"request_id": request.id, "status": "completed", "outcome": outcome}, 202)

    def _moment(self, at: float) -> str:
        when = datetime.fromtimestamp(self._service.wall(at), UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # --- the account and the catalogue ----------------------------------------------------------

    def _balance(self) -> web.Response:
        micro = self._service.balance_micro
        return say(
            {"balance_usd": micro / 1_000_000, "balance_microdollars": micro, "currency": "USD"}
        )

    def _one(self, model_id: str) -> web.Response:
        try:
            model = self._catalog.find(model_id)
        except UnknownModel:
            return refuse(answers.NOT_FOUND, "There is no such model.")
        return say(self._described(model, with_schema=True))

    def _list(self, query: Mapping[str, str]) -> web.Response:
        try:
            limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        except ValueError:
            limit = offset = -1
        if limit not in _LIMIT or offset < 0:
            return refuse(answers.BAD_INPUTS, "limit is 1 to 500, offset is 0 or more.")
        with_schema = query.get("include_schema") == "true"
        found = [
            self._described(self._catalog.find(name), with_schema=with_schema)
            for name in self._catalog.model_ids()
        ]
        wanted = [model for model in found if _is_wanted(model, query)]
        page = wanted[offset : offset + limit]
        return say({"models": page, "total": len(wanted), "limit": limit, "offset": offset})

    def _described(self, model: Model, *, with_schema: bool) -> dict[str, Any]:
        """A model as the catalogue gives it; what its own entry leaves out is made up."""
        described = as_catalogue_json(model.entry)
        last = model.id.rsplit("/", 1)[-1]
        if model.price is None:
            described |= {
                "base_price_usd": self._service.settings.price,
                "price_unit": "output",
                "pricing_note": "An emulator's price: nothing is charged.",
            }
        described["display_name"] = model.entry.display_name or last.replace("-", " ").capitalize()
        described["description"] = model.entry.description or "A model that this emulator serves."
        described["categories"] = list(model.entry.categories) or [last]
        described["kind"] = model.entry.kind or "video"
        described["required_inputs"] = list(model.required)
        if not with_schema:
            del described["input_schema"]
        return described


def _read(body: bytes) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_wanted(model: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    search = query.get("search", "").lower()
    described = " ".join(str(model[name]) for name in ("model_id", "display_name", "description"))
    return (
        search in described.lower()
        and query.get("category", "") in ("", *model["categories"])
        and query.get("kind", "") in ("", model["kind"])
    )


def _reason(request: Request) -> Any:
    sentence = "The worker ran out of memory."
    if request.options.get("as") == "object":
        return {"code": "worker_error", "message": sentence}
    return sentence
