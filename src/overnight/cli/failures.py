"""Every error, as a sentence on stderr and an exit code, in one place.

What a user can cause says what to do and shows no traceback. What remains is a bug of ours: its
traceback goes to a file in the state folder, without the token, and one sentence says where.
"""

from __future__ import annotations

import os
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from overnight.cli.exits import Exit


class UserError(Exception):
    """A mistake on the command line that click can't see; the message says what to do."""


def tell(error: BaseException) -> int:
    """Say what happened; returns the exit code. Never raises for what it is told."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has had enough (`| head`): nothing is wrong.
        return Exit.ERROR
    if isinstance(error, click.Abort | KeyboardInterrupt):
        _say("Interrupted. Nothing is lost: the same command goes on from here.")
        return Exit.INTERRUPTED
    if isinstance(error, click.UsageError):
        _say(_usage(error))
        return Exit.USAGE
    for cause in _leaves(error):
        known = _known(cause)
        if known is not None:
            sentence, code = known
            _say(sentence)
            return code
    _say(_bug(error))
    return Exit.ERROR


def _say(sentence: str) -> None:
    try:
        click.echo(sentence, err=True)
    except OSError:
        # The terminal is gone; the exit code still tells.
        return


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "overnight"
    return f"{command}: {error.format_message()} (`{command} --help` tells more.)"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The error itself, or what a group of them holds."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _known(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code of an error that a user can cause; None for a bug."""
    # Imported here: a start that goes well needs none of it.
    from overnight.manifest.problems import ManifestError
    from overnight.providers.credentials import CredentialsError
    from overnight.store.errors import AnotherWorker, StoreError

    match error:
        case UserError():
            return str(error), Exit.USAGE
        case ManifestError():
            return error.pretty(), Exit.USAGE
        case AnotherWorker():
            return str(error), Exit.ANOTHER_WORKER
        case StoreError() | CredentialsError():
            return str(error), Exit.ERROR
        case click.ClickException():
            return error.format_message(), error.exit_code
        case OSError():
            return _system(error), Exit.ERROR
        case _:
            return _of_the_engine(error)


def _of_the_engine(error: BaseException) -> tuple[str, int] | None:
    # Apart, because the engine takes half a second to import.
    from overnight.engine.collect import StorageError

    return (str(error), Exit.ERROR) if isinstance(error, StorageError) else None


def _system(error: OSError) -> str:
    said = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{said}. Put that right, then type the same command again."


# --- bugs -----------------------------------------------------------------------------------------


def _bug(error: BaseException) -> str:
    what = f"This is a bug in overnight ({type(error).__name__}); what was saved is safe."
    try:
        log = _write_log(error)
    except OSError as problem:
        return f"{what} Its traceback could not be saved ({problem.strerror})."
    return f"{what} Please report it with {log}; it does not hold your token."


def _write_log(error: BaseException) -> Path:
    import platformdirs

    folder = platformdirs.user_state_path("overnight")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = without_token("".join(traceback.format_exception(error)))
    log.touch(mode=0o600)
    log.write_text(text, encoding="utf-8", errors="backslashreplace")
    return log


def without_token(text: str) -> str:
    """``text`` with every token that the user's environment holds masked, wherever it stands."""
    from overnight.providers.credentials import TOKEN_VARIABLES, CredentialsError, find_token
    from overnight.providers.redaction import MASK

    secrets = {os.environ.get(name, "").strip() for name in TOKEN_VARIABLES}
    # The token file counts too, even where a variable is in front of it.
    no_variables = {**os.environ, **dict.fromkeys(TOKEN_VARIABLES, "")}
    with suppress(CredentialsError, RuntimeError):
        secrets.add(find_token(no_variables, Path.home())[0].reveal())
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return re.sub(r"(?i)bearer\s+[^\s'\"]+", f"Bearer {MASK}", text)
