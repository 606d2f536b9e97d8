"""The options that several verbs share, so that each means the same everywhere."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

from overnight.lifecycle import State

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DB_VARIABLE = "OVERNIGHT_DB"
DB_DEFAULT = "overnight.db"

STATES = [state.value for state in State]


def db(command: Decorated) -> Decorated:
    """``--db``, which hands the command ``db``: a path or a URL, as given."""
    return click.option(
        "--db",
        "db",
        metavar="PATH",
        envvar=DB_VARIABLE,
        default=DB_DEFAULT,
        show_default=True,
        help="The database: a file, or sqlite:///FILE.",
    )(command)


def as_json(command: Decorated) -> Decorated:
    """``--json``, which hands the command ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="JSON Lines on stdout, and nothing else there."
    )(command)


def yes(command: Decorated) -> Decorated:
    """``--yes``, which hands the command ``yes``."""
    return click.option("--yes", "-y", is_flag=True, help="Don't ask; go ahead.")(command)


def concurrency(command: Decorated) -> Decorated:
    """``--concurrency``: jobs that the provider may have at once, above the manifest's word."""
    return click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="N",
        help="Jobs that the provider may have at once; the manifest's own number otherwise.",
    )(command)


def go_on(command: Decorated) -> Decorated:
    """``--continue``, which hands the command ``go_on``: halted batches go on."""
    return click.option(
        "--continue",
        "go_on",
        is_flag=True,
        help="Go on with a batch that was halted; what failed so far no longer counts.",
    )(command)


def wait_for_account(command: Decorated) -> Decorated:
    """``--wait-for-account``: a refusal is waited out."""
    return click.option(
        "--wait-for-account",
        is_flag=True,
        help="When the account is turned away, ask for free until it isn't, and go on.",
    )(command)


def again(named: str) -> str:
    """What a command that is suggested to the user needs to find the same database."""
    default = os.environ.get(DB_VARIABLE) or DB_DEFAULT
    return "" if named == default else f" --db {shlex.quote(named)}"
