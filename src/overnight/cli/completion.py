"""``overnight completion``: the script that teaches a shell our verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from overnight.cli.exits import Exit
from overnight.cli.output import Output

HOW = {
    "bash": 'eval "$(overnight completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(overnight completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "overnight completion fish | source   in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(list(HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script for SHELL."""
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    root = ctx.find_root()
    script = shell_class(root.command, {}, root.info_name or "overnight", "_OVERNIGHT_COMPLETE")
    Output().say(script.source())
    return Exit.DONE
