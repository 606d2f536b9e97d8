"""What the wire does when a rule strikes: refusals, gateways' pages, resets, silence.

Each function gets the struck call as a :class:`Struck` and returns the answer to send; one that
ends the connection returns an answer that nobody receives.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from overnight.emulator import answers
from overnight.emulator.routes import Call, Route
from overnight.emulator.rules import Rule

# Close at once and tell the other side with a reset, not with an orderly end.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Struck:
    """A call that a rule has struck."""

    request: web.BaseRequest
    route: Route
    rule: Rule
    carry_out: Callable[[], Awaitable[web.Response]]
    """Does what the call asks and gives the answer that would have been sent."""
    without_range: Callable[[], Awaitable[web.Response]]
    """The same for a call that asks for all of a file."""
    closing: asyncio.Event
    """Set when the emulator stops, so that nobody waits for ever."""
    expire: Callable[[], None]
    """Kills the media URL that was asked for."""

    def option(self, name: str) -> str:
        """An option of the rule."""
        return self.rule.options[name]


async def misbehave(struck: Struck) -> web.StreamResponse:
    """Do what the rule's fault says."""
    name = struck.rule.fault.name
    if name in _PLAYS:
        return await _PLAYS[name](struck)
    kind, _, status = name.partition("-")
    headers = _retry_after(struck)
    if kind == "html":
        return answers.gateway_page(int(status), headers)
    if struck.route.call is Call.MEDIA:
        return web.Response(status=int(status), text="storage is unavailable\n", headers=headers)
    return answers.refuse(
        int(status) * 1000 + 1,
        "The service can't do this now.",
        status=int(status),
        headers=headers,
    )


def reset(request: web.BaseRequest) -> web.Response:
    """End the connection with a reset; what is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return web.Response()


def _retry_after(struck: Struck) -> dict[str, str]:
    seconds = struck.rule.options.get("retry_after")
    if not seconds:
        return {}
    if struck.rule.options.get("as") == "date":
        now = datetime.now(UTC)
        when = now.replace(microsecond=0) + timedelta(seconds=float(seconds))
        return {"Date": format_datetime(now, True), "Retry-After": format_datetime(when, True)}
    return {"Retry-After": seconds}


async def _no_balance(_: Struck) -> web.Response:
    return answers.refuse(answers.NO_BALANCE, "Insufficient balance.")


async def _bad_token(_: Struck) -> web.Response:
    return answers.refuse(answers.BAD_TOKEN, "Missing or invalid token.")


async def _forbidden(_: Struck) -> web.Response:
    return answers.refuse(answers.FORBIDDEN, "This account may not do this.")


async def _throttle(struck: Struck) -> web.Response:
    headers = _retry_after(struck)
    return answers.refuse(answers.TOO_MANY, "Too many requests.", headers=headers)


async def _not_found(_: Struck) -> web.Response:
    return answers.refuse(answers.NOT_FOUND, "The request was not found or has expired.")


async def _error_200(struck: Struck) -> web.Response:
    code = int(struck.option("code"))
    return answers.refuse(code, "Something is not right.", status=200)


async def _garbage(struck: Struck) -> web.Response:
    shape = struck.option("as")
    if shape == "html":
        return answers.html_page("Just a moment", "<p>One moment, please.</p>")
    if shape == "no-id":
        return answers.say({"message": "ok"})
    body = b"" if shape == "empty" else b'{"request_id": "'
    return web.Response(body=body, content_type="application/json")


async def _drop(struck: Struck) -> web.Response:
    return reset(struck.request)


async def _hang(struck: Struck) -> web.Response:
    await struck.closing.wait()
    return reset(struck.request)


async def _html_504(_: Struck) -> web.Response:
    return answers.gateway_page(504)


def _after(play: Callable[[Struck], Awaitable[web.Response]]) -> Play:
    async def carried_out_first(struck: Struck) -> web.Response:
        await struck.carry_out()
        return await play(struck)

    return carried_out_first


async def _slow(struck: Struck) -> web.Response:
    answer = await struck.carry_out()
    try:
        async with asyncio.timeout(float(struck.option("delay"))):
            await struck.closing.wait()
    except TimeoutError:
        return answer
    return reset(struck.request)


async def _cut(struck: Struck) -> web.StreamResponse:
    answer = await struck.carry_out()
    body = answer.body
    content = body if isinstance(body, bytes) else b""
    cut = web.StreamResponse(status=answer.status, headers=answer.headers)
    cut.content_length = len(content)
    await cut.prepare(struck.request)
    await cut.write(content[: len(content) // 2])
    # An orderly end, so that the half that was sent surely arrives before the loss is noticed.
    if struck.request.transport is not None:
        struck.request.transport.close()
    return cut


async def _short(struck: Struck) -> web.Response:
    answer = await struck.carry_out()
    if isinstance(answer.body, bytes):
        answer.body = answer.body[: len(answer.body) // 2]
    return answer


async def _says_cancelled(struck: Struck) -> web.Response:
    answer = await struck.carry_out()
    if isinstance(answer.body, bytes):
        answer.body = answer.body.replace(b'"status": "completed"', b'"status": "cancelled"')
    return answer


async def _expired(struck: Struck) -> web.Response:
    struck.expire()
    return storage_refusal(int(struck.option("code")))


async def _login(struck: Struck) -> web.Response:
    page = answers.html_page("Sign in", "<form><input name=user><input type=password></form>")
    if struck.option("as") == "mp4":
        page.content_type, page.charset = "video/mp4", None
    return page


async def _empty(_: Struck) -> web.Response:
    return web.Response(body=b"", content_type="video/mp4")


async def _range_lies(struck: Struck) -> web.Response:
    honest, whole = await struck.carry_out(), await struck.without_range()
    if honest.status != 206 or not isinstance(whole.body, bytes):
        return honest
    how, total = struck.option("as"), len(whole.body)
    if how == "ignored":
        return whole
    if how == "start":
        honest.body = whole.body
        honest.headers["Content-Range"] = f"bytes 0-{total - 1}/{total}"
    elif how == "total":
        honest.headers["Content-Range"] = honest.headers["Content-Range"] + "0"
    elif how == "etag":
        honest.headers["ETag"] = '"another"'
    elif isinstance(honest.body, bytes):
        honest.body = whole.body[: len(honest.body)]
    return honest


async def _redirect(struck: Struck) -> web.Response:
    if "direct" in struck.request.rel_url.query:
        return await struck.carry_out()
    target = struck.request.rel_url.update_query(direct="1")
    return web.Response(status=302, headers={"Location": str(target)})


def storage_refusal(status: int) -> web.Response:
    """What an object store says to a signed URL that does not work."""
    text = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


Play = Callable[[Struck], Awaitable[web.StreamResponse]]

_PLAYS: dict[str, Play] = {
    "no-balance": _no_balance,
    "bad-token": _bad_token,
    "forbidden": _forbidden,
    "throttle": _throttle,
    "404-on-poll": _not_found,
    "error-200": _error_200,
    "garbage-200": _garbage,
    "garbage-200-after": _after(_garbage),
    "drop-before": _drop,
    "drop-after": _after(_drop),
    "hang": _hang,
    "hang-after": _after(_hang),
    "html-504-after": _after(_html_504),
    "slow": _slow,
    "cut": _cut,
    "truncate": _cut,
    "short": _short,
    "says-cancelled": _says_cancelled,
    "expired": _expired,
    "html": _login,
    "empty": _empty,
    "range-lies": _range_lies,
    "redirect": _redirect,
}
