"""The ways to write an axis: ranges, random values, files, labels, bundles, and zip."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.manifests import IMAGE, INPUTS, PICTURE, Bench, marks, prompt, short


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("steps: {from: 6, to: 10, step: 2}", [6, 8, 10]),
        ("steps: {from: 6, to: 9, step: 2}", [6, 8]),
        ("steps: {from: 8, to: 6}", [8, 7, 6]),
        ("steps: 6-10 (+2)", [6, 8, 10]),
        ("steps: '6, 7, .., 9'", [6, 7, 8, 9]),
        ("cfg: 0.6-2 [8]", [0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]),
        ("cfg: {from: 0.6, to: 0.9, step: 0.1}", [0.6, 0.7, 0.8, 0.9]),
        ("cfg: [1, 1.5-2 (+0.25)]", [1, 1.5, 1.75, 2]),
        ("seed: ['1-3 (+1)', 42]", [1, 2, 3, 42]),
    ],
)
def test_ranges(bench: Bench, axis: str, values: list[float]) -> None:
    name = axis.split(":", 1)[0]
    specs = bench.jobs(INPUTS + f"matrix:\n  {axis}\n")
    found = [spec.variables[name] for spec in specs]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_a_range_may_be_an_axis_of_your_own(bench: Bench) -> None:
    text = prompt("take {{ n }}") + "matrix: {n: {from: 1, to: 3}}\n"
    assert [short(spec, "prompt") for spec in bench.jobs(text)] == [
        *(("take 1",), ("take 2",), ("take 3",))
    ]


@pytest.mark.parametrize("words", ["16-9", "8-14", "1, 2, 3", "2024-01-01"])
def test_texts_that_look_like_ranges_are_texts(bench: Bench, words: str) -> None:
    [spec] = bench.jobs(PICTURE + f"matrix: {{prompt: ['{words}']}}\n")
    assert short(spec, "prompt") == (words,)


@pytest.mark.parametrize(
    ("axis", "column", "message", "hint"),
    [
        ("steps: 6-30 (+6)", 17, "steps is 24, but it must be from 6 to 20", None),
        ("steps: 6-10 (+1.5)", 17, "steps: this takes whole numbers", "whole ends"),
        ("steps: {from: 6, to: 10, step: 0}", 17, "the step is 0", None),
        ("steps: {from: 6, step: 2}", 10, '"to" is missing', "{from: 8, to: 14, step: 2}"),
        ("steps: {from: 6, to: ten}", 31, 'steps.to is "ten", but it must be a number', None),
        ("steps: {from: 6, too: 10}", 27, 'no key "too"', 'did you mean "to"?'),
        ("seed: {from: 1, to: 1000000}", 16, "1,000,000 values", "larger step"),
        ("steps: many", 17, "this text is no range", "8-14 (+2)"),
        ("steps: 6-20", 17, "this text is no range", "did you mean 6-20 (+1)?"),
        ("steps: 20\u20136", 17, "this text is no range", "did you mean 20-6 (-1)?"),
        ("steps: 6..8", 17, "this text is no range", "did you mean 6-8 (+1)?"),
        ("steps: 6\u20138 (+2)", 17, "this text is no range", "did you mean 6-8 (+2)?"),
        ("steps: [7, 8-9]", 21, '"8-9" is no range', "did you mean 8-9 (+1)?"),
        ("cfg: '0.6-2 [1000000000000]'", 15, "1,000,000,000,000 values", "fewer values"),
        ("shift: {from: .inf, to: 3}", 24, "shift.from is .inf", "where it begins"),
        ("prompt: 1-3 (+1)", 18, "prompt must be a list", "inputs that are numbers"),
        ("seed: {random: 0}", 25, "seed.random is 0", None),
        ("seed: {random: many}", 25, "seed.random must be a whole number", None),
        ("seed: {random: 2, form: 3}", 28, 'no key "form"', 'did you mean "from"?'),
        ("steps: {random: 16}", 17, "only be one of 15 values", "draw fewer"),
        ("prompt: {random: 2}", 18, "the schema doesn't say", "write its values"),
        ("seed: {glob: 'refs/*.png'}", 23, "no file matches", "manifest's folder"),
        ("seed: {lines: nowhere.txt}", 24, "there is no such file", "manifest's folder"),
        ("seed: {lines: empty.txt}", 24, "has no line with text", None),
    ],
)
def test_one_mistake_one_place(
    bench: Bench, axis: str, column: int, message: str, hint: str | None
) -> None:
    bench.file("empty.txt", "\n  \n")
    inputs = PICTURE if "prompt" in axis else INPUTS
    problem = bench.problem(inputs + f"matrix: {{{axis}}}\n")
    assert (problem.line, problem.column) == (4, column)
    assert message in problem.message
    assert (hint or "") in (problem.hint or "")


# --- random values --------------------------------------------------------------------------------


def seeds(bench: Bench, axis: str, **how: Any) -> list[int]:
    specs = bench.jobs(INPUTS + f"matrix: {{{axis}}}\n", **how)
    return [spec.variables[axis.split(":", 1)[0]] for spec in specs]


def test_random_values_with_a_seed_are_the_same_everywhere(bench: Bench) -> None:
    four = seeds(bench, "seed: {random: 4, from: 42}")
    assert four == [1928759497, 86861936, 690326042, 153367998]
    assert seeds(bench, "598_seed: {random: 4, from: 42}".replace("598_", "")) == four
    assert seeds(bench, "seed: {random: 6, from: 42}")[:4] == four
    assert seeds(bench, "seed: {random: 4, from: 43}") != four


def test_random_values_are_kept_and_only_added_to(bench: Bench) -> None:
    text = INPUTS + "matrix: {seed: {random: 3}}\n"
    first = bench.read(text)
    assert list(first.draws) == ["seed"]
    kept = dict(first.draws)
    asked: list[str] = []

    def drawn(batch: str) -> dict[str, list[Any]]:
        asked.append(batch)
        return kept

    assert bench.read(text, drawn=drawn).draws == first.draws
    more = bench.read(text.replace("3", "5"), drawn=drawn).draws["seed"]
    assert more[:3] == first.draws["seed"]
    assert len(set(more)) == 5
    fewer = bench.read(text.replace("3", "2"), drawn=drawn)
    assert [s.variables["seed"] for s in fewer.specs()] == first.draws["seed"][:2]
    assert fewer.draws["seed"] == first.draws["seed"]
    assert asked == ["jobs"] * 3


def test_two_readings_without_a_memory_differ(bench: Bench) -> None:
    text = INPUTS + "matrix: {seed: {random: 3}}\n"
    assert bench.read(text).draws != bench.read(text).draws


def test_random_values_keep_to_the_schema(bench: Bench) -> None:
    assert sorted(seeds(bench, "steps: {random: 15}")) == list(range(6, 21))
    assert set(seeds(bench, "num_frames: {random: 2, from: 1}")) == {81, 141}
    cfg = seeds(bench, "cfg: {random: 50, from: 1}")
    assert all(0.6 <= value <= 2 for value in cfg)
    assert len(set(cfg)) == 50


def test_blocks_that_draw_the_same_input_draw_the_same_values(bench: Bench) -> None:
    block = "{name: NAME, matrix: {seed: {random: 3}}}"
    text = INPUTS + f"jobs: [{block.replace('NAME', 'a')}, {block.replace('NAME', 'b')}]\n"
    specs = bench.jobs(text)
    assert [s.variables for s in specs[:3]] == [s.variables for s in specs[3:]]


def test_values_that_a_schema_no_longer_takes_are_drawn_anew(bench: Bench) -> None:
    text = INPUTS + "matrix: {steps: {random: 2}}\n"
    found = bench.read(text, drawn=lambda _: {"steps": [99, 7]}).draws["steps"]
    assert found[:2] == [99, 7]
    assert len(found) == 3
    assert 6 <= found[2] <= 20


# --- files ----------------------------------------------------------------------------------------


def test_files_of_a_folder_in_the_order_of_their_numbers(bench: Bench) -> None:
    for name in ("refs/b10.png", "refs/b2.png", "refs/.hidden.png", "refs/c.jpg"):
        bench.file(name, "x")
    text = prompt("like {{ ref }}") + "matrix: {ref: {glob: refs/*.png}}\n"
    manifest = bench.read(text)
    assert [s.variables["ref"] for s in manifest.specs()] == ["refs/b2.png", "refs/b10.png"]
    assert manifest.sources() == (bench.folder / "refs/b10.png", bench.folder / "refs/b2.png")


def test_lines_with_a_mark_windows_ends_and_blank_ones(bench: Bench) -> None:
    (bench.folder / "p.txt").write_bytes("\ufeff夜の街\r\n\r\n  two  \r\nשלום 👋".encode())
    manifest = bench.read(PICTURE + "matrix: {prompt: {lines: p.txt}}\n")
    assert [s.inputs["600_prompt"] for s in manifest.specs()] == ["夜の街", "two", "שלום 👋"]
    assert manifest.sources() == (bench.folder / "p.txt",)


def test_lines_of_numbers(bench: Bench) -> None:
    bench.file("seeds.txt", "7\n42\n")
    assert seeds(bench, "seed: {lines: seeds.txt}") == [7, 42]


def test_what_is_wrong_with_a_line_is_told_in_its_file(bench: Bench) -> None:
    path = bench.file("steps.txt", "8\n\n99\nx\n")
    found = bench.problems(INPUTS + "matrix: {steps: {lines: steps.txt}}\n")
    assert [(p.file, p.line, p.text) for p in found] == [(str(path), 3, "99"), (str(path), 4, "x")]
    assert found[0].place == f"{path}:3"
    assert found[1].message == 'steps: "x" is no whole number'


def test_a_line_that_is_not_utf8(bench: Bench) -> None:
    (bench.folder / "p.txt").write_bytes(b"ok\ncaf\xe9\n")
    problem = bench.problem(PICTURE + "matrix: {prompt: {lines: p.txt}}\n")
    assert (problem.line, problem.message) == (2, "this line is not UTF-8")


# --- labels and bundles ---------------------------------------------------------------------------

STYLES = """\
inputs: {image: IMAGE, prompt: "x {{ style }}, {{ mood }}", cfg: 1}
matrix:
  style:
    - {label: Film, set: {cfg: 1.5, mood: calm}, description: for people}
    - {label: Raw, value: unstyled, set: {steps: 9, mood: wild}}
""".replace("IMAGE", IMAGE)


def test_bundles_set_inputs_and_words(bench: Bench) -> None:
    specs = bench.jobs(STYLES)
    assert [short(spec, "prompt", "cfg", "steps") for spec in specs] == [
        ("x Film, calm", 1.5, None),
        ("x unstyled, wild", 1, 9),
    ]
    assert specs[0].variables == {"style": "Film", "mood": "calm"}
    assert [spec.key.rsplit("-", 1)[0] for spec in specs] == ["film", "raw"]


def test_a_label_is_part_of_the_key_and_not_of_the_job(bench: Bench) -> None:
    plain = bench.jobs(INPUTS + "matrix: {seed: [7, 42]}\n")
    named = bench.jobs(INPUTS + "matrix: {seed: [{label: lucky, value: 7}, 42]}\n")
    assert [s.fingerprint for s in plain] == [s.fingerprint for s in named]
    assert named[0].key.startswith("lucky-")


def test_renaming_a_label_that_no_text_prints_changes_no_job(bench: Bench) -> None:
    text = STYLES.replace("{{ style }}, ", "")
    assert marks(bench.jobs(text)) == marks(bench.jobs(text.replace("Film", "Cinema")))


def test_a_mapping_without_label_is_a_value(bench: Bench) -> None:
    text = f"inputs: {{image: {IMAGE}, prompt: '{{{{ s.label }}}}'}}\n"
    [spec] = bench.jobs(text + "matrix: {s: [{label: low, file: a}]}\n")
    assert short(spec, "prompt") == ("low",)


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("{label: Film, sett: {cfg: 1}}", 'no key "sett"', 'did you mean "set"?'),
        ("{label: Film, set: {cfg: 1}, colour: 1}", 'no key "colour"', "known keys: label"),
        ("{set: {cfg: 1}}", "a bundle needs a label", "label: Film"),
        ("{label: 8, set: {cfg: 1}}", "a label must be text", None),
        ("{label: Film, set: 5}", "set must be a mapping", "set: {cfg: 1.5"),
        ("{label: Film, set: {cfg: 9}}", "cfg is 9", None),
        ("{label: Film, set: {stps: 9}}", '"stps" is no input', 'did you mean "steps"?'),
        ("{label: Film, set: {style: 9}}", '"style" is this axis itself', "value:"),
        ("{label: Film, set: {seed: 9}}", 'by "seed" too', "one axis decide"),
        ("{label: B, set: {cfg: 1}}", 'has the label "B" too', None),
        ("{lable: Film, set: {cfg: 1}}", 'no key "lable"', 'did you mean "label"?'),
        ("{Label: Film, Value: 1}", 'no key "Label"', 'did you mean "label"?'),
        ("{label: Film}", "this label has nothing to stand for", "value:"),
        (
            "{label: Film, value: B}",
            '"B" is the label of one value, and another value',
            "each word",
        ),
        ("B", '"B" is the label of one value, and another value', "each word"),
    ],
)
def test_bundles_that_are_wrong(bench: Bench, entry: str, message: str, hint: str | None) -> None:
    entries = f"[{entry}, {{label: B, set: {{cfg: 2}}}}]"
    found = bench.problems(INPUTS + f"matrix: {{seed: [1], style: {entries}}}\n")
    assert message in found[0].message
    assert (hint or "") in (found[0].hint or "")
    assert found[0].line == 4


def test_a_bundle_on_an_input_needs_its_value(bench: Bench) -> None:
    problem = bench.problem(INPUTS + "matrix: {steps: [{label: few, set: {cfg: 1}}]}\n")
    assert "gives it no value" in problem.message


# --- zip ------------------------------------------------------------------------------------------


def test_lists_of_a_zip_advance_together_and_multiply_with_the_rest(bench: Bench) -> None:
    text = "zip: [{prompt: [a, b], steps: 6-8 (+2)}]\nmatrix: {seed: [1, 2]}\n"
    found = [short(spec, "prompt", "steps", "seed") for spec in bench.jobs(PICTURE + text)]
    assert found == [("a", 6, 1), ("a", 6, 2), ("b", 8, 1), ("b", 8, 2)]


def test_the_axes_of_a_block_can_be_listed(bench: Bench) -> None:
    text = "zip: [{prompt: [a, b], steps: [6, 8]}]\nmatrix: {seed: [1, 2, 3]}\n"
    [block] = bench.read(PICTURE + text).blocks
    assert [(axis.name, len(axis.choices)) for axis in block.axes] == [
        ("prompt + steps", 2),
        ("seed", 3),
    ]


def test_lists_of_different_lengths_are_told_with_both(bench: Bench) -> None:
    text = "zip:\n  - num_frames: [81, 141]\n    steps: [6, 7, 8]\n    cfg: [1]\n"
    found = bench.problems(INPUTS + text)
    assert [(p.line, p.column) for p in found] == [(6, 5), (7, 5)]
    assert found[0].message == "steps has 3 values, and num_frames in line 5 has 2"


@pytest.mark.parametrize(
    "text",
    [
        "zip: [{seed: [1], steps: [6]}]\nmatrix: {seed: [2]}\n",
        "zip: [{seed: [1]}, {598_seed: [2]}]\n",
        "zip: [{prompt: [b]}]\n",
        "zip: [{seed: [1]}]\njobs: [{matrix: {seed: [2]}}]\n",
        "zip: [{seed: [1]}]\njobs: [{inputs: {seed: 2}}]\n",
    ],
)
def test_an_input_stands_in_one_place(bench: Bench, text: str) -> None:
    assert any("is given twice" in p.message for p in bench.problems(INPUTS + text))


def test_a_blocks_own_zip_takes_the_place_of_the_inherited_one(bench: Bench) -> None:
    text = (
        "zip: [{seed: [1, 2], steps: [6, 7]}]\n"
        "jobs: [{name: a}, {name: b, zip: [{seed: [3]}]}, {name: c, zip: []}]\n"
    )
    found = [(s.block, *short(s, "seed", "steps")) for s in bench.jobs(INPUTS + text)]
    assert found == [("a", 1, 6), ("a", 2, 7), ("b", 3, None), ("c", None, None)]
