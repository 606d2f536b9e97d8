"""Rows of a table in a manifest, dynamic prompts, manifests without checks, and the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overnight.manifest import read_manifest
from tests.unit.manifests import HEAD, INPUTS, PICTURE, Bench, marks, prompt, short


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


SHOTS = """\
shot,subject,steps,cfg,seed
010,A ferry,8,1.5,7
020,"Gulls, crying",,1,42
030,夜の港 👋,10.0,,99
"""


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [str, lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")])
def test_each_row_is_a_job(bench: Bench, change: object) -> None:
    assert callable(change)
    (bench.folder / "shots.csv").write_bytes(str(change(SHOTS)).encode())
    inputs = prompt("{{ subject }}!").replace("}\n", ", steps: 6}\n")
    manifest = bench.read(inputs + "rows: {file: shots.csv}\n")
    specs = list(manifest.specs())
    assert [short(spec, "prompt", "steps", "cfg", "seed") for spec in specs] == [
        ("A ferry!", 8, 1.5, 7),
        ("Gulls, crying!", 6, 1, 42),
        ("夜の港 👋!", 10, None, 99),
    ]
    assert specs[0].variables == {
        "shot": "010",
        "subject": "A ferry",
        "steps": 8,
        "cfg": 1.5,
        "seed": 7,
    }
    assert specs[1].key.startswith("020-gulls-crying-seed42-cfg1-")
    assert manifest.sources() == (bench.folder / "shots.csv",)
    assert manifest.count() is None


def test_rows_multiply_with_axes_and_meet_conditions(bench: Bench) -> None:
    bench.file("shots.csv", SHOTS)
    rest = (
        "rows: {file: shots.csv}\nmatrix: {shift: [3, 5]}\n"
        "exclude: [{shot: '010', shift: 3}, 'seed > 50']\n"
        "rules: [{when: {subject: A ferry}, set: {frame_rate: 24}}]\n"
    )
    found = [
        (spec.variables["shot"], *short(spec, "shift", "frame_rate", "cfg"))
        for spec in bench.jobs(prompt("{{ subject }}") + rest)
    ]
    assert found == [("010", 5, 24, 1.5), ("020", 3, None, 1), ("020", 5, None, 1)]


def test_where_rename_and_limit(bench: Bench) -> None:
    bench.file("shots.csv", SHOTS)
    how = "rename: {subject: prompt}, where: seed > 7 and prompt != 'x', limit: 1"
    [spec] = bench.jobs(PICTURE + f"rows: {{file: shots.csv, {how}}}\n")
    assert short(spec, "prompt", "seed") == ("Gulls, crying", 42)


def test_rows_of_json_lines_keep_their_types(bench: Bench) -> None:
    lines = [
        {"prompt": "a", "seed": 1, "shot": {"angle": "low"}},
        {"prompt": "{{ shot.angle }}", "seed": 2.0, "shot": {"angle": "high"}},
    ]
    bench.file("shots.jsonl", "\n\n".join(json.dumps(line) for line in lines))
    found = bench.jobs(PICTURE + "rows: {file: shots.jsonl}\n")
    assert [short(spec, "prompt", "seed") for spec in found] == [("a", 1), ("high", 2)]


def test_the_same_jobs_from_a_list_and_from_a_table(bench: Bench) -> None:
    bench.file("shots.csv", "598_seed,Guidance Scale\n7,1.5\n8,1.5\n")
    table = bench.jobs(INPUTS + "rows: {file: shots.csv, rename: {Guidance Scale: cfg}}\n")
    assert marks(table) == marks(bench.jobs(INPUTS + "matrix: {seed: [7, 8], cfg: [1.5]}\n"))


def test_a_sample_of_rows(bench: Bench) -> None:
    bench.file("rows.csv", "seed\n" + "".join(f"{n}\n" for n in range(300)))
    rest = "rows: {file: rows.csv}\nmatrix: {steps: [6, 8]}\nsample: {n: 40, seed: 1}\nrepeat: 2\n"
    manifest = bench.read(INPUTS + rest)
    specs = list(manifest.specs())
    assert len(marks(specs)) == len(specs) == 80
    assert [spec.position for spec in specs] == list(range(80))
    assert manifest.notes == ()
    bench.file("rows.csv", "seed\n" + "".join(f"{n}\n" for n in range(310)))
    grown = marks(bench.jobs(INPUTS + rest))
    assert len(grown & marks(specs)) >= 70


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("040,x,99,,1", "row 4: steps is 99, but it must be from 6 to 20"),
        ("040,x,many,,1", 'row 4: steps: "many" is no whole number'),
        ("040,x,8.5,,1", 'row 4: steps: "8.5" is no whole number'),
        ("040,x,8", "row 4: "),
        ("040,{{ subjct }},8,,1", 'row 4: "subjct" has no value in this job'),
        ("040,{{ x,8,,1", "row 4: this is not a template"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_in_its_file(bench: Bench, row: str, message: str) -> None:
    path = bench.file("shots.csv", SHOTS + row + "\n")
    problem = bench.problem(PICTURE + "rows: {file: shots.csv, rename: {subject: prompt}}\n")
    assert (problem.file, problem.line, problem.column) == (str(path), 5, 0)
    assert problem.message.startswith(message)
    assert problem.text == row


def test_lines_of_json_give_what_they_like(bench: Bench) -> None:
    lines = [{"prompt": "a", "seed": 1}, {"prompt": "b", "steps": 8}, {"seed": None, "prompt": "c"}]
    bench.file("shots.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    specs = bench.jobs(PICTURE + "rows: {file: shots.jsonl}\n")
    found = [short(spec, "prompt", "seed", "steps") for spec in specs]
    assert found == [("a", 1, None), ("b", None, 8), ("c", None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ subject }} at noon", 'row 2: prompt: "subject" has no value in this job'),
        (
            "{{ subject | upper }}",
            "row 2: prompt: the template can't be filled in: 'subject' is undefined",
        ),
    ],
)
def test_a_text_that_lacks_a_cell_is_told_in_the_row(bench: Bench, text: str, message: str) -> None:
    lines = [{"subject": "a cat"}, {"seed": 7}]
    path = bench.file("shots.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    problem = bench.problem(prompt(text) + "rows: {file: shots.jsonl}\n")
    assert (problem.file, problem.line, problem.message) == (str(path), 2, message)
    assert problem.text == '{"seed": 7}'


def test_a_text_that_takes_nothing_from_rows_is_told_in_its_place(bench: Bench) -> None:
    bench.file("shots.csv", "seed\n1\n2\n3\n")
    text = prompt("{{ shot.angle }}") + "rows: {file: shots.csv}\nmatrix: {shot: [{mood: calm}]}\n"
    assert bench.problem(text).line == 3


@pytest.mark.parametrize(("rows", "where"), [("", ""), ("1\n2\n", ", where: seed > 5")])
def test_a_table_of_which_no_row_is_left_is_noted(bench: Bench, rows: str, where: str) -> None:
    bench.file("shots.csv", "seed\n" + rows)
    manifest = bench.read(INPUTS + f"rows: {{file: shots.csv{where}}}\n")
    assert list(manifest.specs()) == []
    [note] = manifest.notes
    assert (note.line, note.column) == (4, 14)
    assert "no row of this table is left" in note.message


def test_a_column_that_seems_to_be_the_missing_input(bench: Bench) -> None:
    bench.file("shots.csv", "Prompt,seed\na cat,1\n")
    problem = bench.problem(PICTURE + "rows: {file: shots.csv}\n")
    assert "needs prompt" in problem.message
    assert "rename: {Prompt: prompt}" in (problem.hint or "")


def test_many_wrong_rows_end_early(bench: Bench) -> None:
    bench.file("rows.csv", "steps\n" + "99\n" * 5 + "".join(f"{n}\n" for n in range(100, 200)))
    assert len(bench.problems(INPUTS + "rows: {file: rows.csv}\n")) == 20


@pytest.mark.parametrize(
    ("rows", "column", "message", "hint"),
    [
        ("{file: nope.csv}", 14, "there is no such file", None),
        ("{file: shots.xlsx}", 14, ".xlsx file can't be read", None),
        ("{fil: shots.csv}", 8, 'no key "fil"', 'did you mean "file"?'),
        ("shots.csv", 7, "rows must be a mapping", "rows: {file: shots.csv}"),
        ("{file: shots.csv, rename: {sbject: x}}", 34, 'no column "sbject"', "subject"),
        ("{file: shots.csv, rename: {subject: shot}}", 33, "called", None),
        ("{file: shots.csv, where: sead > 1}", 32, '"sead"', None),
        ("{file: shots.csv, where: seed >}", 38, "can't be read", None),
        ("{file: shots.csv, limit: 0}", 32, "rows.limit is 0", None),
        ("{file: shots.csv, rename: {shot: 598_seed}}", 14, "mean the same input", "rename"),
    ],
)
def test_tables_that_can_not_be_used(
    bench: Bench, rows: str, column: int, message: str, hint: str | None
) -> None:
    bench.file("shots.csv", SHOTS)
    problem = bench.problem(INPUTS + f"rows: {rows}\n")
    assert (problem.line, problem.column) == (4, column)
    assert message in problem.message
    assert (hint or "") in (problem.hint or "")


def test_a_column_and_an_axis_of_one_name(bench: Bench) -> None:
    bench.file("shots.csv", SHOTS)
    problem = bench.problem(INPUTS + "rows: {file: shots.csv}\nmatrix: {seed: [1]}\n")
    assert problem.message == 'the column "seed" is an axis of this block too'


def test_a_column_that_looks_like_an_input_is_noted(bench: Bench) -> None:
    bench.file("shots.csv", "sead,note\n1,x\n")
    notes = bench.read(INPUTS + "rows: {file: shots.csv}\n").notes
    assert [note.message for note in notes if "sead" in note.message] == [
        'nothing uses the column "sead"'
    ]
    assert not any('"note"' in note.message for note in notes)


def test_a_row_without_what_the_model_needs(bench: Bench) -> None:
    bench.file("shots.csv", "prompt,seed\na,1\n,2\n")
    problem = bench.problem(PICTURE + "rows: {file: shots.csv}\n")
    assert problem.line == 3
    assert "needs prompt, and a job does not have it" in problem.message


# --- dynamic prompts ------------------------------------------------------------------------------


def test_every_variant_is_a_job(bench: Bench) -> None:
    text = prompt("{a|b} {{ x }} 100% {c|d}") + "prompt_syntax: dynamic\nmatrix: {x: [1, 2]}\n"
    found = [short(spec, "prompt")[0] for spec in bench.jobs(text)]
    assert found == [f"{p} {x} 100% {q}" for x in (1, 2) for p in "ab" for q in "cd"]
    assert len(bench.jobs(text.replace("dynamic", "plain"))) == 2


def test_wildcards_are_files_beside_the_manifest(bench: Bench) -> None:
    path = bench.file("wildcards/colors.txt", "red\n\nblue\n")
    manifest = bench.read(prompt("a __colors__ boat") + "prompt_syntax: dynamic\n")
    assert [s.inputs["600_prompt"] for s in manifest.specs()] == ["a red boat", "a blue boat"]
    assert manifest.sources() == (path,)
    problem = bench.problem(prompt("a __colours__ boat") + "prompt_syntax: dynamic\n")
    assert (problem.line, problem.column) == (3, 58)
    assert "colors" in (problem.hint or "")


def test_prompts_on_axes_in_rows_and_in_rules(bench: Bench) -> None:
    axis = PICTURE + "prompt_syntax: dynamic\nmatrix: {prompt: ['{a|b}', c], seed: [1, 2]}\n"
    assert len(marks(bench.jobs(axis))) == 6
    rules = "rules: [{when: {seed: 2}, set: {prompt: '{x|y|z}'}}]\n"
    found = [short(spec, "prompt", "seed") for spec in bench.jobs(axis + rules)]
    assert found == [
        ("a", 1),
        ("b", 1),
        *[(p, 2) for p in "xyz"],
        ("c", 1),
        *[(p, 2) for p in "xyz"],
    ]
    bench.file("p.csv", "prompt,word\n{a|b} {{ word }},w\nplain,\n")
    rows = PICTURE + "prompt_syntax: dynamic\nrows: {file: p.csv}\n"
    assert [short(spec, "prompt")[0] for spec in bench.jobs(rows)] == ["a w", "b w", "plain"]


def test_a_sample_of_variants_follows_their_weights(bench: Bench) -> None:
    text = prompt("{99::often|seldom} {{ x }}") + "prompt_syntax: dynamic\n"
    axes = "matrix: {x: {from: 1, to: 1000}}\nsample: {n: 50, seed: 3}\n"
    found = [short(spec, "prompt")[0] for spec in bench.jobs(text + axes)]
    assert sum(text.startswith("often") for text in found) >= 45


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {b|c", "this brace is never closed"),
        ("a {{ nope }} {b|c}", '"nope" is not defined'),
        ("{x|__nope__}", "nope"),
    ],
)
def test_prompts_that_can_not_be_used(bench: Bench, text: str, message: str) -> None:
    assert message in bench.problem(prompt(text) + "prompt_syntax: dynamic\n").message


def test_what_a_word_brings_along_is_plain_text(bench: Bench) -> None:
    text = prompt("{a|b} {{ w }}") + "prompt_syntax: dynamic\nmatrix: {w: ['{c|d}']}\n"
    manifest = bench.read(text)
    assert [s.inputs["600_prompt"] for s in manifest.specs()] == ["a {c|d}", "b {c|d}"]
    assert any("sent as they stand" in note.message for note in manifest.notes)


# --- validate: off --------------------------------------------------------------------------------


def test_nothing_is_checked_and_it_is_said(bench: Bench) -> None:
    text = """\
        version: 1
        model: lab/new
        validate: off
        inputs: {prompt: "{{ subject }}", steps: lots, loras: [{name: x}]}
        matrix: {subject: [a, b], strength: [0.5], style: [{label: A, set: {mode: 3}}]}
        exclude: [{subject: b}]
        """
    manifest = bench.read(text)
    [spec] = manifest.specs()
    assert spec.inputs == {
        "prompt": "a",
        "steps": "lots",
        "loras": [{"name": "x"}],
        "strength": 0.5,
        "mode": 3,
    }
    assert manifest.validate is False
    assert "nothing is checked" in manifest.notes[0].message


def test_random_values_of_which_no_schema_says_anything(bench: Bench) -> None:
    text = "validate: off\ninputs: {prompt: a}\nmatrix: {noise: {random: 3, from: 1}}\n"
    found = [spec.inputs["noise"] for spec in bench.jobs("version: 1\nmodel: lab/new\n" + text)]
    assert len(set(found)) == 3
    assert all(type(value) is int and 0 <= value < 2**32 for value in found)


def test_a_known_model_keeps_its_names(bench: Bench) -> None:
    checked = bench.jobs(INPUTS.replace("}", ", steps: 8.0}"))
    free = bench.jobs("validate: off\n" + INPUTS.replace("}", ", steps: 8.0}"))
    assert marks(checked) == marks(free)
    assert bench.read("validate: on\n" + INPUTS).validate


def test_off_is_a_word_of_its_own(bench: Bench) -> None:
    problem = bench.problem("validate: false\n" + INPUTS)
    assert (problem.line, problem.hint) == (3, "write on or off")


def test_what_can_not_be_sent_is_an_error_all_the_same(bench: Bench) -> None:
    assert "can't be sent" in bench.problem("validate: off\ninputs: {a: .nan, prompt: x}\n").message


# --- the environment, notes, plans ----------------------------------------------------------------


def test_settings_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTS", "7")
    monkeypatch.setenv("DISK", "/mnt/2024")
    rest = (
        "run: {concurrency: '${env:SLOTS}', rate: '${env:SLOTS}/min'}\n"
        "output: {dir: '${env:DISK}/x'}\n"
    )
    manifest = bench.read(prompt("costs ${env:SLOTS}") + rest)
    assert (manifest.run.concurrency, manifest.run.rate) == (7, "7/min")
    assert manifest.output.dir == Path("/mnt/2024/x")
    assert [s.inputs["600_prompt"] for s in manifest.specs()] == ["costs ${env:SLOTS}"]


def test_a_variable_that_is_not_set(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    problem = bench.problem(INPUTS + "output:\n  dir: ${env:NOWHERE}/x\n")
    assert (problem.line, problem.column) == (5, 8)
    assert problem.message == "the environment variable NOWHERE is not set"


def test_an_open_seed_is_noted_once_a_block(bench: Bench) -> None:
    [note] = bench.read(INPUTS).notes
    assert "every job has the model's default, 96860978" in note.message
    assert (note.line, note.column) == (3, 1)
    assert bench.read(INPUTS + "matrix: {seed: [1]}\n").notes == ()
    [block] = bench.read(INPUTS + "matrix: {seed: [1]}\n").blocks
    assert "598_seed" not in block.open_inputs
    assert "598_steps" in block.open_inputs


def test_a_text_in_place_of_the_file(bench: Bench) -> None:
    bench.file("shots.csv", SHOTS)
    path = bench.file("jobs.yaml", "broken: [")
    text = HEAD + PICTURE + "rows: {file: shots.csv, rename: {subject: prompt}}\n"
    manifest = read_manifest(path, text=text)
    assert len(list(manifest.specs())) == 3
    assert manifest.path == path


def test_output_settings_as_the_database_keeps_them(bench: Bench) -> None:
    assert bench.read(INPUTS).output.as_json() == {"download": 4}
    rest = "output: {name: '{{ key }}', download: 9, on_suspect: retry}\n"
    assert bench.read(INPUTS + rest).output.as_json() == {
        "download": 9,
        "name": "{{ key }}",
        "on_suspect": "retry",
    }


def test_limits_and_price_as_the_database_keeps_them(bench: Bench) -> None:
    run = bench.read(INPUTS + "run: {limits: {jobs: 5, cost: 2.5}, price: 0.1}\n").run
    assert run.as_json()["limits"] == {"jobs": 5, "cost": 2.5}
    assert run.as_json()["price"] == 0.1
