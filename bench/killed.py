"""What a kill costs each queue: ``kill -9`` in the middle of the work, a restart, and the bill.

    python -m bench.killed [--jobs 200] [--in-flight 32] [--latency 0.1] [--peers PYTHON]

Speed compares only queues that keep what was paid for. Here each contender of ``bench.throughput``
works against a server whose calls take about ``--latency`` seconds, half of it before a request is
carried out. After a third to two thirds of the submits and up to three calls' time more, a moment
from the seed and the same for all, its whole process group is killed, a PostgreSQL of its own
included. It is started once more on what it left, does what its documentation says about that, and
works until nothing more comes. The server says how many jobs were bought, and how often; the
queue, how many results it has.

``bought twice``     submits beyond one a job: what was paid for and forgotten;
``never collected``  jobs without a result that nobody would look for any more;
``undecided``        jobs that a person is asked about, because they may have been submitted.

A figure is the mean over the kills, and ``most`` of a figure the worst of them. The last row has
its lost tasks enqueued again by hand, which no documentation says.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean

from bench import loopback
from bench.contenders import BY_HAND_AIOHTTP, OURS, PEERS, Contender, chosen, short_names, versions
from bench.harness import (
    ROOT,
    Aim,
    ChildError,
    Figures,
    Report,
    Rounds,
    alternate,
    child,
    parser,
    tell,
)

LOOK = 0.005
"""Seconds between two looks at the server's count of submits."""
PATIENCE = 120.0
LOSSES = ("bought twice", "never collected", "undecided")
PUT_BACK = ("Huey on SQLite",)
BY_HAND = ", lost tasks put back by hand"


def kill_in_mid_run(
    command: Sequence[str], server: loopback.Loopback, submits: int, seconds: float
) -> None:
    """Start ``command``, and kill all that it started ``seconds`` after the server has seen
    ``submits`` of it.

    Raises :class:`ChildError` when it ends before."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - our own modules
            command, cwd=ROOT, stdout=said, stderr=said, start_new_session=True
        ) as process,
    ):
        patient_until = time.monotonic() + PATIENCE
        try:
            while server.stats()["submits"] < submits:
                if process.poll() is not None or time.monotonic() > patient_until:
                    said.seek(0)
                    raise ChildError(said.read().decode(errors="replace").strip()[-800:])
                time.sleep(LOOK)
            time.sleep(seconds)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Trial:
    """What every contender goes through, but for the moment of the kill."""

    jobs: int
    in_flight: int
    latency: float

    def moments(self, kills: int, rng: Random) -> list[tuple[int, float]]:
        """How many submits come before each kill, and seconds after the last of them. Without
        these the kill would always meet a submit."""
        return [
            (round(rng.uniform(1 / 3, 2 / 3) * self.jobs), rng.uniform(0, 3 * self.latency))
            for _ in range(kills)
        ]

    def measured(
        self, contender: Contender, moment: tuple[int, float], *, put_back: bool
    ) -> Figures:
        """A kill at a ``moment``, a restart, and what came of it."""
        with (
            tempfile.TemporaryDirectory(prefix="bench-killed-") as folder,
            loopback.running(latency=self.latency) as server,
        ):
            given = (server.origin, self.jobs, self.in_flight, "--folder", folder)
            first = [contender.python, "-m", contender.module, *map(str, given)]
            kill_in_mid_run(first, server, *moment)
            again = (*given, "--resume", *(("--put-back",) if put_back else ()))
            left = child(contender.module, *again, python=contender.python, patience=PATIENCE)
            seen = server.stats()
        undecided = left.get("undecided", 0.0)
        return {
            "bought twice": float(seen["submits"] - seen["bought"]),
            "never collected": self.jobs - left["kept"] - undecided,
            "undecided": undecided,
        }


def means(taken: Rounds) -> dict[str, Figures]:
    """Of each loss of each contender the mean and the most."""
    found: dict[str, Figures] = {}
    for name, kills in taken.items():
        found[name] = {}
        for loss in LOSSES:
            found[name][loss] = fmean(each[loss] for each in kills)
            found[name][f"{loss}, most"] = max(each[loss] for each in kills)
    return found


def collects_all(found: Mapping[str, Figures]) -> set[str]:
    """Who never lost a job in any kill: what durable means here."""
    return {name for name, figures in found.items() if figures["never collected, most"] == 0}


def contenders(asked: argparse.Namespace) -> dict[str, Callable[[], Figures]]:
    """What is killed, by its name in the table; all of them at the same moments."""
    # A moment, not a secret.
    rng = Random(asked.seed)  # noqa: S311
    trial = Trial(asked.jobs, asked.in_flight, asked.latency)
    moments = trial.moments(asked.rounds, rng)
    kinds = chosen(asked.peers, asked.only)
    queues = [name for name in (OURS, *PEERS, BY_HAND_AIOHTTP) if name in kinds]
    rows = [(name, kinds[name], False) for name in queues]
    rows += [(f"{name}{BY_HAND}", kinds[name], True) for name in PUT_BACK if name in kinds]

    def killed(contender: Contender, left: Iterator[tuple[int, float]], put_back: bool) -> Figures:
        return trial.measured(contender, next(left), put_back=put_back)

    return {name: partial(killed, kind, iter(moments), back) for name, kind, back in rows}


def measure(asked: argparse.Namespace) -> Report:
    """A kill of each, round after round."""
    settings = {
        key: getattr(asked, key) for key in ("jobs", "in_flight", "latency", "rounds", "seed")
    }
    columns = [column for loss in LOSSES for column in (loss, f"{loss}, most")]
    if asked.peers is not None:
        settings["peers"] = versions(asked.peers)
    report = Report("killed", settings, columns, summary=means)
    dropped: dict[str, str] = {}
    report.taken = alternate(contenders(asked), asked.rounds, tell, dropped)
    if OURS in dropped:
        raise ChildError(dropped[OURS])
    report.notes += [f"{name} failed" for name in dropped]
    ours = means(report.taken)[OURS]
    report.aims = [
        Aim(f"overnight, {loss}, in any kill", ours[f"{loss}, most"], most=0.0)
        for loss in LOSSES[:2]
    ]
    return report


def main() -> int:
    """Kill, count, and fail when overnight buys anything twice or loses a job."""
    made = parser(__doc__)
    made.add_argument("--jobs", type=int, default=120)
    made.add_argument("--in-flight", type=int, default=32)
    made.add_argument("--latency", type=float, default=0.1, help="seconds of each call")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--peers", type=Path, help="Python of the environment with the peers")
    made.add_argument("--only", nargs="+", default=(), choices=short_names(), help="these alone")
    asked = made.parse_args()
    return measure(asked).publish(asked.results)


if __name__ == "__main__":
    sys.exit(main())
