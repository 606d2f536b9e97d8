"""A plan in a file: exactly that is done, or it is said what has changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.cli import planfile
from overnight.cli.exits import Exit
from overnight.cli.failures import UserError
from overnight.cli.main import run
from overnight.cli.wanted import read
from overnight.store import views
from overnight.store.database import open_database
from tests.unit.cli_manifest import MANIFEST, fetched, loaded, planned, write
from tests.unit.cli_night import Capture, lines, states

SCHEMA = {"properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
RANDOM = MANIFEST.replace("seed: [1, 2]", "seed: {random: 3}")


@pytest.fixture(autouse=True)
def home(bare_home: Path) -> Path:
    return bare_home


def made(capture: Capture, name: str = "plan.json", *arguments: str) -> Path:
    """A plan of the manifest as it is now."""
    assert run(["plan", "jobs.yaml", "-o", name, *arguments]) == Exit.DONE
    capture.readouterr()
    return Path(name)


def refused(capture: Capture, *arguments: str) -> str:
    """Why a command refuses the plan; nothing was loaded by it."""
    before = jobs_there()
    assert run(list(arguments)) == Exit.USAGE
    assert jobs_there() == before
    said = capture.readouterr().err
    assert "Traceback" not in said
    return said


def jobs_there() -> dict[str, int]:
    """How many jobs of the batch are in each state; none without it."""
    if not Path("overnight.db").exists():
        return {}
    with open_database("overnight.db") as database:
        with database.reading() as connection:
            batches = views.all_batches(connection)
        return states(database, "tiny") if batches else {}


def edit(plan: Path, **changes: Any) -> None:
    """Write the plan anew with other contents, and a checksum that fits them."""
    known = planfile.read(plan)
    assert known is not None
    planfile.write(replace(known, **changes), plan)


# --- what a plan does -----------------------------------------------------------------------------


def test_a_plan_is_loaded_as_it_was_whatever_became_of_the_manifest(
    home: Path, capsys: Capture
) -> None:
    plan = made(capsys)
    expected = planned(capsys)["jobs"]
    write(home, "version: 1\nthis: is another file\n")
    assert run(["load", str(plan)]) == Exit.DONE
    assert "5 jobs of tiny: 5 new" in capsys.readouterr().err
    assert jobs_there() == {"pending": expected}
    (home / "jobs.yaml").unlink()
    assert run(["load", str(plan), "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["existing"] == expected


def test_paths_are_counted_from_the_manifest_not_from_the_plan(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "elsewhere").mkdir()
    made(capsys, "elsewhere/plan.json")
    monkeypatch.chdir(home / "elsewhere")
    assert run(["plan", "plan.json", "--json"]) == Exit.DONE
    [found] = lines(capsys)
    assert found["output_dir"] == str(home / "clips")
    assert found["manifest"] == str(home / "jobs.yaml")


def test_a_plan_is_known_by_its_content_and_can_be_planned_again(
    home: Path, capsys: Capture
) -> None:
    made(capsys, "agreed.yaml")
    assert run(["plan", "agreed.yaml"]) == Exit.DONE
    out = capsys.readouterr().out
    assert out.startswith(f"tiny, from agreed.yaml, a plan of {home / 'jobs.yaml'}\n")
    assert out.endswith("Go ahead with: overnight run agreed.yaml\n")


def test_a_plan_says_what_to_type_for_it(capsys: Capture) -> None:
    assert run(["plan", "jobs.yaml", "-o", "a plan.json", "--db", "other.db"]) == Exit.DONE
    captured = capsys.readouterr()
    assert captured.out.endswith(
        "Nothing was submitted. The plan is in a plan.json. Do exactly this with: overnight run "
        "'a plan.json' --db other.db\n"
    )
    assert sorted(path.name for path in Path().iterdir()) == ["a plan.json", "jobs.yaml"]


def test_random_values_are_those_of_the_plan(home: Path, capsys: Capture) -> None:
    write(home, RANDOM)
    plan = made(capsys)
    for _ in range(2):
        assert run(["load", str(plan)]) == Exit.DONE
    assert jobs_there() == {"pending": 7}


def test_values_that_will_be_drawn_again_are_called_an_example(home: Path, capsys: Capture) -> None:
    example = "The random values of"
    write(home, RANDOM)
    assert run(["plan", "jobs.yaml"]) == Exit.DONE
    assert example in capsys.readouterr().out
    made(capsys)
    assert run(["plan", "plan.json"]) == Exit.DONE
    assert example not in capsys.readouterr().out
    write(home, RANDOM.replace("random: 3", "random: 3, from: 42"))
    assert run(["plan", "jobs.yaml"]) == Exit.DONE
    assert example not in capsys.readouterr().out
    write(home, RANDOM)
    loaded(capsys)
    assert run(["plan", "jobs.yaml"]) == Exit.DONE
    assert example not in capsys.readouterr().out


def test_the_next_command_reads_the_manifest_the_same_way(home: Path, capsys: Capture) -> None:
    (home / "my schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    write(home, "version: 1\nname: tiny\nmodel: my/model\ninputs: {prompt: A pier}\n")
    flags = ["--schema", "my/model=my schema.json", "--max-jobs", "9"]
    assert run(["plan", "jobs.yaml", *flags]) == Exit.DONE
    out = capsys.readouterr().out
    assert out.endswith("jobs.yaml '--schema=my/model=my schema.json' --max-jobs=9\n")


def test_random_values_that_somebody_else_drew_meanwhile_are_not_mixed_in(
    home: Path, capsys: Capture
) -> None:
    write(home, RANDOM)
    plan = made(capsys)
    loaded(capsys)
    said = refused(capsys, "load", str(plan))
    assert "tiny has been loaded with other random values since plan.json was read" in said


def test_a_plan_prunes_when_it_was_made_so(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[2]"))
    plan = made(capsys, "plan.json", "--prune")
    assert run(["load", str(plan)]) == Exit.DONE
    assert jobs_there() == {"pending": 3, "cancelled": 2}


def test_a_plan_submits_nothing_that_others_have_loaded_since(home: Path, capsys: Capture) -> None:
    plan = made(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[1, 2, 3]"))
    loaded(capsys)
    said = refused(capsys, "run", str(plan), "--yes")
    assert "2 jobs of tiny would be submitted beside those of plan.json" in said
    again = made(capsys, "again.json")
    assert run(["load", str(again)]) == Exit.DONE
    assert run(["load", str(again)]) == Exit.DONE


def test_a_plan_submits_nothing_that_was_retried_since(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    assert run(["cancel", "--all", "--yes"]) == Exit.DONE
    write(home, MANIFEST.replace("[1, 2]", "[1, 2, 3]"))
    plan = made(capsys)
    assert run(["load", str(plan)]) == Exit.DONE
    assert run(["retry", "--state", "cancelled"]) == Exit.DONE
    said = refused(capsys, "load", str(plan))
    assert "5 jobs of tiny would be submitted beside those of plan.json" in said


def test_a_plan_holds_what_was_told(home: Path, capsys: Capture) -> None:
    plan = json.loads(made(capsys, "plan.json", "--max-jobs", "50").read_text("utf-8"))
    assert (plan["overnight_plan"], plan["batch"], plan["max_jobs"]) == (1, "tiny", 50)
    assert plan["text"] == (home / "jobs.yaml").read_text("utf-8")
    assert plan["counts"]["jobs"] == plan["counts"]["new"] == 5
    assert plan["cost"] == pytest.approx(0.3)
    assert len(plan["fingerprints"]) == len(plan["digest"]) == 64


# --- what has changed -----------------------------------------------------------------------------


def test_a_file_that_has_changed_is_named(home: Path, capsys: Capture) -> None:
    (home / "words.txt").write_text("A lantern\nA pier\n", encoding="utf-8")
    write(home, MANIFEST.replace("what: [A lantern, A pier]", "what: {lines: words.txt}"))
    plan = made(capsys)
    (home / "words.txt").write_text("A lantern\nA boat\n", encoding="utf-8")
    said = refused(capsys, "load", str(plan))
    assert said.startswith(f"{home / 'words.txt'} has changed since plan.json was made.")
    (home / "words.txt").unlink()
    assert "words.txt is not there any more since plan.json" in refused(capsys, "run", str(plan))
    (home / "words.txt").write_text("A lantern\nA pier\n", encoding="utf-8")
    assert run(["load", str(plan)]) == Exit.DONE


def test_a_file_that_came_in_is_named(home: Path, capsys: Capture) -> None:
    (home / "stills").mkdir()
    (home / "stills" / "a pier.png").touch()
    glob = "what: {glob: stills/*.png}"
    write(home, MANIFEST.replace("what: [A lantern, A pier]", glob))
    plan = made(capsys)
    (home / "stills" / "a boat.png").touch()
    assert "a boat.png has come in since plan.json" in refused(capsys, "load", str(plan))


def test_a_schema_or_a_price_that_has_changed_is_told(home: Path, capsys: Capture) -> None:
    fetched(0.11)
    plan = made(capsys)
    fetched(0.12)
    assert "price of community/wan-2-1/fusionx/image-to-video has changed" in refused(
        capsys, "load", str(plan)
    )
    fetched(0.11, steps={"maximum": 44})
    said = refused(capsys, "load", str(plan))
    assert "has changed (598_steps goes up to 44 (was 20)) since plan.json was made" in said
    fetched(0.11, steps={"maximum": 20})
    assert run(["load", str(plan)]) == Exit.DONE


def test_a_schema_file_is_part_of_the_plan(home: Path, capsys: Capture) -> None:
    (home / "mine.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    write(home, "version: 1\nname: tiny\nmodel: my/model\ninputs: {prompt: A pier}\n")
    plan = made(capsys, "plan.json", "--schema", "my/model=mine.json")
    (home / "mine.json").unlink()
    assert run(["load", str(plan)]) == Exit.DONE
    capsys.readouterr()
    assert "Leave --schema out" in refused(capsys, "load", str(plan), "--schema", "x=mine.json")


def test_other_jobs_than_planned_are_refused_and_nothing_is_loaded(capsys: Capture) -> None:
    plan = made(capsys)
    edit(plan, fingerprints="0" * 64, made_by="overnight 0.0.1")
    said = refused(capsys, "load", str(plan))
    assert "makes other jobs now than when it was planned" in said
    assert "overnight 0.0.1 made it" in said
    assert jobs_there() == {}


# --- a plan that can't be one ---------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["plan", "load", "run"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        *(('"max_jobs": 1000000', '"max_jobs": 9'), ("Nebel", "Regen"), ('"prune": false, ', "")),
        *(('"batch": "tiny"', '"batch": 7'), ('"counts": {', '"counts": {"x": 1, ')),
        *(("}", ""), ('"draws"', '"drawn"'), ('"checksum": "', '"checksum": "0')),
        ('"overnight_plan": 1', '"overnight_plan": "one"'),
    ],
)
def test_an_edited_plan_is_refused(verb: str, old: str, new: str, capsys: Capture) -> None:
    plan = made(capsys)
    text = json.dumps(json.loads(plan.read_text("utf-8")), ensure_ascii=False)
    assert old in text
    plan.write_text(text.replace(old, new, 1), encoding="utf-8")
    said = refused(capsys, verb, str(plan))
    assert said.startswith("plan.json is a plan that was edited or damaged")
    assert "overnight plan FILE -o plan.json" in said


def test_how_a_plan_is_laid_out_does_not_matter(capsys: Capture) -> None:
    plan = made(capsys)
    body = json.loads(plan.read_text("utf-8"))
    plan.write_text("\ufeff \n" + json.dumps(body, sort_keys=True), encoding="utf-8")
    assert run(["load", str(plan)]) == Exit.DONE


def test_a_plan_of_a_newer_overnight_says_so(capsys: Capture) -> None:
    plan = made(capsys)
    text = plan.read_text("utf-8").replace('"overnight_plan": 1', '"overnight_plan": 2')
    plan.write_text(text, encoding="utf-8")
    assert "a plan of a newer overnight" in refused(capsys, "run", str(plan))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_any_damage_is_seen(data: st.DataObject, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    if not plan.exists():
        planfile.write(a_plan(), plan)
        (tmp_path / "whole").write_bytes(plan.read_bytes())
    whole = (tmp_path / "whole").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "drop", "flip"]))
    damaged = {
        "cut": whole[:at],
        "drop": whole[:at] + whole[at + 1 :],
        "flip": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
    }[kind]
    plan.write_bytes(damaged)
    try:
        found = planfile.read(plan)
    except UserError:
        return
    # White space between values says nothing, and without its mark it is no plan at all.
    assert found is None or found == a_plan()


def a_plan(**changes: Any) -> planfile.PlanFile:
    fields: Mapping[str, Any] = {
        "batch": "tiny",
        "manifest": "/m/jobs.yaml",
        "text": "version: 1\nprompt: Käfig 🌙\n",
        "digest": "ab" * 32,
        "max_jobs": 10,
        "prune": False,
        "draws": {"seed": [1, 2]},
        "sources": {},
        "models": {},
        "fingerprints": "cd" * 32,
        "counts": {"jobs": 2},
        "cost": 0.12,
        "made_at": "2026-11-22T20:00:00+00:00",
        "made_by": "overnight 1",
    }
    return planfile.PlanFile(**{**fields, **changes})


# --- writing --------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    planfile.write(a_plan(), tmp_path / "plan.json")
    assert planfile.read(tmp_path / "plan.json") == a_plan()
    planfile.write(a_plan(cost=None), tmp_path / "plan.json")
    assert planfile.read(tmp_path / "plan.json") == a_plan(cost=None)


def test_nothing_but_a_plan_is_ever_replaced(home: Path, capsys: Capture) -> None:
    before = (home / "jobs.yaml").read_text("utf-8")
    assert "no plan. Give -o another name" in refused(
        capsys, "plan", "jobs.yaml", "-o", "jobs.yaml"
    )
    assert (home / "jobs.yaml").read_text("utf-8") == before
    assert "no plan" in refused(capsys, "plan", "jobs.yaml", "-o", ".")
    assert "does not exist" in refused(capsys, "plan", "jobs.yaml", "-o", "no/plan.json")


def test_a_plan_is_written_whole_or_not_at_all(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    plan = made(capsys)
    before = plan.read_bytes()

    def no_room(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(home, MANIFEST.replace("[1, 2]", "[3]"))
    monkeypatch.setattr(os, "fsync", no_room)
    assert run(["plan", "jobs.yaml", "-o", "plan.json"]) == Exit.ERROR
    assert "No space left on device" in capsys.readouterr().err
    assert plan.read_bytes() == before
    assert sorted(path.name for path in home.iterdir()) == ["jobs.yaml", "plan.json"]


def test_a_source_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    changed = planfile.changed({str(tmp_path / "rows"): "00"})
    assert changed is not None
    assert changed.startswith(f"{tmp_path / 'rows'} can't be read")


def test_what_is_no_plan_is_left_to_the_manifest_s_reader(home: Path, capsys: Capture) -> None:
    (home / "j.json").write_text('{"version": 1, "name": "plain"}', encoding="utf-8")
    assert planfile.read(home / "j.json") is None
    assert planfile.read(home / "nowhere.json") is None
    assert run(["load", "nowhere.json"]) == Exit.USAGE
    assert "no such file" in capsys.readouterr().err
    wanted = read(home / "jobs.yaml", lambda _: {})
    assert (wanted.plan, wanted.prunes, wanted.manifest.name) == (None, False, "tiny")
