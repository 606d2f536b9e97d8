"""``overnight doctor``: look at everything that a run depends on, and say what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overnight.cli import options
from overnight.cli.exits import Exit
from overnight.cli.findings import Finding, Level, fine, problem, warning
from overnight.cli.output import Output, count

if TYPE_CHECKING:
    from overnight.providers.base import NoAnswer, Refused
    from overnight.providers.credentials import Account


@click.command()
@click.option("--quick", is_flag=True, help="A shorter check of the database's file.")
@click.option("--offline", is_flag=True, help="Don't call the provider or object storage.")
@options.db
@options.as_json
def doctor(quick: bool, offline: bool, db: str, as_json: bool) -> int:
    """Check the database, the account, the provider and the disk, and say what to do.

    Nothing is changed and nothing costs anything; a worker may run meanwhile. The exit code is 0
    unless something is a problem.
    """
    from overnight.cli import database_checks

    output = Output(as_json=as_json)
    worst: list[Level] = []

    def tell(findings: Iterator[Finding]) -> None:
        for finding in findings:
            output.record(finding.fields(), flush=True)
            if not as_json:
                output.say(f"{finding.level.value:<8} {finding.check:<10} {finding.sentence}")
            worst.append(finding.level)

    tell(database_checks.examine(db, options.again(db), quick=quick, offline=offline))
    tell(_clips())
    tell(_account(offline=offline))
    problems, warnings = worst.count(Level.PROBLEM), worst.count(Level.WARNING)
    output.note(_verdict(problems, warnings))
    return Exit.ERROR if problems else Exit.DONE


def _verdict(problems: int, warnings: int) -> str:
    beside = f", {count(warnings, 'warning')}" if warnings else ""
    if problems:
        return f"{count(problems, 'problem')}{beside}."
    return f"No problem found{beside}."


def _clips() -> Iterator[Finding]:
    """Whether files can be looked into when they come home."""
    from overnight.artifacts import pyav

    if pyav.is_installed():
        yield fine("clips", "Pictures and clips are decoded when they come home (PyAV).")
        return
    yield warning(
        "clips",
        "Pictures and clips can't be decoded: a black, frozen or broken one is not noticed.",
        f"{pyav.HOW_TO_GET} puts that right.",
    )


def _account(*, offline: bool) -> Iterator[Finding]:
    """Who we are to the provider, and what it says to that."""
    from overnight.providers.credentials import (
        BASE_VARIABLE,
        DEFAULT_BASE,
        Account,
        CredentialsError,
        find_base,
        find_token,
    )

    account, base = None, ""
    try:
        base = find_base(os.environ)
        chosen = "the usual one" if base == DEFAULT_BASE else f"from {BASE_VARIABLE}"
        yield fine("address", f"The API is {base} ({chosen}).")
    except CredentialsError as error:
        yield problem("address", str(error))
    try:
        token, source = find_token(os.environ, Path.home())
        account = Account(base, token, source)
        yield fine("token", f"Found in {source}.")
    except CredentialsError as error:
        yield problem("token", str(error))
    if account is None or not base:
        return
    if offline:
        yield fine("provider", "Not asked (--offline).")
        return
    yield _provider(account)


def _provider(account: Account) -> Finding:
    from overnight.providers.base import NoAnswer

    answer = asyncio.run(_probe(account))
    if answer is None:
        return fine("provider", "It answers, and takes the account.")
    if isinstance(answer, NoAnswer):
        return problem(
            "provider",
            f"No answer from {account.base}: {answer.reason}.",
            "Check your network and the provider's status; a run waits until it answers.",
        )
    return problem(
        "provider",
        f"The provider turns the account away: {answer.reason}.",
        f"Check your balance, and the token in {account.source}.",
    )


async def _probe(account: Account) -> Refused | NoAnswer | None:
    """Ask for free; see :meth:`overnight.providers.base.Provider.probe`."""
    from overnight.providers.runcomfy import RunComfy

    provider = RunComfy.connect(account)
    try:
        return await provider.probe()
    finally:
        await provider.aclose()
