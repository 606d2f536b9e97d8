"""Templates: what they may do, what they may not, and that they make the same text every time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.manifest.template import Template, TemplateProblem, is_template, printed


def fill(source: str, **values: Any) -> str:
    return Template(source).render(values)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("A {{ s }} at dusk", "A fox at dusk"),
        ("{{ s | upper }}!", "FOX!"),
        ("{{ n }} {{ f }} {{ yes }}", "7 1.5 true"),
        ("{{ n + 1 }} {{ n * 2 }} {{ n % 4 }}", "8 14 3"),
        ("{% if n > 5 %}many{% else %}few{% endif %}", "many"),
        ("{{ 'big' if yes else 'small' }} {{ s ~ '-' ~ n }}", "big fox-7"),
        ("{{ shot.angle }} {{ shot['angle'] }} {{ many[0] }}", "low low a"),
        ("{% for m in many %}{{ loop.index }}{{ m }}{% endfor %}", "1a2b"),
        ("{{ many | join(', ') }} {{ range(3) | join }}", "a, b 012"),
        ("{% raw %}{{ s }}{% endraw %} {{ s }}", "{{ s }} fox"),
        ("100% $5 #1 {x} {# kept #} {{ s }}\n", "100% $5 #1 {x} {# kept #} fox\n"),
        ("# line\n## {{ s }}\n% if\n", "# line\n## fox\n% if\n"),
        ("{{ shot.mood | default('calm') }}", "calm"),
        ("{{ s | replace('f', 'b') }}", "box"),
        ("{{ s }}<b>&", "fox<b>&"),
    ],
)
def test_what_templates_make(source: str, text: str) -> None:
    values = {"s": "fox", "n": 7, "f": 1.5, "yes": True, "shot": {"angle": "low"}}
    assert fill(source, many=["a", "b"], **values) == text


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{{ s", "this is not a template"),
        ("{% if s %}", "this is not a template"),
        ("{{ s | uper }}", 'there is no filter "uper"'),
        ("{{ s | random }}", 'there is no filter "random"'),
        ("{{ s is bigg }}", 'there is no test "bigg"'),
        ("{% set x = 1 %}{{ x }}", "{% set %}"),
        ("{% macro m() %}{% endmacro %}", "{% macro %}"),
        ("{% include 'x' %}", "{% include %}"),
        ("{{ 2 ** 9 }}", "the operator **"),
        ("{{ s.upper() }}", "can't call anything but range()"),
        ("{{ lipsum() }}", "can't call anything but range()"),
        ("{{ 'a' ~ range }}", "range is a function"),
        (
            "{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}",
            "2",
        ),
    ],
)
def test_what_templates_may_not_say(source: str, part: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        Template(source)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("{{ shot.angel }}", 'there is no part "angel" in this value (did you mean "angle"?)'),
        ("{{ shot.keys }}", 'there is no part "keys"'),
        ("{{ s.upper }}", 'there is no part "upper"'),
        ("{{ 'a' ~ s.upper }}", 'there is no part "upper"'),
        ("{{ s.__class__ }}", 'there is no part "__class__"'),
        ("{{ many[9] }}", 'there is no part "9"'),
        ("{{ shot.a.b }}", 'there is no part "a"'),
        ("{{ s * 1000000000 }}", "* works on numbers only"),
        ("{{ '%999999999d' % n }}", "% works on numbers only"),
        ("{{ n / 0 }}", "can't be filled in"),
        ("{{ n + s }}", "can't be filled in"),
        ("{{ many }}", "prints a list"),
        ("{{ shot }}", "prints a mapping"),
        ("{{ nothing }}", "prints an empty value"),
        ("{{ nothing ~ '' if s else s }}{{ none }}", "prints an empty value"),
        ("{{ range(1001) | join }}", "range() may have 1,000 numbers, not 1,001"),
        (
            "{% for a in range(999) %}{% for b in range(999) %}{{ s }}{% endfor %}{% endfor %}",
            "100,",
        ),
        ("{{ (s * 1) }}", "* works on numbers only"),
        ("{{ s | replace('', long) | replace('x', long) }}", "more than 100,000 characters"),
        ("{{ long }}{{ long }}", "more than 100,000 characters"),
    ],
)
def test_what_templates_can_not_do(source: str, part: str) -> None:
    values: dict[str, Any] = {"s": "fox", "n": 7, "shot": {"angle": "low"}, "nothing": None}
    with pytest.raises(TemplateProblem) as caught:
        fill(source, many=["a"], long="x" * 60_000, **values)
    assert part in str(caught.value)
    assert "0x" not in str(caught.value)


def test_names_that_a_template_needs() -> None:
    source = (
        "{{ a.b }} {% for x in y %}{{ x }}{{ loop.index }}{% endfor %} {{ range(2) | join(c) }}"
    )
    assert Template(source).names == {"a", "y", "c"}


@pytest.mark.parametrize("text", ["{x}", "{# x #}", "100% }} {", "$x #1", "% if x", "}}{"])
def test_plain_text_is_no_template(text: str) -> None:
    assert not is_template(text)


_PLAIN = st.text(st.characters(exclude_characters="{}%\r", exclude_categories=["Cs"]), max_size=20)
_VALUE = st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.floats(allow_nan=False))


@settings(deadline=None)
@given(st.lists(st.tuples(_PLAIN, st.sampled_from("ab")), min_size=1, max_size=5), _VALUE, _VALUE)
def test_the_quick_way_and_jinjas_make_the_same_text(
    parts: list[tuple[str, str]], a: Any, b: Any
) -> None:
    quick = "".join(f"{text}{{{{ {name} }}}}" for text, name in parts)
    slow = quick + "{% if 1 %}{% endif %}"  # a statement takes the general way
    values = {"a": a, "b": b}
    joined = "".join(text + printed(values[name]) for text, name in parts)
    assert Template(quick).render(values) == Template(slow).render(values) == joined
