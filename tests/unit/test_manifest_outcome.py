"""What files are called, what jobs cost, how many there may be; and that editing a manifest without
changing what it asks for changes no job."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.manifest.naming import NameTemplate
from tests.unit.manifests import INPUTS, PICTURE, Bench, marks, prompt

shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


GRID = INPUTS + "matrix: {seed: [1, 2, 3], steps: [6, 8, 10]}\n"


# --- names, prices, limits ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{{ key }}", None),
        ("{{ block }}/{{ batch }}-{{ index }}", ["jobs-1", "jobs-2"]),
        ("{{ word }}/{{ seed }}", ["a-b/1", "..c/1"]),
        ("x {{ word | upper }} {{ steps }}", ["x A-B 10", "x ..C 10"]),
        ("../../{{ index }}", ["1", "2"]),
        ("/{{ index }}/", ["1", "2"]),
        ("CON/{{ index }}: ?", ["_CON/1_ _", "_CON/2_ _"]),
        ("e\u0301 東京 👩\u200d🚀 {{ index }}.", ["é 東京 👩\u200d🚀 1", "é 東京 👩\u200d🚀 2"]),
        ("{{ repeat }}-{{ index }}", ["1-1", "1-2"]),
    ],
)
def test_what_files_are_called(bench: Bench, template: str, names: list[str] | None) -> None:
    text = prompt("{{ word }}") + "matrix: {word: [a/b, '..c'], seed: [1]}\n"
    specs = bench.jobs(text + f"output: {{name: '{template}'}}\n")
    found = [spec.name for spec in specs]
    wanted = [spec.key for spec in specs] if names is None else names
    assert found == [name.replace("..c", "c") for name in wanted]


@given(st.text(max_size=300), st.text("./\\ \u202e:CONcon\x00é", max_size=12))
@shared_folder
def test_names_stay_in_their_folder_and_are_safe(word: str, other: str) -> None:
    template = NameTemplate("{{ a }}/{{ b }}/x{{ a }}", "batch")
    path = template.path({"a": word, "b": other}, key="k", block="", index=1, repeat=1)
    parts = path.split("/")
    assert 1 <= len(parts) <= 3
    for part in parts:
        assert part
        assert part[0] not in ". "
        assert part[-1] not in ". "
        assert len(part.encode()) <= 120
        assert not set(part) & set('<>:"\\|?*\x00\u202e')
        assert part.split(".")[0].lower() not in ("con", "nul", "aux", "prn")


@pytest.mark.parametrize(
    ("price", "prices"),
    [
        ("0.06", [0.06] * 3),
        ("0", [0] * 3),
        ("0.01 * steps", [0.06, 0.08, 0.1]),
        ("0.05 * num_frames / frame_rate", [0.05 * 81 / 16] * 3),
        ("0.1 if 598_steps > 6 else 0.2".replace("598_steps", "steps"), [0.2, 0.1, 0.1]),
        ("max(0.07, 0.01 * steps)", [0.07, 0.08, 0.1]),
    ],
)
def test_prices(bench: Bench, price: str, prices: list[float]) -> None:
    text = INPUTS + f"matrix: {{steps: [6, 8, 10]}}\nrun: {{price: '{price}'}}\n"
    if price.replace(".", "").isdigit():
        text = text.replace(f"'{price}'", price)
    assert [spec.price for spec in bench.jobs(text)] == pytest.approx(prices)


def test_nobody_knows_a_price_that_nobody_says(bench: Bench) -> None:
    assert {spec.price for spec in bench.jobs(GRID)} == {None}


def test_limits_are_kept_in_streams_too(bench: Bench) -> None:
    bench.file("rows.csv", "seed\n" + "".join(f"{n}\n" for n in range(50)))
    rows = INPUTS + "rows: {file: rows.csv}\nmatrix: {steps: [6, 8]}\n"
    assert len(bench.jobs(rows, max_jobs=100)) == 100
    assert "more than 99 jobs" in bench.problem(rows, max_jobs=99).message
    limited = bench.problem(rows + "run: {limits: {jobs: 10}}\n")
    assert (limited.line, limited.column) == (6, 22)


def test_a_product_that_is_too_large_is_told_before_it_is_made(bench: Bench) -> None:
    axes = "matrix: {seed: {random: 2000}, cfg: '0.6-2 [50]', shift: '1-15 [50]'}\n"
    problem = bench.problem(INPUTS + axes)
    assert problem.message == "this makes 5,000,000 jobs; a manifest may have 1,000,000"
    assert bench.read(INPUTS + axes, max_jobs=5_000_000).count() == 5_000_000
    assert bench.read(INPUTS + axes + "sample: {n: 10}\n").count() == 10
    repeated = INPUTS + "matrix: {seed: [1, 2]}\nrepeat: 3\n"
    assert "6 jobs" in bench.problem(repeated, max_jobs=5).message


def test_a_block_that_is_too_large_alone_is_told(bench: Bench) -> None:
    jobs = "jobs:\n- {name: a}\n- {name: b, matrix: {seed: {from: 1, to: 50}}}\n"
    problem = bench.problem(INPUTS + jobs, max_jobs=10)
    assert (problem.line, problem.message) == (
        *(6, "this block makes 50 jobs; a manifest may have 10"),
    )


def test_a_prompt_with_too_many_variants_is_told_at_the_inputs(bench: Bench) -> None:
    text = prompt("{a|b|c} {d|e|f}") + "prompt_syntax: dynamic\n"
    problem = bench.problem(text, max_jobs=8)
    assert (problem.line, problem.column) == (3, 1)


def test_a_name_that_comes_out_empty_says_for_which_job(bench: Bench) -> None:
    text = prompt("{{ word }}") + "matrix: {word: [ok, ..]}\noutput: {name: '{{ word }}'}\n"
    assert bench.problem(text).message == "the name comes out empty (where word is '..')"


def test_what_only_one_block_does_not_use_names_the_block(bench: Bench) -> None:
    text = PICTURE + "matrix: {word: [a]}\njobs:\n- {name: x, inputs: {prompt: '{{ word }}'}}\n"
    problem = bench.problem(text + "- {name: y, inputs: {prompt: b}}\n")
    assert (problem.line, problem.column) == (4, 10)
    assert 'no text of block "y" uses it' in problem.message


def test_a_price_that_fails_is_told_with_what_it_was_worked_out_from(bench: Bench) -> None:
    run = "run: {price: 9**9**9}\n"
    assert bench.problem(INPUTS + run).message == "an exponent may be at most 64"
    long = bench.problem(prompt("x" * 500) + "run: {price: prompt}\n")
    assert long.message.endswith(f"(where prompt is {'x' * 40})")


# --- editing changes nothing ----------------------------------------------------------------------


@given(
    order=st.permutations(["seed", "style", "cfg"]),
    raw=st.booleans(),
    moved=st.booleans(),
    label=st.text("abcdefgh é東", min_size=1, max_size=4).map(str.strip).filter(bool),
    floats=st.booleans(),
)
@shared_folder
def test_moving_renaming_and_rewriting_change_no_fingerprint(
    tmp_path: Path, order: list[str], raw: bool, moved: bool, label: str, floats: bool
) -> None:
    bench = Bench(tmp_path)
    plain = axes_text(["seed", "style", "cfg"], "Film", raw=False, floats=False)
    turned = axes_text(order, label, raw=raw, floats=floats)
    one = bench.jobs(PICTURE.replace("}", ", prompt: x}") + plain)
    if moved:
        inputs = "prompt: x"
        turned = f"jobs:\n  - name: {label[0]}z\n    inputs: {{{inputs}}}\n" + "".join(
            f"    {line}\n" for line in turned.splitlines()
        )
    else:
        turned = "prompt_syntax: plain\n" + turned
    head = PICTURE if moved else PICTURE.replace("}", ", prompt: x}")
    two = bench.jobs(head + turned)
    assert marks(one) == marks(two)
    assert len(marks(one)) == 12


def axes_text(order: list[str], label: str, *, raw: bool, floats: bool) -> str:
    axes = {
        "seed": "[1.0, 2, 3]" if floats else "[1, 2, 3]",
        "style": f"[{{label: '{label}', set: {{steps: 8}}}}, {{set: {{steps: 9}}, label: other}}]",
        "cfg": "{to: 1.5, from: 1, step: 0.5}" if floats else "[1, 1.5]",
    }
    names = {"seed": "598_seed", "cfg": "guidance_scale"} if raw else {}
    return "matrix:\n" + "".join(f"  {names.get(name, name)}: {axes[name]}\n" for name in order)


def test_an_edited_prompt_is_a_new_job(bench: Bench) -> None:
    texts = ["a boat", "a boat ", "A boat", "a b\u00f6at", "a bo\u0308at"]
    found = [marks(bench.jobs(prompt(text))) for text in texts]
    assert all(not one & two for one, two in itertools.combinations(found, 2))
