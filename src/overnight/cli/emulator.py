"""``overnight emulator``: run the bundled Model API on this machine until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from overnight.emulator import Settings

_DEFAULT_PORT = 8700


@click.command(name="emulator")
@click.option("--port", default=_DEFAULT_PORT, show_default=True, help="0 takes any free port.")
@click.option("--slots", default=4, show_default=True, help="Requests that run at once.")
@click.option(
    "--service",
    default="2s..6s",
    show_default=True,
    metavar="TIME",
    help="How long a request runs: 5, 250ms, or a range such as 2s..6s.",
)
@click.option(
    "--by-work", is_flag=True, help="Scale the running time by the steps and frames asked for."
)
@click.option(
    "--queue-delay",
    default="0",
    show_default=True,
    metavar="TIME",
    help="How long a request waits at least, even when a slot is free.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="CALL:FAULT",
    help="What goes wrong, and when, such as submit:throttle@10%. May be given many times.",
)
@click.option("--token", default=None, help="The token that is taken.  [default: a fixed word]")
@click.option("--balance", default=25.0, show_default=True, help="US dollars in the account.")
@click.option(
    "--price",
    default=0.05,
    show_default=True,
    help="US dollars a submit, unless the model has its own price.",
)
@click.option("--seed", default=0, show_default=True, help="Of running times and of faults.")
@click.option(
    "--media",
    type=click.Choice(["clip", "bytes"]),
    default="clip",
    show_default=True,
    help="Real videos (needs the demo extra), or small payloads that no player opens.",
)
@click.option(
    "--recovery",
    type=click.Choice(["none", "replay", "lookup"]),
    default="none",
    show_default=True,
    help="What the key of a lost submit is good for.",
)
@click.option(
    "--fetch-inputs",
    is_flag=True,
    help="Fetch the input files, and turn jobs away whose files are not there.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
def emulator(
    service: str,
    queue_delay: str,
    by_work: bool,
    token: str | None,
    faults: tuple[str, ...],
    **plain: Any,
) -> None:
    """Serve a Model API on this machine that costs nothing.

    It behaves like the real one, and with --fault it misbehaves like the real one. Point
    overnight at it with the two lines that it prints.
    """
    from overnight.emulator import DEFAULT_TOKEN, EmulatorError, Settings, Span

    try:
        settings = Settings(
            service=Span.parse(service),
            queue_delay=Span.parse(queue_delay),
            service_by_work=by_work,
            token=DEFAULT_TOKEN if token is None else token,
            **plain,
        )
        asyncio.run(_serve(settings, faults))
    except EmulatorError as error:
        raise click.ClickException(str(error)) from None


async def _serve(settings: Settings, faults: tuple[str, ...]) -> None:
    from overnight.emulator import Emulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Emulator(settings, faults=faults) as running:
        click.echo(f"The emulator listens at {running.base_url} (Ctrl-C ends it). To use it, type:")
        click.echo(f"  export RUNCOMFY_MODEL_API_BASE={running.base_url}/v1")
        click.echo(f"  export RUNCOMFY_API_TOKEN={settings.token}")
        await stop.wait()
