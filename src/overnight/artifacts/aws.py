"""Where the user's S3 is and who the user is there, by the names that AWS's own tools use.

obstore reads the environment, and the roles of AWS's own machines, by itself. What it does not
read are the files in ``~/.aws``: a profile's plain keys and its region are taken from there. Keys
are handed on and never kept, shown or logged here.
"""

from __future__ import annotations

import configparser
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that say where obstore is to get keys; they come before a profile."""
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


class PlainHttp(Exception):
    """The endpoint is plain http, and not on this machine."""


@dataclass(frozen=True, slots=True)
class Access:
    """``config`` is what obstore is told beside the environment; ``allow_http`` is for a server on
    this machine."""

    config: Mapping[str, str] = field(repr=False)
    allow_http: bool = False

    @property
    def has_keys(self) -> bool:
        """Whether the user's own keys are known; a role of the machine has to do otherwise."""
        return _KEYS[0] in self.config


def access(environ: Mapping[str, str], home: Path) -> Access:
    """How to get at S3. Raises :class:`PlainHttp`."""
    config: dict[str, str] = {}
    if environ.get("AWS_ACCESS_KEY_ID"):
        config |= {key: environ[key.upper()] for key in _KEYS if environ.get(key.upper())}
    elif not any(environ.get(name) for name in _ROLES):
        config |= _profile(environ, home)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    region = region or _region(environ, home)
    if region:
        config["region"] = region
    endpoint = next((environ[name] for name in _ENDPOINTS if environ.get(name)), None)
    if endpoint is None:
        return Access(config)
    config["endpoint"] = endpoint
    is_plain = endpoint.lower().startswith("http://")
    if is_plain and not _is_loopback(urlsplit(endpoint).hostname or ""):
        raise PlainHttp
    return Access(config, allow_http=is_plain)


def _profile(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The keys of the profile; nothing where it has none."""
    named = environ.get("AWS_SHARED_CREDENTIALS_FILE")
    found = _read(Path(named) if named else home / ".aws" / "credentials")
    name = environ.get("AWS_PROFILE") or "default"
    section = found[name] if found.has_section(name) else {}
    return {key: section[key] for key in _KEYS if section.get(key)}


def _region(environ: Mapping[str, str], home: Path) -> str | None:
    named = environ.get("AWS_CONFIG_FILE")
    found = _read(Path(named) if named else home / ".aws" / "config")
    name = environ.get("AWS_PROFILE") or "default"
    section = "default" if name == "default" else f"profile {name}"
    return found[section].get("region") if found.has_section(section) else None


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> configparser.RawConfigParser:
    """An ini file; an empty one where there is none, or none that can be read."""
    # Not "DEFAULT", as the parser would have it: "default" is a profile like any other.
    parser = configparser.RawConfigParser(default_section="no such section", strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
    except (OSError, ValueError, configparser.Error):
        return configparser.RawConfigParser()
    return parser
