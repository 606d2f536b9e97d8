"""``${env:NAME}``: what is filled in, what is not, and that no value is ever said aloud."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.manifest.environment import fill

ENVIRON = {"OUT": "/data", "SLOTS": "8", "EMPTY": "", "NIGHT_1": "a ${env:OUT}", "BAD": "\udcff"}


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("${env:OUT}", "/data"),
        ("${env:OUT}/${env:SLOTS}/x", "/data/8/x"),
        ("$${env:OUT}", "${env:OUT}"),
        ("$${env:GONE} ${env:OUT}", "${env:GONE} /data"),
        ("$$${env:OUT}", "$${env:OUT}"),
        ("${env:NIGHT_1}", "a ${env:OUT}"),  # what comes in is not read again
        ("plain ${HOME} $OUT {env:OUT} $5 100% #1", "plain ${HOME} $OUT {env:OUT} $5 100% #1"),
        ({"a": ["${env:SLOTS}", 3, None, True], "${env:OUT}": 1.5}, None),
        (8, 8),
        (None, None),
        ("", ""),
    ],
)
def test_what_is_filled_in(value: Any, filled: Any) -> None:
    if isinstance(value, dict):
        filled = {"a": ["8", 3, None, True], "${env:OUT}": 1.5}
    assert fill(value, ENVIRON) == (filled, ())


def test_the_value_given_is_not_changed() -> None:
    value = {"a": ["${env:OUT}"]}
    fill(value, ENVIRON)
    assert value == {"a": ["${env:OUT}"]}


def test_a_reference_alone_can_be_more_than_text() -> None:
    def read(text: str) -> Any:
        return int(text) if text.isdigit() else text

    value = {
        "concurrency": "${env:SLOTS}",
        "dir": "${env:SLOTS}/x",
        "kept": "$${env:SLOTS}",
        "more": "1${env:SLOTS}",
        "n": "8",
    }
    filled, problems = fill(value, ENVIRON, read=read)
    assert not problems
    assert filled == {
        "concurrency": 8,
        "dir": "8/x",
        "kept": "${env:SLOTS}",
        "more": "18",
        "n": "8",
    }


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${env:SLOT}", "the environment variable SLOT is not set", "did you mean SLOTS?"),
        ("${env:QWERTY}", "the environment variable QWERTY is not set", "export QWERTY=…"),
        ("${env:EMPTY}", "the environment variable EMPTY is empty", "export EMPTY=…"),
        ("${env:BAD}", "the environment variable BAD is not UTF-8", "export BAD=…"),
        ("${env:OUT", "this reference is never closed", "${env:NAME}"),
        ("${env:}", "no name of an environment variable", "${env:NAME}"),
        ("${env:a b}", "no name of an environment variable", "letters, digits"),
        ("${env:OUT:-x}", "no name of an environment variable", "letters, digits"),
        ("${env:" + "A" * 300 + "}", "no name", "letters, digits"),
        ("${env:RUNCOMFY_API_TOKEN}", "is named like a secret", "another name"),
        ("${env:my_password}", "is named like a secret", "another name"),
        ("${env:AWS_SECRET_ACCESS_KEY}", "is named like a secret", "another name"),
        ("${env:OPENAI_API_KEY}", "is named like a secret", "another name"),
    ],
)
def test_what_can_not_be_filled_in(text: str, message: str, hint: str) -> None:
    written = f"x/{text}"
    filled, (problem,) = fill({"run": [written]}, ENVIRON)
    assert filled == {"run": [written]}
    assert message in str(problem)
    assert hint in problem.hint
    assert problem.trail == ("run", 0)
    assert written[problem.start : problem.end] == text


@pytest.mark.parametrize("name", ["KEYBOARD", "TOKENIZER_DIR", "MONKEY", "SECRETARY", "OUT_KEY"])
def test_names_that_only_look_like_secrets(name: str) -> None:
    assert fill(f"${{env:{name}}}", {name: "x"}) == ("x", ())


def test_every_problem_is_told_at_once() -> None:
    value = {"a": "${env:ONE} ${env:OUT} ${env:TWO}", "b": {"c": ["ok", "${env:EMPTY}"]}}
    filled, problems = fill(value, ENVIRON)
    assert filled == value
    assert [(problem.trail, problem.start) for problem in problems] == [
        (("a",), 0),
        (("a",), 22),
        (("b", "c", 1), 0),
    ]


def test_secret_names_are_not_suggested() -> None:
    _, (problem,) = fill("${env:API_TOKE}", {"API_TOKEN": "hush"})
    assert problem.hint == "set it first: export API_TOKE=…"


_NAMES = st.sampled_from(["OUT", "API_KEY", "EMPTY", "GONE", "a b", ""])
_PIECES = st.one_of(
    st.text("${}env:A ", max_size=8),
    st.builds(
        "{}${{env:{}{}".format, st.sampled_from(["", "$"]), _NAMES, st.sampled_from(["", "}"])
    ),
)


@given(st.lists(_PIECES, max_size=5).map("".join), st.text("sdfgh", min_size=6))
def test_no_message_has_a_value_in_it(text: str, value: str) -> None:
    environ = {"OUT": value, "API_KEY": value, "EMPTY": ""}
    filled, problems = fill(text, environ)
    for problem in problems:
        assert value not in str(problem) + problem.hint
    if problems:
        assert filled == text
    assert fill([[text]], environ)[0] == [[filled]]
