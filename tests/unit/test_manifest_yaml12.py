"""YAML by the rules of 1.2: what words mean, where things stand, and what is refused."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.manifest import ManifestError, Problem, render_problem, yaml12


def load(text: str) -> Any:
    return yaml12.read(text.encode(), "f.yaml").data


def refused(content: str | bytes) -> list[Problem]:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(ManifestError) as caught:
        yaml12.read(raw, "f.yaml")
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("16:9", "no", "yes", "on", "off", "No", "y", "n")),
        *((word, word) for word in ("1_000", "2024-01-01", "12:30:45", "0b11", "1e", "e3")),
        *((word, word) for word in ("0o8", "0xg", "-0x1", ".", "+", "-.", "1.2.3", "nul", "tRue")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        ("012", 12),
        ("0o14", 12),
        ("0xC", 12),
        ("-7", -7),
        ("+7", 7),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e+2", -150.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5.0),
        ("!!null ''", None),
        ("a # note", "a"),
        ("a#b 100% $5 {x}", "a#b 100% $5 {x}"),
        ('"\\ud83d\\ude80"', "🚀"),
        ("🚀 東京", "🚀 東京"),
    ],
)
def test_what_a_scalar_means(text: str, value: object) -> None:
    found = load(f"v: {text}")["v"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", [".nan", ".NaN", ".NAN"])
def test_not_a_number(word: str) -> None:
    assert math.isnan(load(f"v: {word}")["v"])


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**50), 10**50)
    | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_quoted_yaml_comes_back_as_it_was(value: Any) -> None:
    text = yaml.safe_dump({"v": value}, default_style='"', allow_unicode=True)
    plain = yaml12.read(text.encode(), "f.yaml").data["v"]
    assert plain == value


def test_positions_of_keys_and_values() -> None:
    document = yaml12.read("a:\n  b: [1, 'é']\n  c: x\n".encode(), "f.yaml")
    places = {trail: (s.line, s.column) for trail, s in document.values.items()}
    assert places[("a", "b")] == (2, 6)
    assert places[("a", "b", 1)] == (2, 10)
    assert places[("a", "c")] == (3, 6)
    assert (document.keys["a", "c"].line, document.keys["a", "c"].column) == (3, 3)


@pytest.mark.parametrize("start", ["\ufeff", "", "# note\n", "---\n", "%YAML 1.2\n---\n"])
def test_beginnings(start: str) -> None:
    assert load(start + "a: 1\n") == {"a": 1}


def test_windows_line_ends() -> None:
    document = yaml12.read(b"a: 1\r\nb: 2\r\n", "f.yaml")
    assert document.data == {"a": 1, "b": 2}
    assert document.keys[("b",)].line == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1, '"a" is here twice; the first is at line 1, column 1'),
        ("x: {k: 1, 'k': 2}", 1, 11, '"k" is here twice'),
        ("a: b: c", 1, 5, 'a second ": "'),
        ("a:\n\tb: 1", 2, 1, "a tab can't be used to indent"),
        ("a: @x", 1, 4, "can't begin with this character"),
        ("a: *x", 1, 4, "no anchor of this name"),
        ("a: {{ s }} at dusk", 1, 12, "does not fit what stands before it"),
        ("a: {{ s }}", 1, 5, "a key must be a plain word"),
        ("x: 'abc\nq: 1", 1, 4, "ends inside quotes"),
        ("a: [1, 2\nb: 3", 2, 2, "is not closed"),
        ('a: "\\q"', 1, 6, "a backslash means something"),
        ("a: 1\n---\nb: 2", 2, 1, "one YAML document"),
        ("a: !foo 1", 1, 4, "the tag !foo is not known"),
        ("a: !!python/object:os.system {}", 1, 4, "the tag !!python/object:os.system"),
        ("a: !!timestamp 2024-01-01", 1, 4, "the tag !!timestamp"),
        ("a: &b {x: 1}\nc:\n  <<: *b", 3, 3, "<< merge keys are not part of YAML 1.2"),
        ("&a [*a]", 1, 1, "stands inside what it repeats"),
        ("1: 2", 1, 1, "a key must be text, and 1 is not"),
        ("true: 2", 1, 1, "a key must be text, and true is not"),
        ("? \n: 2", 1, 2, "no key before the colon"),
        ("a: \x07", 1, 4, "U+0007"),
        ('a: "\\ud800"', 1, 4, "half of a surrogate pair"),
        ("a: !!int x", 1, 4, "does not fit its tag !!int"),
        (f"a: {'9' * 101}", 1, 4, "more than 100 digits"),
        ("a: &x 1\nb: &x 2", 2, 4, "already defined"),
        (f"a: {'[' * 40}", 1, 34, "more than 32 levels"),
        ("a: | b\n c", 1, 6, "this is not YAML"),
    ],
)
def test_what_is_refused_and_where(text: str, line: int, column: int, part: str) -> None:
    problem = refused(text)[0]
    assert (problem.line, problem.column) == (line, column)
    assert part in problem.message


def test_equal_keys_and_merge_keys_are_told_together() -> None:
    found = refused("a: 1\na: 2\n<<: {}\nb: 1\nb: 2")
    assert [problem.line for problem in found] == [2, 3, 5]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert load("'<<': 1") == {"<<": 1}


def test_aliases_repeat_values_and_stand_where_the_anchor_is() -> None:
    document = yaml12.read(b"a: &x [1, 2]\nb: *x\n", "f.yaml")
    assert document.data == {"a": [1, 2], "b": [1, 2]}
    assert document.values["b", 1].line == 1


def test_an_alias_bomb_is_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    problem = refused("\n".join(lines))[-1]
    assert "unfolds into more than 250,000 values" in problem.message


@pytest.mark.parametrize(
    ("content", "line", "column", "part"),
    [
        (b"", 0, 0, "the file is empty"),
        (b"# nothing\n", 0, 0, "the file is empty"),
        ("a: 1".encode("utf-16"), 0, 0, "UTF-16"),
        (b"a: 1\nb: caf\xe9\n", 2, 7, "not UTF-8: the byte 0xe9"),
        (b"a: " + b"x" * yaml12.MAX_BYTES, 0, 0, "more than 4,194,304 bytes"),
    ],
)
def test_files_that_are_no_manifest(content: bytes, line: int, column: int, part: str) -> None:
    problem = refused(content)[0]
    assert (problem.line, problem.column) == (line, column)
    assert part in problem.message


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_problem(text: str) -> None:
    try:
        yaml12.read(text.encode("utf-8", "surrogatepass"), "f.yaml")
    except ManifestError as error:
        assert error.problems
        assert error.pretty()


def test_the_text_in_question_is_underlined() -> None:
    problem = Problem("f.yaml", 2, 7, "no good", "mend it", width=3)
    assert render_problem(problem, "a: 1\nb: [x, abc]\n") == (
        "f.yaml:2:7: no good\n    b: [x, abc]\n          ^^^\n  hint: mend it"
    )


def test_wide_characters_move_the_underline() -> None:
    shown = render_problem(Problem("f", 1, 6, "m"), "東京: 夜景")
    assert shown == "f:1:6: m\n    東京: 夜景\n            ^^"


def test_control_characters_never_reach_the_terminal() -> None:
    shown = render_problem(Problem("f", 1, 1, "m"), "a\x1b[31m\tb")
    assert "\x1b" not in shown
    assert "\tb" in shown


def test_a_long_line_is_cut_around_the_place() -> None:
    shown = render_problem(Problem("f", 1, 5001, "m"), "x" * 5000 + "Y" + "x" * 5000)
    line, marks = shown.split("\n")[1:]
    assert len(line) < 200
    assert line[marks.index("^")] == "Y"
