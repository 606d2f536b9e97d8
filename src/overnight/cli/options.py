"""The options that several verbs share, so that each means the same everywhere."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
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


def schema_files(command: Decorated) -> Decorated:
    """``--schema``, which hands the command ``schema_files``: texts for
    :func:`overnight.cli.catalog.users_catalog`."""
    return click.option(
        "--schema",
        "schema_files",
        multiple=True,
        metavar="[MODEL=]FILE",
        help="A model's schema from a file, for a model that the catalogue lacks.",
    )(command)


def prune(command: Decorated) -> Decorated:
    """``--prune``, which hands the command ``prune``: jobs gone from the manifest are cancelled."""
    return click.option(
        "--prune",
        is_flag=True,
        help="Cancel jobs that are gone from the manifest and were never submitted.",
    )(command)


def max_jobs(command: Decorated) -> Decorated:
    """``--max-jobs``, which hands the command ``max_jobs``: None for the usual limit."""
    return click.option(
        "--max-jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="The most jobs that a manifest may make.  [default: 1,000,000]",
    )(command)


def of_manifest(schema_files: Sequence[str], max_jobs: int | None) -> str:
    """What a suggested command needs to read the same manifest in the same way."""
    words = [f"--schema={one}" for one in schema_files]
    words += [f"--max-jobs={max_jobs}"] if max_jobs else []
    return "".join(f" {shlex.quote(word)}" for word in words)


def again(named: str) -> str:
    """What a command that is suggested to the user needs to find the same database."""
    default = os.environ.get(DB_VARIABLE) or DB_DEFAULT
    return "" if named == default else f" --db {shlex.quote(named)}"
