"""What ``overnight plan`` tells programs: one object with everything that people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overnight.cli import problems
from overnight.cli.plan_words import defaults
from overnight.lifecycle import State

if TYPE_CHECKING:
    from overnight.cli.outlook import BlockLine, Outlook
    from overnight.manifest import JobSpec


def fields(outlook: Outlook) -> dict[str, Any]:
    """The object that ``--json`` prints; ``docs/plan.md`` says what each field holds."""
    compared, cost, limit = outlook.comparison, outlook.cost, outlook.limit
    manifest = outlook.wanted.manifest
    return {
        "batch": manifest.name,
        "manifest": str(manifest.path),
        "jobs": outlook.jobs,
        "new": compared.new,
        "existing": compared.existing,
        "states": {state.value: compared.states.get(state, 0) for state in State},
        "repeated": compared.repeated,
        "gone": compared.gone,
        "gone_pending": compared.gone_pending,
        "pruned": compared.gone_pending if outlook.prune else 0,
        "to_submit": outlook.to_submit,
        "cost": cost.amount,
        "cost_known": round(cost.dollars, 6),
        "unpriced": cost.unpriced,
        "price": price(outlook),
        "limits": {"jobs": manifest.run.limits.jobs, "cost": manifest.run.limits.cost},
        "spent": None if limit is None else limit.spent.amount,
        "within_limits": limit is None or limit.kept,
        "seconds": outlook.forecast.seconds,
        "concurrency": outlook.forecast.concurrency,
        "output_dir": str(manifest.output.dir),
        "blocks": [_block(block) for block in outlook.blocks],
        "defaults": [{"blocks": names, "inputs": values} for names, values in defaults(outlook)],
        "notes": [problems.fields(note) for note in manifest.notes],
        "schema_changes": list(outlook.changes),
        "validate": manifest.validate,
        "sample": [_job(spec) for spec in outlook.sample],
    }


def price(outlook: Outlook) -> dict[str, Any]:
    """Where prices are from: ``source`` is ``manifest``, ``catalogue``, or null when neither
    knows; ``manifest`` is the number or the expression that the manifest has."""
    written = outlook.wanted.manifest.run.price
    models = [
        {
            "model": model.id,
            "amount": model.price.amount,
            "unit": model.price.unit,
            "as_of": model.price.as_of,
        }
        for model in outlook.wanted.models.values()
        if model.price is not None
    ]
    source = "manifest" if written is not None else "catalogue" if models else None
    return {"source": source, "manifest": written, "catalogue": models}


def _block(block: BlockLine) -> dict[str, Any]:
    return {
        "name": block.name,
        "count": block.count,
        "new": block.new,
        "existing": block.existing,
        "to_submit": block.cost.jobs,
        "cost": block.cost.amount,
        "models": list(block.models),
        "axes": dict(block.axes),
        "made_of": block.made,
    }


def _job(spec: JobSpec) -> dict[str, Any]:
    return {
        "key": spec.key,
        "block": spec.block,
        "fingerprint": spec.fingerprint,
        "model": spec.model,
        "inputs": spec.inputs,
        "variables": spec.variables,
        "tags": list(spec.tags),
        "priority": spec.priority,
        "repeat": spec.repeat,
        "name": spec.name,
        "price": spec.price,
    }
