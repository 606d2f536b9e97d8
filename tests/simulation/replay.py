"""Play one night again and show it: ``python -m tests.simulation.replay SEED``.

Prints the plan, then a line for each thing that happened (time, who, which job, what, outcome), and
at the end what did not hold. Ends with 1 if something did not.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from tests.simulation.night import Outcome, run
from tests.simulation.plan import JOBS
from tests.simulation.table import Table

COMMAND = "python -m tests.simulation.replay"


def command(seed: int, jobs: int = JOBS) -> str:
    """What to type to see a night again."""
    return f"{COMMAND} {seed}" + (f" --jobs {jobs}" if jobs != JOBS else "")


def report(outcome: Outcome, jobs: int = JOBS, lines: int = 25) -> str:
    """What did not hold, how to see it again, and the last of what happened before."""
    tail = outcome.text().splitlines()[-lines:]
    said = outcome.violations[:10]
    again = command(outcome.plan.seed, jobs)
    return "\n".join([f"seed {outcome.plan.seed}:", *said, "", *tail, "", f"replay: {again}"])


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Play one simulated night again.")
    parser.add_argument("seed", type=int)
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many jobs the night has")
    parser.add_argument("--job", type=int, help="show only the lines of this job")
    options = parser.parse_args(arguments)
    outcome = run(options.seed, Table(), options.jobs)
    out = sys.stdout
    for field in fields(outcome.plan):
        out.write(f"{field.name}: {getattr(outcome.plan, field.name)}\n")
    out.write("\n")
    out.write(outcome.text(options.job) + "\n")
    states = ", ".join(f"{n} {state}" for state, n in sorted(outcome.states.items()))
    out.write(f"\n{states}; {outcome.accepted} paid calls accepted\n")
    for violation in outcome.violations:
        out.write(f"does not hold: {violation}\n")
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
