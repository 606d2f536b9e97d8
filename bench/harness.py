"""What every benchmark here shares: alternating rounds, medians, ratios, aims, and the report.

Figures drift on machines that do other things too, so nothing is compared across runs: in each
round everything is measured once, every other round in the opposite order, and a result is the
median of the ratios *within* rounds. Whatever is measured runs in a process of its own, which
prints its :class:`Figures` as the last line of its output.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.surroundings import surroundings

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
ROUNDS = 5

Figures = dict[str, float]
Rounds = dict[str, list[Figures]]
"""What was measured of each contender, a round after the other."""


class ChildError(Exception):
    """A measured process failed. The message ends with what it said last."""


def child(
    module: str,
    *arguments: object,
    python: str | Path = sys.executable,
    environ: Mapping[str, str] | None = None,
    patience: float = 1800.0,
) -> Figures:
    """The figures that ``python -m module arguments`` prints. Raises :class:`ChildError`, also
    after ``patience`` seconds."""
    command = [str(python), "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - our own modules
            command,
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"{module} was not done after {patience:.0f} s") from None
    # Some peers have a banner of their own, and some say goodbye.
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode or not lines:
        raise ChildError(f"{module} ended with {done.returncode}: {done.stderr.strip()[-800:]}")
    figures: Figures = json.loads(lines[-1])
    return figures


def alternate(
    contenders: Mapping[str, Callable[[], Figures]],
    rounds: int,
    tell: Callable[[str], None] = lambda _: None,
    dropped: dict[str, str] | None = None,
    once: Collection[str] = (),
) -> Rounds:
    """Measure every contender once a round, those of ``once`` in the first round alone; odd rounds
    go backwards.

    A contender that fails is out, and ``dropped`` says why; without it, :class:`ChildError` is
    raised.
    """
    contenders = dict(contenders)
    taken: Rounds = {name: [] for name in contenders}
    for number in range(rounds):
        names = [name for name in contenders if number == 0 or name not in once]
        for name in names if number % 2 == 0 else reversed(names):
            try:
                figures = contenders[name]()
            except ChildError as error:
                if dropped is None:
                    raise
                dropped[name] = str(error)
                tell(f"{name} is out: {error}")
                del contenders[name], taken[name]
                continue
            taken[name].append(figures)
            shown = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
            tell(f"round {number + 1} of {rounds}  {name}: {shown}")
    return taken


def medians(taken: Rounds) -> dict[str, Figures]:
    """The median of every figure of every contender; of those that each of its rounds has."""
    found = {}
    for name, figures in taken.items():
        shared = [key for key in figures[0] if all(key in each for each in figures)]
        found[name] = {key: median(each[key] for each in figures) for key in shared}
    return found


def ratio(taken: Rounds, of: str, to: str, figure: str) -> float:
    """The median, over the rounds that both were in, of ``of``'s figure divided by ``to``'s in the
    same round."""
    # Whoever is measured less often is so in the first rounds.
    pairs = zip(taken[of], taken[to], strict=False)
    return median(one[figure] / other[figure] for one, other in pairs)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a measure must reach: ``least`` or ``most``, whichever is given."""

    measure: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def held(self) -> bool:
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    def as_json(self) -> dict[str, Any]:
        bounds = {"least": self.least, "most": self.most}
        return {"measure": self.measure, "value": self.value, **bounds, "held": self.held}


@dataclass(slots=True)
class Report:
    """What one benchmark found, as JSON and as Markdown."""

    name: str
    settings: Mapping[str, Any]
    columns: Sequence[str]
    """Figures that the table shows, in this order; those that a contender lacks stay empty."""
    taken: Rounds = field(default_factory=dict)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    summary: Callable[[Rounds], dict[str, Figures]] = medians
    """What of all rounds the table shows."""

    def as_json(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "settings": dict(self.settings),
            "on": surroundings(),
            "columns": list(self.columns),
            "figures": self.summary(self.taken),
            "aims": [aim.as_json() for aim in self.aims],
            "notes": self.notes,
            "rounds": self.taken,
        }

    def publish(self, folder: Path | None) -> int:
        """Print the table; keep both forms in ``folder``. Returns the exit code: 1 when an aim
        was missed."""
        found = self.as_json()
        sys.stdout.write(markdown(found))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{self.name}.md").write_text(markdown(found))
            (folder / f"{self.name}.json").write_text(json.dumps(found, indent=2) + "\n")
        return 0 if all(aim.held for aim in self.aims) else 1


def markdown(found: Mapping[str, Any]) -> str:
    """What :meth:`Report.as_json` gave as a table, then the aims, the notes and the machine."""
    columns, figures = found["columns"], found["figures"]
    lines = [
        f"| {found['benchmark']} | {' | '.join(columns)} |",
        f"| --- |{' ---: |' * len(columns)}",
        *(f"| {name} | {' | '.join(_cells(each, columns))} |" for name, each in figures.items()),
        "",
        *(f"- {_aim(aim)}" for aim in found["aims"]),
        *(f"- {note}" for note in found["notes"]),
        "",
        _footer(found["settings"], found["on"]),
    ]
    return "\n".join(lines) + "\n"


def _cells(figures: Figures, columns: Sequence[str]) -> list[str]:
    return [number(figures[key]) if key in figures else "" for key in columns]


def number(value: float) -> str:
    """Three digits that count, or all of them before the point."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _aim(aim: Mapping[str, Any]) -> str:
    least = aim["least"]
    bound = f"at least {least:g}" if least is not None else f"at most {aim['most']:g}"
    held = "held" if aim["held"] else "MISSED"
    return f"{aim['measure']}: {number(aim['value'])} (aim: {bound}; {held})"


_PACKAGES = {"sqlalchemy": "SQLAlchemy", "aiohttp": "aiohttp", "httpx": "httpx", "uvloop": "uvloop"}


def _footer(settings: Mapping[str, Any], on: Mapping[str, Any]) -> str:
    asked = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    with_it = ", ".join(
        f"{name} {on[key]}" if on[key] else f"no {name}"
        for key, name in _PACKAGES.items()
        if key in on
    )
    return (
        f"{asked}. Python {on['python']}, SQLite {on['sqlite']}, {with_it}. "
        f"{on['cores']} cores of {on['processor']}, {on['memory_gb']} GB, load average "
        f"{on['load_average'][0]} at the end."
    )


def parser(description: str | None, *, rounds: int = ROUNDS) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes. From now on SIGTERM ends this process in order,
    so that no server of it is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--rounds", type=int, default=rounds, help=f"{rounds} unless given")
    made.add_argument("--results", type=Path, help="folder that keeps the JSON and the table")
    return made


def tell(text: str) -> None:
    """How it goes, for people who wait; results go to stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
