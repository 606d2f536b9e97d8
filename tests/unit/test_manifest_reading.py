"""What people get wrong in a manifest: every mistake at its line and column, all at once."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from overnight.manifest import ManifestError, Problem, read_manifest

HEAD = "version: 1\nmodel: community/wan-2-1/fusionx/image-to-video\n"
GOOD = "inputs: {image: RunComfy_examples_1235_1.png, prompt: a boat}\n"
IMAGE = "  image: RunComfy_examples_1235_1.png\n"


def mistakes(folder: Path, text: str, name: str = "jobs.yaml") -> tuple[Problem, ...]:
    file = folder / name
    file.write_text(text, "utf-8")
    with pytest.raises(ManifestError) as caught:
        list(read_manifest(file).specs())
    assert caught.value.pretty().startswith(str(file))
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        (GOOD, 1, 1, '"version" is missing', "write version: 1"),
        ("version: 2\n" + HEAD[11:] + GOOD, 1, 10, "version is 2, but it must be 1", "first"),
        ("version: '1'\n" + HEAD[11:] + GOOD, 1, 10, 'version is "1", but it must be 1', "first"),
        ("version: true\n" + HEAD[11:] + GOOD, 1, 10, "version is true", "first"),
        ("version: 1\n" + GOOD, 1, 1, "there is no model", "write model:"),
        ("version: 1\nmodel: community/wan\n" + GOOD, 2, 8, "no schema for the model", "known"),
        ("version: 1\nmodel: [a]\n" + GOOD, 2, 8, "model must be text", None),
        ("version: 1\nmodel: 5\n" + GOOD, 2, 8, "model must be text", 'in quotes: "5"'),
        ("just words\n", 1, 1, "the manifest must be a mapping", "begin it with version: 1"),
        (HEAD + "matrx: {}\n" + GOOD, 3, 1, 'there is no key "matrx" here', '"matrix"'),
        (HEAD + GOOD + "zzz: 1\n", 4, 1, 'there is no key "zzz" here', "known keys: name, model"),
        (HEAD + GOOD + "run: {concurency: 2}\n", 4, 7, '"concurency"', '"concurrency"'),
        (HEAD + GOOD + "run: {concurrency: 0}\n", 4, 20, "must be at least 1", None),
        (HEAD + GOOD + "run: {concurrency: 1001}\n", 4, 20, "must be at most 1000", None),
        (HEAD + GOOD + "run: {attempts: 21}\n", 4, 17, "must be at most 20", None),
        (HEAD + GOOD + "run: {attempts: two}\n", 4, 17, "attempts must be a whole number", None),
        (HEAD + GOOD + "run: fast\n", 4, 6, "run must be a mapping", None),
        (HEAD + GOOD + "output: {dir: ''}\n", 4, 15, "dir is empty", None),
        (HEAD + GOOD + "output: {dir: ~nobody-here/x}\n", 4, 15, "no such home folder", "whole"),
        (HEAD + "inputs:\n", 3, 8, "inputs is empty", "leave the key out"),
        (HEAD + "inputs: [a]\n", 3, 9, "inputs must be a mapping", None),
        (HEAD + GOOD + "jobs: []\n", 4, 7, "jobs is empty", None),
        (HEAD + GOOD + "jobs: {a: {}}\n", 4, 7, "jobs must be a list", "a dash before each"),
        (HEAD + GOOD + "zip: {seed: [1]}\n", 4, 6, "zip must be a list", "zip: [{prompt: ["),
        (HEAD + GOOD + "exclude: {seed: 1}\n", 4, 10, "exclude must be a list", "a dash before"),
        (HEAD + GOOD + "jobs: [{run: {}}]\n", 4, 9, 'no key "run" here', "at the top level"),
        (
            HEAD + GOOD + "rules: [{when: seed == 1, then: {steps: 8}}]\n",
            4,
            27,
            'there is no key "then" here',
            "known keys: when, set",
        ),
        (HEAD + GOOD + "jobs: [5]\n", 4, 8, "entry 1 of jobs must be a mapping", None),
        (HEAD + GOOD + "matrix: {seed: 7}\n", 4, 16, "seed must be a list", "[7]"),
        (HEAD + GOOD + "matrix: {seed: {a: 1}}\n", 4, 16, "seed must be a list", "after a dash"),
        (HEAD + GOOD + "matrix: {seed: }\n", 4, 15, "seed is empty", "leave the key out"),
        (HEAD + GOOD + "matrix: {seed: []}\n", 4, 16, "seed is empty", None),
        (HEAD + GOOD + "matrix: {sed: [7]}\n", 4, 10, '"sed" is no input', '"seed"'),
        (HEAD + GOOD + "matrix: {colour: [red]}\n", 4, 10, "no text of the block uses it", "its"),
        (HEAD + GOOD + "matrix: {seed: [7, x]}\n", 4, 20, 'seed is the text "x"', None),
        (HEAD + GOOD + "matrix: {steps: ['8']}\n", 4, 18, 'the text "8"', "without quotes"),
        (HEAD + GOOD + "matrix: {prompt: [b]}\n", 4, 10, '"prompt" is given twice; line 3', None),
        (
            HEAD + GOOD + "matrix: {seed: [1], 598_seed: [2]}\n",
            4,
            21,
            'line 4 has it as "seed"',
            None,
        ),
        (HEAD + "inputs:\n" + IMAGE, 3, 1, "needs prompt (600_prompt)", "write prompt: under"),
        (HEAD + GOOD[:-2] + ", stps: 8}\n", 3, 63, 'has no input "stps"', '"steps"'),
        (HEAD + GOOD[:-2] + ", zzz: 8}\n", 3, 63, 'has no input "zzz"', "its inputs: prompt"),
        (HEAD + GOOD[:-2] + ", steps: 40}\n", 3, 70, "steps is 40, but it must be from", None),
        (
            HEAD + GOOD[:-2] + ", seed: '{{ n }}'}\n",
            3,
            69,
            "seed is no text input",
            "matrix: seed:",
        ),
        (HEAD + "inputs: {prompt: x, image: a.png}\n", 3, 28, "is a local path", "set assets:"),
        (HEAD + "inputs: {prompt: x, image: 'http://a/b'}\n", 3, 28, "must be https", "https://"),
        (HEAD + GOOD + "name: a/b\n", 4, 7, "the name has '/' in it", None),
        (HEAD + GOOD + "name: .hidden\n", 4, 7, "must begin with a letter", None),
        (HEAD + GOOD + "name: 'dot.'\n", 4, 7, "must not end in a dot", None),
        (HEAD + GOOD + "name: NUL.txt\n", 4, 7, "Windows keeps", None),
        (HEAD + GOOD + f"name: {'x' * 81}\n", 4, 7, "has 81 characters", None),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ b }}\n",
            5,
            16,
            '"b" is not defined',
            "matrix: b:",
        ),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ cfg }}\n",
            5,
            16,
            '"cfg" has no value',
            "inputs or",
        ),
        (HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ b\n", 5, 11, "not a template", "{% raw %}"),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ b.c() }}\n",
            5,
            11,
            "can't call anything",
            "filter",
        ),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ prompt }}\n",
            5,
            16,
            "has a template itself",
            None,
        ),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: >-\n    words on\n    two lines {{ sbj }}\n"
            "matrix: {subject: [a]}\n",
            *(7, 18, '"sbj" is not defined', None),
        ),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ b }}\nmatrix: {b: ['{{ c }}']}\n",
            *(6, 14, "b is a variable, and has a template in it", "text inputs"),
        ),
        (
            HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ b }}\nmatrix: {b: [{x: [.inf]}]}\n",
            *(6, 14, "b has .inf or .nan in it", None),
        ),
    ],
)
def test_one_mistake_one_place(
    tmp_path: Path, text: str, line: int, column: int, message: str, hint: str | None
) -> None:
    [problem] = mistakes(tmp_path, text)
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message
    assert (hint or "") in (problem.hint or "")


def test_everything_wrong_is_told_at_once_and_in_order(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        HEAD
        + """\
inputs:
  image: http://example.org/a.png
  prompt: a {{ subjct }}
  steps: 40
matrix:
  subject: [a, b]
  seed: [1, x, 3, y]
  cfg: 1
run: {concurency: 2, attempts: 0}
jobs:
  - {name: a}
  - {name: a, inputs: {frames: 81}}
""",
    )
    assert [(p.line, p.column) for p in found] == [
        *((4, 10), (6, 10), (9, 13), (9, 19), (10, 8), (11, 7), (11, 32)),
        *((14, 12), (14, 24)),
    ]


def test_a_value_that_blocks_inherit_is_told_once(tmp_path: Path) -> None:
    text = HEAD + GOOD[:-2] + ", steps: 40}\njobs: [{name: a}, {name: b}, {name: c}]\n"
    assert len(mistakes(tmp_path, text)) == 1


def test_a_value_that_every_block_replaces_is_checked_too(tmp_path: Path) -> None:
    text = HEAD + GOOD[:-2] + ", steps: 40}\nmatrix: {cfg: [9]}\n"
    found = mistakes(tmp_path, text + "jobs: [{inputs: {steps: 8, cfg: 1}}]\n")
    assert [(p.line, p.column) for p in found] == [(3, 70), (4, 16)]


def test_a_misspelt_template_does_not_blame_the_axis(tmp_path: Path) -> None:
    text = HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ subjct }}\nmatrix: {subject: [a]}\n"
    [problem] = mistakes(tmp_path, text)
    assert problem.hint == 'did you mean "subject"?'


def test_a_variable_under_inputs_is_told_where_it_belongs(tmp_path: Path) -> None:
    text = HEAD + "inputs:\n" + IMAGE + "  prompt: a {{ subject }}\n  subject: boat\n"
    [problem] = mistakes(tmp_path, text)
    assert (problem.line, problem.column) == (6, 3)
    assert problem.hint == "a variable goes under matrix: subject: [boat]"


def test_two_blocks_of_one_name(tmp_path: Path) -> None:
    [problem] = mistakes(tmp_path, HEAD + GOOD + "jobs:\n  - name: a\n  - name: a\n")
    assert (problem.line, problem.column) == (6, 11)
    assert problem.message == 'the block of line 5 is called "a" too'


def test_a_block_with_a_model_of_its_own_that_is_unknown(tmp_path: Path) -> None:
    [problem] = mistakes(tmp_path, HEAD + GOOD + "jobs:\n  - model: a/b\n  - name: c\n")
    assert (problem.line, problem.column) == (5, 12)


def test_too_many_jobs_is_told_before_any_is_made(tmp_path: Path) -> None:
    thousand = ", ".join(str(n) for n in range(1000))
    axes = f"matrix:\n  seed: [{thousand}]\n  cfg: [1, 2]\n  shift: [{thousand}]\n"
    axes = axes.replace(f"shift: [{thousand}]", f"prompt: [{thousand.replace(', ', 'x, ')}x]")
    [problem] = mistakes(tmp_path, HEAD + "inputs:\n" + IMAGE + axes)
    assert problem.message == "this makes 2,000,000 jobs; a manifest may have 1,000,000"
    assert problem.line == 5


@pytest.mark.parametrize(
    ("name", "part"),
    [("missing.yaml", "there is no such file"), (".", "this is a folder")],
)
def test_files_that_can_not_be_read(tmp_path: Path, name: str, part: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / name)
    [problem] = caught.value.problems
    assert part in problem.message
    assert problem.line == 0
    assert caught.value.pretty().startswith(f"{tmp_path / name}: ")


def test_a_file_name_that_can_not_name_a_batch(tmp_path: Path) -> None:
    [problem] = mistakes(tmp_path, HEAD + GOOD, "jobs (1).yaml")
    assert (problem.line, problem.hint) == (0, "write name: at the top of the file")


def test_settings_and_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "quiet streets.yaml"
    file.write_text(HEAD + GOOD)
    manifest = read_manifest(file)
    assert manifest.name == "quiet streets"
    assert manifest.path == file
    assert manifest.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (manifest.run.concurrency, manifest.run.attempts) == (4, 3)
    assert manifest.output.dir == tmp_path / "outputs" / "quiet streets"


def test_settings_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sets"
    folder.mkdir()
    text = "run: {concurrency: 1000, attempts: 20}\noutput: {dir: ../clips}\nname: Cafe\u0301\n"
    (folder / "jobs.yaml").write_text(HEAD + GOOD + text, "utf-8")
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(Path("sets/jobs.yaml"))
    assert (manifest.run.concurrency, manifest.run.attempts) == (1000, 20)
    assert manifest.output.dir == tmp_path / "clips"
    assert manifest.name == "Caf\u00e9"
    assert manifest.path == folder / "jobs.yaml"


def test_a_folder_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "jobs.yaml").write_text(HEAD + GOOD + "output: {dir: ~/clips}\n")
    assert read_manifest(tmp_path / "jobs.yaml").output.dir == tmp_path / "me" / "clips"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("s3://my-clips/fog/", "s3://my-clips/fog"),
        ("s3://my.clips", "s3://my.clips"),
        ("gs://clips_2/a b/c", "gs://clips_2/a b/c"),
        ("az://clips/night 1", "az://clips/night 1"),
    ],
)
def test_a_bucket_is_kept_as_it_is_written(tmp_path: Path, written: str, kept: str) -> None:
    (tmp_path / "jobs.yaml").write_text(HEAD + GOOD + f'output: {{dir: "{written}"}}\n')
    assert read_manifest(tmp_path / "jobs.yaml").output.dir == kept


@pytest.mark.parametrize(
    "written",
    ["s3://", "s3:///x", "s3://A/x", "s3://b/../x", "s3://b/.x", "s3://b//x", "s3://b/x?y",
     "https://b/x", "ftp://b/x", "S3://b/x", "s3://k:s@b/x"],
)  # fmt: skip
def test_no_other_address_is_a_place(tmp_path: Path, written: str) -> None:
    (tmp_path / "jobs.yaml").write_text(HEAD + GOOD + f'output: {{dir: "{written}"}}\n')
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / "jobs.yaml")
    [problem] = caught.value.problems
    assert problem.message == "this is no place that files can go to"
    assert "s3://bucket/prefix" in str(problem.hint)


def test_posters_are_kept_only_where_they_are_wanted(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(HEAD + GOOD)
    assert "poster" not in read_manifest(file).output.as_json()
    file.write_text(HEAD + GOOD + "output: {poster: true}\n")
    assert read_manifest(file).output.as_json()["poster"] is True


def test_importing_the_package_loads_no_parser() -> None:
    script = (
        "import sys, overnight.manifest\n"
        "print([m for m in ('yaml', 'jinja2', 'pydantic', 'jsonschema_rs') if m in sys.modules])"
    )
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": source},
    )
    assert done.stdout.strip() == "[]"
