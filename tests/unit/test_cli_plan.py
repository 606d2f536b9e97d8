"""``overnight plan``: what is there, what people and programs are told, and what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from overnight.cli import plan_fields
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.store.database import open_database
from tests.unit.cli_manifest import MANIFEST, MODEL, loaded, planned, said, write
from tests.unit.cli_night import Capture, Night, states


@pytest.fixture(autouse=True)
def home(bare_home: Path) -> Path:
    return bare_home


# --- what is there --------------------------------------------------------------------------------


def test_without_a_database_everything_is_new_and_none_is_made(home: Path, capsys: Capture) -> None:
    found = planned(capsys)
    assert (found["jobs"], found["new"], found["existing"], found["gone"]) == (5, 5, 0, 0)
    assert found["to_submit"] == 5
    assert [(block["name"], block["count"]) for block in found["blocks"]] == [
        *(("fog", 4), ("lone", 1)),
    ]
    assert found["blocks"][0]["axes"] == {"what": 2, "seed": 2}
    assert sorted(path.name for path in home.iterdir()) == ["jobs.yaml"]


def test_an_empty_file_is_no_batch_either(home: Path, capsys: Capture) -> None:
    (home / "overnight.db").touch()
    assert planned(capsys)["new"] == 5


def test_a_plan_changes_nothing(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[2, 3]"))
    with open_database("overnight.db") as database:
        before = states(database, "tiny")
        found = planned(capsys, "--prune")
        assert states(database, "tiny") == before == {"pending": 5}
    assert (found["new"], found["existing"], found["gone"], found["pruned"]) == (2, 3, 2, 2)


def test_after_an_edit_it_tells_new_old_double_and_gone(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[2, 3, 3]"))
    found = planned(capsys)
    assert (found["jobs"], found["new"], found["existing"]) == (5, 2, 3)
    assert (found["repeated"], found["gone"], found["gone_pending"]) == (2, 2, 2)
    # What is gone from the manifest waits still, and would be paid for.
    assert (found["to_submit"], found["cost"]) == (7, pytest.approx(0.42))
    assert (found["states"]["pending"], found["blocks"][0]["new"]) == (3, 2)
    pruned = planned(capsys, "--prune")
    assert (pruned["to_submit"], pruned["cost"], pruned["pruned"]) == (5, pytest.approx(0.30), 2)
    words = said(capsys)
    assert "2 new, 3 there already (3 pending), 2 stand twice" in words
    assert "2 of them will be submitted all the same, unless --prune cancels" in words
    assert "--prune cancels the 2 that were never submitted" in said(capsys, "--prune")


def test_what_is_done_is_not_paid_for_again(capsys: Capture) -> None:
    loaded(capsys)
    with open_database("overnight.db") as database:
        worker = Night(database)
        for at, job in enumerate(worker.claim(1, 4)):
            worker.succeed(job, f"req-{at}")
        worker.end()
    found = planned(capsys)
    assert (found["existing"], found["to_submit"]) == (5, 1)
    assert (found["states"]["succeeded"], found["states"]["pending"]) == (4, 1)
    assert found["cost"] == pytest.approx(0.06)
    assert [block["to_submit"] for block in found["blocks"]] == [0, 1]


def test_a_halted_batch_and_cancelled_jobs_are_told(capsys: Capture) -> None:
    loaded(capsys)
    assert run(["cancel", "1"]) == Exit.DONE
    capsys.readouterr()
    words = said(capsys)
    assert "1 job of the manifest, cancelled before" in words
    assert "overnight retry --state cancelled --batch tiny" in words
    assert "submit    4 jobs to" in words


def test_when_there_is_nothing_to_do_it_says_so(capsys: Capture) -> None:
    loaded(capsys)
    assert run(["cancel", "--all", "--yes"]) == Exit.DONE
    capsys.readouterr()
    words = said(capsys)
    assert "submit    nothing" in words
    assert words.splitlines()[-1] == "Nothing was changed, and there is nothing to submit."
    assert "cost      " not in words


# --- for people -----------------------------------------------------------------------------------


def test_people_get_blocks_axes_defaults_and_the_next_command(home: Path, capsys: Capture) -> None:
    words = said(capsys, "--db", "night of.db")
    assert words.startswith("tiny, from jobs.yaml\n")
    assert re.search(r"^fog +4 +4 +\$0\.24 +what 2 × seed 2$", words, re.MULTILINE)
    assert re.search(r"^lone +1 +1 +\$0\.06$", words, re.MULTILINE)
    assert "cost      $0.30 (run.price: $0.06 a job)" in words
    assert f"submit    5 jobs to {MODEL}" in words
    assert f"files     {home / 'clips'}" in words
    assert re.search(r"^defaults .*shift 5", words, re.MULTILINE)
    assert words.splitlines()[-1].endswith("overnight run jobs.yaml --db 'night of.db'")


def test_one_block_needs_no_table(home: Path, capsys: Capture) -> None:
    one = (
        f"version: 1\nmodel: {MODEL}\ninputs: {{image: RunComfy_examples_1235_1.png, prompt: x}}\n"
    )
    write(home, f"{one}matrix: {{seed: [1, 2], steps: [6, 8]}}\n")
    words = said(capsys)
    assert "jobs      4 (seed 2 × steps 2): 4 new, 0 there already" in words
    assert words.splitlines()[2].startswith("jobs ")


def test_a_job_is_shown_as_it_would_be_sent(capsys: Capture) -> None:
    words = said(capsys, "--show", "9")
    assert words.count("in the fog") == 4
    assert re.search(r"^lone-\w+  \$0\.06$", words, re.MULTILINE)
    assert "Käfig im Nebel 🌙" in words
    assert "shown; --show N" not in words


@pytest.mark.parametrize(("show", "jobs"), [("0", 0), ("1", 1), ("2", 2), ("99", 5)])
def test_show_says_how_many(show: str, jobs: int, capsys: Capture) -> None:
    sample = planned(capsys, "--show", show)["sample"]
    assert len(sample) == jobs
    for job in sample:
        assert job["inputs"]["600_prompt"].endswith(("in the fog", "Käfig im Nebel 🌙"))
        assert job["price"] == 0.06


def test_grep_looks_into_texts_and_keys(capsys: Capture) -> None:
    found = planned(capsys, "--grep", "LANTERN|nebel")
    assert {job["block"] for job in found["sample"]} == {"fog", "lone"}
    assert found["jobs"] == 5
    words = said(capsys, "--grep", "pier", "--show", "1")
    assert "2 jobs with 'pier' in the key or a text." in words
    assert "1 of 2 jobs shown" in words


def test_control_characters_of_a_prompt_do_not_reach_the_terminal(
    home: Path, capsys: Capture
) -> None:
    write(home, MANIFEST.replace("Käfig im Nebel 🌙", r'"red \x1b[31m\x07 and \u202e bidi"'))
    assert "red [31m and bidi" in said(capsys, "--show", "9")


def test_a_bad_pattern_is_a_sentence(capsys: Capture) -> None:
    assert run(["plan", "jobs.yaml", "--grep", "("]) == Exit.USAGE
    assert "no regular expression" in capsys.readouterr().err


def test_the_fields_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    table = page.split("## JSON")[1]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    source = Path(plan_fields.__file__).read_text(encoding="utf-8")
    printed = re.findall(r'^        "(\w+)":', source.split("def price")[0], re.MULTILINE)
    assert named == printed


# --- problems -------------------------------------------------------------------------------------

BAD = MANIFEST.replace("steps: 8", "steps: 99").replace("seed: 7", "sede: 7")


@pytest.mark.parametrize("verb", ["plan", "load", "run"])
def test_problems_are_one_object_and_sentences(verb: str, home: Path, capsys: Capture) -> None:
    write(home, BAD)
    assert run([verb, "jobs.yaml", "--json"]) == Exit.USAGE
    captured = capsys.readouterr()
    [found] = [json.loads(text) for text in captured.out.splitlines()]
    places = [(one["file"], one["line"], one["column"]) for one in found["problems"]]
    assert places == sorted(places)
    assert [place[1] for place in places] == [4, 10]
    assert "did you mean" in found["problems"][1]["hint"]
    assert set(found["problems"][0]) == {"file", "line", "column", "message", "hint"}
    for one in found["problems"]:
        assert one["message"] in captured.err
    assert not (home / "overnight.db").exists()


def test_a_text_that_can_not_be_made_is_a_problem_too(home: Path, capsys: Capture) -> None:
    write(home, MANIFEST.replace("{{ what }}", "{{ 1 // (seed - 1) }}"))
    assert run(["plan", "jobs.yaml", "--json"]) == Exit.USAGE
    [found] = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert found["problems"][0]["line"] == 8


@pytest.mark.parametrize("verb", ["plan", "load", "run"])
def test_more_jobs_than_allowed_are_a_problem(verb: str, home: Path, capsys: Capture) -> None:
    assert run([verb, "jobs.yaml", "--max-jobs", "4"]) == Exit.USAGE
    assert "5 jobs" in capsys.readouterr().err
    assert not (home / "overnight.db").exists()
