"""What is seen of a run: figures, the live block, lines, notices, the summary at its end."""

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from overnight.cli import advice, progress, show, summary
from overnight.cli.exits import Exit
from overnight.cli.figures import WINDOW, Pace
from overnight.cli.output import Output
from overnight.cli.session import Outcome
from overnight.engine.report import Ending, JobNotice, Notice, Report, Snapshot
from overnight.lifecycle import Event, State
from overnight.store.failures import Failure
from overnight.store.rows import ArtifactRow, Batch

Capture = pytest.CaptureFixture[str]


def snapshot(
    states: Mapping[State, int], settled: int = 0, paused: str | None = None, limit: int = 4
) -> Snapshot:
    return Snapshot(
        states=states,
        limit=limit,
        ceiling=4,
        in_budget=0,
        bytes=5_000_000,
        settled=settled,
        elapsed=1.0,
        paused=paused,
    )


def notice(state: State, number: int = 1, error: str | None = "no") -> Notice:
    event = Event.COLLECTED if state is State.SUCCEEDED else Event.REJECTED
    job = JobNotice(number, 1, f"seed{number}", state, event, error)
    return Notice(f"seed{number}: {state}: {error}", "warning", job)


# --- figures --------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(list(State)), st.integers(0, 10**6)))
def test_every_job_is_in_exactly_one_figure(states: dict[State, int]) -> None:
    figures = Pace().figures(snapshot(states), 0.0)
    counted = figures.done + figures.running + figures.collecting + figures.queued
    counted += figures.pending + figures.failed + figures.unknown + figures.cancelled
    assert counted == figures.total == sum(states.values())
    assert 0.0 <= figures.share <= 1.0


def test_there_is_no_pace_before_something_came_to_rest() -> None:
    pace = Pace()
    for now in (0.0, 10.0):
        figures = pace.figures(snapshot({State.PENDING: 5}), now)
        assert (figures.per_minute, figures.left) == (None, None)


def test_the_pace_gives_the_time_left() -> None:
    pace = Pace()
    pace.figures(snapshot({State.PENDING: 40}, settled=0), 100.0)
    figures = pace.figures(snapshot({State.PENDING: 30, State.SUCCEEDED: 10}, settled=10), 160.0)
    assert figures.per_minute == pytest.approx(10.0)
    assert figures.left == pytest.approx(180.0)
    assert figures.pace() == "10 per minute, about 3 min left, 5 MB downloaded"


def test_the_pace_is_that_of_the_last_minutes() -> None:
    pace = Pace()
    settled = 0
    for second in range(int(WINDOW) * 3):
        settled += 10 if second < WINDOW else 1
        figures = pace.figures(snapshot({State.PENDING: 1}, settled), float(second))
    assert figures.per_minute == pytest.approx(60.0)


def test_a_budget_that_was_cut_is_shown_beside_what_was_allowed() -> None:
    assert Pace().figures(snapshot({}), 0.0).room() == "at most 4 at once"
    cut = Pace().figures(snapshot({}, limit=2), 0.0)
    assert cut.room() == "at most 2 at once for now (4 allowed)"


# --- the live block -------------------------------------------------------------------------------


def test_the_live_block_shows_every_figure() -> None:
    states = {
        State.SUCCEEDED: 6,
        State.RUNNING: 2,
        State.QUEUED: 1,
        State.PENDING: 8,
        State.FAILED: 3,
        State.UNKNOWN: 1,
        State.COLLECTING: 1,
    }
    console = Console(file=io.StringIO(), width=120)
    paused = "no answer from the provider"
    console.print(progress.block("night", Pace().figures(snapshot(states, paused=paused), 0.0)))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for part in ("night  45%", "at most 4 at once", "6 of 22 done", "2 running", "1 collecting"):
        assert part in shown
    for part in ("1 queued", "8 pending", "3 failed", "1 unknown", "5 MB", paused):
        assert part in shown


async def test_a_terminal_gets_a_block_and_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", drawn)
    monkeypatch.setenv("TERM", "xterm-256color")
    watch = progress.Watch("night", Output(), {1: "night"})
    seen = asyncio.Event()

    def look() -> Snapshot:
        seen.set()
        return snapshot({State.SUCCEEDED: 1, State.PENDING: 1})

    async with watch.following(look):
        await seen.wait()
        watch.say("something \x1b[2J happened")
    shown = drawn.getvalue()
    assert "something [2J happened" in shown
    assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h"), "the cursor stays hidden"


# --- lines, notices -------------------------------------------------------------------------------


async def test_elsewhere_there_is_a_line_and_no_escape(capsys: Capture) -> None:
    lines = progress.Lines(Output())
    lines.show(Pace().figures(snapshot({State.SUCCEEDED: 3, State.PENDING: 9}), 0.0))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 of 12 done, 0 running" in captured.err
    assert captured.err.count("\n") == 1
    assert "\x1b" not in captured.err
    assert lines.interval == 60.0


def test_many_failures_are_named_only_at_first(capsys: Capture) -> None:
    watch = progress.Watch("night", Output(), {1: "night"})
    for number in range(500):
        watch.notice(notice(State.FAILED, number))
    err = capsys.readouterr().err
    assert err.count("failed: no") == progress.TROUBLES_SHOWN
    assert "only counted" in err


def test_json_has_one_object_for_each_job_that_came_to_rest(capsys: Capture) -> None:
    watch = progress.Watch("night", Output(as_json=True), {1: "night"})
    watch.notice(notice(State.SUCCEEDED, 7, error=None))
    watch.notice(notice(State.PENDING, 8))
    watch.notice(Notice("an outage", "warning"))
    job, told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert job == {
        "event": "job",
        "id": 7,
        "batch": "night",
        "key": "seed7",
        "state": "succeeded",
        "outcome": "collected",
        "error": None,
    }
    assert told == {"event": "notice", "level": "warning", "text": "an outage"}


def test_a_reader_that_left_stops_the_run_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Output(as_json=True)
    watch = progress.Watch("night", output, {1: "night"})
    lost: list[bool] = []
    watch.lost = lambda: lost.append(True)

    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(output, "record", broken)
    watch.notice(notice(State.SUCCEEDED))
    assert lost


def test_a_terminal_that_is_gone_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output()
    watch = progress.Watch("night", output, {1: "night"})
    tried: list[str] = []

    def gone(text: str) -> None:
        tried.append(text)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(output, "note", gone)
    watch.say("one")
    watch.say("two")
    assert len(tried) == 1


# --- the end --------------------------------------------------------------------------------------


def batch(**states: int) -> Batch:
    counts = {state: states.get(state.value, 0) for state in State}
    return Batch(1, "my night", "/m.yaml", {}, "/out", 0.0, counts)


def ended(
    ending: Ending, reason: str | None = None, left_remote: int = 0, broken: tuple[str, ...] = ()
) -> Outcome:
    return Outcome(Report(ending, reason, left_remote, broken), snapshot({}))


def job(number: int, error: str | None) -> Failure:
    url = f"https://cdn/{number}.mp4"
    return Failure(number, f"key{number}", f"req-{number}", error, [url])


def end_of(
    scope: Batch, outcome: Outcome | None, reasons: Sequence[summary.Reason] = ()
) -> summary.End:
    return summary.End([scope], outcome, reasons, "overnight run m.yaml", " --db x.db")


@pytest.mark.parametrize(
    ("scope", "outcome", "code"),
    [
        (batch(succeeded=2), ended(Ending.DONE), Exit.DONE),
        (batch(succeeded=2), None, Exit.DONE),
        (batch(succeeded=1, cancelled=1), ended(Ending.DONE), Exit.DONE),
        (batch(succeeded=1, failed=1), ended(Ending.DONE), Exit.JOBS_FAILED),
        (batch(succeeded=1, unknown=1), None, Exit.JOBS_FAILED),
        (batch(failed=1), ended(Ending.INTERRUPTED), Exit.INTERRUPTED),
        (batch(failed=1, pending=1), ended(Ending.REFUSED), Exit.REFUSED),
        (batch(queued=1), ended(Ending.DONE, broken=("key1: ValueError",)), Exit.ERROR),
    ],
)
def test_the_code_says_how_it_ended(scope: Batch, outcome: Outcome | None, code: Exit) -> None:
    assert end_of(scope, outcome).exit == code


HALTED = replace(batch(failed=2, pending=7), halted="2 of 2 jobs failed")


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [(None, "halted"), (ended(Ending.HALTED, "2 of 2 jobs failed"), "halted")],
)
def test_a_halted_batch_is_code_3_with_its_reason_and_the_command(
    outcome: Outcome | None, ending: str, capsys: Capture
) -> None:
    assert summary.tell(end_of(HALTED, outcome), Output(as_json=True)) == Exit.JOBS_FAILED
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["ending"], said["reason"], said["exit"]) == (ending, "2 of 2 jobs failed", 3)
    assert "my night is halted: 2 of 2 jobs failed. 7 jobs not submitted." in captured.err
    assert captured.err.endswith("overnight run m.yaml --continue\n")
    assert "nothing left to do" not in captured.err


def test_a_halted_batch_whose_jobs_have_all_settled_is_just_done() -> None:
    settled = replace(batch(succeeded=3), halted="1 of 1 jobs failed")
    assert end_of(settled, None).exit == Exit.DONE
    assert summary.sentences(end_of(settled, None))[-1] == "There is nothing left to do."


def test_what_may_be_charged_twice_is_told_at_the_end() -> None:
    assert advice.duplicates(batch(succeeded=1)) is None
    twice = replace(batch(succeeded=1), possible_duplicates=2)
    [told] = [text for text in summary.sentences(end_of(twice, None)) if "charged twice" in text]
    assert told.startswith("my night: 2 submits repeated after an uncertain one")


def test_equal_failures_are_one_line() -> None:
    jobs = [job(n, f"key{n}: https://cdn/{n}.mp4 of req-{n} is no video") for n in range(500)]
    jobs += [job(900, "another"), job(901, None)]
    first, *rest = summary.reasons_of(jobs)
    assert (first.jobs, first.example) == (500, 0)
    assert [one.jobs for one in rest] == [1, 1]
    lines = summary.sentences(end_of(batch(failed=502), ended(Ending.DONE), [first, *rest]))
    assert sum("×" in text for text in lines) == 3
    assert "  500 × key0: https://cdn/0.mp4 of req-0 is no video (overnight show 0 --db x.db)" in (
        lines
    )
    assert "Give them another run with: overnight retry --batch 'my night' --db x.db" in lines


def test_reasons_that_show_alike_are_one() -> None:
    errors = ["no  room", "no room", "no\troom\x1b", "no room for req-4"]
    jobs = [Failure(n, f"k{n}", f"req-{n}", error) for n, error in enumerate(errors, 1)]
    found = [(reason.words, reason.example, reason.jobs) for reason in summary.reasons_of(jobs)]
    assert found == [("no room", 1, 3), ("no room for req-4", 4, 1)]


def test_an_interrupted_run_says_how_to_go_on() -> None:
    outcome = ended(Ending.INTERRUPTED, left_remote=3)
    [*_, last] = summary.sentences(end_of(batch(running=3, pending=1), outcome))
    assert last == "Stopped. 3 jobs left with the provider. Go on with: overnight run m.yaml"


def test_a_refused_run_says_why_and_what_was_not_bought() -> None:
    outcome = ended(Ending.REFUSED, reason="no balance")
    [*_, last] = summary.sentences(end_of(batch(pending=9), outcome))
    assert "turned the account away: no balance. 9 jobs not submitted." in last


def test_unknown_jobs_are_pointed_out() -> None:
    lines = summary.sentences(end_of(batch(unknown=2), ended(Ending.DONE)))
    assert any("overnight jobs --state unknown --db x.db" in text for text in lines)
    assert any("overnight resolve --batch 'my night' --db x.db" in text for text in lines)


def test_the_end_of_a_run_is_one_last_object(capsys: Capture) -> None:
    outcome = ended(Ending.REFUSED, reason="no balance", left_remote=2)
    code = summary.tell(end_of(batch(pending=9), outcome), Output(as_json=True))
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert code == said["exit"] == Exit.REFUSED
    assert (said["event"], said["ending"], said["reason"]) == ("end", "refused", "no balance")
    assert said["batches"][0]["states"]["pending"] == 9
    assert (said["left_remote"], said["bytes"], said["seconds"]) == (2, 5_000_000, 1.0)
    assert "turned the account away" in captured.err


def test_a_file_is_listed_once_however_often_it_was_delivered() -> None:
    def artifact(attempt: int, position: int, path: str | None) -> ArtifactRow:
        url = f"https://cdn/{attempt}-{position}"
        return ArtifactRow(attempt, position, url, path, 10, "ab" * 32, None)

    rows = [artifact(attempt, 0, "/out/a.mp4") for attempt in (1, 2, 4)]
    rows += [artifact(4, 1, "/out/b.mp4"), artifact(4, 2, "/out/b.mp4"), artifact(4, 3, "/out/c")]
    rows += [artifact(5, 0, None), artifact(5, 1, None)]
    texts = show.files(rows)
    assert [text.split()[0] for text in texts[:3]] == ["/out/a.mp4", "/out/b.mp4", "/out/c"]
    assert texts[0].endswith("; the same from attempts 1, 2 and 4")
    assert texts[1].endswith("; delivered 2 times")
    assert texts[2].endswith(")")
    assert [text.strip() for text in texts[3:]] == [
        f"not here yet, from https://cdn/5-{n}" for n in (0, 1)
    ]
