"""The run block: what it takes, what it refuses and where, and that the engine understands it."""

import json
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.engine.halt import Halt
from overnight.engine.rate import Rate
from overnight.engine.run import Limits, Run, ceilings
from overnight.lifecycle import Event, State
from overnight.manifest import (
    HaltSettings,
    Manifest,
    ManifestError,
    Problem,
    TimeoutSettings,
    amounts,
    read_manifest,
)
from overnight.manifest.schema import ManifestShape
from overnight.store import control, leases, loading, queue, standing, views
from overnight.store.database import Database
from overnight.store.job import Job
from overnight.store.queue import Facts
from overnight.store.rows import Batch

ROOT = Path(__file__).parents[2]
HEAD = """\
version: 1
model: community/wan-2-1/fusionx/image-to-video
inputs: {image: RunComfy_examples_1235_1.png, prompt: a boat, steps: 8}
matrix: {seed: [1, 2, 3, 4, 5]}
"""
EVERYTHING = (
    "{concurrency: 6, attempts: 2, rate: 30/min, on_unknown: resubmit, canary: 2, "
    "timeout: {queue: 90s, run: 1.5h, collect: 1d}, halt: {failures: 10%, after: 30}}"
)
AS_JSON = {
    "concurrency": 6,
    "attempts": 2,
    "rate": "30/min",
    "on_unknown": "resubmit",
    "timeout": {"queue": 90.0, "run": 5400.0, "collect": 86400.0},
    "canary": 2,
    "halt": {"failures": "10%", "after": 30},
}
PLAIN = {"concurrency": 4, "attempts": 3}


def read(folder: Path, run: str) -> Manifest:
    file = folder / "jobs.yaml"
    file.write_text(f"{HEAD}run: {run}\n", "utf-8")
    return read_manifest(file)


def mistakes(folder: Path, run: str) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        read(folder, run)
    return caught.value.problems


# --- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "kept"),
    [
        ("{}", {}),
        ("{on_unknown: hold}", {}),
        ("{timeout: {}}", {}),
        ("{rate: 030 / hour}", {"rate": "30/h"}),
        ("{rate: 2/sec}", {"rate": "2/s"}),
        ("{rate: '5/d '}", {"rate": "5/d"}),
        ("{timeout: {run: 30 m}}", {"timeout": {"run": 1800.0}}),
        ("{timeout: {collect: 0.5h}}", {"timeout": {"collect": 1800.0}}),
        ("{canary: 1}", {"canary": 1}),
        ("{halt: {failures: 20}}", {"halt": {"failures": 20, "after": 20}}),
        ("{halt: {failures: 2.50 %, after: 1}}", {"halt": {"failures": "2.5%", "after": 1}}),
        ("{halt: {failures: 100%}}", {"halt": {"failures": "100%", "after": 20}}),
        (EVERYTHING, AS_JSON),
    ],
)
def test_what_is_kept_of_a_run_block(tmp_path: Path, run: str, kept: dict[str, Any]) -> None:
    as_json = read(tmp_path, run).run.as_json()
    assert as_json == {**PLAIN, **kept}
    assert json.loads(json.dumps(as_json)) == as_json


def test_settings_are_values_and_not_texts(tmp_path: Path) -> None:
    run = read(tmp_path, EVERYTHING).run
    assert run.timeout == TimeoutSettings(queue=90.0, run=5400.0, collect=86400.0)
    assert run.halt == HaltSettings(failures="10%", after=30)
    assert (run.rate, run.on_unknown, run.canary) == ("30/min", "resubmit", 2)


def test_the_run_block_is_no_part_of_a_jobs_identity(tmp_path: Path) -> None:
    def identities(run: str) -> list[tuple[str, str]]:
        return [(spec.fingerprint, spec.key) for spec in read(tmp_path, run).specs()]

    assert len(identities("{}")) == 5
    assert identities(EVERYTHING) == identities("{concurrency: 1}") == identities("{}")


# --- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "column", "message", "hint"),
    [
        ("{rate: 30}", 13, "rate is 30, but it must be so many submits in a time", "30/min"),
        ("{rate: '30'}", 13, 'rate is "30"', "write the time too: 30/s, 30/min, 30/h or 30/d"),
        ("{rate: 30/m}", 13, 'rate is "30/m"', "did you mean 30/min?"),
        ("{rate: 30 per hour}", 13, 'rate is "30 per hour"', "did you mean 30/h?"),
        ("{rate: 30/Minute}", 13, 'rate is "30/Minute"', "did you mean 30/min?"),
        ("{rate: 30/ms}", 13, 'rate is "30/ms"', "one of s, min, h, d"),
        ("{rate: 1.5/s}", 13, 'rate is "1.5/s"', "write a whole number"),
        ("{rate: 0/min}", 13, "at least 1 submit", "a longer time: 10/h"),
        ("{rate: [30/min]}", 13, 'rate is ["30/min"]', "write a whole number"),
        ("{rate: }", 12, "rate is empty", "leave the key out"),
        ("{on_unknown: resbmit}", 19, 'must be "hold" or "resubmit"', "did you mean resubmit?"),
        ("{on_unknown: retry}", 19, 'on_unknown is "retry"', "may be charged twice"),
        ("{on_unknown: [hold]}", 19, 'on_unknown is ["hold"]', "hold leaves such a job to you"),
        ("{on_unknown: }", 18, "on_unknown is empty", "hold leaves such a job to you"),
        ("{timeout: 2h}", 16, "timeout must be a mapping", "timeout: {run: 2h}"),
        ("{timeout: }", 15, "timeout is empty", "leave the key out"),
        ("{timeout: {rnu: 5s}}", 17, 'no key "rnu"', 'did you mean "run"?'),
        ("{timeout: {zzz: 5s}}", 17, 'no key "zzz"', "known keys: queue, run, collect"),
        ("{timeout: {run: 90}}", 22, "timeout.run is 90", "write a unit: 90s, 90m, 90h or 90d"),
        ("{timeout: {run: '90'}}", 22, 'timeout.run is "90"', "write a unit: 90s, 90m"),
        ("{timeout: {run: 1.5}}", 22, "timeout.run is 1.5", "write a unit: 1.5s, 1.5m"),
        ("{timeout: {run: .inf}}", 22, "timeout.run is .inf", "one number and one unit"),
        ("{timeout: {run: 2 hours}}", 22, 'timeout.run is "2 hours"', "did you mean 2h?"),
        ("{timeout: {run: 45MIN}}", 22, 'timeout.run is "45MIN"', "did you mean 45m?"),
        ("{timeout: {run: 500ms}}", 22, 'timeout.run is "500ms"', "one number and one unit"),
        ("{timeout: {run: 1h30m}}", 22, 'timeout.run is "1h30m"', "90s, 30m, 1.5h or 1d"),
        ("{timeout: {run: -5s}}", 22, 'timeout.run is "-5s"', "one number and one unit"),
        ("{timeout: {run: true}}", 22, "timeout.run is true", "one number and one unit"),
        ("{timeout: {run: 0.5s}}", 22, "must be from 1s to 365d", "for the usual limit"),
        ("{timeout: {run: 366d}}", 22, "must be from 1s to 365d", "for the usual limit"),
        ("{timeout: {run: }}", 21, "timeout.run is empty", "leave the key out"),
        ("{canary: 0}", 15, "canary is 0, but it must be at least 1", "leave the key out"),
        ("{canary: -1}", 15, "canary is -1, but it must be at least 1", None),
        ("{canary: 1000001}", 15, "must be at most 1000000", None),
        ("{canary: true}", 15, "canary must be a whole number", None),
        ("{canary: 10%}", 15, "canary must be a whole number", None),
        ("{canary: }", 14, "canary is empty, but it must be a whole number", "leave the key out"),
        ("{halt: 10%}", 13, "halt must be a mapping", "halt: {failures: 10%}"),
        ("{halt: }", 12, "halt is empty", "leave the key out"),
        ("{halt: {}}", 7, '"failures" is missing', "failures: 20 or failures: 10%"),
        ("{halt: {after: 5}}", 7, '"failures" is missing', "failures: 20 or failures: 10%"),
        ("{halt: {failure: 3}}", 14, 'no key "failure"', 'did you mean "failures"?'),
        ("{halt: {failures: 3, zz: 1}}", 27, 'no key "zz"', "known keys: failures, after"),
        ("{halt: {failures: 0%}}", 24, 'halt.failures is "0%", but it must be more', "write 1"),
        ("{halt: {failures: 0}}", 24, "halt.failures is 0, but it must be more", "write 1"),
        ("{halt: {failures: 101%}}", 24, "must be at most 100%", "leave halt out"),
        ("{halt: {failures: 2000000}}", 24, "must be at most 1000000", "leave halt out"),
        ("{halt: {failures: 0.1}}", 24, "halt.failures is 0.1", "with its sign: 10%"),
        ("{halt: {failures: '20'}}", 24, 'halt.failures is "20"', "20 without quotes, or 20%"),
        ("{halt: {failures: many}}", 24, "a number of jobs or a share", "or a percentage"),
        ("{halt: {failures: true}}", 24, "halt.failures is true", "or a percentage"),
        ("{halt: {failures: }}", 23, "halt.failures is empty", "leave the key out"),
        ("{halt: {failures: 3, after: 0}}", 34, "halt.after is 0, but it must be at least 1", None),
        ("{halt: {failures: 3, after: 10%}}", 34, "halt.after must be a whole number", None),
        ("{cannary: 1}", 7, 'no key "cannary"', 'did you mean "canary"?'),
    ],
)
def test_one_mistake_one_place(
    tmp_path: Path, run: str, column: int, message: str, hint: str | None
) -> None:
    [problem] = mistakes(tmp_path, run)
    assert (problem.line, problem.column) == (5, column)
    assert message in problem.message
    assert (problem.hint is None) if hint is None else hint in (problem.hint or "")


def test_everything_wrong_is_told_at_once_with_the_rest_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    head = HEAD.replace("steps: 8", "steps: 40")
    file.write_text(
        head
        + """\
run:
  rate: 30
  on_unknown: ask
  canary: 0
  timeout:
    queue: 5
    rum: 1h
  halt:
    failures: 0%
    after: none
""",
        "utf-8",
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(file)
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == [
        *((3, 70), (6, 9), (7, 15), (8, 11)),
        *((10, 12), (11, 5), (13, 15), (14, 12)),
    ]


# --- amounts --------------------------------------------------------------------------------------

_SPACE = st.sampled_from(["", " ", "  "])


@given(st.integers(1, 365), st.sampled_from("smhd"), _SPACE)
def test_a_time_is_its_number_times_its_unit(number: int, unit: str, space: str) -> None:
    each = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert amounts.seconds(f"{space}{number}{space}{unit}{space}") == number * each


@given(st.integers(1, 9_999_999), st.sampled_from(["s", "sec", "min", "h", "hour", "d"]), _SPACE)
def test_a_rate_means_the_same_in_its_shortest_spelling(number: int, unit: str, space: str) -> None:
    written = Rate.parse(f"{number}/{unit}")
    kept = Rate.parse(amounts.rate(f"{number:07}{space}/{space}{unit}"))
    assert (kept.count, kept.seconds) == (number, written.seconds)


@given(st.integers(1, 100_000).map(lambda thousandths: thousandths / 1000))
def test_a_share_keeps_its_size(percent: float) -> None:
    kept = amounts.failures(f"{percent:.3f} %")
    assert isinstance(kept, str)
    assert float(kept.removesuffix("%")) == percent


_ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.text("0123456789./%smhdin ", max_size=8),
    st.lists(st.integers(), max_size=2),
)


@given(_ANY)
def test_any_value_is_an_amount_or_told_with_a_hint(value: object) -> None:
    for read_amount in (amounts.seconds, amounts.rate, amounts.failures):
        try:
            kept = read_amount(value)
        except amounts.AmountProblem as problem:
            assert problem.wanted
            assert problem.hint
        else:
            again = f"{kept}s" if isinstance(kept, float) else kept
            assert read_amount(again) == kept


@pytest.mark.parametrize("words", ["3 months", "5 m s", "2 weeks", "٣ hours"])
def test_a_unit_is_only_suggested_when_it_is_meant(words: str) -> None:
    with pytest.raises(amounts.AmountProblem) as caught:
        amounts.seconds(words)
    assert "did you mean" not in caught.value.hint


# --- the readers ----------------------------------------------------------------------------------


def test_the_engine_reads_the_rate_and_the_rule(tmp_path: Path) -> None:
    run = read(tmp_path, EVERYTHING).run.as_json()
    rate = Rate.parse(run["rate"])
    assert (rate.count, rate.seconds) == (30, 60.0)
    rule = Halt.of(run)
    assert rule is not None
    assert rule.reason(failed=8, settled=40) is not None
    assert rule.reason(failed=3, settled=40) is None
    assert rule.reason(failed=29, settled=29) is None


def test_the_engine_reads_a_rule_that_counts(tmp_path: Path) -> None:
    rule = Halt.of(read(tmp_path, "{halt: {failures: 5}}").run.as_json())
    assert rule is not None
    assert rule.reason(failed=5, settled=500) is not None
    assert rule.reason(failed=4, settled=500) is None
    assert rule.reason(failed=5, settled=19) is None


def test_nothing_said_is_nothing_to_keep_to(tmp_path: Path) -> None:
    run = read(tmp_path, "{}").run.as_json()
    assert Halt.of(run) is None
    assert "rate" not in run


def load(database: Database, manifest: Manifest) -> Batch:
    header = loading.Header(
        name=manifest.name,
        manifest_path=str(manifest.path),
        manifest_digest=manifest.digest,
        run=manifest.run.as_json(),
        output_dir=str(manifest.output.dir),
    )
    with database.writing() as connection:
        loading.load(connection, header, manifest.specs(), now=1.0)
        [batch] = views.all_batches(connection)
    return batch


def claimed(database: Database, batch: Batch) -> list[Job]:
    """All that a worker gets of the batch's jobs, for ten slots."""
    with database.writing() as connection:
        fence = leases.take(connection, leases.Identity("here", 1, 1.0), now=1.0)
        return queue.claim(
            connection,
            fence=fence,
            batch_id=batch.id,
            limit=10,
            now=2.0,
            canaries_only=batch.waits_for_canaries,
        )


def test_the_database_gives_back_what_was_kept(tmp_path: Path, database: Database) -> None:
    batch = load(database, read(tmp_path, EVERYTHING))
    assert batch.run == AS_JSON
    assert ceilings([batch]) == {batch.id: 6}


@pytest.mark.parametrize(("run", "jobs"), [("{canary: 2}", 2), ("{canary: 9}", 5), ("{}", 5)])
def test_the_store_holds_back_all_but_the_canaries(
    tmp_path: Path, database: Database, run: str, jobs: int
) -> None:
    batch = load(database, read(tmp_path, run))
    assert len(claimed(database, batch)) == jobs


def test_the_engine_reads_limits_and_attempts(tmp_path: Path, database: Database) -> None:
    batch = load(database, read(tmp_path, "{attempts: 7, timeout: {queue: 90s, run: 1.5h}}"))
    job = claimed(database, batch)[0]
    run = Run(Mock(), Mock(), {batch.id: batch}, Mock(), Mock(), Mock(), Mock(), Random(1))
    assert run.limits_of(job) == Limits(queue=90.0, run=5400.0, collect=Limits().collect)
    assert run.policy(job).attempts == 7


@pytest.mark.parametrize(("word", "state"), [("hold", State.UNKNOWN), ("resubmit", State.PENDING)])
def test_the_store_reads_what_to_do_about_the_unknown(
    tmp_path: Path, database: Database, word: str, state: State
) -> None:
    batch = load(database, read(tmp_path, f"{{on_unknown: {word}}}"))
    job = claimed(database, batch)[0]
    with database.writing() as connection:
        queue.move(connection, job, Event.UNCERTAIN, Facts(3.0))
        control.look(connection, fence=job.fence, batch_ids=[batch.id], now=4.0)
        assert standing.current(connection, job.id).state is state


# --- the pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["{}", EVERYTHING, "{halt: {failures: 20}}"])
def test_the_json_schema_takes_what_the_reader_takes(tmp_path: Path, run: str) -> None:
    data = read(tmp_path, run).document.data
    validator = jsonschema_rs.validator_for(ManifestShape.model_json_schema())
    assert validator.is_valid(data)


@pytest.mark.parametrize(
    "run",
    [
        {"rate": 30},
        {"rate": "30/m"},
        {"on_unknown": "ask"},
        {"timeout": {"run": 90}},
        {"timeout": {"run": "90"}},
        {"halt": {"failures": 0}},
        {"halt": {"failures": "ten"}},
        {"halt": {}},
        {"canary": 0},
    ],
)
def test_the_json_schema_refuses_what_the_reader_refuses(run: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(ManifestShape.model_json_schema())
    assert not validator.is_valid({"version": 1, "run": run})
    assert validator.is_valid({"version": 1, "run": {}})


def test_the_usual_limits_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "manifest.md").read_text("utf-8")
    for part in ("queue", "run", "collect"):
        [row] = [line for line in page.splitlines() if line.startswith(f"| `run.timeout.{part}`")]
        assert row.endswith(f"| {getattr(Limits(), part) / 3600:g} hours |")
