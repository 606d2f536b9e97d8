"""One run from the outside: who we are, what is wired to what, and closing it all on the way out.

This is the one place where the account, the provider, the downloads, the database's writer and
the engine meet.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

from overnight.cli import interrupts
from overnight.cli.output import Output
from overnight.cli.progress import Watch

if TYPE_CHECKING:
    from overnight.engine.publish import Publisher
    from overnight.engine.report import Notice, Report, Snapshot
    from overnight.engine.worker import Worker
    from overnight.providers.credentials import Account
    from overnight.store.database import Database
    from overnight.store.rows import Batch
    from overnight.store.writer import Operation

STOPPING = (
    "Stopping: no new submits; jobs already with the provider go on there. "
    "Ctrl-C again leaves at once."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, and the last figures of it."""

    report: Report
    last: Snapshot


def after(earlier: Outcome | None, outcome: Outcome) -> Outcome:
    """Both as one: it ended as the later one did, and the rest adds up."""
    if earlier is None:
        return outcome
    report = replace(outcome.report, broken=earlier.report.broken + outcome.report.broken)
    last = replace(
        outcome.last,
        bytes=earlier.last.bytes + outcome.last.bytes,
        settled=earlier.last.settled + outcome.last.settled,
        elapsed=earlier.last.elapsed + outcome.last.elapsed,
    )
    return Outcome(report, last)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user says of a run, beside the manifests: jobs at once in place of theirs, and
    whether to wait for an account that is refused instead of ending."""

    concurrency: int | None = None
    wait_for_account: bool = False


def users_account() -> Account:
    """The account that the user's environment describes.

    Raises :class:`~overnight.providers.credentials.CredentialsError`.
    """
    from overnight.providers.credentials import find_account

    return find_account(os.environ, Path.home())


def require_folders(scope: Sequence[Batch]) -> None:
    """Make sure that results can be written, before any is paid for. Raises :class:`OSError`, and
    :class:`~overnight.engine.collect.StorageError` where they are to go to a bucket."""
    from overnight.artifacts.bucket import BucketError
    from overnight.artifacts.place import Places

    places = Places()
    try:
        for folder in sorted({batch.output_dir for batch in scope}):
            places.require(folder)
    except BucketError as error:
        from overnight.engine.collect import StorageError

        raise StorageError(str(error)) from error


async def work(
    database: Database,
    scope: Sequence[Batch],
    account: Account,
    output: Output,
    terms: Terms | None = None,
    admit: Operation[None] = lambda _: None,
) -> Outcome:
    """Work on ``scope`` until there is an end, showing how it goes.

    The first signal lets it stop in order, the second ends the process. Raises what
    :meth:`overnight.engine.worker.Worker.run` raises; ``admit`` is the worker's.
    """
    from overnight.engine.garbage import rarely_collected

    title = ", ".join(batch.name for batch in scope)
    watch = Watch(title, output, {batch.id: batch.name for batch in scope})

    def stop(which: Signals) -> None:
        worker.drain()
        watch.say(STOPPING)
        output.record({"event": "stopping", "signal": which.name}, flush=True)

    terms = terms or Terms()
    async with opened(database, scope, account, terms, watch.notice, admit) as worker:
        watch.lost = worker.drain
        with rarely_collected(), interrupts.draining(stop, watch.close):
            async with watch.following(worker.snapshot):
                report = await worker.run()
        return Outcome(report, worker.snapshot())


def _publisher(scope: Sequence[Batch]) -> Publisher | None:
    """What sends local files along; None where no batch has any."""
    if not any(batch.assets for batch in scope):
        return None
    from overnight.artifacts.publish import ObjectStorePublisher

    return ObjectStorePublisher()


@asynccontextmanager
async def opened(
    database: Database,
    scope: Sequence[Batch],
    account: Account,
    terms: Terms,
    notify: Callable[[Notice], None],
    admit: Operation[None],
) -> AsyncIterator[Worker]:
    """A worker with everything it needs; what it needs is closed when this is left."""
    from overnight.artifacts.download import Downloader
    from overnight.artifacts.place import Places, spool_of
    from overnight.artifacts.probe import Prober
    from overnight.engine.collect import Collector
    from overnight.engine.worker import Worker
    from overnight.providers.retry_after import retry_after
    from overnight.providers.runcomfy import RunComfy
    from overnight.providers.transport import AiohttpTransport
    from overnight.providers.turnstile import Turnstile, free_calls
    from overnight.store.writer import Writer

    async with AsyncExitStack() as stack:
        writer = Writer(database)
        writer.start()
        stack.push_async_callback(writer.stop)
        provider = Turnstile(RunComfy.connect(account), free_calls())
        stack.push_async_callback(provider.aclose)
        downloader = Downloader(
            AiohttpTransport(trust_env=True),
            retry_after=retry_after,
            plain_http_hosts=account.plain_http_hosts,
        )
        stack.push_async_callback(downloader.aclose)
        prober = Prober()
        stack.push_async_callback(prober.aclose)
        places = Places(spool_of(database.path))
        stack.callback(places.close)
        collector = partial(
            Collector, downloader=downloader, prober=prober, sidecars=True, places=places
        )
        yield Worker(
            recorder=writer,
            provider=provider,
            collector=collector,
            scope=scope,
            concurrency=terms.concurrency,
            notify=notify,
            wait_for_account=terms.wait_for_account,
            admit=admit,
            publisher=_publisher(scope),
        )
