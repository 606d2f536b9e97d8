"""Fault rules: their text, their JSON, and when they strike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.emulator import FAULTS, Call, EmulatorError, Fault, Kind, Rule, Rules


def strikes(rules: Rules, calls: int, call: Call = Call.STATUS) -> list[bool]:
    return [rules.on_call(call, None, None) is not None for _ in range(calls)]


@pytest.mark.parametrize(
    ("spec", "call", "fault", "rate", "times", "after"),
    [
        ("submit:throttle", Call.SUBMIT, "throttle", 1.0, None, 0),
        ("submit:throttle@10%", Call.SUBMIT, "throttle", 0.1, None, 0),
        ("status:http-500@0.5%", Call.STATUS, "http-500", 0.005, None, 0),
        ("submit:drop-after@3x", Call.SUBMIT, "drop-after", 1.0, 3, 0),
        ("any:hang, after=2, times=1", None, "hang", 1.0, 1, 2),
        ("media:truncate,rate=0.25", Call.MEDIA, "truncate", 0.25, None, 0),
        ("submit:job-fails@50%,as=object", Call.SUBMIT, "job-fails", 0.5, None, 0),
    ],
)
def test_text_becomes_a_rule(
    spec: str, call: Call | None, fault: str, rate: float, times: int | None, after: int
) -> None:
    rule = Rule.parse(spec)
    assert (rule.call, rule.fault.name) == (call, fault)
    assert rule.rate == pytest.approx(rate)
    assert (rule.times, rule.after) == (times, after)


def test_options_get_their_defaults_and_their_values() -> None:
    assert Rule.parse("submit:throttle").options == {"retry_after": "", "as": "seconds"}
    asked = Rule.parse("submit:throttle,retry_after=2,as=date")
    assert asked.options == {"retry_after": "2", "as": "date"}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("throttle", "CALL:FAULT"),
        ("submit:throtle", "Did you mean throttle?"),
        ("submt:throttle", "Did you mean submit?"),
        ("submit:truncate", "can strike media"),
        ("status:job-fails", "can strike submit"),
        ("submit:throttle@often", "@10% or a count such as @3x"),
        ("submit:throttle@150%", "rate is a number from 0 to 1"),
        ("submit:throttle,retry_afte=2", "Did you mean retry_after?"),
        ("submit:throttle,retry_after=soon", "retry_after is a number"),
        ("submit:throttle,retry_after=-1", "retry_after is a number"),
        ("submit:throttle,retry_after=nan", "retry_after is a number"),
        ("submit:throttle,as=stone", "one of seconds, date"),
        ("submit:throttle@3x,times=4", "given once"),
        ("submit:throttle,retry_after", "name=value"),
        ("submit:throttle,times=-1", "whole number"),
        ("submit:error-200,code=12", "six digits"),
        ("media:expired,code=500", "one of 403, 404, 410"),
        ("submit:unknown-word,word=", "needs a value"),
        ("status:drop-before,delay=1", "no option of drop-before"),
    ],
)
def test_a_wrong_rule_is_one_sentence_that_helps(spec: str, told: str) -> None:
    with pytest.raises(EmulatorError) as caught:
        Rule.parse(spec)
    assert told in str(caught.value)


@pytest.mark.parametrize("value", [3, None, [], {"fault": "sloww"}, {"call": "submit"}])
def test_wrong_json_is_an_error_too(value: object) -> None:
    with pytest.raises(EmulatorError):
        Rule.from_json(value)


@given(
    fault=st.sampled_from(list(FAULTS.values())),
    rate=st.floats(0, 1),
    times=st.none() | st.integers(0, 999),
    after=st.integers(0, 999),
    request=st.none() | st.uuids().map(str),
    data=st.data(),
)
def test_a_rule_survives_json(
    fault: Fault,
    rate: float,
    times: int | None,
    after: int,
    request: str | None,
    data: st.DataObject,
) -> None:
    call = data.draw(st.none() | st.sampled_from(sorted(fault.calls)))
    written = {"call": call, "fault": fault.name, "rate": rate, "times": times}
    rule = Rule.from_json({**written, "after": after, "request": request})
    assert Rule.from_json(rule.as_json()) == rule
    assert (rule.rate, rule.times, rule.after, rule.request) == (rate, times, after, request)


def test_after_and_times_choose_which_calls_are_struck() -> None:
    assert strikes(Rules(0, ["status:http-500@2x,after=3"]), 7) == [0, 0, 0, 1, 1, 0, 0]


def test_a_rate_is_met_and_repeats_with_its_seed() -> None:
    first, again, other = (strikes(Rules(s, ["status:http-500@10%"]), 4000) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert 300 < sum(first) < 500


def test_restart_draws_and_counts_the_same_again() -> None:
    rules = Rules(5, ["status:http-500@30%", "status:cut@2x,after=4"])
    first = strikes(rules, 50)
    rules.restart()
    assert strikes(rules, 50) == first


def test_the_first_rule_that_strikes_settles_the_call() -> None:
    rules = Rules(0, ["status:http-500@1x", "status:cut@1x"])
    struck = [rules.on_call(Call.STATUS, None, None) for _ in range(3)]
    assert [rule and rule.fault.name for rule in struck] == ["http-500", "cut", None]
    assert [entry["matched"] for entry in rules.as_json()] == [3, 2]


def test_adding_a_rule_leaves_the_draws_of_the_others_alone() -> None:
    alone = strikes(Rules(3, ["status:http-500@20%"]), 100)
    joined = Rules(3, ["status:http-500@20%", "result:http-500@20%"])
    assert strikes(joined, 100) == alone


def test_request_and_model_narrow_a_rule() -> None:
    rules = Rules(0, ["status:http-500,request=a", "status:cut,model=m"])
    assert rules.on_call(Call.STATUS, "b", "n") is None
    by_request, by_model = (rules.on_call(Call.STATUS, *pair) for pair in (("a", "n"), ("b", "m")))
    assert by_request is not None
    assert by_model is not None
    assert (by_request.fault.name, by_model.fault.name) == ("http-500", "cut")


def test_any_means_every_call_that_the_fault_can_strike() -> None:
    rules = Rules(0, ["any:404-on-poll"])
    struck = [call for call in Call if rules.on_call(call, None, None)]
    assert struck == [Call.STATUS, Call.RESULT, Call.CANCEL]


def test_job_faults_are_asked_when_a_submit_is_accepted_and_only_then() -> None:
    rules = Rules(0, ["submit:job-fails@1x", "submit:drop-after@1x"])
    struck = rules.on_call(Call.SUBMIT, None, "m")
    assert struck is not None
    assert struck.fault.name == "drop-after"
    kept = rules.on_accept("m")
    assert kept is not None
    assert kept.fault.kind is Kind.JOB
    assert rules.on_accept("m") is None


def test_clear_takes_every_rule_away() -> None:
    rules = Rules(0, ["status:http-500", "submit:requeue"])
    rules.clear()
    assert list(rules) == []
    assert rules.on_call(Call.STATUS, None, None) is None
