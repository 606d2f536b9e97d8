"""``overnight check``: everything that can be found out about a manifest before it costs anything.

The static checks are the same as ever. Beyond them the input files are asked for and the account
is looked at: by calls that are free, and that only this command makes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from overnight.cli import inputfiles, options
from overnight.cli.exits import Exit
from overnight.cli.findings import Finding, Level, fine, problem, warning
from overnight.cli.inputfiles import Collection, Places, Verdict
from overnight.cli.output import Output, count

if TYPE_CHECKING:
    from overnight.cli.bill import Cost
    from overnight.manifest import Manifest
    from overnight.providers.catalogue import BalanceOutcome, PageOutcome
    from overnight.providers.credentials import Account
    from overnight.providers.transport import AiohttpTransport

_TOLD_EVERY = 200
"""Addresses between two words about how far it is."""
_MOST_SHOWN = 50
"""Addresses with something wrong that are shown to people one by one."""


@click.command()
@click.argument("manifest", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Ask nobody: neither the provider nor for files.")
@options.schema_files
@options.as_json
def check(manifest: Path, offline: bool, schema_files: tuple[str, ...], as_json: bool) -> int:
    """Check the manifest FILE, every file that its jobs name, and the account.

    Each image or video address is asked for once, without a login, the way the provider will ask
    for it, and the store of local files is tried without writing to it. Nothing is loaded,
    submitted or paid for. The exit code is 2 where something would make jobs fail, and 4 where the
    provider doesn't take the token.
    """
    from overnight.cli import problems, wanted

    report = Report(Output(as_json=as_json))
    with problems.recorded(report.output):
        read = wanted.read(manifest, lambda _: {}, schema_files=schema_files).manifest
        collection, cost = _walk(read, report.output)
    report.manifest(read, cost)
    store = None if read.assets is None else read.assets.store
    if offline:
        report.tell(fine("files", f"{_addresses(collection)}; not asked (--offline)."))
        report.tell(fine("account", "Not asked (--offline)."))
        if store is not None:
            report.tell(fine("assets", f"{store} was not tried (--offline)."))
    else:
        _account(report, cost)
        _files(report, read, collection)
        if store is not None:
            report.tell(_assets(store))
    return report.end()


def _addresses(collection: Collection) -> str:
    number = len(collection.wanted)
    return f"{number:,} different {'address' if number == 1 else 'addresses'} of input files"


@dataclass(slots=True)
class Report:
    """What was found so far, told as it comes."""

    output: Output
    levels: list[Level] = field(default_factory=list)
    refused: bool = False
    """Whether the provider turned the account away."""

    def tell(self, finding: Finding, extra: Mapping[str, object] | None = None) -> None:
        """One finding; ``extra`` fields are for programs alone."""
        self.levels.append(finding.level)
        self.output.record({**finding.fields(), **(extra or {})}, flush=True)
        if not self.output.as_json:
            self.output.say(f"{finding.level.value:<8} {finding.check:<9} {finding.sentence}")

    def manifest(self, manifest: Manifest, cost: Cost) -> None:
        """The manifest itself, which has passed its checks, and what it asks us to say."""
        how = "" if manifest.validate else ", their inputs unchecked (validate: off)"
        self.tell(fine("manifest", f"{count(cost.jobs, 'job')} of {manifest.name}{how}."))
        for note in manifest.notes:
            place = {"file": note.file, "line": note.line, "column": note.column}
            text = f"{note.place}: {note.message}."
            self.tell(warning("manifest", text, f"{note.hint}." if note.hint else ""), place)

    def end(self) -> Exit:
        """The last sentence, and the exit code."""
        problems, warnings = self.levels.count(Level.PROBLEM), self.levels.count(Level.WARNING)
        beside = f", {count(warnings, 'warning')}" if warnings else ""
        words = count(problems, "problem") if problems else "No problem found"
        self.output.note(f"{words}{beside}.")
        if self.refused:
            return Exit.REFUSED
        return Exit.USAGE if problems else Exit.DONE


def _walk(manifest: Manifest, output: Output) -> tuple[Collection, Cost]:
    """Every job of the manifest, looked at once: the files it names, and what it costs."""
    from overnight.cli.bill import Cost
    from overnight.cli.meter import metered

    media = {block.model.id: inputfiles.media_inputs(block.model) for block in manifest.blocks}
    collection = Collection()
    dollars, priced, unpriced = 0.0, 0, 0
    for spec in metered(manifest.specs(), output, "Checking", manifest.count()):
        collection.add(spec, media[spec.model])
        if spec.price is None:
            unpriced += 1
        else:
            dollars += spec.price
            priced += 1
    return collection, Cost(dollars, priced, unpriced)


# --- the account ------------------------------------------------------------------------------


def _account(report: Report, cost: Cost) -> None:
    from overnight.cli.session import users_account
    from overnight.providers.credentials import CredentialsError

    try:
        account = users_account()
    except CredentialsError as error:
        report.tell(problem("token", str(error)))
        return
    balance, page = asyncio.run(_ask_account(account))
    finding = _token(account, balance, page)
    report.tell(finding)
    report.refused = finding.level is Level.PROBLEM
    if finding.level is Level.OK:
        report.tell(_balance(balance, cost))


async def _ask_account(account: Account) -> tuple[BalanceOutcome, PageOutcome]:
    from overnight.providers.runcomfy import RunComfy

    provider = RunComfy.connect(account)
    try:
        return await provider.balance(), await provider.models(offset=0, limit=1)
    finally:
        await provider.aclose()


def _token(account: Account, balance: BalanceOutcome, page: PageOutcome) -> Finding:
    """Whether the token is taken: an answer to either call shows it."""
    from overnight.providers.base import Refused
    from overnight.providers.catalogue import Balance, Page

    taken = fine("token", f"Found in {account.source}; the provider takes it.")
    if isinstance(balance, Balance):
        return taken
    for answer in (balance, page):
        if isinstance(answer, Refused):
            text = f"The provider turns the account away: {answer.reason.rstrip('.')}."
            return problem("token", text, f"Check the token in {account.source}.")
    if isinstance(page, Page):
        return taken
    reason = page.reason.rstrip(".")
    text = f"Found in {account.source}, but {account.base} gives no answer: {reason}."
    return warning("token", text, "Check your network; a run waits until the provider answers.")


def _balance(balance: BalanceOutcome, cost: Cost) -> Finding:
    """What is in the wallet, beside what the jobs would cost if all of them were submitted."""
    from overnight.cli.bill import money
    from overnight.providers.catalogue import Balance

    if not isinstance(balance, Balance):
        text = f"It could not be read: {balance.reason.rstrip('.')}."
        return warning("balance", text, "Look at it in your RunComfy profile.")
    has = f"{'-' if balance.usd < 0 else ''}{money(abs(balance.usd))}"
    if balance.usd <= 0:
        return problem("balance", f"{has}: nothing would be accepted.", "Add to your balance.")
    if cost.priced and cost.dollars > balance.usd:
        text = f"{has}, and all of the jobs cost {cost.words()}."
        advice = "Add to your balance, or the run stops part-way and can go on later."
        return warning("balance", text, advice)
    if not cost.priced:
        return fine("balance", f"{has}; nobody can say what the jobs cost.")
    return fine("balance", f"{has}; all of the jobs cost {cost.words()}.")


# --- local files ------------------------------------------------------------------------------


def _assets(store: str) -> Finding:
    """Whether local files could be uploaded now."""
    from overnight.artifacts.publish import StoreTrouble
    from overnight.artifacts.trial import Trial

    try:
        left = asyncio.run(Trial().attempt(store))
    except StoreTrouble as error:
        return problem("assets", str(error), "No job that sends a local file could be submitted.")
    if left is None:
        return fine("assets", f"{store} can be reached and takes files; nothing was written.")
    text = f"{store} takes files, but nothing can be deleted there."
    return warning("assets", text, f"The empty object {left} was left behind by this check.")


# --- files ------------------------------------------------------------------------------------


def transport() -> AiohttpTransport:
    """What addresses are asked over: connections of their own, and no login for anybody."""
    from overnight.providers.transport import AiohttpTransport

    return AiohttpTransport(limit=inputfiles.AT_ONCE, trust_env=True, proxy_login=False)


def _files(report: Report, manifest: Manifest, collection: Collection) -> None:
    if not collection.wanted:
        report.tell(fine("files", "No job names an address of its own to fetch a file from."))
        return
    total = len(collection.wanted)
    places = Places(manifest)
    levels: list[Level] = []

    def told(verdict: Verdict) -> None:
        levels.append(verdict.level)
        if len(levels) % _TOLD_EVERY == 0 and not report.output.as_json:
            report.output.note(f"{len(levels):,} of {total:,} addresses asked…")
        _tell(report, manifest, places, verdict, shown=_bad(levels) <= _MOST_SHOWN)

    asyncio.run(_ask_files(collection, told))
    report.tell(_summary(collection, levels))


async def _ask_files(collection: Collection, told: Callable[[Verdict], None]) -> None:
    from overnight.artifacts.reachable import Reach
    from overnight.providers.credentials import CredentialsError, find_base
    from overnight.providers.loopback import is_loopback

    try:
        host = urlsplit(find_base(os.environ)).hostname or ""
    except CredentialsError:
        host = ""
    reach = Reach(transport())
    try:
        here = is_loopback(host)
        await inputfiles.ask(collection, reach, private_is_fine=here, told=told)
    finally:
        await reach.aclose()


def _tell(
    report: Report, manifest: Manifest, places: Places, verdict: Verdict, *, shown: bool
) -> None:
    """One address: to programs in any case, to people when something is wrong with it."""
    from overnight.manifest import render_problem

    found = places.problem(verdict)
    report.output.record(
        {
            "check": "address",
            "level": verdict.level.value,
            "text": verdict.text,
            "advice": verdict.advice,
            "url": verdict.url,
            "jobs": verdict.jobs,
            "media_type": verdict.media_type or None,
            "bytes": verdict.size,
            "file": found.file,
            "line": found.line or None,
            "column": found.column or None,
        },
        flush=True,
    )
    if verdict.level is Level.OK:
        return
    report.levels.append(verdict.level)
    if shown and not report.output.as_json:
        pretty = render_problem(found, manifest.document.text)
        report.output.say(f"{verdict.level.value:<8} {'address':<9} {pretty}")


def _bad(levels: list[Level]) -> int:
    return len(levels) - levels.count(Level.OK)


def _summary(collection: Collection, levels: list[Level]) -> Finding:
    good, bad = levels.count(Level.OK), _bad(levels)
    text = f"{_addresses(collection)} asked: {good:,} as they should be"
    if bad:
        text += f", {bad:,} not"
    if bad > _MOST_SHOWN:
        text += f" (the first {_MOST_SHOWN} are shown; --json tells all)"
    if collection.left_out:
        return warning("files", f"{text}. Only the first {inputfiles.MOST:,} were asked.")
    return fine("files", f"{text}.")
