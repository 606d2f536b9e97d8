"""Manifests to begin with: one for any model, made from its schema. Pure.

:func:`block` is the shortest that passes the checks, to paste; :func:`manifest` is a whole file
with every input in it, commented. Values are the schema's own where they do, else small ones that
its rules take.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from overnight.catalog import InputSpec, Kind, Media, Model
from overnight.catalog.wording import takes
from overnight.cli.output import line

SENTENCE = "A lighthouse on a cliff at first light, seen from a slow drone"
_PLACES = {
    Media.IMAGE: "https://example.org/your-picture.png",
    Media.VIDEO: "https://example.org/your-clip.mp4",
    Media.AUDIO: "https://example.org/your-sound.wav",
}
_WIDEST = 96
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 _.,()/'-]|:(?=[^ ]))*(?<! )")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Plain words that some readers of YAML take for something else."""


def block(model: Model) -> str:
    """A manifest of the inputs that the model needs, and two seeds where it has them."""
    lines = ["version: 1", f"model: {yaml(model.id)}", *_inputs(model)]
    if (seeds := _seeds(model)) is not None:
        lines += ["matrix:", f"  {seeds}"]
    return "\n".join(lines) + "\n"


def manifest(model: Model, first_lines: tuple[str, ...] = ()) -> str:
    """A commented manifest for the model, with every input that it has."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", model.id.rsplit("/", 1)[-1]).strip("-")[:50]
    lines = [*first_lines, f"# Jobs for {line(model.id, _WIDEST)}."]
    if model.entry.description:
        lines += _comment(model.entry.description)
    lines += [
        "#   overnight plan FILE    says what would run, and what it costs",
        "#   overnight check FILE   asks for each file, and looks at your account",
        "#   overnight run FILE     runs it, after asking",
        "version: 1",
        f"name: {yaml(f'try-{name or 1}')}",
        f"model: {yaml(model.id)}",
        "",
        "# What every job sends. What you leave out is the model's default.",
        *_inputs(model, said=True),
        *_left_out(model),
        "",
        "# A matrix multiplies its lists: each combination is a job.",
        *_matrix(model),
        "",
        "run:",
        "  concurrency: 2   # jobs with the provider at the same time",
        "  # limits: {jobs: 100, cost: 5.00}   # refuse more jobs, or more US dollars",
        "",
        "output:",
        f"  dir: {yaml(f'outputs/try-{name or 1}')}   # beside this file",
    ]
    return "\n".join(lines) + "\n"


def value_for(model: Model, spec: InputSpec) -> Any:
    """A value that the input takes: the first of a few likely ones that passes its check."""
    for value in _candidates(spec):
        value = model.canonical(spec.name, value)
        if model.check(spec.name, value) is None:
            return value
    return spec.default


def yaml(value: Any) -> str:
    """A value as YAML: plain where nobody can misread it, else as JSON, which YAML 1.2 holds."""
    if isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    written = json.dumps(value, ensure_ascii=False)
    if written.isprintable():
        return written
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")


def _is_plain(text: str) -> bool:
    plain = _PLAIN.fullmatch(text) is not None and len(text) <= _WIDEST
    return plain and text.lower() not in _WORDS


# --- inputs -----------------------------------------------------------------------------------


def _inputs(model: Model, *, said: bool = False) -> list[str]:
    """The ``inputs`` block: what is required, or a text and a picture where nothing is."""
    lines = []
    for spec in _needed(model):
        value = value_for(model, spec)
        beside = ""
        if spec.media is not None and value == spec.default:
            beside = "   # or the https address of yours"
        elif spec.media is not None:
            beside = "   # put yours here"
        elif said and spec.media is None and spec.kind is not Kind.TEXT:
            beside = f"   # {line(takes(spec), _WIDEST)}"
        lines.append(f"  {yaml(model.shortest(spec.name))}: {yaml(value)}{beside}")
    return ["inputs:", *lines] if lines else ["inputs: {}"]


def _needed(model: Model) -> list[InputSpec]:
    required = [spec for spec in model.inputs if spec.required]
    if required:
        return required
    return [spec for spec in model.inputs if model.shortest(spec.name) in ("prompt", "text")][:1]


def _left_out(model: Model) -> list[str]:
    """Every other input as a comment: its default, and what it takes."""
    needed = {spec.name for spec in _needed(model)}
    lines = []
    for spec in model.inputs:
        if spec.name in needed or spec.name == _seed(model):
            continue
        shown = yaml(spec.default) if spec.has_default and spec.default is not None else "…"
        what = f"{model.shortest(spec.name)}: {shown}"
        lines.append(f"  # {line(what, _WIDEST)}   # {line(takes(spec), _WIDEST)}")
    return lines


def _candidates(spec: InputSpec) -> list[Any]:
    if spec.media is not None:
        place = _PLACES[spec.media]
        return [spec.default, place, [place], [place] * 2]
    by_kind: dict[Kind, list[Any]] = {
        Kind.TEXT: [SENTENCE, *spec.enum[:1], spec.default, "a lighthouse", "a", ""],
        Kind.BOOLEAN: [spec.default, False, True],
        Kind.LIST: [spec.default, [], [SENTENCE], [1], [1, 1]],
        Kind.OBJECT: [spec.default, {}],
    }
    numbers = [spec.default, spec.minimum, spec.maximum, 1, 0, *spec.enum[:1]]
    return [v for v in by_kind.get(spec.kind, [*numbers, SENTENCE]) if v is not None]


def _seed(model: Model) -> str | None:
    found = [spec.name for spec in model.inputs if model.shortest(spec.name) == "seed"]
    return found[0] if found and model.by_name[found[0]].kind is Kind.INTEGER else None


def _seeds(model: Model, *values: int) -> str | None:
    """``seed: [1, 2]``, where the model has a seed that takes them and does not need it set."""
    raw = _seed(model)
    wanted = values or (1, 2)
    if raw is None or model.by_name[raw].required or any(model.check(raw, v) for v in wanted):
        return None
    return f"seed: [{', '.join(map(str, wanted))}]"


def _matrix(model: Model) -> list[str]:
    seeds = _seeds(model, 1, 2)
    if seeds is not None:
        return ["matrix:", f"  {seeds}"]
    return ["# matrix:", "#   an_input: [first, second]"]


def _comment(text: str) -> list[str]:
    import textwrap

    return [f"# {part}" for part in textwrap.wrap(line(text, 600), 76)]
