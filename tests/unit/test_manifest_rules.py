"""Which combinations become jobs, and how: exclude, rules, include, repeat, sample, order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.manifest.fingerprint import fingerprint
from tests.unit.manifests import INPUTS, Bench, marks, prompt, short

shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


GRID = INPUTS + "matrix: {seed: [1, 2, 3], steps: [6, 8, 10]}\n"


def pairs(bench: Bench, rest: str, *names: str) -> list[tuple[Any, ...]]:
    return [short(spec, *(names or ("seed", "steps"))) for spec in bench.jobs(GRID + rest)]


# --- exclude, rules, include ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("{seed: 1}", 6),
        ("{seed: 1.0}", 6),
        ("{598_seed: 1}", 6),
        ("{seed: [1, 2], steps: 8}", 7),
        ("{seed: [1, 2], guidance_scale: 1}", 3),
        ("'seed > 1 and steps < 10'", 5),
        ("'steps in [6, 8] or seed == 3'", 2),
        ("'steps > 100'", 9),
    ],
)
def test_what_is_excluded(bench: Bench, condition: str, left: int) -> None:
    text = GRID.replace("prompt", "cfg: 1, prompt") + f"exclude: [{condition}]\n"
    assert len(bench.jobs(text)) == left


def test_a_value_or_its_label_can_be_named(bench: Bench) -> None:
    axis = "matrix: {seed: [{label: lucky, value: 7}, 42], steps: [6, 8]}\n"
    by_label = bench.jobs(INPUTS + axis + "exclude: [{seed: lucky}]\n")
    by_value = bench.jobs(INPUTS + axis + "exclude: [{seed: 7}]\n")
    assert marks(by_label) == marks(by_value)
    assert len(by_label) == 2


def test_rules_apply_in_order_and_see_one_another(bench: Bench) -> None:
    rest = (
        "rules:\n"
        "  - {when: {seed: 2}, set: {cfg: 1.5}}\n"
        "  - {when: 'cfg == 1.5 and steps > 6', set: {shift: 8, steps: 20}}\n"
        "  - {when: {steps: 20}, set: {num_frames: 141}}\n"
    )
    found = pairs(bench, rest, "seed", "steps", "cfg", "shift", "num_frames")
    assert found == [
        *((1, 6, None, None, None), (1, 8, None, None, None), (1, 10, None, None, None)),
        *((2, 6, 1.5, None, None), (2, 20, 1.5, 8, 141), (2, 20, 1.5, 8, 141)),
        *((3, 6, None, None, None), (3, 8, None, None, None), (3, 10, None, None, None)),
    ]


def test_a_rule_that_changes_an_axis_is_told_in_key_and_variables(bench: Bench) -> None:
    text = (
        INPUTS + "matrix: {steps: [6, 8]}\nrules: [{when: {steps: 8}, set: {steps: 20, cfg: 1}}]\n"
    )
    one, two = bench.jobs(text)
    assert (one.variables, two.variables) == ({"steps": 6}, {"steps": 20})
    assert two.key.startswith("steps20-")


def test_exclude_looks_before_rules_do(bench: Bench) -> None:
    rest = "rules: [{when: {seed: 1}, set: {steps: 20}}]\nexclude: ['steps == 10']\n"
    assert pairs(bench, rest).count((1, 20)) == 2


def test_rules_set_words_and_texts(bench: Bench) -> None:
    text = prompt("a boat at {{ time }}") + "matrix: {time: [dawn, dusk], seed: [1]}\n"
    rules = (
        "rules:\n"
        "  - {when: {time: dusk}, set: {time: night}}\n"
        "  - {when: {time: dawn}, set: {prompt: 'no boat at {{ time }}'}}\n"
    )
    found = [short(spec, "prompt")[0] for spec in bench.jobs(text + rules)]
    assert found == ["no boat at dawn", "a boat at night"]


def test_rules_of_the_top_level_come_first(bench: Bench) -> None:
    rest = (
        "rules: [{when: {seed: 1}, set: {cfg: 1}}]\n"
        "jobs:\n  - rules: [{when: {cfg: 1}, set: {cfg: 2}}]\n  - name: b\n"
    )
    found = bench.jobs(GRID + rest)
    assert [short(s, "cfg")[0] for s in found if s.variables["seed"] == 1] == [2] * 3 + [1] * 3


def test_a_shared_rule_may_mean_only_some_blocks(bench: Bench) -> None:
    rest = (
        "rules: [{when: {style: x}, set: {cfg: 1}}]\njobs:\n  - {name: a}\n"
        "  - {name: b, inputs: {prompt: '{{ style }}'}, matrix: {style: [x, y]}}\n"
    )
    found = bench.jobs(INPUTS + rest)
    assert [short(spec, "cfg")[0] for spec in found] == [None, 1, None]


def test_a_shared_list_means_in_each_block_what_that_has_of_it(bench: Bench) -> None:
    text = (
        prompt("{{ style }}")
        + """\
exclude: [{style: [x, q]}]
jobs:
- {name: a, matrix: {style: [x, y]}}
- {name: b, matrix: {style: [q, r]}}
- {name: c, matrix: {style: [x, q, z]}}
"""
    )
    assert [spec.variables["style"] for spec in bench.jobs(text)] == ["y", "r", "z"]
    problem = bench.problem(text.replace("[x, q]}]", "[x, q, w]}]"))
    assert (problem.line, problem.column) == (4, 26)
    assert problem.message == 'style is never "w", so this means no job'


def test_whole_jobs_stand_over_the_constants(bench: Bench) -> None:
    rest = (
        "exclude: ['seed > 0']\nrules: [{when: {seed: 1}, set: {cfg: 2}}]\n"
        "include: [{seed: 1, shift: 3}, {prompt: else}]\n"
    )
    found = pairs(bench, rest, "prompt", "seed", "steps", "cfg", "shift")
    assert found == [("a boat", 1, None, None, 3), ("else", None, None, None, None)]


def test_a_whole_job_can_name_a_bundle_by_its_label(bench: Bench) -> None:
    text = (
        prompt("{{ style }}")
        + "matrix: {style: [{label: A, set: {cfg: 1}}, {label: B, set: {cfg: 2}}]}\n"
    )
    found = bench.jobs(text + "include: [{style: B, steps: 20}]\n")
    assert [short(spec, "prompt", "cfg", "steps") for spec in found] == [
        *(("A", 1, None), ("B", 2, None), ("B", 2, 20))
    ]
    problem = bench.problem(text + "include: [{style: unknown}]\n")
    assert (problem.line, problem.hint) == (5, "it has: A, B")


@pytest.mark.parametrize(
    ("rest", "column", "message", "hint"),
    [
        ("exclude: [{sed: 1}]", 12, '"sed" has no value in this block', 'did you mean "seed"?'),
        ("exclude: [{cfg: 1}]", 12, '"cfg" has no value in this block', "it has: image, prompt"),
        ("exclude: [{seed: 9}]", 18, "seed is never 9, so this means no job", "it is 1, 2 or 3"),
        ("exclude: [{seed: [1, 9]}]", 22, "seed is never 9", None),
        ("exclude: [{seed: []}]", 18, "seed has no value here", None),
        ("exclude: [5]", 11, "must be a mapping of names and values, or", "steps > 8"),
        ("exclude: [seed >]", 17, "the expression can't be read", None),
        ("exclude: [sed > 1]", 11, '"sed" has no value', 'did you mean "seed"?'),
        ("exclude: [seed]", 11, "true or false", None),
        ("rules: [{when: {seed: 1}}]", 9, '"set" is missing', "write set:"),
        ("rules: [{set: {seed: 1}}]", 9, '"when" is missing', "write when:"),
        ("rules: [{when: {seed: 1}, set: {steps: 99}}]", 40, "steps is 99", None),
        ("rules: [{when: {seed: 1}, set: {stps: 9}}]", 33, '"stps" is no input', '"steps"'),
        ("rules: [{when: {seed: 1}, sett: {steps: 9}}]", 27, 'no key "sett"', '"set"'),
        ("include: [{steps: 99}]", 19, "steps is 99", None),
        ("include: [{stps: 9}]", 12, '"stps" is no input', 'did you mean "steps"?'),
        ("include: [5]", 11, "entry 1 of include must be a mapping", None),
        ("order: longest", 8, 'order is "longest"', "did you mean longest-first?"),
        ("repeat: 0", 9, "repeat is 0, but it must be at least 1", None),
        ("sample: 5", 9, "sample must be a mapping", "sample: {n: 500"),
        ("sample: {seed: 5}", 1, '"n" is missing', "n: 500"),
        ("priority: high", 11, "priority must be a whole number", None),
        ("tags: fast", 7, "tags must be a list", "[fast]"),
        ("run: {limits: {jobs: 8}}", 22, "makes 9 jobs, and the limit is 8", None),
        ("run: {price: stps * 2}", 14, 'has no input "stps"', 'did you mean "steps"?'),
        ("run: {price: steps *}", 21, "price: the expression can't be read", None),
        ("run: {price: -1}", 14, "price is -1, but it must be from 0", None),
        ("run: {price: 5 - steps}", 14, "the price comes out as -1", None),
        ("output: {name: '{{ stps }}'}", 16, '"stps" is nothing that these', '"steps"'),
        ("output: {name: fixed}", 16, "every file would have this one name", "{{ key }}"),
        ("output: {name: '{{ key'}", 16, "this is not a template", None),
        ("output: {name: '{{ key }}/../../..' }", 16, "", None),
    ],
)
def test_one_mistake_one_place(
    bench: Bench, rest: str, column: int, message: str, hint: str | None
) -> None:
    if not message:
        assert all(spec.name == spec.key for spec in bench.jobs(GRID + rest + "\n"))
        return
    problem = bench.problems(GRID + rest + "\n")[0]
    assert (problem.line, problem.column) == (5, column)
    assert message in problem.message
    assert (hint or "") in (problem.hint or "")


def test_all_is_told_at_once(bench: Bench) -> None:
    found = bench.problems(
        GRID
        + """\
exclude: [{sed: 1}, {seed: 9}]
rules:
  - {when: {stepps: 6}, set: {cfg: 9}}
  - {when: steps >, set: {shfit: 1}}
include: [{cfg: many}]
output: {name: "{{ sed }}"}
run: {price: stps}
"""
    )
    assert [problem.line for problem in found] == [5, 5, 7, 7, 8, 9, 10, 11]


def test_an_exclude_that_leaves_nothing_is_noted(bench: Bench) -> None:
    manifest = bench.read(INPUTS + "matrix: {seed: [1, 2]}\nexclude: [{seed: [1, 2]}]\n")
    assert list(manifest.specs()) == []
    [note] = manifest.notes
    assert (note.line, note.message) == (5, "this leaves no combination over")


def test_an_exclude_that_meets_nothing_is_noted_at_the_end(bench: Bench) -> None:
    manifest = bench.read(GRID + "exclude: ['steps > 100', {seed: 1}]\n")
    assert list(manifest.notes) == []
    assert len(list(manifest.specs())) == 6
    [note] = manifest.notes
    assert (note.line, note.column) == (5, 11)
    assert "excludes nothing" in note.message
    assert list(manifest.specs())
    assert list(manifest.notes) == [note]


# --- repeat ---------------------------------------------------------------------------------------


def test_a_repeat_buys_only_the_others(bench: Bench) -> None:
    once, thrice = bench.jobs(GRID), bench.jobs(GRID + "repeat: 3\n")
    assert len(marks(thrice)) == 27
    assert [s.fingerprint for s in thrice[::3]] == [s.fingerprint for s in once]
    assert [spec.repeat for spec in thrice[:4]] == [1, 2, 3, 1]
    assert "-r2-" in thrice[1].key
    spec = thrice[2]
    assert spec.fingerprint == fingerprint(spec.provider, spec.model, spec.inputs, 3)
    assert thrice[0].inputs == thrice[1].inputs


# --- sample ---------------------------------------------------------------------------------------


@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    n=st.integers(1, 130),
    seed=st.integers(0, 5),
    order=st.permutations(["seed", "steps", "cfg"]),
)
@shared_folder
def test_a_sample_is_part_of_the_whole_and_the_order_of_keys_is_nothing(
    tmp_path: Path, sizes: tuple[int, int, int], n: int, seed: int, order: list[str]
) -> None:
    bench = Bench(tmp_path)
    axes = {
        "seed": list(range(sizes[0])),
        "steps": list(range(6, 6 + sizes[1])),
        "cfg": [0.6, 0.8, 1, 1.5, 2][: sizes[2]],
    }

    def text(names: list[str], rest: str) -> str:
        return INPUTS + "matrix:\n" + "".join(f"  {k}: {axes[k]}\n" for k in names) + rest

    whole = bench.jobs(text(list(axes), ""))
    sample = bench.jobs(text(list(axes), f"sample: {{n: {n}, seed: {seed}}}\n"))
    other = bench.jobs(text(order, f"sample: {{n: {n}, seed: {seed}}}\n"))
    assert len(marks(sample)) == len(sample) == min(n, len(whole))
    assert marks(sample) <= marks(whole)
    assert marks(sample) == marks(other)


def test_a_sample_of_a_space_that_nobody_could_write_out(bench: Bench) -> None:
    axes = "matrix: {seed: {random: 5000, from: 1}, frame_rate: 12-24 (+1)}\n"
    more = (
        "zip: [{steps: 6-20 (+1), cfg: '0.6-2 [15]', shift: 1-15 (+1)}]\nsample: {n: 40, seed: 3}\n"
    )
    text = prompt("{{ a }} {{ b }}") + axes + more
    text = text.replace("matrix: {", "matrix: {a: {random: 5000}, b: {random: 5000}, ")
    manifest = bench.read(text)
    assert manifest.count() == 40
    assert len(marks(list(manifest.specs()))) == 40


def test_a_sample_is_taken_of_what_is_not_excluded(bench: Bench) -> None:
    found = pairs(
        bench, "exclude: [{seed: 1}, 'steps == 6']\nsample: {n: 4}\ninclude: [{seed: 1}]\n"
    )
    assert sorted(found[:4]) == [(2, 8), (2, 10), (3, 8), (3, 10)]
    assert found[4] == (1, None)


def test_a_sample_that_is_everything_is_noted(bench: Bench) -> None:
    manifest = bench.read(GRID + "sample: {n: 20, seed: 1}\n")
    assert len(list(manifest.specs())) == 9
    assert ["the sample is everything" in note.message for note in manifest.notes] == [True]
    smaller = bench.read(GRID + "sample: {n: 8}\n")
    assert len(list(smaller.specs())) == 8
    assert smaller.notes == ()


# --- order ----------------------------------------------------------------------------------------


def test_a_shuffle_stays_when_jobs_are_added(bench: Bench) -> None:
    ranks = {s.fingerprint: s.rank for s in bench.jobs(GRID + "order: shuffle\n")}
    more = GRID.replace("[1, 2, 3]", "[1, 2, 3, 4]")
    grown = {s.fingerprint: s.rank for s in bench.jobs(more + "order: shuffle\n")}
    assert ranks.items() <= grown.items()
    assert sorted(ranks.values()) != list(ranks.values())
    assert all(0 <= rank < 2**31 for rank in grown.values())


def test_the_longest_jobs_come_first(bench: Bench) -> None:
    sizes = "['480x480 (1:1)', '1280x720 (16:9)']"
    axes = f"matrix: {{steps: [6, 20], num_frames: [81, 141], resolution: {sizes}}}\n"
    specs = bench.jobs(INPUTS + axes + "order: longest-first\n")
    ordered = sorted(specs, key=lambda spec: spec.rank)
    assert short(ordered[0], "steps", "num_frames") == (20, 141)
    assert short(ordered[-1], "steps", "num_frames") == (6, 81)
    assert all(-(2**31) <= spec.rank < 2**31 for spec in specs)
    assert {spec.rank for spec in bench.jobs(INPUTS + axes)} == {0}


def test_priority_and_tags(bench: Bench) -> None:
    rest = (
        "tags: [night, all]\npriority: 2\n"
        "jobs:\n  - {name: a, tags: [mine, all]}\n  - {name: b, priority: -3}\n"
    )
    one, two = bench.jobs(INPUTS + rest)
    assert (one.tags, one.priority) == (("night", "all", "mine"), 2)
    assert (two.tags, two.priority) == (("night", "all"), -3)
