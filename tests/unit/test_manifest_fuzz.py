"""Whatever stands in a manifest, it is read or its problems are told: nothing else comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.manifest import ManifestError, read_manifest
from tests.unit.manifests import IMAGE, MODEL

_NAME = st.sampled_from(
    [
        *("seed", "598_seed", "steps", "cfg", "guidance_scale", "prompt", "image", "style", "word"),
        *("label", "value", "set", "from", "to", "step", "random", "glob", "lines", "when", "file"),
        *("n", "where", "rename", "limit", "resolution", "num_frames"),
    ]
)
_TEXT = st.sampled_from(
    [
        *(
            "a",
            "",
            "Film",
            "{{ word }}",
            "{{ style }} {a|b}",
            "{a|b",
            "__x__",
            "6-10 (+2)",
            "x.txt",
        ),
        *("steps > 8", "seed ==", "style == 'Film'", "p.csv", "*.csv", IMAGE, "1, 2, .., 5", "off"),
        *("${env:X}", "{{", "shuffle", "dynamic", "../*", "~/x", "0.1 * steps", "\u202e👩\u200d🚀"),
    ]
)
_SCALAR = st.one_of(_TEXT, st.integers(-3, 30), st.sampled_from([None, True, 1.5, 1e300, 10**30]))
_VALUE = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=3),
    max_leaves=8,
)
_CELLS = st.dictionaries(_NAME, _VALUE, max_size=3)
_BLOCK = st.fixed_dictionaries(
    {},
    optional={
        "inputs": _CELLS,
        "matrix": _CELLS | st.dictionaries(_NAME, st.lists(_VALUE, min_size=1, max_size=3)),
        "zip": st.lists(st.dictionaries(_NAME, st.lists(_SCALAR, min_size=1, max_size=2))),
        "rows": st.fixed_dictionaries({"file": st.just("p.csv")}, optional={"where": _TEXT}),
        "rules": st.lists(
            st.fixed_dictionaries({"when": _CELLS | _TEXT, "set": _CELLS}), max_size=2
        ),
        "exclude": st.lists(_CELLS | _TEXT, max_size=2),
        "include": st.lists(_CELLS, max_size=2),
        "sample": st.fixed_dictionaries({"n": st.integers(1, 5)}),
        "order": st.sampled_from(["given", "shuffle", "longest-first"]),
        "repeat": st.integers(1, 3),
        "tags": st.lists(_TEXT, max_size=2),
        "prompt_syntax": st.sampled_from(["plain", "dynamic"]),
    },
)
_ANYTHING = st.dictionaries(
    st.sampled_from(
        ["inputs", "matrix", "zip", "rows", "rules", "run", "output", "jobs", "sample"]
    ),
    _VALUE,
    max_size=4,
)
shared_folder = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def come_through(folder: Path, parts: dict[str, Any]) -> None:
    (folder / "p.csv").write_text("seed,prompt,word\n7,a {{ word }},x\n99,{a|b},\n", "utf-8")
    (folder / "x.txt").write_text("6\n7\n", "utf-8")
    given = {"version": 1, "model": MODEL, **parts}
    given.setdefault("inputs", {"image": IMAGE, "prompt": "{{ word }}"})
    file = folder / "jobs.yaml"
    file.write_text(json.dumps(given), "utf-8")
    try:
        manifest = read_manifest(file, max_jobs=300)
        specs = list(manifest.specs())
    except ManifestError as error:
        assert error.problems
        assert error.pretty()
        return
    assert manifest.count() in (len(specs), None)
    assert [spec.position for spec in specs] == list(range(len(specs)))
    assert list(manifest.notes) == sorted(manifest.notes, key=lambda n: (n.file, n.line, n.column))


@given(block=_BLOCK, checks=st.sampled_from([{}, {}, {"validate": "off"}]))
@shared_folder
def test_a_block_of_anything(tmp_path: Path, block: dict[str, Any], checks: dict[str, str]) -> None:
    come_through(tmp_path, {**checks, **block})


@given(top=_BLOCK, blocks=st.lists(_BLOCK, min_size=1, max_size=2))
@shared_folder
def test_blocks_that_inherit_anything(
    tmp_path: Path, top: dict[str, Any], blocks: list[dict[str, Any]]
) -> None:
    come_through(tmp_path, {**top, "jobs": blocks})


@given(parts=_ANYTHING)
@shared_folder
def test_anything_under_the_known_keys(tmp_path: Path, parts: dict[str, Any]) -> None:
    come_through(tmp_path, parts)
