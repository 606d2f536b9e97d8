"""From a manifest to job specs: inheritance, order, identity."""

import itertools
import json
import math
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.catalog import Catalog, Entry
from overnight.manifest import JobSpec, ManifestError, read_manifest
from overnight.manifest.fingerprint import fingerprint

ROOT = Path(__file__).parents[2]
MODEL = "community/wan-2-1/fusionx/image-to-video"
HEAD = f"version: 1\nmodel: {MODEL}\n"
IMAGE = "RunComfy_examples_1235_1.png"
shared_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def expand(folder: Path, text: str, catalog: Catalog | None = None) -> list[JobSpec]:
    file = folder / "jobs.yaml"
    file.write_text(textwrap.dedent(text), "utf-8")
    manifest = read_manifest(file, catalog)
    specs = list(manifest.specs())
    assert len(specs) == manifest.count()
    assert [spec.position for spec in specs] == list(range(len(specs)))
    return specs


class _Dumper(yaml.SafeDumper):
    """Quotes every text with a digit: PyYAML leaves 08 and 1e5 plain, and by the rules of YAML 1.2
    they are numbers then."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(char.isdigit() for char in text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def block(**parts: Any) -> str:
    base: dict[str, Any] = {"inputs": {"image": IMAGE, "prompt": "a boat"}}
    return HEAD + yaml.dump({**base, **parts}, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def test_the_first_request_of_all(tmp_path: Path) -> None:
    [spec] = expand(tmp_path, block())
    assert spec.inputs == {"600_prompt": "a boat", "608_image": IMAGE}
    assert (spec.provider, spec.model, spec.block) == ("runcomfy", MODEL, "")
    assert spec.variables == {}
    assert spec.fingerprint == fingerprint("runcomfy", MODEL, spec.inputs)
    assert spec.key == f"job-{spec.fingerprint[:8]}"


def test_the_last_axis_varies_fastest_in_the_written_order(tmp_path: Path) -> None:
    specs = expand(tmp_path, block(matrix={"steps": [8, 6], "seed": [2, 1, 3]}))
    assert [(s.variables["steps"], s.variables["seed"]) for s in specs] == [
        *((8, 2), (8, 1), (8, 3), (6, 2), (6, 1), (6, 3))
    ]
    assert list(specs[0].inputs) == ["600_prompt", "608_image", "598_seed", "598_steps"]


_AXES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True),
        "steps": st.lists(st.integers(6, 20), min_size=1, max_size=4, unique=True),
        "cfg": st.lists(st.sampled_from([0.6, 1, 1.5, 2]), min_size=1, max_size=3, unique=True),
        "num_frames": st.lists(st.sampled_from([81, 141]), min_size=1, max_size=2, unique=True),
        "subject": st.lists(
            st.text(st.characters(categories=["L", "N", "P", "Zs", "So"], exclude_characters="{}")),
            min_size=1,
            max_size=4,
            unique=True,
        ),
    },
)


@given(axes=_AXES, order=st.permutations(["seed", "steps", "cfg", "num_frames", "subject"]))
@shared_folder
def test_every_combination_once_and_in_order(
    tmp_path: Path, axes: dict[str, list[Any]], order: list[str]
) -> None:
    matrix = {name: axes[name] for name in order if name in axes}
    prompt = "a {{ subject }} boat" if "subject" in axes else "a boat"
    text = block(matrix=matrix, inputs={"image": IMAGE, "prompt": prompt})
    specs = expand(tmp_path, text)
    assert len(specs) == math.prod(len(values) for values in axes.values())
    assert [tuple(s.variables.values()) for s in specs] == list(itertools.product(*matrix.values()))
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    for spec in specs:
        assert spec.fingerprint == fingerprint(spec.provider, spec.model, spec.inputs)
        subject = spec.variables.get("subject")
        expected = "a boat" if subject is None else f"a {subject} boat"
        assert spec.inputs["600_prompt"] == expected
        assert json.loads(json.dumps(spec.variables)) == spec.variables


@given(axes=_AXES, data=st.data())
@shared_folder
def test_how_it_is_written_changes_no_key_and_no_fingerprint(
    tmp_path: Path, axes: dict[str, list[Any]], data: st.DataObject
) -> None:
    raw = {"seed": "598_seed", "steps": "598_steps", "cfg": "guidance_scale"}
    prompt = "a {{ subject }} boat" if "subject" in axes else "a boat"
    inputs = {"image": IMAGE, "prompt": prompt}
    plain = expand(tmp_path, block(matrix=axes, inputs=inputs))
    order = data.draw(st.permutations(list(axes)))
    rewritten = {
        raw.get(name, name): [float(v) if name in raw else v for v in axes[name]] for name in order
    }
    turned = {"600_prompt": prompt, "608_image": IMAGE}
    other = expand(tmp_path, block(matrix=rewritten, inputs=turned))
    assert {(s.fingerprint, s.key) for s in plain} == {(s.fingerprint, s.key) for s in other}


def test_keys_say_block_and_values(tmp_path: Path) -> None:
    specs = expand(
        tmp_path,
        HEAD
        + f"""\
jobs:
  - name: Night Shots
    inputs: {{image: {IMAGE}, prompt: "{{{{ subject }}}} at night"}}
    matrix: {{steps: [8], seed: [7.0], subject: [Lighthouse]}}
""",
    )
    assert re.fullmatch(r"night-shots-lighthouse-seed7-steps8-[0-9a-f]{8}", specs[0].key)
    assert specs[0].block == "Night Shots"
    assert specs[0].variables == {"steps": 8, "seed": 7, "subject": "Lighthouse"}


def test_a_block_inherits_and_what_it_writes_wins(tmp_path: Path) -> None:
    specs = expand(
        tmp_path,
        f"""\
        version: 1
        model: {MODEL}
        inputs: {{image: {IMAGE}, prompt: top, steps: 6, cfg: 1}}
        matrix: {{seed: [1, 2]}}
        jobs:
          - {{name: a}}
          - {{name: b, inputs: {{598_steps: 8, seed: 9}}}}
          - {{name: c, matrix: {{guidance_scale: [1.5, 2], 598_seed: [3]}}}}
        """,
    )
    seen = [
        (s.block, s.inputs["598_seed"], s.inputs["598_steps"], s.inputs["598_cfg"]) for s in specs
    ]
    assert seen == [
        *(("a", 1, 6, 1), ("a", 2, 6, 1)),
        ("b", 9, 8, 1),
        *(("c", 3, 6, 1.5), ("c", 3, 6, 2)),
    ]


def test_moving_a_job_to_another_block_keeps_its_fingerprint(tmp_path: Path) -> None:
    one = expand(tmp_path, block(matrix={"seed": [1, 2]}))
    inputs = {"image": IMAGE, "prompt": "a boat"}
    two = expand(
        tmp_path,
        HEAD
        + yaml.safe_dump(
            {"jobs": [{"inputs": {**inputs, "seed": 2}}, {"inputs": {**inputs, "seed": 1}}]}
        ),
    )
    assert {s.fingerprint for s in one} == {s.fingerprint for s in two}


def test_templates_see_variables_axes_and_constants(tmp_path: Path) -> None:
    inputs = {"image": "https://example.org/{{ shot.file }}.png", "steps": 8.0}
    inputs["prompt"] = "{{ shot.angle }} {{ seed }} {{ num_frames }} {{ steps }} 100% #1"
    matrix = {"shot": [{"angle": "low", "file": "a"}], "598_seed": [7.0], "num_frames": [81]}
    [spec] = expand(tmp_path, block(inputs=inputs, matrix=matrix))
    assert spec.inputs["600_prompt"] == "low 7 81 8 100% #1"
    assert spec.inputs["608_image"] == "https://example.org/a.png"


def test_an_axis_of_texts_can_hold_templates(tmp_path: Path) -> None:
    matrix = {"prompt": ["plain {x}", "a {{ kind }} boat"], "kind": ["red", "blue"]}
    specs = expand(tmp_path, block(inputs={"image": IMAGE}, matrix=matrix))
    texts = [spec.inputs["600_prompt"] for spec in specs]
    assert texts == ["plain {x}", "plain {x}", "a red boat", "a blue boat"]
    assert [spec.variables["prompt"] for spec in specs] == texts
    assert specs[0].fingerprint == specs[1].fingerprint


def test_a_rendered_value_must_fit_the_schema_too(tmp_path: Path) -> None:
    inputs = {"image": IMAGE, "prompt": "x", "resolution": "{{ w }}x{{ w }} (1:1)"}
    specs = expand(tmp_path, block(inputs=inputs, matrix={"w": [480, 720]}))
    assert specs[1].inputs["602_widthx602_height"] == "720x720 (1:1)"
    with pytest.raises(ManifestError) as caught:
        expand(tmp_path, block(inputs=inputs, matrix={"w": [480, 481, 482]}))
    first, second = caught.value.problems
    assert (first.line, first.column) == (6, 15)
    assert 'resolution is "481x481 (1:1)"' in first.message
    assert "(where w is '481')" in first.message
    assert "482" in second.message


def test_a_part_that_is_not_there_is_told_with_the_values(tmp_path: Path) -> None:
    inputs = {"image": IMAGE, "prompt": "{{ shot.angle }}"}
    text = block(inputs=inputs, matrix={"shot": [{"angle": "low"}, {"angel": "high"}]})
    with pytest.raises(ManifestError) as caught:
        expand(tmp_path, text)
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (5, 11)
    assert 'did you mean "angel"?' in problem.message


def test_many_problems_while_rendering_end_early(tmp_path: Path) -> None:
    inputs = {"image": "https://{{ host }}", "prompt": "x"}
    text = block(inputs=inputs, matrix={"host": [f" {n}" for n in range(100)]})
    with pytest.raises(ManifestError) as caught:
        expand(tmp_path, text)
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize(
    "prompt", ["é 東京 👩‍🚀 שלום", "e\u0301", "x" * 10_000, "16:9", "a\n\nb\n"]
)
def test_prompts_are_sent_exactly_as_written(tmp_path: Path, prompt: str) -> None:
    [spec] = expand(tmp_path, block(inputs={"image": IMAGE, "prompt": prompt}))
    assert spec.inputs["600_prompt"] == prompt


def test_other_models_by_their_own_schema(tmp_path: Path) -> None:
    class Given:
        def model_ids(self) -> list[str]:
            return ["lab/still"]

        def entry(self, model_id: str) -> Entry | None:
            prompt, scale = {"type": "string"}, {"type": "float"}
            refs = {"type": "array", "format": "image_uris", "items": {"type": "string"}}
            properties = {"prompt": prompt, "scale": scale, "refs": refs}
            return Entry(model_id, {"properties": properties})

    text = """\
        version: 1
        model: lab/still
        inputs: {prompt: a boat, refs: ["https://example.org/a.png"]}
        matrix: {scale: [1.0, 2.5]}
        """
    specs = expand(tmp_path, text, Catalog([Given()]))
    assert [repr(s.inputs["scale"]) for s in specs] == ["1", "2.5"]
    assert specs[0].inputs["refs"] == ["https://example.org/a.png"]


def test_the_example_manifest() -> None:
    manifest = read_manifest(ROOT / "jobs.example.yaml")
    specs = list(manifest.specs())
    assert len(specs) == manifest.count() == 13
    assert len({spec.fingerprint for spec in specs}) == 13
    assert len({spec.key for spec in specs}) == 13
    assert len({spec.inputs["600_prompt"] for spec in specs}) == 4
    assert manifest.name == "first-night"
    assert (manifest.run.concurrency, manifest.run.attempts) == (4, 3)
