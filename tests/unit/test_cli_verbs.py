"""The verbs that read and change the database, on a real one."""

import io
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from overnight.cli import options, rehearsal
from overnight.cli.exits import Exit
from overnight.cli.main import run
from overnight.cli.output import Output
from overnight.lifecycle import Event, State
from overnight.store import leases, queue
from overnight.store.database import Database
from overnight.store.errors import LeaseLost
from overnight.store.history import Heard
from tests.unit.cli_night import Capture, Night, Spec, fill, lines, states


@pytest.fixture(autouse=True)
def here(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands find the database of the test by themselves, and no terminal."""
    monkeypatch.setenv(options.DB_VARIABLE, str(database.path))
    monkeypatch.chdir(database.path.parent)
    monkeypatch.setattr(rehearsal, "can_ask", lambda: False)
    yield


@pytest.fixture
def night(database: Database) -> Iterator[Night]:
    """Four jobs: one succeeded, one failed for good, one queued at the provider, one pending."""
    fill(database)
    worker = Night(database)
    first, second, third = worker.claim(1, 3)
    worker.succeed(first, "req-1")
    worker.move(second, Event.REJECTED, error="bad inputs")
    worker.move(third, Event.ACCEPTED, request_id="req-3")
    worker.end()
    yield worker


# --- status ---------------------------------------------------------------------------------------


def test_status_json_is_one_object_a_batch(
    database: Database, night: Night, capsys: Capture
) -> None:
    fill(database, "other", 2)
    assert run(["status", "--json"]) == Exit.DONE
    first, second = lines(capsys)
    assert (first["batch"], first["total"]) == ("night", 4)
    assert set(first["states"]) == {state.value for state in State}
    assert first["states"]["succeeded"] == 1
    assert first["states"]["failed"] == first["states"]["queued"] == first["states"]["pending"] == 1
    assert (second["batch"], second["total"], second["states"]["pending"]) == ("other", 2, 2)
    assert first["created_at"] == "1970-01-01T00:16:40.000+00:00"


def test_status_of_named_batches_alone(database: Database, capsys: Capture) -> None:
    fill(database)
    fill(database, "other", 2)
    assert run(["status", "other", "--json"]) == Exit.DONE
    assert [one["batch"] for one in lines(capsys)] == ["other"]


@pytest.mark.usefixtures("night")
def test_status_for_people_says_what_to_type_next(capsys: Capture) -> None:
    assert run(["status"]) == Exit.DONE
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        *("batch", "total", "pending", "queued", "running", "succeeded", "failed"),
    ]
    assert out.splitlines()[1].split() == ["night", "4", "1", "1", "0", "1", "1"]
    assert "overnight work" in out
    assert "overnight retry" in out
    assert "\x1b" not in out


def test_a_suggested_command_names_the_database_that_was_named(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database)
    monkeypatch.delenv(options.DB_VARIABLE)
    monkeypatch.chdir("/")
    assert run(["status", "--db", str(database.path)]) == Exit.DONE
    assert f"overnight work --db {database.path}" in capsys.readouterr().out


def test_status_of_an_empty_database_says_how_to_begin(capsys: Capture) -> None:
    assert run(["status"]) == Exit.DONE
    assert "overnight load FILE" in capsys.readouterr().out


# --- jobs, show -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_jobs_json_has_the_promised_fields(capsys: Capture) -> None:
    assert run(["jobs", "--json"]) == Exit.DONE
    first, second, third, fourth = lines(capsys)
    assert first["id"] == 1
    assert (first["batch"], first["key"], first["state"]) == ("night", "seed0", "succeeded")
    assert first["fingerprint"] == Spec(0).fingerprint
    assert (first["attempts"], first["request_id"], first["model"]) == (1, "req-1", "a/model")
    assert first["inputs"] == Spec(0).inputs
    assert first["urls"] == ["https://cdn/x.mp4"]
    assert first["files"] == ["/out/night/x.mp4"]
    assert first["error"] is None
    assert second["error"] == "bad inputs"
    assert (third["request_id"], third["files"], third["urls"]) == ("req-3", [], [])
    assert (fourth["attempts"], fourth["request_id"]) == (0, None)


@pytest.mark.usefixtures("night")
def test_json_carries_characters_as_they_are(capsys: Capture) -> None:
    run(["jobs", "--json", "--limit", "1"])
    out = capsys.readouterr().out
    assert "Käfig 日本 🌙" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--state", "failed"], [2]),
        (["--state", "failed", "--state", "pending"], [2, 4, 5]),
        (["--batch", "other"], [5]),
        (["--batch", "other", "--state", "failed"], []),
        (["--limit", "2"], [1, 2]),
    ],
)
@pytest.mark.usefixtures("night")
def test_jobs_are_filtered(
    arguments: list[str], ids: list[int], database: Database, capsys: Capture
) -> None:
    fill(database, "other", 1)
    assert run(["jobs", "--json", *arguments]) == Exit.DONE
    assert [one["id"] for one in lines(capsys)] == ids


def test_people_get_a_page_of_jobs_and_hear_of_the_rest(
    database: Database, capsys: Capture
) -> None:
    fill(database, jobs=60)
    assert run(["jobs"]) == Exit.DONE
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 51
    assert "50 of 60 jobs; --after 50 goes on" in captured.err
    assert run(["jobs", "--after", "50"]) == Exit.DONE
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()[1:]] == [
        str(n) for n in range(51, 61)
    ]
    assert "10 of 60 jobs; --limit" in captured.err
    assert run(["jobs", "--json", "--after", "57", "--limit", "2"]) == Exit.DONE
    assert [one["id"] for one in lines(capsys)] == [58, 59]


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("reference", ["1", "seed0", "req-1", Spec(0).fingerprint[:10]])
def test_show_finds_a_job_by_any_of_its_names(reference: str, capsys: Capture) -> None:
    assert run(["show", reference, "--json"]) == Exit.DONE
    [job] = lines(capsys)
    assert job["id"] == 1
    [attempt] = job["history"]
    assert (attempt["outcome"], attempt["cost"]) == ("collected", 0.05)
    assert attempt["intent_at"] == "1970-01-01T00:33:20.000+00:00"
    [file] = job["artifacts"]
    assert (file["path"], file["bytes"], file["content_type"]) == (
        *("/out/night/x.mp4", 1234, "video/mp4"),
    )


@pytest.mark.usefixtures("night")
def test_show_draws_a_timeline_and_keeps_the_terminal_safe(capsys: Capture) -> None:
    assert run(["show", "1"]) == Exit.DONE
    out = capsys.readouterr().out
    steps = ["intent to submit saved", "accepted by the provider  +1.0 s", "seen running", "ended"]
    places = [out.index(step) for step in steps]
    assert places == sorted(places)
    assert "600_prompt: Käfig 日本 🌙 [31mred" in out
    assert "\x1b" not in out
    assert "(1.23 kB, sha256 abababababab…)" in out


def test_show_tells_what_the_calls_answered(database: Database, capsys: Capture) -> None:
    fill(database)
    worker = Night(database)
    first, second, third, fourth = worker.claim(1, 4)
    worker.move(first, Event.UNCERTAIN, error="no answer", heard=Heard("submit", None, 31.2))
    worker.move(second, Event.NOT_SENT, heard=Heard("submit", None, 10.0))
    worker.move(third, Event.REJECTED, heard=Heard("submit", 422, 0.1, "422001"))
    fourth = worker.move(fourth, Event.ACCEPTED, request_id="r", heard=Heard("submit", 200, 0.4))
    polled = Heard("status", 504, 30.0, None, calls=12, unanswered=2)
    worker.move(fourth, Event.TIMED_OUT, error="too long", heard=polled)
    worker.end()
    told = {}
    for number in range(1, 5):
        assert run(["show", str(number)]) == Exit.DONE
        told[number] = capsys.readouterr().out
    assert "no answer to the POST after 31 s; it may have been sent" in told[1]
    assert "POST given up after 10 s; it was not sent" in told[2]
    assert "POST answered HTTP 422 after 0.1 s" in told[3]
    assert "the provider's code: 422001" in told[3]
    steps = ["intent", "POST answered HTTP 200 after 0.4 s", "accepted", "ended: timed_out"]
    places = [told[4].index(step) for step in steps]
    assert places == sorted(places)
    assert "12 free calls, 2 in vain; last status: HTTP 504" in told[4]
    assert run(["show", "4", "--json"]) == Exit.DONE
    [job] = lines(capsys)
    [attempt] = job["history"]
    assert (attempt["submit_status"], attempt["submit_seconds"]) == (200, 0.4)
    assert attempt["answered_at"] == "1970-01-01T00:33:21.000+00:00"
    assert (attempt["last_call"], attempt["last_status"]) == ("status", 504)
    assert (attempt["calls"], attempt["unanswered"], attempt["error_code"]) == (12, 2, None)


def test_jobs_are_listed_by_tag(database: Database, capsys: Capture) -> None:
    fill(database)
    with database.writing() as connection:
        connection.exec_driver_sql(
            'UPDATE jobs SET tags = \'["draft", "b"]\', price = 0.06 WHERE id > 2'
        )
    assert run(["jobs", "--tag", "draft", "--json"]) == Exit.DONE
    found = lines(capsys)
    assert [job["id"] for job in found] == [3, 4]
    assert (found[0]["tags"], found[0]["repeat"], found[0]["price"]) == (["draft", "b"], 1, 0.06)
    assert run(["jobs", "--tag", "draft", "--tag", "c", "--limit", "1"]) == Exit.DONE
    assert "1 of 2 jobs" in capsys.readouterr().err
    assert run(["show", "3"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "tags         draft, b" in out
    assert "price        $0.06 expected" in out


def test_a_narrow_terminal_cuts_long_texts_and_never_ids_or_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", drawn)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [["1234", "k" * 80, "succeeded", "/" + "f" * 80]]
    Output().table(["id", "key", "state", "files"], rows)
    head, row = drawn.getvalue().splitlines()
    assert "1234" in row
    assert "succeeded" in row
    assert len(row) <= 60
    assert "\x1b[3" not in head + row


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_cancel_by_name_cancels_at_once_or_leaves_a_mark(
    database: Database, capsys: Capture
) -> None:
    assert run(["cancel", "4", "seed2"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "1 job before being submitted" in out
    assert "1 job at the provider" in out
    assert "No worker is running" in out
    assert states(database) == {"succeeded": 1, "failed": 1, "queued": 1, "cancelled": 1}
    assert run(["show", "3", "--json"]) == Exit.DONE
    assert lines(capsys)[0]["cancel_requested"] is True


@pytest.mark.usefixtures("night")
def test_cancel_dry_run_says_the_same_and_changes_nothing(
    database: Database, capsys: Capture
) -> None:
    before = states(database)
    assert run(["cancel", "--all", "--dry-run"]) == Exit.DONE
    assert "Would cancel: 1 job before being submitted" in capsys.readouterr().out
    assert states(database) == before


@pytest.mark.usefixtures("night")
def test_a_broad_cancel_needs_yes_where_nobody_can_be_asked(
    database: Database, capsys: Capture
) -> None:
    before = states(database)
    assert run(["cancel", "--state", "pending"]) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
    assert states(database) == before
    assert run(["cancel", "--state", "pending", "--yes"]) == Exit.DONE
    assert states(database)["cancelled"] == 1


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize(("answer", "cancelled"), [(True, 1), (False, 0)])
def test_on_a_terminal_a_broad_cancel_asks(
    answer: bool, cancelled: int, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "can_ask", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: answer)
    run(["cancel", "--batch", "night"])
    assert states(database).get("cancelled", 0) == cancelled


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["1", "--state", "failed"], ["--all", "--batch", "night"]]
)
@pytest.mark.usefixtures("night")
def test_a_choice_that_makes_no_sense_is_a_usage_error(
    arguments: list[str], capsys: Capture
) -> None:
    assert run(["cancel", *arguments]) == Exit.USAGE
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("night")
def test_cancelling_what_is_over_does_nothing(capsys: Capture) -> None:
    assert run(["cancel", "1"]) == Exit.DONE
    assert "Nothing to cancel" in capsys.readouterr().out


# --- retry ----------------------------------------------------------------------------------------


def failed_in_three_ways(database: Database) -> None:
    fill(database)
    worker = Night(database)
    bought, late, fetched, _ = worker.claim(1, 4)
    worker.move(bought, Event.REJECTED, error="no")
    late = worker.move(late, Event.ACCEPTED, request_id="late")
    worker.move(late, Event.TIMED_OUT, error="too long")
    fetched = worker.move(fetched, Event.ACCEPTED, request_id="paid")
    fetched = worker.move(fetched, Event.FINISHED)
    urls = ["https://cdn/y.mp4"]
    fetched = worker.write(partial(queue.delivered, job=fetched, urls=urls, cost=None, at=2_002.0))
    worker.move(fetched, Event.UNCOLLECTABLE, error="no room")
    worker.end()


def test_retry_says_what_is_free_and_what_is_paid(database: Database, capsys: Capture) -> None:
    failed_in_three_ways(database)
    assert run(["retry", "--dry-run"]) == Exit.DONE
    said = capsys.readouterr().out
    for part in ("1 job fetched again, free", "1 job looked for again", "1 job submitted and paid"):
        assert part in said
    assert states(database)["failed"] == 3
    assert run(["retry"]) == Exit.DONE
    assert "overnight work" in capsys.readouterr().out
    assert states(database) == {"pending": 1, "queued": 1, "collecting": 1, "submitting": 1}


def test_retry_beside_a_living_worker_needs_yes(database: Database, capsys: Capture) -> None:
    fill(database)
    worker = Night(database)
    [job, *_] = worker.claim(1, 1)
    worker.move(job, Event.REJECTED, error="no")
    with database.writing() as connection:
        leases.beat(connection, worker.fence, time.time())
    assert run(["retry"]) == Exit.USAGE
    assert "--yes" in capsys.readouterr().err
    assert states(database)["failed"] == 1
    assert run(["retry", "--yes"]) == Exit.DONE
    assert "failed" not in states(database)


def test_a_rehearsal_that_fails_is_told_as_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fill(database)

    def overtaken(*_: object, **__: object) -> None:
        raise LeaseLost("somebody else")

    monkeypatch.setattr(queue, "retry", overtaken)
    assert run(["retry", "--all"]) == Exit.ERROR
    assert capsys.readouterr().err == "somebody else\n"


# --- db -------------------------------------------------------------------------------------------


def test_db_current_and_upgrade(database: Database, capsys: Capture) -> None:
    assert run(["db", "current", "--json"]) == Exit.DONE
    [said] = lines(capsys)
    assert said["schema"] == said["newest"]
    assert said["database"] == str(database.path)
    assert run(["db", "upgrade"]) == Exit.DONE
    assert "newest schema already" in capsys.readouterr().out


def test_db_upgrade_fills_an_empty_file(tmp_path: Path, capsys: Capture) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    assert run(["db", "upgrade", "--db", str(empty)]) == Exit.DONE
    assert "schema none upgraded to" in capsys.readouterr().out
    assert run(["status", "--db", str(empty)]) == Exit.DONE
