"""The entry point: a group of verbs whose modules are imported only when they are called.

Nothing but click and the standard library may be imported here, because every start pays for it:
shells complete and scripts ask for ``--version`` far more often than anyone runs a batch.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from overnight import __version__
from overnight.cli.exits import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "overnight"

HOW_TO_START = (
    "Try it without an account:   overnight demo\n"
    "With your own account:       export RUNCOMFY_API_TOKEN=…; overnight run jobs.yaml"
)


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a command lives, and its line in the help (so that the help imports nothing)."""

    module: str
    name: str
    help: str


VERBS = {
    "run": Verb("overnight.cli.run", "run", "Load a manifest, then work until it is done."),
    "plan": Verb("overnight.cli.plan", "plan", "Say what would run and cost; submit nothing."),
    "load": Verb("overnight.cli.load", "load", "Load a manifest's jobs; submit nothing."),
    "work": Verb("overnight.cli.run", "work", "Work on what is loaded until it is done."),
    "status": Verb("overnight.cli.status", "status", "Show each batch: how many jobs are where."),
    "jobs": Verb("overnight.cli.jobs", "jobs", "List jobs, by batch and state."),
    "show": Verb("overnight.cli.show", "show", "Show one job: inputs, attempts, files."),
    "cancel": Verb("overnight.cli.change", "cancel", "Cancel jobs."),
    "retry": Verb("overnight.cli.change", "retry", "Give failed jobs another run."),
    "resolve": Verb("overnight.cli.resolve", "resolve", "Settle jobs that may have been paid."),
    "models": Verb("overnight.cli.models", "models", "List models: inputs, prices, examples."),
    "init": Verb("overnight.cli.init", "init", "Write a commented manifest to begin with."),
    "check": Verb("overnight.cli.check", "check", "Check a manifest, its files and the account."),
    "schema": Verb("overnight.cli.schema", "schema", "Print the manifest's JSON Schema."),
    "verify": Verb("overnight.cli.verify", "verify", "Check every file against the record."),
    "export": Verb("overnight.cli.export", "export", "Export what was made as a data set."),
    "doctor": Verb("overnight.cli.doctor", "doctor", "Check everything; say what to do."),
    "db": Verb("overnight.cli.db", "db", "Look after the database: schema, backups."),
    "demo": Verb("overnight.cli.demo", "demo", "Run an example, without an account or a token."),
    "emulator": Verb("overnight.cli.emulator", "emulator", "Serve a local stand-in for the API."),
    "completion": Verb("overnight.cli.completion", "completion", "Print a shell's completion."),
}
"""Every verb, in the order of the help."""


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = getattr(importlib.import_module(verb.module), verb.name)
        assert isinstance(command, click.Command)
        name_variables(command, f"{PROGRAM}_{cmd_name}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("How to start"):
            for line in HOW_TO_START.splitlines():
                formatter.write(f"  {line}\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=verb.help)
            for name, verb in VERBS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def name_variables(command: click.Command, prefix: str) -> None:
    """Give every flag its environment variable: ``OVERNIGHT_RUN_CONCURRENCY`` for ``overnight run
    --concurrency``. (click can do so by itself, but from the names of our Python arguments.)"""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            name_variables(inner, f"{prefix}_{name}")
    for option in command.params:
        if isinstance(option, click.Option):
            flag = max(option.opts, key=len).lstrip("-")
            option.envvar = option.envvar or f"{prefix}_{flag}".upper().replace("-", "_")
            option.show_envvar = True


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A persistent queue for paid generation APIs: a manifest in the evening, a data set in the
    morning. It never pays twice for one job, and a command that is repeated goes on where it
    stopped."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. Every error ends here, as a sentence."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal can't show must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place for all errors
        from overnight.cli import failures

        return failures.tell(error)
    return int(code) if code is not None else Exit.DONE


def main() -> None:
    """What the ``overnight`` program calls."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        # The reader has gone; keep Python from complaining about it once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
