"""Money, time and changes before anything is paid for: what ``plan``, ``load`` and ``run`` say and
refuse."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from overnight.cli import run as verbs
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.lifecycle import Event, State
from overnight.store import holding
from overnight.store.database import open_database
from overnight.store.tables import batches
from tests.unit.cli_manifest import MANIFEST, MODEL, fetched, loaded, planned, said, write
from tests.unit.cli_night import Capture, Night, states


@pytest.fixture(autouse=True)
def home(bare_home: Path) -> Path:
    return bare_home


# --- money ----------------------------------------------------------------------------------------


def test_a_price_that_nobody_knows_is_unknown(home: Path, capsys: Capture) -> None:
    write(home, MANIFEST.replace(", price: 0.06", ""))
    found = planned(capsys)
    assert (found["cost"], found["cost_known"], found["unpriced"]) == (None, 0, 5)
    assert found["price"] == {"source": None, "manifest": None, "catalogue": []}
    words = said(capsys)
    assert f"cost      unknown (no price of {MODEL} is known; give one" in words


def test_the_catalogue_s_price_comes_with_its_date(home: Path, capsys: Capture) -> None:
    write(home, MANIFEST.replace(", price: 0.06", ""))
    fetched(0.11)
    found = planned(capsys)
    assert found["cost"] == pytest.approx(0.55)
    assert found["price"]["source"] == "catalogue"
    [listed] = found["price"]["catalogue"]
    assert (listed["model"], listed["amount"], listed["unit"]) == (MODEL, 0.11, "output")
    assert f"the catalogue of 2026-09-21: $0.11 per output of {MODEL}" in said(capsys)


LIMITED = MANIFEST.replace("price: 0.06", "price: 0.06, limits: {cost: 0.25}")


def test_a_plan_over_the_limit_is_told_and_no_error(home: Path, capsys: Capture) -> None:
    write(home, LIMITED)
    found = planned(capsys)
    assert (found["limits"]["cost"], found["within_limits"]) == (0.25, False)
    assert "limits.cost allows $0.25; this would cost $0.30, which is too much." in said(capsys)


def test_the_limit_of_jobs_is_told_and_more_are_a_problem(home: Path, capsys: Capture) -> None:
    write(home, MANIFEST.replace("price: 0.06", "price: 0.06, limits: {jobs: 5}"))
    assert "limits    limits.jobs allows 5; this keeps to it." in said(capsys)
    write(home, MANIFEST.replace("price: 0.06", "price: 0.06, limits: {jobs: 4}"))
    assert run(["plan", "jobs.yaml", "--json"]) == Exit.USAGE
    [found] = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert found["problems"][0]["line"] == 11


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_run_over_the_limit_is_refused_and_nothing_is_loaded(
    yes: list[str], home: Path, capsys: Capture
) -> None:
    write(home, LIMITED)
    assert run(["run", "jobs.yaml", *yes]) == Exit.USAGE
    captured = capsys.readouterr()
    assert "limits.cost allows $0.25; this would cost $0.30" in captured.err
    assert "Nothing was loaded." in captured.err
    assert run(["status", "--json"]) == Exit.DONE
    assert capsys.readouterr().out == ""


def test_a_limit_that_can_not_be_checked_is_refused(home: Path, capsys: Capture) -> None:
    write(home, LIMITED.replace("price: 0.06, ", ""))
    assert run(["run", "jobs.yaml", "--yes"]) == Exit.USAGE
    assert "the price of 5 jobs is unknown" in capsys.readouterr().err


def test_what_was_loaded_is_not_worked_on_over_the_limit(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "tok-1234")
    write(home, LIMITED)
    loaded(capsys)
    assert run(["work", "--yes"]) == Exit.USAGE
    assert "Nothing of tiny was submitted." in capsys.readouterr().err


def test_a_limit_is_for_all_runs_of_a_batch(home: Path, capsys: Capture) -> None:
    write(home, MANIFEST.replace("price: 0.06", "price: 0.06, limits: {cost: 0.30}"))
    assert planned(capsys)["within_limits"]
    loaded(capsys)
    with open_database("overnight.db") as database:
        worker = Night(database)
        first, second, third, fourth = worker.claim(1, 4)
        worker.succeed(first, "req-1")  # the provider tells $0.05
        worker.move(second, Event.ACCEPTED, request_id="req-2")  # $0.06 are expected
        worker.move(third, Event.REFUSED)  # free
        worker.move(fourth, Event.UNCERTAIN)  # may have been paid for
        worker.end()
    found = planned(capsys)
    assert (found["spent"], found["cost"]) == (pytest.approx(0.17), pytest.approx(0.12))
    assert found["within_limits"]
    write(home, MANIFEST.replace("price: 0.06", "price: 0.06, limits: {cost: 0.28}"))
    assert not planned(capsys)["within_limits"]
    assert "limits.cost allows $0.28, $0.17 of it spent already" in said(capsys)
    assert run(["run", "jobs.yaml", "--yes"]) == Exit.USAGE


@pytest.fixture
def worker(home: Path, capsys: Capture) -> Iterator[Night]:
    """A worker that lives, with five jobs of which one has failed and one is unknown. All five
    are as much as the manifest allows."""
    write(home, MANIFEST.replace("price: 0.06", "price: 0.06, limits: {cost: 0.30}"))
    loaded(capsys)
    with open_database("overnight.db") as database:
        worker = Night(database, now=time.time())
        first, second = worker.claim(1, 2)
        worker.move(worker.move(first, Event.ACCEPTED, request_id="req-1"), Event.GONE)
        worker.move(second, Event.UNCERTAIN)
        yield worker


def set_limit(dollars: float) -> None:
    """What a load of a manifest with this limit does."""
    settings = {"concurrency": 2, "price": 0.06, "limits": {"cost": dollars}}
    with open_database("overnight.db") as database, database.writing() as connection:
        connection.execute(batches.update().values(run=json.dumps(settings)))


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "command",
    [["retry", "--yes"], ["resolve", "--all", "--resubmit", "--yes"], ["load", "jobs.yaml"]],
)
def test_nothing_over_the_limit_is_put_before_a_worker(
    command: list[str], home: Path, capsys: Capture
) -> None:
    text = (home / "jobs.yaml").read_text("utf-8").replace("[1, 2]", "[1, 2, 3]")
    write(home, text)
    with open_database("overnight.db") as database:
        before = states(database, "tiny")
        assert run(command) == Exit.USAGE
        assert "because the worker that is running would submit it" in capsys.readouterr().err
        assert states(database, "tiny") == before
    set_limit(5.0)
    write(home, text.replace("cost: 0.30", "cost: 5"))
    assert run(command) == Exit.DONE


@pytest.mark.usefixtures("worker")
def test_nobody_is_sent_to_work_while_a_worker_runs(home: Path, capsys: Capture) -> None:
    write(home, (home / "jobs.yaml").read_text("utf-8").replace("[1, 2]", "[1]"))
    assert run(["load", "jobs.yaml", "--prune"]) == Exit.DONE
    said = capsys.readouterr().err
    assert "3 jobs of tiny: 0 new, 3 there already." in said
    assert "overnight work" not in said


@pytest.mark.usefixtures("worker")
def test_what_submits_nothing_more_is_allowed_beside_a_worker() -> None:
    set_limit(0.01)
    assert run(["resolve", "--all", "--give-up"]) == Exit.DONE


# --- time -----------------------------------------------------------------------------------------


def test_time_is_known_once_a_job_has_succeeded(home: Path, capsys: Capture) -> None:
    assert planned(capsys)["seconds"] is None
    loaded(capsys)
    with open_database("overnight.db") as database:
        worker = Night(database)
        worker.succeed(worker.claim(1, 1)[0], "req-1")
        worker.end()
    write(home, MANIFEST.replace("[1, 2]", "[1, 2, 3]"))
    found = planned(capsys)
    assert (found["to_submit"], found["concurrency"], found["seconds"]) == (6, 2, 3.0)
    assert planned(capsys, "--concurrency", "6")["seconds"] == 1.0
    assert "time      about 3.0 s, at most 2 at once (a job takes 1.0 s, the one so far)" in said(
        capsys
    )


# --- schemas --------------------------------------------------------------------------------------


def test_a_schema_that_changed_since_the_load_is_told(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    assert planned(capsys)["schema_changes"] == []
    fetched(0.11, steps={"maximum": 44})
    [change] = planned(capsys)["schema_changes"]
    assert change.startswith(f"The provider's schema of {MODEL} has changed since the last load: ")
    assert "598_steps goes up to 44 (was 20)" in change
    assert change in said(capsys).replace("\n", " ")
    assert run(["load", "jobs.yaml"]) == Exit.DONE
    assert f"Note: {change}" in capsys.readouterr().err
    assert planned(capsys)["schema_changes"] == []


def test_what_is_worth_knowing_is_said_before_anything_is_paid_for(
    home: Path, capsys: Capture
) -> None:
    write(home, MANIFEST.replace(", seed: 7", ""))
    [note] = planned(capsys)["notes"]
    assert (note["line"], "seed is left open" in note["message"]) == (10, True)
    assert run(["load", "jobs.yaml", "--json"]) == Exit.DONE
    captured = capsys.readouterr()
    assert "Note: jobs.yaml:10" in captured.err
    load, notice = [json.loads(text) for text in captured.out.splitlines()]
    assert (load["event"], notice["event"], notice["level"]) == ("load", "notice", "warning")
    assert notice["text"] in captured.err


def test_checks_that_are_switched_off_are_told(home: Path, capsys: Capture) -> None:
    write(home, "version: 1\nmodel: some/model\nvalidate: off\ninputs: {prompt: A pier}\n")
    assert planned(capsys)["validate"] is False
    assert re.search(r"^notes +jobs.yaml:3:1: nothing is checked", said(capsys), re.MULTILINE)


# --- loading --------------------------------------------------------------------------------------


def test_prune_cancels_what_is_gone_and_was_never_submitted(home: Path, capsys: Capture) -> None:
    loaded(capsys)
    with open_database("overnight.db") as database:
        worker = Night(database)
        [first] = worker.claim(1, 1)
        worker.move(first, Event.ACCEPTED, request_id="req-1")
        worker.end()
    write(home, MANIFEST.replace("[1, 2]", "[2]"))
    assert run(["load", "jobs.yaml"]) == Exit.DONE
    assert "and stay; --prune cancels the 1 never submitted" in capsys.readouterr().err
    assert run(["load", "jobs.yaml", "--prune", "--json"]) == Exit.DONE
    captured = capsys.readouterr()
    [done] = [json.loads(text) for text in captured.out.splitlines()]
    assert (done["gone"], done["gone_pending"], done["pruned"]) == (2, 1, 1)
    assert "and 1 of them was cancelled." in captured.err
    with open_database("overnight.db") as database:
        assert states(database, "tiny") == {"pending": 3, "queued": 1, "cancelled": 1}


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_what_was_cancelled_and_comes_back_is_told(
    how: list[str], home: Path, capsys: Capture
) -> None:
    loaded(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[1]"))
    loaded(capsys, "--prune")
    write(home, MANIFEST)
    assert run(["load", "jobs.yaml", *how]) == Exit.DONE
    assert (
        "2 jobs of the manifest were cancelled before and will not be submitted; "
        "`overnight retry --state cancelled --batch tiny` brings them back."
    ) in capsys.readouterr().err
    assert run(["load", "jobs.yaml", "--json", *how]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["cancelled"] == 2


def test_a_dry_run_says_what_loading_would_do(home: Path, capsys: Capture) -> None:
    assert run(["load", "jobs.yaml", "--dry-run", "--json"]) == Exit.DONE
    captured = capsys.readouterr()
    [done] = [json.loads(text) for text in captured.out.splitlines()]
    assert (done["new"], done["dry_run"]) == (5, True)
    assert "Would be: 5 jobs of tiny: 5 new" in captured.err
    assert not (home / "overnight.db").exists()
    loaded(capsys)
    write(home, MANIFEST.replace("[1, 2]", "[2]"))
    assert run(["load", "jobs.yaml", "--dry-run", "--prune"]) == Exit.DONE
    assert "2 of them would be cancelled. Nothing was changed." in capsys.readouterr().err
    with open_database("overnight.db") as database:
        assert states(database, "tiny") == {"pending": 5}


def test_an_interrupt_while_loading_leaves_the_database_as_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from overnight.manifest import Manifest

    loaded(capsys)
    whole = Manifest.specs

    def interrupted(manifest: Manifest) -> Iterator[Any]:
        for at, spec in enumerate(whole(manifest)):
            if at == 3:
                raise KeyboardInterrupt
            yield spec

    write(home, MANIFEST.replace("[1, 2]", "[8, 9]"))
    monkeypatch.setattr(Manifest, "specs", interrupted)
    assert run(["load", "jobs.yaml", "--prune"]) == Exit.INTERRUPTED
    with open_database("overnight.db") as database:
        assert states(database, "tiny") == {State.PENDING.value: 5}


def test_a_run_says_the_cost_before_it_asks(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked: list[str] = []

    def no(question: str, **_: object) -> bool:
        asked.append(capsys.readouterr().err)
        return False

    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "tok-1234")
    monkeypatch.setattr(verbs, "can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", no)
    assert run(["run", "jobs.yaml"]) == Exit.USAGE
    [before] = asked
    assert "5 jobs to submit, which may be paid for" in before
    assert "Cost: $0.30 (run.price: $0.06 a job). Time: not known yet." in before


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("", "now it is 8 jobs for $0.48, and you were told of 5 jobs for $0.30"),
        (", limits: {cost: 0.40}", "limits.cost allows $0.40; this would cost $0.48"),
    ],
)
def test_what_is_loaded_while_the_question_stands_is_not_agreed_to(
    limit: str, reason: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    text = MANIFEST.replace("price: 0.06", f"price: 0.06{limit}")

    def yes_after_a_load(*_: object, **__: object) -> bool:
        write(home, text.replace("seed: [1, 2]", "seed: [1, 2, 3]").replace("seed: 7", "seed: 8"))
        assert run(["load", "jobs.yaml"]) == Exit.DONE
        return True

    write(home, text)
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "tok-1234")
    monkeypatch.setattr(verbs, "can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", yes_after_a_load)
    assert run(["run", "jobs.yaml"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert reason in said
    assert "Nothing was submitted" in said
    with open_database("overnight.db") as database:
        assert states(database, "tiny") == {State.PENDING.value: 8}
        with database.reading() as connection:
            assert holding.holder(connection, time.time()) is None


@pytest.mark.usefixtures("worker")
def test_only_the_jobs_that_were_asked_about_are_retried(
    monkeypatch: pytest.MonkeyPatch, worker: Night
) -> None:
    def yes_after_another_failure(*_: object, **__: object) -> bool:
        [third] = worker.claim(1, 1)
        worker.move(worker.move(third, Event.ACCEPTED, request_id="req-3"), Event.GONE)
        return True

    monkeypatch.setattr("overnight.cli.rehearsal.can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", yes_after_another_failure)
    set_limit(5.0)
    assert run(["retry"]) == Exit.DONE
    with open_database("overnight.db") as database:
        assert states(database, "tiny") == {"pending": 3, "failed": 1, "unknown": 1}


def test_without_a_terminal_the_cost_is_in_the_refusal(capsys: Capture) -> None:
    assert run(["run", "jobs.yaml"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "5 jobs of tiny may be paid for (cost: $0.30)" in said
    assert "Add --yes" in said
