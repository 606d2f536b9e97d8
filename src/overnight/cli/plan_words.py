"""What ``overnight plan`` tells people: short facts in lines, a table of blocks, a few jobs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overnight.cli.bill import money
from overnight.cli.output import Output, count, line
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.catalog import Model
    from overnight.cli.outlook import BlockLine, Outlook
    from overnight.manifest import JobSpec, Problem

LONG = 32
"""Characters from which a job's value gets a line of its own."""

LONGEST = 600
"""Characters of a text that are shown."""

DEFAULT_SHOWN = 40
"""Characters that are shown of a default."""

Fact = tuple[str, str]
"""A label, and what there is to say."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the user said beside the manifest: what another command needs to find the database
    and to read the manifest, what jobs were looked for, and where the plan was written to."""

    suffix: str
    flags: str = ""
    grep: str | None = None
    out: Path | None = None


def tell(outlook: Outlook, output: Output, told: Told) -> None:
    """Say it all."""
    blocks = outlook.blocks
    output.say(title(outlook))
    output.say()
    if len(blocks) > 1:
        _table(blocks, output)
        output.say()
    output.facts(facts(outlook, blocks))
    _sample(outlook, output, told.grep)
    output.say()
    output.say(ending(outlook, told))


def title(outlook: Outlook) -> str:
    """Which batch, and where it is written down."""
    wanted = outlook.wanted
    name = line(wanted.manifest.name)
    if wanted.plan is None:
        return f"{name}, from {wanted.file}"
    return f"{name}, from {wanted.file}, a plan of {wanted.plan.manifest}"


def ending(outlook: Outlook, told: Told) -> str:
    """What to type next, or that there is nothing to do."""
    if told.out is not None:
        return (
            f"Nothing was submitted. The plan is in {told.out}. Do exactly this with: "
            f"{shlex.join(['overnight', 'run', str(told.out)])}{told.suffix}"
        )
    if not outlook.to_submit and not outlook.comparison.new:
        return "Nothing was changed, and there is nothing to submit."
    prune = " --prune" if outlook.prune else ""
    command = (
        f"overnight run {shlex.quote(str(outlook.wanted.file))}{told.flags}{told.suffix}{prune}"
    )
    return f"Nothing was submitted or changed. Go ahead with: {command}"


# --- facts ----------------------------------------------------------------------------------------


def facts(outlook: Outlook, blocks: Sequence[BlockLine]) -> list[Fact]:
    """Everything but the blocks and the sample."""
    found = [("jobs", _jobs(outlook, blocks))]
    if outlook.comparison.gone:
        found.append(("gone", _gone(outlook)))
    found.append(("submit", _submit(outlook)))
    if outlook.to_submit:
        found.append(("cost", f"{outlook.cost.words()} ({price_words(outlook)})"))
    found += labelled("limits", limit_words(outlook))
    if outlook.to_submit:
        found.append(("time", outlook.forecast.words()))
    found.append(("files", line(str(outlook.wanted.manifest.output.dir), 4000)))
    found += labelled("defaults", default_words(outlook))
    found += labelled("notes", notes(outlook))
    return found


def limit_words(outlook: Outlook) -> list[str]:
    """The manifest's own limits, each with how the plan stands to it."""
    said = []
    most = outlook.wanted.manifest.run.limits.jobs
    if most is not None:
        said.append(f"limits.jobs allows {most:,}; this keeps to it.")
    if outlook.limit is not None:
        said.append(outlook.limit.sentence())
    return said


def labelled(label: str, lines: Sequence[str]) -> list[Fact]:
    """Several lines under one label."""
    return [("" if at else label, words) for at, words in enumerate(lines)]


def _jobs(outlook: Outlook, blocks: Sequence[BlockLine]) -> str:
    compared = outlook.comparison
    made = line(blocks[0].made) if len(blocks) == 1 else ""
    states = ", ".join(f"{n:,} {state}" for state, n in compared.states.items())
    there = f"{compared.existing:,} there already{f' ({states})' if states else ''}"
    parts = [f"{compared.new:,} new", there]
    if compared.repeated:
        parts.append(f"{compared.repeated:,} stand twice and are made once")
    return f"{outlook.jobs:,}{f' ({made})' if made else ''}: {', '.join(parts)}"


def _gone(outlook: Outlook) -> str:
    compared = outlook.comparison
    prunable = compared.gone_pending
    what = f"{count(compared.gone, 'job')} of the batch no longer in the manifest"
    if not prunable:
        return f"{what}; all were submitted or cancelled already"
    if outlook.prune:
        return f"{what}; --prune cancels the {prunable:,} that were never submitted"
    return f"{what}; {prunable:,} of them will be submitted all the same, unless --prune cancels"


def _submit(outlook: Outlook) -> str:
    if not outlook.to_submit:
        return "nothing"
    models = dict.fromkeys(block.model.id for block in outlook.wanted.manifest.blocks)
    return f"{count(outlook.to_submit, 'job')} to {', '.join(line(name) for name in models)}"


def _table(blocks: Sequence[BlockLine], output: Output) -> None:
    rows = [
        [
            line(block.name, 60) or "(no name)",
            f"{block.count:,}",
            f"{block.new:,}",
            block.cost.words() if block.cost.jobs else "",
            line(block.made),
        ]
        for block in blocks
    ]
    output.table(["block", "jobs", "new", "cost", "made of"], rows, numbers=["jobs", "new", "cost"])


# --- where prices are from ------------------------------------------------------------------------


def price_words(outlook: Outlook) -> str:
    """Where the prices are from, or what is missing to know them."""
    price = outlook.wanted.manifest.run.price
    if isinstance(price, str):
        return f"run.price: {line(price)}"
    if price is not None:
        return f"run.price: {money(price)} a job"
    said = [_listed_price(model) for model in outlook.wanted.models.values()]
    return "; ".join(said)


def _listed_price(model: Model) -> str:
    listed = model.price
    if listed is None:
        return f"no price of {line(model.id)} is known; give one with price: under run:"
    where = f"the catalogue of {listed.as_of[:10]}" if listed.as_of else "the model's schema file"
    unit = listed.unit or "unit"
    note = f" ({line(listed.note, 120)})" if listed.note else ""
    return f"{where}: {money(listed.amount)} per {line(unit, 40)} of {line(model.id)}{note}"


# --- defaults and notes ---------------------------------------------------------------------------


def defaults(outlook: Outlook) -> list[tuple[list[str], Mapping[str, Any]]]:
    """What the server will use for inputs that are left open: which blocks, and the values by
    short name. Blocks that leave the same ones open to the same values stand together."""
    groups: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for at, block in enumerate(outlook.wanted.manifest.blocks, 1):
        model = block.model
        values = {
            model.shortest(raw): model.defaults[raw]
            for raw in block.open_inputs
            if raw in model.defaults
        }
        if values:
            name = block.name or f"block {at}"
            groups.setdefault(json.dumps(values), ([], values))[0].append(name)
    return list(groups.values())


def default_words(outlook: Outlook) -> list[str]:
    """The same as text, a line for each group of blocks."""
    groups = defaults(outlook)
    lines = []
    for blocks, values in groups:
        listed = ", ".join(f"{name} {value_words(v, DEFAULT_SHOWN)}" for name, v in values.items())
        names = ", ".join(line(name, 60) for name in blocks)
        lines.append(f"{names}: {listed}" if len(groups) > 1 else f"{listed} (the model's own)")
    return lines


def value_words(value: Any, limit: int = LONGEST) -> str:
    """A value as one line; texts as they are, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line(text, limit) or '""'


def notes(outlook: Outlook) -> list[str]:
    """What is worth knowing and is no error."""
    manifest = outlook.wanted.manifest
    said = [problem_words(note) for note in manifest.notes]
    said += outlook.changes
    if drawn := outlook.wanted.drawn_anew:
        said.append(
            f"The random values of {', '.join(map(line, drawn))} are drawn when the manifest is "
            "loaded: these are an example. A plan in a file (-o) keeps them."
        )
    if cancelled := outlook.comparison.states.get(State.CANCELLED):
        command = f"overnight retry --state cancelled --batch {shlex.quote(manifest.name)}"
        said.append(
            f"{count(cancelled, 'job')} of the manifest, cancelled before, would not be submitted; "
            f"`{command}` brings them back."
        )
    batch = outlook.batch
    if batch is not None and batch.halted is not None and batch.states[State.PENDING]:
        said.append(
            f"{line(batch.name)} is halted ({line(batch.halted)}): `run` submits nothing of it "
            "without --continue."
        )
    return said


def problem_words(problem: Problem) -> str:
    """A note with its place, on one line."""
    hint = f" ({line(problem.hint)})" if problem.hint else ""
    return f"{problem.place}: {line(problem.message)}{hint}"


# --- the sample -----------------------------------------------------------------------------------


def _sample(outlook: Outlook, output: Output, grep: str | None) -> None:
    shown = outlook.sample
    if grep is not None:
        output.say()
        output.say(f"{count(outlook.matching, 'job')} with {grep!r} in the key or a text.")
    for spec in shown:
        output.say()
        price = f"  {money(spec.price)}" if spec.price is not None else ""
        output.say(f"{line(spec.key)}{price}")
        output.facts(job_facts(spec, outlook.wanted.models[spec.model]))
    if 0 < len(shown) < outlook.matching:
        output.say()
        output.say(f"{len(shown):,} of {count(outlook.matching, 'job')} shown; --show N for more.")


def job_facts(spec: JobSpec, model: Model) -> list[Fact]:
    """What one job is sent with, under short names; short values share a line."""
    found: list[Fact] = []
    short = []
    for raw, value in spec.inputs.items():
        name, words = model.shortest(raw), value_words(value)
        if len(words) < LONG:
            short.append(f"{name} {words}")
        else:
            found.append((f"  {name}", words))
    if short:
        found.append(("  with", ", ".join(short)))
    if spec.tags:
        found.append(("  tags", ", ".join(line(tag, 60) for tag in spec.tags)))
    if spec.name is not None:
        found.append(("  file", line(spec.name, 4000)))
    return found
