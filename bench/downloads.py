"""How fast files come home, beside curl from the same server.

    python -m bench.downloads [--files 40] [--megabytes 20] [--at-once 4]

Both fetch the same files, so many at once, into a new folder. overnight's ``Downloader`` hashes
every byte, checks that the file is what its name says and is whole, makes it durable (fsync of the
file and its folder) and only then gives it its name; ``curl --parallel`` does none of that. So curl
is measured once more with what comes nearest to it by hand: the files' ``sha256sum`` and their
``sync``, side by side. Each begins when all that was written before is on the disk. Small files
are measured too, because there a file costs more than its bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import loopback
from bench.harness import Aim, Figures, Report, alternate, child, parser, ratio, tell
from bench.stopwatch import Stopwatch, hand_over, on_loop
from overnight.artifacts.download import Downloader, Fetched
from overnight.providers.retry_after import retry_after
from overnight.providers.transport import AiohttpTransport

SMALL = 64 * 1024


def names(files: int) -> list[str]:
    """The files' names at the server and at home."""
    return [f"clip{number}.mp4" for number in range(files)]


def throughput(files: int, size: int, watch: Stopwatch) -> Figures:
    """What is told of one round, which ends now."""
    taken = watch.figures(files)
    return {
        "MB/s": taken["jobs/s"] * size / 1e6,
        "files/s": taken["jobs/s"],
        "CPU s/GB": taken["CPU ms/job"] / 1e3 / (size / 1e9),
        "seconds": taken["seconds"],
    }


async def fetch(origin: str, files: int, size: int, at_once: int, folder: Path) -> Figures:
    """All files through overnight's downloader."""
    downloader = Downloader(
        AiohttpTransport(),
        retry_after=retry_after,
        plain_http_hosts=frozenset({loopback.HOST}),
    )
    turns = asyncio.Semaphore(at_once)

    async def one(name: str) -> None:
        async with turns:
            outcome = await downloader.fetch(f"{origin}/files/{name}", folder / name)
            if not isinstance(outcome, Fetched) or outcome.bytes != size:
                raise RuntimeError(f"{name} did not come home: {outcome}")
            await downloader.settle(outcome)

    os.sync()  # what others left to be written is not ours to wait for
    watch = Stopwatch()
    await asyncio.gather(*(one(name) for name in names(files)))
    figures = throughput(files, size, watch)
    await downloader.aclose()
    return figures


def curl(origin: str, files: int, size: int, at_once: int, *, kept: bool = False) -> Figures:
    """All files through one curl; ``kept`` has them hashed and flushed afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-curl-") as folder:
        wanted = [
            part
            for name in names(files)
            for part in ("-o", str(Path(folder) / name), f"{origin}/files/{name}")
        ]
        # With --silent alone, curl draws its meter of parallel transfers all the same.
        quiet = ["--silent", "--no-progress-meter", "--fail"]
        command = ["curl", *quiet, "--parallel", "--parallel-max", str(at_once)]
        os.sync()
        watch = Stopwatch()
        subprocess.run([*command, *wanted], check=True)  # noqa: S603 - our own arguments
        if kept:
            hash_and_flush([f"{folder}/{name}" for name in names(files)])
        figures = throughput(files, size, watch)
        if any((Path(folder) / name).stat().st_size != size for name in names(files)):
            raise RuntimeError("curl left files that are not whole")
    return figures


def hash_and_flush(files: Sequence[str]) -> None:
    """What ``sync`` does and ``sha256sum``, one on each core, all at once."""
    cores = os.cpu_count() or 1
    shares = [["sync", *files], *(["sha256sum", *files[core::cores]] for core in range(cores))]
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the same
        for command in shares
    ]
    codes = [each.wait() for each in running]
    if any(codes):
        raise RuntimeError("the files could not be hashed and flushed")


def measure(asked: argparse.Namespace) -> Report:
    """Large files and small ones, by both."""
    large = asked.megabytes * 1_000_000
    settings = {"at once": asked.at_once, "rounds": asked.rounds}
    report = Report("downloads", settings, ("MB/s", "files/s", "CPU s/GB", "seconds"))
    for size, files in ((large, asked.files), (SMALL, asked.small_files)):
        what = f"{files} files of {size / 1e6:.3g} MB"
        with loopback.running(file_bytes=size) as server:
            given = (server.origin, files, size, asked.at_once)
            contenders = {
                f"overnight, {what}": partial(child, "bench.downloads", "--fetch", *given),
                f"curl, {what}": partial(curl, *given),
                f"curl, sha256sum, sync, {what}": partial(curl, *given, kept=True),
            }
            taken = alternate(contenders, asked.rounds, tell)
        report.taken |= taken
        share = ratio(taken, f"overnight, {what}", f"curl, {what}", "MB/s")
        if size == large:
            report.aims.append(Aim(f"overnight to curl, {what}", share, least=0.8))
        else:
            report.notes.append(f"overnight to curl, {what}: {share:.3g}")
        hand = ratio(taken, f"overnight, {what}", f"curl, sha256sum, sync, {what}", "MB/s")
        report.notes.append(f"overnight to curl, sha256sum and sync, {what}: {hand:.3g}")
    return report


def main() -> int:
    """Measure, print, and fail when an aim is missed."""
    made = parser(__doc__)
    made.add_argument("--files", type=int, default=40)
    made.add_argument("--megabytes", type=int, default=20)
    made.add_argument("--small-files", type=int, default=1000)
    made.add_argument("--at-once", type=int, default=4)
    made.add_argument("--fetch", nargs=4, help=argparse.SUPPRESS)
    asked = made.parse_args()
    if asked.fetch is None:
        return measure(asked).publish(asked.results)
    origin, files, size, at_once = asked.fetch[0], *map(int, asked.fetch[1:])
    with tempfile.TemporaryDirectory(prefix="bench-downloads-") as folder:
        hand_over(on_loop(fetch(origin, files, size, at_once, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
