"""Settling unknown jobs, and what status, show and the summary say of decisions."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from overnight.cli import options, rehearsal, show
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.lifecycle import Event
from overnight.store import decisions, leases, views
from overnight.store.database import Database
from overnight.store.rows import AttemptRow, EventRow, Kind
from tests.unit.cli_night import Capture, Night, fill, lines, states


@pytest.fixture(autouse=True)
def here(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands find the database of the test by themselves, and no terminal."""
    monkeypatch.setenv(options.DB_VARIABLE, str(database.path))
    monkeypatch.chdir(database.path.parent)
    monkeypatch.setattr(rehearsal, "can_ask", lambda: False)
    yield


@pytest.fixture
def unsure(database: Database) -> Iterator[Night]:
    """Jobs 1 and 2 are unknown, 3 is queued as req-3, 4 is pending; another batch has one unknown
    job, 5."""
    fill(database)
    fill(database, "other", 1)
    worker = Night(database)
    first, second, third = worker.claim(1, 3)
    [fifth] = worker.claim(2, 1)
    for job in (first, second, fifth):
        worker.move(job, Event.UNCERTAIN, error="no answer")
    worker.move(third, Event.ACCEPTED, request_id="req-3")
    worker.end()
    yield worker


@pytest.fixture
def beside_a_worker(database: Database, unsure: Night) -> None:
    """A worker that lives, and has cut its limit."""
    with database.writing() as connection:
        me = leases.Identity.of_this_process()
        fence = leases.take(connection, me, time.time())
        note = partial(decisions.note, connection, at=time.time(), worker_id=fence)
        note(Kind.LIMIT, "At most 6 at once, after 8: throttled.")
        note(Kind.PAUSE, "Submitting pauses: no answer.")


def job(capsys: Capture, reference: int) -> dict[str, Any]:
    capsys.readouterr()
    run(["show", str(reference), "--json"])
    [found] = lines(capsys)
    return found


# --- the three ways -------------------------------------------------------------------------------


@pytest.mark.usefixtures("unsure")
def test_resubmitting_named_jobs_says_what_it_may_cost(database: Database, capsys: Capture) -> None:
    assert run(["resolve", "1", "2", "--resubmit"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "2 jobs to be submitted again" in out
    assert "charged twice" in out
    assert "Go on with: overnight work" in out
    assert states(database) == {"pending": 3, "queued": 1}
    assert run(["status", "night"]) == Exit.DONE
    assert "night: 2 submits repeated after an uncertain one" in capsys.readouterr().out


@pytest.mark.usefixtures("unsure")
def test_resubmitting_more_than_named_jobs_needs_yes(database: Database, capsys: Capture) -> None:
    for choice in (["--all"], ["--batch", "night"]):
        assert run(["resolve", *choice, "--resubmit"]) == Exit.USAGE
        said = capsys.readouterr().err
        assert "--yes" in said
        assert "charged twice" in said
    assert states(database)["unknown"] == 2
    assert run(["resolve", "--batch", "night", "--resubmit", "--yes"]) == Exit.DONE
    assert states(database) == {"pending": 3, "queued": 1}


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(("answer", "left"), [(True, 0), (False, 2)])
def test_on_a_terminal_it_asks(
    answer: bool, left: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(rehearsal, "can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    assert run(["resolve", "--all", "--resubmit"]) == (Exit.DONE if answer else Exit.USAGE)
    assert states(database).get("unknown", 0) == left
    assert ["3 jobs" in text and "charged twice" in text for text in asked] == [True]


@pytest.mark.usefixtures("unsure")
def test_an_adopted_job_is_followed_and_its_attempt_goes_on(
    database: Database, capsys: Capture
) -> None:
    assert run(["resolve", "1", "--adopt", " req-1 "]) == Exit.DONE
    assert "1 job followed as request req-1; nothing is paid for again" in capsys.readouterr().out
    found = job(capsys, 1)
    assert (found["state"], found["request_id"], found["attempts"]) == ("queued", "req-1", 1)
    assert found["history"][0]["outcome"] is None
    [decided] = found["events"]
    assert (decided["kind"], decided["text"]) == ("resolved", "adopt req-1, by hand")


@pytest.mark.usefixtures("unsure")
def test_giving_up_settles_and_asks_nobody(database: Database, capsys: Capture) -> None:
    assert run(["resolve", "--all", "--give-up"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "3 jobs written off as failed." in out
    assert "overnight work" not in out
    assert states(database) == {"failed": 2, "queued": 1, "pending": 1}
    assert "Given up" in job(capsys, 1)["error"]


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(
    "choice", [["1", "--resubmit"], ["1", "--adopt", "req-1"], ["1", "--give-up"]]
)
def test_a_second_time_changes_nothing_and_is_no_error(
    choice: list[str], database: Database, capsys: Capture
) -> None:
    assert run(["resolve", *choice]) == Exit.DONE
    before = job(capsys, 1)
    assert run(["resolve", *choice]) == Exit.DONE
    assert "Nothing to settle: 1 job, not unknown." in capsys.readouterr().out
    assert job(capsys, 1) == before
    with database.reading() as connection:
        assert len(views.detail(connection, 1).events) == 1


@pytest.mark.usefixtures("unsure")
def test_jobs_that_are_not_unknown_are_left_and_said_so(
    database: Database, capsys: Capture
) -> None:
    assert run(["resolve", "1", "3", "4", "--give-up"]) == Exit.DONE
    assert "2 jobs left as they are (not unknown)." in capsys.readouterr().out
    assert states(database) == {"failed": 1, "unknown": 1, "queued": 1, "pending": 1}


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(
    "choice",
    [["--all", "--resubmit"], ["1", "--adopt", "req-1"], ["--batch", "other", "--give-up"]],
)
def test_a_dry_run_says_it_and_changes_nothing(
    choice: list[str], database: Database, capsys: Capture
) -> None:
    assert run(["resolve", *choice, "--dry-run"]) == Exit.DONE
    out = capsys.readouterr().out
    assert out.startswith("Would be: ")
    assert "Nothing was changed." in out
    assert states(database)["unknown"] == 2
    assert run(["resolve", *choice, "--dry-run", "--json"]) == Exit.DONE
    said = json.loads(capsys.readouterr().out)
    assert said["dry_run"] is True
    assert said["resolved"] >= 1


@pytest.mark.usefixtures("unsure")
def test_json_says_what_was_done(capsys: Capture) -> None:
    assert run(["resolve", "1", "3", "--adopt", "x", "--json"]) == Exit.USAGE
    assert run(["resolve", "1", "3", "--give-up", "--json"]) == Exit.DONE
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "resolution": "give-up",
        "request_id": None,
        "dry_run": False,
        "resolved": 1,
        "left": 1,
    }


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (["1"], "exactly one of"),
        (["1", "--resubmit", "--give-up"], "exactly one of"),
        (["1", "--adopt", "a", "--give-up"], "exactly one of"),
        (["--give-up"], "--all"),
        (["1", "--all", "--give-up"], "not both"),
        (["1", "2", "--adopt", "a"], "exactly one JOB"),
        (["--all", "--adopt", "a"], "exactly one JOB"),
        (["--batch", "other", "--adopt", "a"], "exactly one JOB"),
        (["1", "--adopt", "a/b"], "can't be a request id"),
        (["1", "--adopt", ""], "can't be a request id"),
        (["1", "--adopt", ".."], "can't be a request id"),
    ],
)
def test_a_contradiction_is_a_usage_error(
    choice: list[str], says: str, database: Database, capsys: Capture
) -> None:
    assert run(["resolve", *choice]) == Exit.USAGE
    assert says in capsys.readouterr().err
    assert states(database)["unknown"] == 2


@pytest.mark.usefixtures("unsure")
def test_a_request_of_another_job_can_not_be_adopted(database: Database, capsys: Capture) -> None:
    assert run(["resolve", "1", "--adopt", "req-3"]) == Exit.ERROR
    assert "belongs to job 3 already" in capsys.readouterr().err
    assert states(database)["unknown"] == 2


@pytest.mark.usefixtures("beside_a_worker")
def test_a_living_worker_goes_on_with_it(capsys: Capture) -> None:
    assert run(["resolve", "1", "--resubmit"]) == Exit.DONE
    assert "works on that batch, it goes on with it by itself" in capsys.readouterr().out


# --- status ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unsure")
def test_status_says_how_many_are_unknown_and_what_settles_them(capsys: Capture) -> None:
    assert run(["status"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "3 jobs may have been submitted" in out
    assert "overnight resolve --batch night --batch other" in out
    assert run(["status", "--json"]) == Exit.DONE
    first, second = lines(capsys)
    assert (first["unknown"], first["possible_duplicates"], first["halted"]) == (2, 0, None)
    assert (first["worker"], first["limit"], first["pause"]) == (None, None, None)
    assert second["unknown"] == 1


@pytest.mark.usefixtures("unsure")
def test_status_says_why_a_batch_is_halted_and_how_it_goes_on(
    database: Database, capsys: Capture
) -> None:
    with database.writing() as connection:
        decisions.halt(connection, 1, "3 of 4 jobs failed", Kind.HALT, now=2_010.0)
    assert run(["status", "night"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "night is halted: 3 of 4 jobs failed. 1 job not submitted" in out
    assert "overnight work night --continue" in out
    assert run(["status", "--json", "night"]) == Exit.DONE
    assert lines(capsys)[0]["halted"] == "3 of 4 jobs failed"


def test_status_says_that_canaries_are_waited_for(database: Database, capsys: Capture) -> None:
    fill(database, canary=1)
    assert run(["status"]) == Exit.DONE
    assert "night: its canary jobs must succeed before the rest" in capsys.readouterr().out
    assert run(["status", "--json"]) == Exit.DONE
    assert lines(capsys)[0]["waits_for_canaries"] is True


@pytest.mark.usefixtures("beside_a_worker")
def test_status_tells_the_living_worker_s_limit_and_pause(
    database: Database, capsys: Capture
) -> None:
    assert run(["status"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "At most 6 at once, after 8: throttled. (20" in out
    assert "Submitting pauses: no answer. (20" in out
    assert run(["status", "--json", "night"]) == Exit.DONE
    [said] = lines(capsys)
    assert said["worker"]["pid"] == leases.Identity.of_this_process().pid
    assert said["limit"]["text"].startswith("At most 6")
    assert said["pause"]["text"] == "Submitting pauses: no answer."
    with database.writing() as connection:
        text = "The provider answers; submitting goes on with one job."
        decisions.note(connection, Kind.RESUME, text, at=time.time(), worker_id=2)
    assert run(["status", "--json", "night"]) == Exit.DONE
    assert lines(capsys)[0]["pause"] is None


# --- show -----------------------------------------------------------------------------------------


def test_decisions_stand_in_the_timeline_where_they_fell() -> None:
    first = AttemptRow(1, None, 100.0, None, None, None, 130.0, "uncertain", "no answer", None)
    second = AttemptRow(2, "r", 200.0, 210.0, None, None, None, None, None, None)
    events = [
        EventRow(150.0, "resolved", "resubmit, by hand", 1, 1),
        EventRow(210.0, "resolved", "adopt r, by hand", 1, 1),
    ]
    told = show.history([first, second], events)
    marks = ["attempt 1: uncertain", "intent", "ended", "resubmit, by hand", "no answer"]
    marks += ["attempt 2: under way, request r", "intent", "accepted"]
    places, start = [], 0
    for mark in marks:
        place = next(n for n in range(start, len(told)) if mark in told[n])
        places.append(place)
        start = place + 1
    adopted = next(n for n, text in enumerate(told) if "adopt r" in text)
    assert places[-2] < adopted
    assert len(told) == len(marks) + 1


def test_decisions_before_any_attempt_are_shown_too() -> None:
    told = show.history([], [EventRow(150.0, "canary", "chosen", 1, 1)])
    assert "canary: chosen" in told[0]
    assert told[-1] == "no attempt yet"


@pytest.mark.usefixtures("unsure")
def test_show_tells_who_decided(capsys: Capture) -> None:
    run(["resolve", "1", "--resubmit"])
    capsys.readouterr()
    assert run(["show", "1"]) == Exit.DONE
    assert "resolved: resubmit, by hand" in capsys.readouterr().out
