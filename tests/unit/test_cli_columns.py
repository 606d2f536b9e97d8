"""Tables on terminals narrow and wide: what is cut, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.cli.columns import GAP, cells, cut, fitted, width

HEAD = ["id", "key", "state", "files"]
ROWS = [
    ["9", "a long key of many words", "succeeded", "/somewhere/else/file0.png"],
    ["10", "日本語 and so on, at length", "failed", ""],
]


def drawn(room: int | None, **more: list[str]) -> list[str]:
    return [GAP.join(line) for line in cells(HEAD, ROWS, room=room, **more)]


def test_without_an_end_nothing_is_cut_and_columns_stand_under_each_other() -> None:
    assert drawn(None, numbers=["id"]) == [
        "id  key                          state      files                    ",
        " 9  a long key of many words     succeeded  /somewhere/else/file0.png",
        "10  日本語 and so on, at length  failed                              ",
    ]


def test_long_columns_give_way_together_before_ids_and_states_do() -> None:
    assert drawn(40, numbers=["id"]) == [
        "id  key          state      files       ",
        " 9  a long key…  succeeded  /somewhere/…",
        "10  日本語 and…  failed                 ",
    ]


def test_what_is_to_be_copied_is_cut_last() -> None:
    head, first, _ = drawn(50, whole=["files"])
    assert first == "9   a long …  succeeded  /somewhere/else/file0.png"
    assert len(head) == 50


def test_where_nothing_else_is_left_everything_gives_way() -> None:
    assert all(width(line) <= 12 for line in drawn(12))


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        ("plain", 5, "plain"),
        ("plain", 4, "pla…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日 …"),
        ("x", 1, "x"),
        ("xy", 1, "…"),
    ],
)
def test_a_text_is_cut_by_the_places_it_takes(text: str, most: int, left: str) -> None:
    assert cut(text, most) == left


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.integers(0, 120),
)
def test_columns_fit_wherever_they_can(widths: list[int], first: set[int], room: int) -> None:
    able = {place for place in first if place < len(widths)}
    fit = fitted(widths, able, room)
    assert all(after <= before for after, before in zip(fit, widths, strict=True))
    assert sum(fit) <= room or all(each <= 1 for each in fit)
    if sum(widths) <= room:
        assert fit == widths
    touched = {place for place, each in enumerate(fit) if each < widths[place]}
    if touched - able:
        assert all(fit[place] <= 1 for place in able)


@given(st.text(), st.integers(1, 40))
def test_nothing_is_wider_than_its_column(text: str, most: int) -> None:
    assert width(cut(text, most)) <= most
