"""Answers in the API's own words, and in the words of what stands in front of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

BAD_ID = 400001
NO_BALANCE = 400002
BAD_TOKEN = 400004
FORBIDDEN = 403001
NOT_FOUND = 404001
# These three are ours: the real codes for them are documented nowhere.
BAD_INPUTS = 422001
TOO_MANY = 429001
BROKEN = 500001

_HTTP = {
    BAD_ID: 400,
    NO_BALANCE: 402,
    BAD_TOKEN: 401,
    FORBIDDEN: 403,
    NOT_FOUND: 404,
    BAD_INPUTS: 422,
    TOO_MANY: 429,
    BROKEN: 500,
}


def say(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        # Plain ASCII: a complaint may quote half of a character pair, which UTF-8 can't hold.
        body=json.dumps(value).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def refuse(
    code: int,
    message: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in the API's own words; the HTTP status follows the code unless it is given."""
    body = {"error_code": code, "error_message": message}
    return say(body, _HTTP[code] if status is None else status, headers)


def gateway_page(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """The HTML page of a gateway that got nothing useful from behind it."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return html_page(title, f"<h1>{title}</h1><hr><p>gateway</p>", status, headers)


def html_page(
    title: str, inside: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Any other page for people where a program asked."""
    text = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>{inside}</body></html>\n"
    )
    return web.Response(text=text, status=status, headers=headers, content_type="text/html")
