"""Who we are to the provider, and where it is: the token, the base URL, the account's id.

The token is looked for where people who use RunComfy already have it, in this order: the
variables ``RUNCOMFY_API_TOKEN``, ``RUNCOMFY_TOKEN``, ``YOUR_API_TOKEN``; then ``access_token`` in
the official command line's ``token.json``. The first place that has one is taken, and a token
there that can't be right is an error: falling through to another would spend from the wrong
account.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from overnight.providers.loopback import LOOPBACK_NAMES, is_loopback
from overnight.providers.redaction import Secret

TOKEN_VARIABLES = ("RUNCOMFY_API_TOKEN", "RUNCOMFY_TOKEN", "YOUR_API_TOKEN")
BASE_VARIABLE = "RUNCOMFY_MODEL_API_BASE"
DEFAULT_BASE = "https://model-api.runcomfy.net"

_LARGEST_TOKEN_FILE = 64 * 1024
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_PLACEHOLDER = re.compile(
    r"<.*>|\$.*|\{.*\}|\.+|x{3,}|your[-_ ]?(api[-_ ]?)?token.*", re.IGNORECASE
)


class CredentialsError(Exception):
    """No usable token or base URL. The message is for people, says what to do, and never holds
    the token."""


@dataclass(frozen=True, slots=True)
class Account:
    """One token at one API."""

    base: str
    """Scheme, host and any path before ``/v1``; no slash at the end."""
    token: Secret
    source: str
    """Where the token was found: a variable's name or a file's path."""

    @property
    def id(self) -> str:
        """A short name for token and base that does not lead back to the token; the same
        wherever the token was found."""
        material = f"{self.base}\n{self.token.reveal()}".encode()
        return hashlib.blake2b(material, digest_size=8, person=b"overnight").hexdigest()

    @property
    def plain_http_hosts(self) -> frozenset[str]:
        """Hosts that may be fetched from without TLS: this machine, when the API is on it."""
        url = urlsplit(self.base)
        if url.scheme == "https" or url.hostname is None:
            return frozenset()
        return LOOPBACK_NAMES | {url.hostname}


def find_account(environ: Mapping[str, str], home: Path) -> Account:
    """The account that the user's environment and home folder describe.

    Raises :class:`CredentialsError`.
    """
    base = find_base(environ)
    token, source = find_token(environ, home)
    return Account(base=base, token=token, source=source)


def find_base(environ: Mapping[str, str]) -> str:
    """The API's base URL: ``RUNCOMFY_MODEL_API_BASE``, with or without ``/v1``, or the real one.

    Raises :class:`CredentialsError` for anything but https, or plain http on loopback.
    """
    text = environ.get(BASE_VARIABLE, "").strip()
    if not text:
        return DEFAULT_BASE
    url = _split(text)
    host = url.hostname or ""
    if url.scheme not in {"https", "http"} or not host:
        raise _bad_base("is not a web address; write it like https://host or http://127.0.0.1:8080")
    if url.username is not None or url.query or url.fragment:
        raise _bad_base("must be scheme, host and path alone: no user name, no '?', no '#'")
    if url.scheme == "http" and not is_loopback(host):
        raise _bad_base("would send your token unencrypted; use https (http is for loopback only)")
    path = url.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{url.scheme}://{url.netloc.lower()}{path}"


def find_token(environ: Mapping[str, str], home: Path) -> tuple[Secret, str]:
    """The token and where it was found.

    Raises :class:`CredentialsError` when there is none, or when it can't be one.
    """
    for name in TOKEN_VARIABLES:
        text = environ.get(name, "").strip()
        if text:
            return _checked(text, name), name
    for path in _token_files(environ, home):
        text = _token_in(path)
        if text:
            return _checked(text, str(path)), str(path)
    raise CredentialsError(
        f"No API token found. Copy one from your RunComfy profile and run: "
        f"export {TOKEN_VARIABLES[0]}=…"
    )


def _split(text: str) -> SplitResult:
    if not _PRINTABLE.fullmatch(text):
        raise _bad_base("has spaces or characters that can't be in an address")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise _bad_base("is not a web address") from None
    if port == 0:
        raise _bad_base("has a port that can't be used")
    return url


def _bad_base(what: str) -> CredentialsError:
    return CredentialsError(f"{BASE_VARIABLE} {what}.")


def _token_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    folders = []
    if own := environ.get("RUNCOMFY_CONFIG_DIR", ""):
        folders.append(Path(own))
    if xdg := environ.get("XDG_CONFIG_HOME", ""):
        folders.append(Path(xdg) / "runcomfy")
    folders.append(home / ".config" / "runcomfy")
    return [folder / "token.json" for folder in folders]


def _token_in(path: Path) -> str:
    """The token in a ``token.json``, or nothing where there is no such file."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_LARGEST_TOKEN_FILE).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as exc:
        raise CredentialsError(f"{path} can't be read: {exc.strerror}.") from None
    except (ValueError, RecursionError):
        raise _bad_file(path) from None
    token = content.get("access_token") if isinstance(content, dict) else None
    if not isinstance(token, str) or not token.strip():
        raise _bad_file(path)
    return token.strip()


def _bad_file(path: Path) -> CredentialsError:
    return CredentialsError(
        f"{path} holds no access_token. Sign in again with RunComfy's own command line, "
        f"or export {TOKEN_VARIABLES[0]}."
    )


def _checked(text: str, source: str) -> Secret:
    if _PLACEHOLDER.fullmatch(text):
        raise CredentialsError(
            f"{source} holds a placeholder, not a token. Put your own token from your RunComfy "
            f"profile there."
        )
    if text.lower().startswith("bearer "):
        raise CredentialsError(f"{source} must hold the token alone, without the word Bearer.")
    if not _PRINTABLE.fullmatch(text):
        raise CredentialsError(
            f"{source} has a line break, a space or a character outside ASCII in it. Copy the "
            f"token again, on its own."
        )
    return Secret(text)
