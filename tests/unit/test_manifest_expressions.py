"""Expressions: what they give, what they refuse, and that nothing else ever comes out."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.manifest.expressions import DEEPEST, LONGEST, Expression, ExpressionProblem
from overnight.manifest.operations import FUNCTIONS, LARGEST, LONGEST_TEXT, spelled

VALUES: dict[str, Any] = {
    "steps": 8,
    "cfg": 1.5,
    "style": "Anime",
    "keep": True,
    "nothing": None,
    "tags": ["a", "b"],
    "cell": "10",
    "shot type": "wide",
    "598_seed": 7,
    "shot": {"angle": "low"},
}


def result(text: str, values: Mapping[str, Any] = VALUES) -> Any:
    return Expression(text).evaluate(values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.05 * steps / 4", 0.1),
        ("1 + 2 * 3 - -4", 11),
        ("7 // 2 + 7 % 4 + 2 ** 3", 14),
        ("(1 + 2) * 3", 9),
        ("'a' + \"b\"", "ab"),
        ("true", True),
        ("not false and true", True),
        ("false or null", False),
        ("null", None),
        ("[1, 'a', steps]", [1, "a", 8]),
        ("8 <= steps < 14", True),
        ("14 > steps > 8", False),
        ("style == 'Anime'", True),
        ("style != 'Anime'", False),
        ("style in ['Film', 'Anime']", True),
        ("style not in ['Film']", True),
        ("'nim' in style", True),
        ("'a' in tags", True),
        ("steps if keep else cfg", 8),
        ("steps if nothing else cfg", 1.5),
        ("min(steps, cfg) + max([1, 2, 3])", 4.5),
        ("round(2.345, 2)", 2.35),
        ("round(3.7)", 4),
        ("abs(-3) + ceil(1.2) + floor(1.8)", 6),
        ("len(style) + len(tags)", 7),
        ("min(3)", 3),
        ("lower(style) + upper('x')", "animeX"),
        ("startswith(style, 'An') and endswith(style, 'me')", True),
        ("`shot type` == 'wide'", True),
        ("`598_seed` + 1", 8),
        ("'`shot type`'", "`shot type`"),
        ("steps >\n  4", True),
        ("  steps", 8),
        ("1_000 + 1e2", 1100.0),
        ("'100% # x && y' + ''", "100% # x && y"),
    ],
)
def test_what_expressions_give(text: str, expected: Any) -> None:
    found = result(text)
    assert found == pytest.approx(expected) if isinstance(expected, float) else found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cell > 9", True),  # as texts, 10 would come before 9
        ("cell == 10", True),
        ("cell == '10.0'", False),  # two texts are compared as texts
        ("'08' == 8", False),
        ("'8.0' == 8", True),
        ("'TRUE' == true", True),
        ("1 == true", False),
        ("0 == false", False),
        ("true in [1]", False),
        ("'1' == true", False),
        ("[1, '2'] == ['1', 2]", True),
        ("[1] == 1", False),
        ("nothing == null", True),
        ("nothing != 3", True),
        ("nothing < 3", False),
        ("nothing >= 3", False),
        ("3 > nothing", False),
        ("nothing in style", False),
        ("nothing in [null]", True),
        ("'a' in nothing", False),
        ("'b' > 'a'", True),
        ("8.0 == steps", True),
    ],
)
def test_how_values_compare(text: str, expected: bool) -> None:
    assert result(text) is expected


@pytest.mark.parametrize(
    ("text", "part", "column"),
    [
        ("", "is empty", None),
        ("   ", "is empty", None),
        ("steps = 8", "can't have = here", 7),
        ("a && b", "can't have && here", 3),
        ("a || b", "can't have || here", 3),
        ("!a", "can't have ! here", 1),
        ("a # b", "can't have # here", 3),
        ("{{ a }}", "can't have {{ here", 1),
        ("`a", "can't have ` here", 1),
        ("`` == 1", "there is no name here", 1),
        ("é + a.b", "a dot after a name", 5),
        ("`long name` + a.b", "a dot after a name", 15),
        ("  a.b", "a dot after a name", 3),
        ("tags[0]", "square brackets", 1),
        ("1, 2", "a list without brackets", 1),
        ("a is null", "can't have is", 6),
        ("a is not null", "can't have is not", 10),
        ("f'{a}'", "a letter before its quotes", 1),
        ("b'a'", "neither", 1),
        ("1j", "neither", 1),
        ("...", "neither", 1),
        ("{1, 2}", "can't have braces", 1),
        ("{1: 2}", "can't have braces", 1),
        ("lambda: 1", "can't have this", 1),
        ("[x for x in tags]", "can't have this", 1),
        ("(x := 1)", "can't have = here", 5),
        ("~1", "can't have this", 1),
        ("1 << 9", "can't have this", 1),
        ("1 @ 2", "can't have this", 1),
        ("min(*tags)", "can't have this", 5),
        ("rond(1)", "there is no function rond()", 1),
        ("__import__('os')", "there is no function __import__()", 1),
        ("(1)(2)", "only a function's name", 1),
        ("''.join(tags)", "only a function's name", 1),
        ("min()", "can't take these values", 1),
        ("round(1, ndigits=2)", "can't have = here", 17),
        ("len('a', 'b')", "can't take these values", 1),
        ("1e400", "too large", 1),
        ("9" * 40, "too large", 1),
        ("9" * 1900, "too large", 1),
        ("x" * (LONGEST + 1), "2,000 characters", None),
        ("-" * 100 + "1", f"nested more than {DEEPEST}", None),
        ("1+" * 900 + "1", f"nested more than {DEEPEST}", None),
        ("\ud800", "can't be read", None),
    ],
)
def test_what_is_no_expression(text: str, part: str, column: int | None) -> None:
    with pytest.raises(ExpressionProblem) as caught:
        Expression(text)
    assert part in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize(
    "text", ["1 +", "steps 8", "a) + (b", "(a", "a if b", "'a", "[1", "\x00", "a\nb"]
)
def test_what_python_can_not_read_is_a_problem_with_some_place(text: str) -> None:
    with pytest.raises(ExpressionProblem, match="can't be read") as caught:
        Expression(text)
    assert caught.value.column is None or 1 <= caught.value.column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("stepz", 'no value called "stepz"'),
        ("1 / 0", "divides by zero"),
        ("1 // 0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("nothing + 1", "a value here is empty"),
        ("style * 3", "* works on numbers"),
        ("keep + 1", "a value here is true or false"),
        ("tags + tags", "a value here is a list"),
        ("style % 3", "% works on numbers"),
        ("style - 3", "- works on numbers"),
        ("3 / style", "/ works on numbers"),
        ("style // nothing", "// works on numbers"),
        ("2 ** style", "** works on numbers"),
        ("-style", "- works on numbers"),
        ("+tags", "+ works on numbers"),
        ("cell + 1", "+ works on numbers"),
        ("2 ** 65", "an exponent may be at most 64"),
        ("(-8) ** 0.5", "a negative number"),
        ("10 ** 30 * 10", "too large"),
        ("10 ** 20 ** 2", "exponent"),
        ("huge + 1", "too large"),
        ("huge / 1", "too large"),
        ("endless * 0", "no number at all"),
        ("endless", "no number at all"),
        ("undefined", "no number at all"),
        ("abs(undefined)", "no number at all"),
        ("long + long", f"longer than {LONGEST_TEXT:,}"),
        ("style and true", "this one is text"),
        ("not steps", "this one is a number"),
        ("1 if tags else 2", "this one is a list"),
        ("style < 3", "text and a number have no order"),
        ("tags < tags", "no order"),
        ("keep < 1", "no order"),
        ("1 in 3", "in needs a list or a text"),
        ("1 in style", "in needs a list or a text"),
        ("len(3)", "len() needs text or a list"),
        ("lower(3)", "lower() needs text"),
        ("min([])", "of an empty list"),
        ("max([1], 2)", "max() needs a number, not a list"),
        ("min('a', 1)", "min() needs a number"),
        ("round(1, 1.5)", "keeps 0 to 15 places"),
        ("round(1, 99)", "keeps 0 to 15 places"),
        ("round(true)", "round() needs a number"),
        ("shot == 1 or shot", "this one is a mapping"),
    ],
)
def test_what_can_not_be_worked_out(text: str, part: str) -> None:
    more = {
        "huge": 10**400,
        "endless": math.inf,
        "undefined": math.nan,
        "long": "x" * (LONGEST_TEXT - 1),
    }
    with pytest.raises(ExpressionProblem) as caught:
        result(text, VALUES | more)
    assert part in str(caught.value)


def test_a_problem_says_what_was_meant_and_where() -> None:
    with pytest.raises(ExpressionProblem) as caught:
        result("cfg + stepz")
    assert (caught.value.hint, caught.value.column) == ('did you mean "steps"?', 7)
    with pytest.raises(ExpressionProblem) as caught:
        result("style == Anim", {"style": "x"})
    assert caught.value.hint == 'a text stands in quotes: "Anim"'
    with pytest.raises(ExpressionProblem) as caught:
        Expression("cel(1)")
    assert caught.value.hint == "did you mean ceil?"


def test_names_are_what_is_needed_from_outside() -> None:
    text = (
        "lower(style) == 'true' and `shot type` in [a, null, true] if min(b, 1) > len else `true`"
    )
    assert Expression(text).names == {"style", "shot type", "a", "b", "len", "true"}


def test_values_that_are_nested_too_deeply_to_compare() -> None:
    deep: list[Any] = []
    other: list[Any] = []
    for _ in range(5_000):
        deep, other = [deep], [other]
    with pytest.raises(ExpressionProblem, match="can't be worked out"):
        result("deep == other", {"deep": deep, "other": other})


def test_an_expression_shows_its_text() -> None:
    assert repr(Expression("a + 1")) == "Expression('a + 1')"


def test_parts_that_do_not_matter_are_not_worked_out() -> None:
    assert result("keep or 1 / 0 > 1") is True
    assert result("nothing and 1 / 0 > 1") is False
    assert result("1 if keep else 1 / 0") == 1
    assert result("9 < steps < 1 / 0") is False


@pytest.mark.parametrize(("text", "holds"), [("keep", True), ("nothing", False), ("1 < 2", True)])
def test_conditions(text: str, holds: bool) -> None:
    assert Expression(text).holds(VALUES) is holds


@pytest.mark.parametrize("text", ["style", "steps", "tags", "0"])
def test_a_condition_must_be_true_or_false(text: str) -> None:
    with pytest.raises(ExpressionProblem, match="must be true or false"):
        Expression(text).holds(VALUES)


def test_numbers_as_results() -> None:
    assert Expression("steps").number(VALUES) == 8.0
    for text in ("style", "keep", "nothing"):
        with pytest.raises(ExpressionProblem, match="must give a number"):
            Expression(text).number(VALUES)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("-12", -12), ("1.50", 1.5), ("2e3", 2000.0), ("1E-2", 0.01)],
)
def test_texts_that_spell_a_number(text: str, number: float) -> None:
    assert spelled(text) == number


@pytest.mark.parametrize(
    "text", ["", "007", "+1", ".5", "1.", "1,5", "nan", "inf", " 1", "1e999", "٣"]
)
def test_texts_that_spell_none(text: str) -> None:
    assert spelled(text) is None


_NAMES = st.sampled_from(["a", "b", "`c d`", "true", "null"])
_ATOMS = st.one_of(
    _NAMES,
    st.integers(-(10**6), 10**6).map(str),
    st.floats(0, 1e6).map(repr),
    st.text("ab'#` =", max_size=4).map(repr),
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "in",
        "and",
        "or",
    ]
    return st.one_of(
        st.tuples(inner, st.sampled_from([*signs, "not in"]), inner).map(" ".join),
        st.tuples(st.sampled_from(["not ", "-"]), inner).map("".join),
        inner.map("({})".format),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, inner, inner).map(lambda parts: "{} if {} else {}".format(*parts)),
        st.tuples(st.sampled_from([*FUNCTIONS]), inner).map(lambda call: f"{call[0]}({call[1]})"),
    )


_WRITTEN = st.recursive(_ATOMS, _grown, max_leaves=12)
_ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=300)
@given(_WRITTEN, _ANY, _ANY, _ANY)
def test_only_our_own_problems_come_out(text: str, a: Any, b: Any, c: Any) -> None:
    values = {"a": a, "b": b, "c d": c}
    try:
        expression = Expression(text)
        assert expression.names <= values.keys()
        found = expression.evaluate(values)
    except ExpressionProblem as problem:
        assert problem.column is None or 1 <= problem.column <= len(text) + 1
        return
    assert found is None or isinstance(found, bool | int | float | str | list | dict)
    if isinstance(found, float):
        assert -LARGEST <= found <= LARGEST


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("a1'\"`+-*/(),[]{}=<>!:.\\ \n#", max_size=60)))
def test_any_text_is_an_expression_or_a_problem(text: str) -> None:
    try:
        Expression(text).evaluate({})
    except ExpressionProblem as problem:
        assert str(problem)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 1000))
def test_calculations_are_pythons(a: int, b: int, c: int) -> None:
    values = {"a": a, "b": b, "c": c}
    assert result("a + b * c - a // c + b % c", values) == a + b * c - a // c + b % c
    assert result("a / c", values) == a / c
    assert result("a < b <= c", values) == (a < b <= c)
