"""Unknown jobs that settle by themselves, with providers that can tell what became of a submit.

RunComfy can't, so two providers of our own stand in: RunComfy's calls with a key on each submit,
which the emulator takes for a replay or lets us look up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from overnight.emulator import Call, Emulator, Ledger, Rule, Settings, Span
from overnight.engine import recover, watch
from overnight.engine.report import Ending
from overnight.lifecycle import State
from overnight.providers.base import (
    Accepted,
    Inputs,
    NeverAccepted,
    RecoverOutcome,
    Recovery,
    SubmitOutcome,
    Traits,
    Unknown,
)
from overnight.providers.credentials import Account
from overnight.providers.redaction import Secret
from overnight.providers.runcomfy import RunComfy, Timeouts
from overnight.providers.runcomfy_answers import Answer, is_request_id
from overnight.store import decisions, tally, views
from overnight.store.decisions import Resolution
from overnight.store.rows import Kind
from tests.night import MODEL, Night, Spec, night

LAG = 0.3


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What recurs once a second recurs more often here."""
    for name in ("CONTROL", "RECOVER", "PROBE"):
        monkeypatch.setattr(watch, name, 0.05)


class Keyed(RunComfy):
    """RunComfy's calls, with a key on each submit."""

    async def submit(self, model: str, inputs: Inputs, *, key: str) -> SubmitOutcome:
        return await self._post(model, inputs, ("Idempotency-Key", key))


class Replaying(Keyed):
    """Sends the same key again: whoever was first is the answer."""

    traits = Traits(name="runcomfy", recovery=Recovery.REPLAY)

    async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
        outcome = await self.submit(model, inputs, key=key)
        return outcome if isinstance(outcome, Accepted) else Unknown(str(outcome))


class LookingUp(Keyed):
    """Asks which request the key became."""

    traits = Traits(name="runcomfy", recovery=Recovery.LOOKUP, lag=LAG)

    async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
        answer = await self._free_call("GET", f"{self.account.base}/v1/requests/by-key/{key}")
        if not isinstance(answer, Answer):
            return Unknown(answer.reason)
        request_id = (answer.words or {}).get("request_id")
        if answer.ok and is_request_id(request_id):
            return Accepted(str(request_id))
        if answer.code == "404001":
            return NeverAccepted(answer.described())
        return Unknown(answer.described())


Mode = Literal["replay", "lookup"]
PROVIDERS: dict[Mode, type[Keyed]] = {"replay": Replaying, "lookup": LookingUp}

both = pytest.mark.parametrize("mode", list(PROVIDERS))


@asynccontextmanager
async def scene(
    folder: Path, mode: Mode, jobs: int, *rules: str, concurrency: int = 2, **run: Any
) -> AsyncIterator[tuple[Night, Emulator]]:
    settings = Settings(slots=2, recovery=mode)
    async with (
        night(folder, jobs, concurrency=concurrency, **run) as n,
        Emulator(settings) as emulator,
    ):
        for rule in rules:
            emulator.faults.add(Rule.parse(rule))
        yield n, emulator


def check(n: Night, emulator: Emulator, jobs: int) -> None:
    """Every job was bought exactly once, and came home."""
    ledger = emulator.ledger
    assert n.states == {State.SUCCEEDED: jobs}
    assert len(n.files()) == jobs
    assert (len(ledger.accepted), ledger.duplicates) == (jobs, [])
    assert sorted(entry.request_id for entry in ledger.accepted) == sorted(
        job.request_id or "" for job in n.jobs()
    )
    assert n.batch.possible_duplicates == 0
    with n.database.reading() as connection:
        assert tally.recount(connection, n.batch.id) == n.batch.states


async def die(
    n: Night, emulator: Emulator, mode: Mode, when: Callable[[Ledger], bool], **settings: Any
) -> None:
    """A run that is cut off where it stands, as a kill would: nothing is recorded any more."""
    async with n.worker(emulator, api=PROVIDERS[mode], **settings) as worker:
        running = asyncio.create_task(worker.run())
        met = asyncio.create_task(emulator.until(when))
        await asyncio.wait({running, met}, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# --- each doubt settles itself -------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "fault",
    ["drop-after@3x", "html-504-after@3x", "cut@3x", "drop-before@3x", "garbage-200@3x"],
)  # fmt: skip
async def test_a_lost_answer_settles_itself(tmp_path: Path, mode: Mode, fault: str) -> None:
    async with scene(tmp_path, mode, 6, f"submit:{fault}") as (n, emulator):
        report = await n.run(emulator, api=PROVIDERS[mode])
        assert report.ending is Ending.DONE
        check(n, emulator, 6)


@both
async def test_a_mixed_night_with_a_bad_line_settles_itself(tmp_path: Path, mode: Mode) -> None:
    rules = (
        "submit:drop-after@15%",
        "submit:drop-before@15%",
        "submit:cut@10%",
        "lookup:http-503@20%",
        "lookup:drop-before@20%",
        "lookup:garbage-200@20%",
    )
    async with scene(tmp_path, mode, 40, *rules, concurrency=4) as (n, emulator):
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 40)
        assert emulator.ledger.faults["submit:drop-after"] > 0


@both
@pytest.mark.parametrize("fault", ["hang-after@2x", "hang@2x"])
async def test_a_run_that_dies_with_submits_on_their_way_settles_them_in_the_next(
    tmp_path: Path, mode: Mode, fault: str
) -> None:
    name = fault.partition("@")[0]
    async with scene(tmp_path, mode, 6, f"submit:{fault}") as (n, emulator):
        await die(n, emulator, mode, lambda ledger: ledger.faults[f"submit:{name}"] == 2)
        assert n.states == {State.SUBMITTING: 2, State.PENDING: 4}
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 6)
        assert any("the provider is asked" in notice.text for notice in n.notices)


@both
async def test_dying_while_it_asks_leaves_the_doubt_to_the_next_run(
    tmp_path: Path, mode: Mode
) -> None:
    # The first submit is lost after it was taken; the asking hangs, and the process dies of it.
    asking = "submit:hang@1x" if mode == "replay" else "lookup:hang@1x"
    async with scene(tmp_path, mode, 1, "submit:drop-after@1x", asking) as (n, emulator):
        struck = asking.partition("@")[0]
        await die(n, emulator, mode, lambda ledger: ledger.faults[struck] == 1)
        assert n.states == {State.UNKNOWN: 1}
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 1)


# --- what is recorded ----------------------------------------------------------------------------


@both
async def test_an_accepted_one_is_adopted_in_the_same_attempt(tmp_path: Path, mode: Mode) -> None:
    async with scene(tmp_path, mode, 1, "submit:drop-after@1x") as (n, emulator):
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 1)
        [job] = n.jobs()
        with n.database.reading() as connection:
            [attempt] = views.detail(connection, job.id).attempts
        assert attempt.outcome == "collected"
        assert attempt.request_id == job.request_id
    assert emulator.ledger.replayed == (1 if mode == "replay" else 0)


async def test_one_that_was_never_accepted_goes_again_at_no_risk(tmp_path: Path) -> None:
    async with scene(tmp_path, "lookup", 1, "submit:drop-before@1x") as (n, emulator):
        await n.run(emulator, api=LookingUp)
        check(n, emulator, 1)
        [job] = n.jobs()
        with n.database.reading() as connection:
            first, second = views.detail(connection, job.id).attempts
        assert (first.outcome, first.request_id) == ("uncertain", None)
        assert second.outcome == "collected"
        # Not before a submit that is late could have turned up.
        assert first.ended_at is not None
        assert second.intent_at - first.ended_at >= LAG


@both
async def test_a_doubt_that_stays_is_given_up_for_this_run_alone(
    tmp_path: Path, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "TRIES", 2)
    lost = "submit:html-504-after@3x" if mode == "replay" else "lookup:html-504"
    rules = ("submit:html-504-after@1x", lost)
    async with scene(tmp_path, mode, 1, *rules) as (n, emulator):
        report = await n.run(emulator, api=PROVIDERS[mode])
        assert report.ending is Ending.DONE
        assert n.states == {State.UNKNOWN: 1}
        assert len(emulator.ledger.accepted) == 1
        assert any("stays unknown" in notice.text for notice in n.notices)
        emulator.faults.clear()
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 1)


async def test_a_request_that_another_job_has_is_not_adopted(tmp_path: Path) -> None:
    class Confused(LookingUp):
        async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
            return Accepted(emulator.ledger.accepted[0].request_id)

    async with scene(tmp_path, "lookup", 2, "submit:drop-after@1x,after=1", concurrency=1) as (
        n,
        emulator,
    ):
        await n.run(emulator, api=Confused)
        assert n.states == {State.SUCCEEDED: 1, State.UNKNOWN: 1}
        assert any("belongs to job" in notice.text for notice in n.notices)


async def test_a_provider_with_a_bug_leaves_the_job_unknown_and_the_night_alone(
    tmp_path: Path,
) -> None:
    class Broken(LookingUp):
        async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
            raise ZeroDivisionError

    async with scene(tmp_path, "lookup", 3, "submit:drop-after@1x") as (n, emulator):
        report = await n.run(emulator, api=Broken)
        assert report.ending is Ending.DONE
        assert n.states == {State.SUCCEEDED: 2, State.UNKNOWN: 1}


# --- beside other rules ---------------------------------------------------------------------------


@both
async def test_on_unknown_resubmit_waits_for_what_settles_itself(
    tmp_path: Path, mode: Mode
) -> None:
    async with scene(tmp_path, mode, 3, "submit:drop-after@1x", on_unknown="resubmit") as (
        n,
        emulator,
    ):
        await n.run(emulator, api=PROVIDERS[mode])
        check(n, emulator, 3)


@both
async def test_what_settles_itself_neither_halts_a_batch_nor_fails_a_canary(
    tmp_path: Path, mode: Mode
) -> None:
    rules: dict[str, Any] = {"halt": {"failures": 1, "after": 1}, "canary": 1}
    async with scene(tmp_path, mode, 4, "submit:drop-after@1x", **rules) as (n, emulator):
        report = await n.run(emulator, api=PROVIDERS[mode])
        assert report.ending is Ending.DONE
        check(n, emulator, 4)


async def test_a_doubt_that_stays_halts_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "TRIES", 1)
    faults = ("submit:drop-after@1x", "lookup:http-500")
    rules: dict[str, Any] = {"halt": {"failures": 1, "after": 1}, "canary": 1}
    async with scene(tmp_path, "lookup", 4, *faults, **rules) as (n, emulator):
        report = await n.run(emulator, api=LookingUp)
        assert report.ending is Ending.HALTED
        assert n.states == {State.UNKNOWN: 1, State.PENDING: 3}


async def test_a_halted_batch_does_not_ask_by_a_post(tmp_path: Path) -> None:
    async with scene(tmp_path, "replay", 2, "submit:hang@1x", concurrency=1) as (n, emulator):
        await die(n, emulator, "replay", lambda ledger: ledger.faults["submit:hang"] == 1)
        with n.database.writing() as connection:
            decisions.halt(connection, n.batch.id, "enough", Kind.HALT, now=1.0)
        report = await n.run(emulator, api=Replaying)
        assert report.ending is Ending.HALTED
        assert n.states == {State.UNKNOWN: 1, State.PENDING: 1}
        assert emulator.ledger.accepted == []
        with n.database.writing() as connection:
            decisions.go_on(connection, n.batch.id, now=2.0)
        await n.run(emulator, api=Replaying)
        check(n, emulator, 2)


async def test_a_replay_that_buys_keeps_to_the_budget(tmp_path: Path) -> None:
    settings = Settings(slots=2, recovery="replay", service=Span(0.05, 0.05))
    async with night(tmp_path, 12, concurrency=2) as n, Emulator(settings) as emulator:
        emulator.faults.add("submit:drop-before@30%")
        await n.run(emulator, api=Replaying)
        check(n, emulator, 12)
        assert emulator.ledger.faults["submit:drop-before"] > 0
        assert emulator.ledger.max_open <= 2


async def test_a_person_is_faster(tmp_path: Path) -> None:
    """What was resolved by hand in the meantime is left as it is."""
    async with scene(tmp_path, "lookup", 1, "submit:drop-after@1x", "lookup:slow@1x,delay=0") as (
        n,
        emulator,
    ):

        class Overtaken(LookingUp):
            async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
                outcome = await super().recover(model, inputs, key=key)
                with n.database.writing() as connection:
                    ids = views.ids(connection, views.Filter())
                    decisions.resolve(connection, ids, Resolution.GIVE_UP, now=1.0)
                return outcome

        await n.run(emulator, api=Overtaken)
        assert n.states == {State.FAILED: 1}
        assert any("resolved otherwise" in notice.text for notice in n.notices)


async def test_a_provider_that_recovers_nothing_is_never_asked(tmp_path: Path) -> None:
    class Asked(RunComfy):
        async def recover(self, model: str, inputs: Inputs, *, key: str) -> RecoverOutcome:
            raise AssertionError("it was asked")

    async with scene(tmp_path, "lookup", 2, "submit:drop-after@1x") as (n, emulator):
        await n.run(emulator, api=Asked)
        assert n.states == {State.SUCCEEDED: 1, State.UNKNOWN: 1}
        assert not any("was asked" in notice.text for notice in n.notices)


# --- the two ends of the wire ---------------------------------------------------------------------


async def test_runcomfy_says_that_it_can_t_tell() -> None:
    provider = RunComfy.connect(Account("http://127.0.0.1:9", Secret("t"), "test"), trust_env=False)
    assert provider.traits.recovery is Recovery.NONE
    assert isinstance(await provider.recover(MODEL, {}, key="k"), Unknown)
    await provider.aclose()


@asynccontextmanager
async def keyed(emulator: Emulator, mode: Mode) -> AsyncIterator[Keyed]:
    account = Account(emulator.base_url, Secret(emulator.settings.token), "test")
    provider = PROVIDERS[mode].connect(account, trust_env=False, timeouts=Timeouts(submit=5))
    assert isinstance(provider, Keyed)
    try:
        yield provider
    finally:
        await provider.aclose()


async def test_a_key_that_was_used_gets_the_first_answer_and_no_second_request() -> None:
    async with Emulator(Settings(recovery="replay")) as emulator, keyed(emulator, "replay") as api:
        first = await api.submit(MODEL, Spec(1).inputs, key="a")
        emulator.service.set_balance(0)
        assert await api.submit(MODEL, Spec(1).inputs, key="a") == first
        other = await api.submit(MODEL, Spec(2).inputs, key="a")
        assert "used for another request" in str(other)
        ledger = emulator.ledger
        assert (len(ledger.accepted), ledger.replayed, ledger.turned_away) == (
            1,
            1,
            {"other-key": 1},
        )
        assert ledger.as_json(brief=True)["replayed"] == 1
        emulator.reset()
        assert await api.submit(MODEL, Spec(1).inputs, key="a") != first


async def test_a_key_can_be_looked_up_in_its_mode_alone() -> None:
    async with Emulator(Settings(recovery="lookup")) as emulator, keyed(emulator, "lookup") as api:
        assert isinstance(await api.recover(MODEL, {}, key="a"), NeverAccepted)
        first = await api.submit(MODEL, Spec(1).inputs, key="a")
        assert await api.recover(MODEL, {}, key="a") == first
        assert emulator.ledger.calls[Call.LOOKUP] == 2
        # A second submit under the key is another request, and the look-up still finds the first.
        assert await api.submit(MODEL, Spec(1).inputs, key="a") != first
        assert await api.recover(MODEL, {}, key="a") == first


async def test_without_a_mode_a_key_is_good_for_nothing() -> None:
    async with Emulator(Settings()) as emulator, keyed(emulator, "lookup") as api:
        first = await api.submit(MODEL, Spec(1).inputs, key="a")
        assert await api.submit(MODEL, Spec(1).inputs, key="a") != first
        assert await api._free_call("GET", f"{emulator.base_url}/v1/requests/by-key/a") is not None
        assert not isinstance(await api.recover(MODEL, {}, key="a"), Accepted)
        assert len(emulator.ledger.duplicates) == 1
