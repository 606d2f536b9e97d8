"""The worker against the emulator, over real sockets, on a real database."""

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from overnight.emulator import Call, Emulator, Rule, Settings, Span
from overnight.engine.collect import StorageError
from overnight.engine.report import Ending
from overnight.engine.run import Limits
from overnight.lifecycle import State
from overnight.providers.runcomfy import Timeouts
from overnight.store import decisions, holding, leases, loading, queue, tally, views
from overnight.store.decisions import Resolution
from overnight.store.errors import AnotherWorker
from overnight.store.tables import attempts
from tests.night import Night, Spec, night


def faults(emulator: Emulator, *rules: str) -> None:
    for rule in rules:
        emulator.faults.add(Rule.parse(rule))


def check(n: Night, emulator: Emulator) -> None:
    """What must hold at the end of every night."""
    with n.database.reading() as connection:
        assert tally.recount(connection, n.batch.id) == n.batch.states
    assert emulator.ledger.media_with_token == 0
    for job in n.jobs():
        if job.state is State.SUCCEEDED:
            assert len(job.files) == len(job.urls) == 1
            assert Path(job.files[0]).stat().st_size > 0


async def test_every_job_becomes_a_file(tmp_path: Path) -> None:
    async with night(tmp_path, 12) as n, Emulator(Settings(slots=4)) as emulator:
        report = await n.run(emulator)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 12}
        assert len(n.files()) == 12
        assert len(emulator.ledger.accepted) == 12
        assert emulator.ledger.max_open <= 4
        assert all(job.attempts == 1 and job.request_id for job in n.jobs())
        # A finished batch is a no-op.
        assert (await n.run(emulator)).ending is Ending.DONE
        assert len(emulator.ledger.accepted) == 12
        check(n, emulator)


async def test_five_hundred_jobs_through_throttling_errors_and_cut_media(tmp_path: Path) -> None:
    settings = Settings(slots=16, service=Span(0.01, 0.05))
    async with night(tmp_path, 500, concurrency=16) as n, Emulator(settings) as emulator:
        faults(emulator, "submit:throttle@10%", "status:http-500@5%", "media:truncate@5%")
        report = await n.run(emulator)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 500}
        assert len(n.files()) == 500
        ledger = emulator.ledger
        assert (len(ledger.accepted), len(ledger.duplicates)) == (500, 0)
        assert ledger.max_open <= 16
        check(n, emulator)


async def test_a_failed_job_is_bought_again_within_its_attempts(tmp_path: Path) -> None:
    async with night(tmp_path, 3) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:job-fails@2x")
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 3}
        assert len(emulator.ledger.accepted) == 5
        assert sum(job.attempts for job in n.jobs()) == 5
        check(n, emulator)


async def test_a_full_disk_under_the_results_leaves_no_submit_in_doubt(tmp_path: Path) -> None:
    settings = Settings(slots=2, service=Span(0.05, 0.05))
    async with night(tmp_path, 2) as n, Emulator(settings) as emulator:
        # Nothing can be written there; and the second submit is answered only after that was seen.
        (tmp_path / "out").write_text("a file in the folder's place")
        faults(emulator, "submit:slow@1x,delay=1.5")
        with pytest.raises(StorageError):
            await n.run(emulator)
        assert State.SUBMITTING not in n.states
        (tmp_path / "out").unlink()
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 2}
        assert len(emulator.ledger.accepted) == 2


async def test_attempts_end(tmp_path: Path) -> None:
    async with night(tmp_path, 1, attempts=2) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:completed-but-failed")
        await n.run(emulator)
        [job] = n.jobs()
        assert (job.state, job.attempts) == (State.FAILED, 2)
        assert job.error
        assert len(emulator.ledger.accepted) == 2
        check(n, emulator)


async def test_no_failed_job_is_bought_again_for_more_than_the_batch_may_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six jobs at 5 cents, all of which fail, and 40 cents: two of them are tried once more."""
    monkeypatch.setattr(Spec, "price", 0.05)
    async with night(tmp_path, 6, limits={"cost": 0.4}) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:job-fails")
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.FAILED: 6}
        assert len(emulator.ledger.accepted) == 8
        assert all("might exceed limits.cost" in (job.error or "") for job in n.jobs())
        check(n, emulator)


async def test_a_slot_is_filled_again_while_the_verdict_is_awaited(tmp_path: Path) -> None:
    """One job at once, and a verdict that never comes: the other one is submitted all the same."""
    async with night(tmp_path, 2, concurrency=1) as n, Emulator(Settings(slots=1)) as emulator:
        faults(emulator, "result:hang@1x")
        await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 2)
        assert emulator.ledger.max_open == 1
        # Nothing is recorded of what was not heard: the run that follows asks again.
        assert n.states.keys() <= {State.QUEUED, State.RUNNING}
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 2}
        check(n, emulator)


@pytest.mark.parametrize(("rule", "results"), [((), 1), (("result:http-500@1x",), 2)])
async def test_a_first_look_at_the_verdict_is_the_first_of_its_calls(
    tmp_path: Path, rule: tuple[str, ...], results: int
) -> None:
    """Seen at once, the delivery is recorded with the provider's end; else that stands alone, and
    what was heard is not asked a second time."""
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, *rule)
        await n.run(emulator)
        assert emulator.ledger.calls[Call.RESULT] == results
        with n.database.reading() as connection:
            [attempt] = views.detail(connection, 1).attempts
        calls = emulator.ledger.calls[Call.STATUS] + results
        assert (attempt.calls, attempt.unanswered) == (calls, len(rule))
        assert attempt.accepted_at is not None
        assert attempt.finished_at is not None
        assert attempt.ended_at is not None
        assert attempt.accepted_at <= attempt.finished_at <= attempt.ended_at
        check(n, emulator)


@pytest.mark.parametrize(
    "fault",
    [
        "submit:throttle@3x,retry_after=0",
        "submit:http-503@2x",
        "submit:error-200@2x",
        "status:http-500@5x",
        "status:html-504@5x",
        "status:garbage-200@5x",
        "status:cut@3x",
        "status:404-on-poll@2x",
        "result:http-500@3x",
        "result:html-502@3x",
        "result:garbage-200@3x",
        "media:truncate@3x",
        "media:http-503@3x",
        "media:expired@2x",
        "media:redirect@3x",
        "media:html@2x",
        "submit:unknown-word@2x",
        "submit:requeue@2x",
    ],
)
async def test_trouble_that_passes_costs_nothing(tmp_path: Path, fault: str) -> None:
    async with night(tmp_path, 4, concurrency=2) as n, Emulator(Settings(slots=2)) as emulator:
        faults(emulator, fault)
        report = await n.run(emulator)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 4}
        assert (len(emulator.ledger.accepted), len(emulator.ledger.duplicates)) == (4, 0)
        assert [job.attempts for job in n.jobs()] == [1] * 4
        check(n, emulator)


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        ("submit:drop-after@1x", 3),
        ("submit:html-504-after@1x", 3),
        ("submit:garbage-200-after@1x", 3),
        ("submit:drop-before@1x", 2),
        ("submit:html-502@1x", 2),
        ("submit:garbage-200@1x", 2),
    ],
)
async def test_a_submit_without_a_certain_answer_is_unknown_and_never_repeated(
    tmp_path: Path, fault: str, accepted: int
) -> None:
    async with night(tmp_path, 3, concurrency=1) as n, Emulator(Settings()) as emulator:
        faults(emulator, fault)
        report = await n.run(emulator)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 2, State.UNKNOWN: 1}
        assert len(emulator.ledger.accepted) == accepted
        assert emulator.ledger.duplicates == []
        [unknown] = [job for job in n.jobs() if job.state is State.UNKNOWN]
        assert unknown.error
        # Another run changes nothing.
        await n.run(emulator)
        assert len(emulator.ledger.accepted) == accepted
        check(n, emulator)


async def test_a_submit_that_hangs_is_unknown(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:hang-after@1x")
        await n.run(emulator, timeouts=Timeouts(submit=0.3))
        assert n.states == {State.UNKNOWN: 1}
        assert len(emulator.ledger.accepted) == 1


async def test_an_outage_pauses_submitting_and_burns_few_jobs(tmp_path: Path) -> None:
    async with night(tmp_path, 40, concurrency=2) as n, Emulator(Settings(slots=2)) as emulator:
        faults(emulator, "submit:html-502@3x")
        await n.run(emulator)
        assert n.states[State.UNKNOWN] <= 4
        assert n.states[State.SUCCEEDED] == 40 - n.states[State.UNKNOWN]
        assert any("pauses" in notice.text for notice in n.notices)
        check(n, emulator)


@pytest.mark.parametrize("fault", ["no-balance", "bad-token", "forbidden"])
async def test_a_refused_account_stops_the_run_and_no_job(tmp_path: Path, fault: str) -> None:
    async with night(tmp_path, 6, concurrency=2) as n, Emulator(Settings(slots=2)) as emulator:
        faults(emulator, f"submit:{fault}")
        report = await n.run(emulator)
        assert report.ending is Ending.REFUSED
        assert report.reason
        assert n.states == {State.PENDING: 6}
        assert [job.attempts for job in n.jobs()] == [0] * 6
        emulator.faults.clear()
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 6}
        check(n, emulator)


async def test_what_was_accepted_before_the_refusal_is_collected(tmp_path: Path) -> None:
    settings = Settings(slots=2, service=Span(0.2, 0.2), balance=0.10, price=0.05)
    async with night(tmp_path, 5, concurrency=3) as n, Emulator(settings) as emulator:
        report = await n.run(emulator)
        assert report.ending is Ending.REFUSED
        assert n.states == {State.SUCCEEDED: 2, State.PENDING: 3}
        check(n, emulator)


async def test_a_token_that_is_refused_in_the_middle_leaves_jobs_to_be_picked_up(
    tmp_path: Path,
) -> None:
    async with night(tmp_path, 2, concurrency=2) as n, Emulator(Settings(slots=2)) as emulator:
        faults(emulator, "status:bad-token")
        report = await n.run(emulator)
        assert report.ending is Ending.REFUSED
        assert report.left_remote == 2
        emulator.faults.clear()
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 2}
        assert len(emulator.ledger.accepted) == 2


async def test_draining_leaves_remote_jobs_running_and_the_next_run_picks_them_up(
    tmp_path: Path,
) -> None:
    settings = Settings(slots=3, service=Span(0.5, 0.5))
    async with night(tmp_path, 9, concurrency=3) as n, Emulator(settings) as emulator:
        report = await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 3)
        assert report.ending is Ending.INTERRUPTED
        assert report.left_remote == 3
        assert n.states == {State.PENDING: 6, State.QUEUED: 3}
        remote = {job.request_id for job in n.jobs() if job.state is State.QUEUED}
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 9}
        ledger = emulator.ledger
        assert (len(ledger.accepted), len(ledger.duplicates), ledger.max_open) == (9, 0, 3)
        assert remote <= {job.request_id for job in n.jobs()}
        check(n, emulator)


async def test_draining_waits_for_a_submit_that_is_on_its_way(tmp_path: Path) -> None:
    async with night(tmp_path, 2, concurrency=1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:slow@1x,delay=0.3")
        report = await n.run_until(emulator, lambda e: e.ledger.calls[Call.SUBMIT] == 1)
        assert report.ending is Ending.INTERRUPTED
        assert State.UNKNOWN not in n.states
        assert n.states[State.QUEUED] == 1


async def test_a_second_worker_is_refused(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        with n.database.writing() as connection:
            leases.take(connection, leases.Identity.of_this_process(), 1e12)
        with pytest.raises(AnotherWorker):
            await n.run(emulator)
        assert len(emulator.ledger.accepted) == 0


async def test_a_job_that_is_marked_is_cancelled_at_the_provider(tmp_path: Path) -> None:
    settings = Settings(slots=1, service=Span(0.6, 0.6))
    async with night(tmp_path, 2, concurrency=2) as n, Emulator(settings) as emulator:
        await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 2)
        with n.database.writing() as connection:
            everything = views.ids(connection, views.Filter())
            assert queue.cancel(connection, everything, now=1.0) == {"asked": 2}
        await n.run(emulator)
        # One was running already and can't be cancelled: it is paid for, and comes home.
        assert n.states == {State.SUCCEEDED: 1, State.CANCELLED: 1}
        check(n, emulator)


async def test_a_running_job_that_nobody_wants_is_not_bought_again_when_it_fails(
    tmp_path: Path,
) -> None:
    settings = Settings(slots=1, service=Span(0.6, 0.6))
    async with night(tmp_path, 1) as n, Emulator(settings) as emulator:
        faults(emulator, "submit:job-fails")
        await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 1)
        with n.database.writing() as connection:
            assert queue.cancel(connection, [1], now=1.0) == {"asked": 1}
        await n.run(emulator)
        assert n.states == {State.CANCELLED: 1}
        assert len(emulator.ledger.accepted) == 1


async def test_a_request_that_is_gone_fails_and_is_not_bought_again(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:forgotten")
        await n.run(emulator)
        [job] = n.jobs()
        assert job.state is State.FAILED
        assert len(emulator.ledger.accepted) == 1


async def test_a_job_that_never_finishes_is_given_up_and_looked_for_again(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:never-finishes@1x")
        await n.run(emulator, limits=Limits(queue=0.3, run=0.3, collect=5.0))
        [job] = n.jobs()
        assert job.state is State.FAILED
        assert "overnight retry" in (job.error or "")
        with n.database.writing() as connection:
            assert queue.retry(connection, [job.id], now=1.0) == {"queued": 1}
        await n.run(emulator, limits=Limits(queue=0.3, run=0.3, collect=5.0))
        assert len(emulator.ledger.accepted) == 1


async def test_files_that_never_come_fail_with_the_delivery_on_record(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "media:html")
        await n.run(emulator)
        [job] = n.jobs()
        assert job.state is State.FAILED
        assert job.urls
        emulator.faults.clear()
        with n.database.writing() as connection:
            assert queue.retry(connection, [job.id], now=1.0) == {"collecting": 1}
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 1}
        assert len(emulator.ledger.accepted) == 1
        check(n, emulator)


async def test_a_job_cancelled_remotely_is_cancelled(tmp_path: Path) -> None:
    async with night(tmp_path, 2) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:cancelled-remotely@1x")
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 1, State.CANCELLED: 1}


async def test_the_lease_is_free_after_a_run(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        await n.run(emulator)
        with n.database.reading() as connection:
            assert holding.holder(connection, 0.0) is None


async def test_a_run_looks_after_what_other_batches_have_in_flight(tmp_path: Path) -> None:
    settings = Settings(slots=2, service=Span(0.3, 0.3))
    async with night(tmp_path, 2, concurrency=2) as n, Emulator(settings) as emulator:
        await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 2)
        with n.database.writing() as connection:
            header = loading.Header(
                "second", "x", "0" * 64, {"concurrency": 2}, str(tmp_path / "second")
            )
            loading.load(connection, header, [Spec(100), Spec(101), Spec(102)], now=1.0)
            second = views.named_batches(connection, ["second"])
        report = await n.run(emulator, scope=second)
        assert report.ending is Ending.DONE
        # What the first batch had with the provider took up slots, and came home to its own folder.
        assert emulator.ledger.max_open <= 2
        assert len(n.files()) == 2
        with n.database.reading() as connection:
            for batch in views.all_batches(connection):
                assert batch.states[State.SUCCEEDED] == batch.total


async def test_a_batch_that_goes_wrong_is_halted_and_goes_on_when_told_to(tmp_path: Path) -> None:
    rules = {"halt": {"failures": 3, "after": 3}}
    async with (
        night(tmp_path, 20, concurrency=1, attempts=1, **rules) as n,
        Emulator(Settings()) as emulator,
    ):
        faults(emulator, "submit:job-fails")
        report = await n.run(emulator)
        assert report.ending is Ending.HALTED
        assert "3 of 3 jobs failed" in (report.reason or "")
        # The verdict of one is read while the next is on its way: that one may be bought still.
        bought = len(emulator.ledger.accepted)
        assert 3 <= bought <= 4
        assert n.states == {State.FAILED: bought, State.PENDING: 20 - bought}
        assert "halts at 3" in (n.batch.halted or "")
        # Nothing more is submitted until the user says so.
        assert (await n.run(emulator)).ending is Ending.HALTED
        assert len(emulator.ledger.accepted) == bought
        emulator.faults.clear()
        with n.database.writing() as connection:
            assert decisions.go_on(connection, n.batch.id, now=1.0)
            assert not decisions.go_on(connection, n.batch.id, now=1.0)
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.FAILED: bought, State.SUCCEEDED: 20 - bought}
        check(n, emulator)


async def test_canaries_go_first_and_release_the_rest(tmp_path: Path) -> None:
    settings = Settings(slots=4, service=Span(0.2, 0.2))
    async with night(tmp_path, 8, canary=2) as n, Emulator(settings) as emulator:
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 8}
        first, rest = emulator.ledger.accepted[:2], emulator.ledger.accepted[2:]
        assert min(entry.at for entry in rest) >= max(entry.at for entry in first) + 0.2
        assert n.batch.canaries_passed
        check(n, emulator)


async def test_a_canary_that_fails_keeps_the_rest_from_being_paid_for(tmp_path: Path) -> None:
    async with (
        night(tmp_path, 8, attempts=1, canary=2) as n,
        Emulator(Settings()) as emulator,
    ):
        faults(emulator, "submit:job-fails@1x")
        report = await n.run(emulator)
        assert report.ending is Ending.HALTED
        assert n.states == {State.FAILED: 1, State.SUCCEEDED: 1, State.PENDING: 6}
        assert "1 of 2 canary jobs" in (n.batch.halted or "")
        with n.database.writing() as connection:
            decisions.go_on(connection, n.batch.id, now=1.0)
        assert (await n.run(emulator)).ending is Ending.DONE
        assert n.states == {State.FAILED: 1, State.SUCCEEDED: 7}


async def test_on_unknown_resubmit_sends_it_again_once_and_counts_it(tmp_path: Path) -> None:
    async with (
        night(tmp_path, 2, concurrency=1, on_unknown="resubmit") as n,
        Emulator(Settings()) as emulator,
    ):
        faults(emulator, "submit:drop-after@1x")
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 2}
        assert len(emulator.ledger.accepted) == 3
        assert n.batch.possible_duplicates == 1
        check(n, emulator)


async def test_on_unknown_resubmit_stops_at_the_second_doubt(tmp_path: Path) -> None:
    async with (
        night(tmp_path, 1, on_unknown="resubmit") as n,
        Emulator(Settings()) as emulator,
    ):
        faults(emulator, "submit:drop-after@2x")
        await n.run(emulator)
        assert n.states == {State.UNKNOWN: 1}
        assert len(emulator.ledger.accepted) == 2


async def test_on_unknown_resubmit_keeps_within_what_the_batch_may_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spec, "price", 0.05)
    async with (
        night(tmp_path, 4, on_unknown="resubmit", limits={"cost": 0.25}) as n,
        Emulator(Settings()) as emulator,
    ):
        faults(emulator, "submit:drop-after@3x")
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 2, State.UNKNOWN: 2}
        assert len(emulator.ledger.accepted) == 5


async def test_an_unknown_job_adopts_the_request_that_it_turned_out_to_have(tmp_path: Path) -> None:
    async with night(tmp_path, 1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:drop-after@1x")
        await n.run(emulator)
        [entry] = emulator.ledger.accepted
        [job] = n.jobs()
        with n.database.writing() as connection:
            for expected in ({"resolved": 1}, {"left": 1}):
                assert (
                    decisions.resolve(
                        connection,
                        [job.id],
                        Resolution.ADOPT,
                        now=time.time(),
                        request_id=entry.request_id,
                    )
                    == expected
                )
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 1}
        assert len(emulator.ledger.accepted) == 1
        check(n, emulator)


async def test_waiting_for_the_account_goes_on_when_it_is_taken_again(tmp_path: Path) -> None:
    async with night(tmp_path, 3, concurrency=1) as n, Emulator(Settings()) as emulator:
        faults(emulator, "submit:no-balance@2x")
        report = await n.run(emulator, wait_for_account=True)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 3}
        assert [job.attempts for job in n.jobs()] == [1] * 3
        check(n, emulator)


async def test_a_submit_rate_is_kept_across_runs(tmp_path: Path) -> None:
    async with night(tmp_path, 9, rate="3/s") as n, Emulator(Settings(slots=9)) as emulator:
        await n.run_until(emulator, lambda e: len(e.ledger.accepted) == 2)
        await n.run(emulator)
        assert n.states == {State.SUCCEEDED: 9}
    with n.database.reading() as connection:
        starts = list(connection.scalars(select(attempts.c.intent_at).order_by("intent_at")))
    assert len(starts) == 9
    # A place is free a second after its POST, which was after its intent, and so are intents.
    assert all(later - earlier > 0.9 for earlier, later in zip(starts, starts[3:], strict=False))
