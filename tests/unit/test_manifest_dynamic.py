"""Dynamic prompts: every variant by its place, counted without making it, text left alone."""

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overnight.manifest import wildcards
from overnight.manifest.dynamic import (
    DEEPEST,
    LONGEST_SOURCE,
    LONGEST_TEXT,
    DynamicProblem,
    Variants,
    is_dynamic,
)
from overnight.manifest.sampling import Stream
from overnight.manifest.wildcards import Wildcards

NOWHERE = Wildcards(Path("/nowhere/at/all"))

Folder = Callable[..., Wildcards]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Wildcard files from their contents, ``{"colors/warm": "red"}``."""

    def make(files: dict[str, str | bytes]) -> Wildcards:
        for name, content in files.items():
            path = tmp_path / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Wildcards(tmp_path)

    return make


def problem(source: str, known: Wildcards = NOWHERE) -> DynamicProblem:
    with pytest.raises(DynamicProblem) as caught:
        Variants(source, known)
    return caught.value


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("A {red|blue} fox", ["A red fox", "A blue fox"]),
        ("{a|b}{c|d}", ["ac", "ad", "bc", "bd"]),
        ("{a|{b|c} x}", ["a", "b x", "c x"]),
        ("{{a|b}|c}", ["a", "b", "c"]),
        ("{a|b|}", ["a", "b", ""]),
        ("{|very }big", ["big", "very big"]),
        ("{ a | b }", [" a ", " b "]),
        ("{a}", ["a"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{ 2 $$ a | b | c }", ["a, b", "a, c", "b, c"]),
        ("{2$$$$a|b|c}", ["ab", "ac", "bc"]),
        ("{1-2$$ and $$a|b|c}", ["a", "b", "c", "a and b", "a and c", "b and c"]),
        ("{0-1$$a|b}!", ["!", "a!", "b!"]),
        ("{2$$a|{b|c}|d}", ["a, b", "a, c", "a, d", "b, d", "c, d"]),
        ("{3$$+$$a|b|c}", ["a+b+c"]),
        ("{2$$, $$ {x|y} | z }", ["x, z", "y, z"]),
        ("{2::a|0.5::b|c}", ["a", "b", "c"]),
        ("{1$$3::a|b}", ["a", "b"]),
        ("", [""]),
    ],
)
def test_variants_in_their_order(source: str, texts: list[str]) -> None:
    variants = Variants(source, NOWHERE)
    assert list(variants) == texts
    assert variants.count == len(texts)
    assert [variants.text(place) for place in range(variants.count)] == texts


@pytest.mark.parametrize(
    "text",
    [
        *("100% cotton", "$5", "#1", "a|b", "C:\\new \\n", "(x:1.2) \\(y\\)", "::a", "2$$a", "# x"),
        *("snake_case", "a__b", "____", "__", "__a b__", "_x_", "日本 🦊", "<lora:x:0.8>", "[a|b]"),
        *("{{ subject }}", "{{ s | upper }} x", "{% if a|b %}x{% endif %}", "a\nb", " "),
    ],
)
def test_text_stays_as_it_is(text: str) -> None:
    assert list(Variants(text, NOWHERE)) == [text]


def test_templates_pass_untouched_among_options() -> None:
    found = list(Variants("{{ s }} {a|{{ t | d('x') }}|{% if u %}} y", NOWHERE))
    assert found == ["{{ s }} a y", "{{ s }} {{ t | d('x') }} y", "{{ s }} {% if u %} y"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\{a\|b\}", "{a|b}"),
        (r"{\{a\||x}", "{a|"),
        (r"\__a\__", "__a__"),
        (r"\$\{x=1\}", "${x=1}"),
        (r"\\{a}", "\\a"),
        (r"{2\::a}", "2::a"),
        (r"{2\$\$a}", "2$$a"),
        (r"\#1", "#1"),
        (r"\a\ \(", r"\a\ \("),
    ],
)
def test_escapes(source: str, text: str) -> None:
    assert Variants(source, NOWHERE).text(0) == text
    assert is_dynamic(source) == (source != text)


@pytest.mark.parametrize(
    ("source", "message", "column"),
    [
        ("a {b|c", "this brace is never closed", 3),
        ("a {b|{c}", "this brace is never closed", 3),
        ("a {b|{c", "this brace is never closed", 6),
        ("a} b", "this brace closes nothing", 2),
        ("{a|b}}", "this brace closes nothing", 6),
        ("日本 { }", "there is nothing between these braces", 4),
        ("{}", "there is nothing between these braces", 1),
        ("x {3$$a|b}", "it takes 3 options, and there are 2", 3),
        ("{2$$a}", "it takes 2 options, and there is 1", 1),
        ("{2-1$$a|b}", "2-1 is no number of options", 1),
        ("{0$$a|b}", "0 is no number of options", 1),
        ("{$$a|b}", "there is no number before $$", 1),
        ("{-2$$a|b}", "there is no number before $$", 1),
        ("{1-$$a|b}", "there is no number before $$", 1),
        ("{21$$" + "|".join("abcdefghijklmnopqrstuvwxyz") + "}", "too many to take at once", 1),
        ("{a|0::b}", "a weight must be more than 0", 4),
        ("{9999999::b}", "a weight must be", 2),
        ("a ${x=5}", "${variables} are not known", 3),
        ("a ${x}", "${variables} are not known", 3),
        ("a ${env:HOME}", "${variables} are not known", 3),
        ("{a|b}" * 63, "more variants than can be numbered", 1),
        ("x {2$$" + "|".join(["{a|b}" * 40] * 3) + "}", "more variants than can be numbered", 3),
        ("x" * (LONGEST_SOURCE + 1), "50,000 characters", None),
        ("{x" * 21 + "}" * 21, "nested more than 20 deep", 41),
        ("{" * LONGEST_SOURCE, "nested more than 20 deep", DEEPEST + 1),
        ("a __none__", 'there is no wildcard "none"', 3),
    ],
)
def test_what_is_wrong_in_a_prompt(source: str, message: str, column: int | None) -> None:
    found = problem(source)
    assert message in str(found)
    assert (found.column, found.file) == (column, None)


def test_braces_as_deep_as_allowed() -> None:
    assert list(Variants("{x" * DEEPEST + "|y" + "}" * DEEPEST, NOWHERE)) == [
        "x" * 20,
        "x" * 19 + "y",
    ]


def test_huge_numbers_of_variants_cost_nothing() -> None:
    variants = Variants("{a|b}" * 62, NOWHERE)
    assert variants.count == 2**62
    assert variants.text(0) == "a" * 62
    assert variants.text(2**62 - 1) == "b" * 62
    assert variants.text(5) == "a" * 59 + "bab"
    many = Variants("{5$$" + "|".join(f"{{x{at}|y{at}}}" for at in range(500)) + "}", NOWHERE)
    assert many.count == 255_244_687_600 * 32
    assert many.text(many.count - 1) == "y495, y496, y497, y498, y499"


def test_places_outside() -> None:
    variants = Variants("{a|b}", NOWHERE)
    for place in (-1, 2):
        with pytest.raises(IndexError):
            variants.text(place)


# --- wildcards ------------------------------------------------------------------------------------


def test_wildcard_lines_are_options(folder: Folder) -> None:
    known = folder({"color": "\ufeff# warm\r\nred\r\n\r\n  {dark|light} blue  \r\n\\#1\r\n"})
    assert list(Variants("a __color__ fox", known)) == [
        *("a red fox", "a dark blue fox", "a light blue fox", "a #1 fox")
    ]
    assert known.sources() == (known.folder / "color.txt",)


def test_wildcards_in_wildcards_and_in_options(folder: Folder) -> None:
    known = folder({"a": "x\n__b__", "b": "y\nz", "shots/near by": "n", "unused": "u"})
    assert list(Variants("{__a__|w} __b__", known)) == [
        *("x y", "x z", "y y", "y z", "z y", "z z", "w y", "w z")
    ]
    assert [path.name for path in known.sources()] == ["a.txt", "b.txt"]


def test_several_of_a_wildcard(folder: Folder) -> None:
    known = folder({"c": "red\ngreen\n3::blue"})
    assert list(Variants("{2$$__c__}", known)) == ["red, green", "red, blue", "green, blue"]
    assert list(Variants("{2$$__c__|x}", known)) == ["red, x", "green, x", "blue, x"]


def test_names_of_wildcards(folder: Folder) -> None:
    files = {
        "colors/warm": "red",
        "colors/cold": "blue",
        "light/cold": "ice",
        "色": "赤",
        "a-b.c": "d",
    }
    known = folder(files)
    for name, texts in {
        "colors/warm": ["red"],
        "warm": ["red"],
        "colors/cold": ["blue"],
        "色": ["赤"],
        "a-b.c": ["d"],
        "colors/*": ["blue", "red"],
        "*cold": ["blue", "ice"],
        "colors*": ["blue", "red"],
    }.items():
        assert list(Variants(f"__{name}__", known)) == texts
    assert "write the folder too: __colors/cold__ or __light/cold__" in (
        problem("__cold__", known).hint or ""
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wram", "did you mean __warm__?"),
        ("colors/wram", "did you mean __colors/warm__?"),
        ("zzzzz", "there are colors/warm"),
        ("z*", "there are colors/warm"),
    ],
)
def test_missing_wildcards(folder: Folder, name: str, hint: str) -> None:
    found = problem(f"a __{name}__", folder({"colors/warm": "red"}))
    assert (str(found), found.hint) == (f'there is no wildcard "{name}"', hint)


@pytest.mark.parametrize("text", ["__../secret__", "__/etc/passwd__", "__.hidden__", "__-x__"])
def test_what_is_no_name_of_a_wildcard(text: str) -> None:
    assert list(Variants(text, NOWHERE)) == [text]


def test_wildcards_side_by_side(folder: Folder) -> None:
    known = folder({"a": "x", "b": "y"})
    assert list(Variants("__a____b__ ___a___", known)) == ["xy _x_"]


def test_no_file_outside_the_folder_is_read(folder: Folder, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.txt").write_text("secret")
    known = folder({"in/side": "x"})
    for name in ("a/../../outside", "in/../../outside", "in/../in/side"):
        assert "there is no wildcard" in str(problem(f"__{name}__", known))


def test_a_folder_that_is_not_there() -> None:
    assert problem("__a__").hint == "put a.txt into the folder /nowhere/at/all"


@pytest.mark.parametrize(
    ("files", "message", "file", "line", "column"),
    [
        ({"a": "x\n\n{b|c"}, "this brace is never closed", "a", 3, 1),
        ({"a": "__b__", "b": "x\ny }"}, "this brace closes nothing", "b", 2, 3),
        ({"a": "x\n __b__"}, 'there is no wildcard "b"', "a", 2, 1),
        ({"a": "x __a__"}, "leads back to itself: a → a", "a", 1, 3),
        ({"a": "__b__", "b": "__c__", "c": "__b__"}, "itself: b → c → b", "c", 1, 1),
        ({"a": b"x\n\xe9"}, "the line is not UTF-8", "a", 2, None),
        ({"a": "x\ny".encode("utf-16-le")}, "NUL", "a", 1, None),
        ({"a": "# only\n\n"}, 'the wildcard "a" has no values', None, 0, 3),
    ],
)
def test_what_is_wrong_in_wildcard_files(
    folder: Folder,
    files: dict[str, str | bytes],
    message: str,
    file: str | None,
    line: int,
    column: int | None,
) -> None:
    known = folder(files)
    found = problem("- __a__", known)
    assert message in str(found)
    assert (found.line, found.column) == (line, column)
    assert found.file == (known.folder / f"{file}.txt" if file else None)


@pytest.mark.parametrize(
    ("limit", "to", "source", "message"),
    [
        ("MOST_LINES", 50, "__*__", "60 values; 50 are allowed"),
        ("MOST_LINES", 20, "__a__", "more than 20 lines"),
        ("MOST_VALUES", 50, "__a____b__", "more than 50 values together"),
        ("MOST_BYTES", 100, "__a____b__", "together"),
        ("LARGEST_FILE", 10, "__b__", "MiB"),
        ("MOST_FILES", 1, "__b__", "more than 1 wildcards"),
    ],
)
def test_limits_of_wildcards(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, limit: str, to: int, source: str, message: str
) -> None:
    known = folder({"a": "x\n" * 30, "b": "y\n" * 30})
    assert Variants(source, known).count
    monkeypatch.setattr(wildcards, limit, to)
    assert message in str(problem(source, Wildcards(known.folder)))


def test_a_line_is_no_longer_than_a_prompt(folder: Folder) -> None:
    found = problem("__a__", folder({"a": "x\n" + "{|}" * LONGEST_SOURCE}))
    assert (str(found), found.line) == ("a dynamic prompt may have 50,000 characters", 2)


def test_files_that_lead_to_one_another_a_million_times(folder: Folder) -> None:
    # Each of the eight is a hundred lines of the next: written out, 10¹⁶ lines.
    files: dict[str, str | bytes] = {f"w{at}": f"x __w{at + 1}__\n" * 100 for at in range(7)}
    variants = Variants("__w0__", folder(files | {"w7": "end\n" * 100}))
    assert variants.count == 10**16
    assert variants.text(10**16 - 1) == "x " * 7 + "end"


@pytest.mark.parametrize("line", ["x __w{}__", "{{1$$x|__w{}__}}", "{{x|__w{}__}}"])
def test_chains_are_as_deep_in_any_order(folder: Folder, line: str) -> None:
    files: dict[str, str | bytes] = {f"w{at}": line.format(at + 1) for at in range(60)}
    known = folder(files | {"w60": "end"})
    Variants("__w52__", known)  # known by now, which must not hide how deep it is
    for at in (47, 42, 37):
        with contextlib.suppress(DynamicProblem):
            Variants(f"__w{at}__", known)
    assert "nested more than 20 deep" in str(problem("__w37__", known))
    assert "nested more than 20 deep" in str(problem("__w0__", Wildcards(known.folder)))


def test_variants_that_would_be_too_long(folder: Folder) -> None:
    known = folder({f"w{at}": f"__w{at + 1}__" * 20 for at in range(5)} | {"w5": "x"})
    assert f"more than {LONGEST_TEXT:,} characters" in str(problem("__w0__", known))


def test_links_to_folders_are_not_followed(folder: Folder, tmp_path: Path) -> None:
    known = folder({"a/b": "x"})
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert list(Variants("__b__", known)) == ["x"]


def test_a_wildcard_file_that_can_not_be_read(folder: Folder, tmp_path: Path) -> None:
    known = folder({"a": "x"})
    (tmp_path / "b.txt").symlink_to(tmp_path / "gone")
    found = problem("{a|__b__}", known)
    assert (found.file, found.line, found.column) == (tmp_path / "b.txt", 0, None)
    assert "can't be read (No such file" in str(found)


# --- chance ---------------------------------------------------------------------------------------


def test_weights_count_when_chance_chooses(folder: Folder) -> None:
    variants = Variants("{6::a|b|c} __w__", folder({"w": "3::x\ny"}))
    stream = Stream(1)
    seen = Counter(variants.text(variants.choose(stream.fraction)) for _ in range(4000))
    assert variants.weighted
    for text, share in {"a x": 0.5625, "a y": 0.1875, "b x": 0.09375, "c y": 0.03125}.items():
        assert abs(seen[text] / 4000 - share) < 0.035


def test_an_option_is_as_likely_as_another_whatever_is_inside() -> None:
    variants = Variants("{a|{b|c|d|e}}", NOWHERE)
    stream = Stream(2)
    seen = Counter(variants.text(variants.choose(stream.fraction)) for _ in range(2000))
    assert not variants.weighted
    assert 900 < seen["a"] < 1100


def test_several_by_chance_follow_their_weights() -> None:
    variants = Variants("{1-2$$+$$8::a|b|c}", NOWHERE)
    stream = Stream(3)
    seen = Counter(variants.text(variants.choose(stream.fraction)) for _ in range(3000))
    assert set(seen) == {"a", "b", "c", "a+b", "a+c", "b+c"}
    assert 0.36 < seen["a"] / 3000 < 0.44
    assert seen["b+c"] < 100


# --- properties -----------------------------------------------------------------------------------

_PLAIN = st.text("ab ,.%#:-", min_size=1, max_size=4)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    options = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        options.map(lambda parts: "{x" + "|".join(parts) + "}"),
        options.map(_several),
    )


def _several(parts: list[str]) -> str:
    return "{" + f"1-{len(parts)}$$;$$" + "|".join(f"y{part}" for part in parts) + "}"


_SOURCES = st.recursive(_PLAIN, _nested, max_leaves=8)


@settings(deadline=None)
@given(_SOURCES, st.integers(0, 1000))
def test_every_place_is_a_variant_and_chance_finds_them(source: str, seed: int) -> None:
    variants = Variants(source, NOWHERE)
    places = range(variants.count) if variants.count < 300 else (0, variants.count - 1)
    texts = [variants.text(place) for place in places]
    if variants.count < 300:
        assert list(variants) == texts
    assert all(not re.search(r"[{}|]", text) for text in texts)
    stream = Stream(seed)
    assert all(0 <= variants.choose(stream.fraction) < variants.count for _ in range(5))


@given(st.integers(1, 6), st.data())
def test_several_are_the_combinations(size: int, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, size))
    high = data.draw(st.integers(max(low, 1), size))
    letters = "abcdef"[:size]
    variants = Variants("{" + f"{low}-{high}$$;$$" + "|".join(letters) + "}", NOWHERE)
    expected = [
        ";".join(taken)
        for count in range(low, high + 1)
        for taken in itertools.combinations(letters, count)
    ]
    assert list(variants) == expected


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), min_size=2, max_size=4))
def test_several_count_what_is_inside_options(options: list[list[str]]) -> None:
    named = [[f"{letter}{at}{i}" for i, letter in enumerate(o)] for at, o in enumerate(options)]
    source = "{2$$;$$" + "|".join("{" + "|".join(o) + "}" for o in named) + "}"
    expected = [
        f"{a};{b}"
        for first, second in itertools.combinations(named, 2)
        for a, b in itertools.product(first, second)
    ]
    assert sorted(Variants(source, NOWHERE)) == sorted(expected)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("{}|$_\\:-%a1 .*", max_size=60)))
def test_any_text_is_a_prompt_or_a_problem(text: str) -> None:
    try:
        variants = Variants(text, NOWHERE)
    except DynamicProblem as found:
        assert found.column is None or 1 <= found.column <= len(text) + 1
        return
    assert variants.text(0) == next(iter(variants))
    variants.text(variants.count - 1)
    if not is_dynamic(text):
        assert list(variants) == [text]


@given(st.text(st.characters(exclude_characters="{}|\\_$"), max_size=50))
def test_free_text_stays_as_it_is(text: str) -> None:
    assert not is_dynamic(text)
    assert list(Variants(text, NOWHERE)) == [text]


@pytest.mark.parametrize(
    "piece", ["__a", "{{", "{%", "\\", "__a_", "$${", "{2$$", "${a", "_", "{{a"]
)
def test_repeated_marks_take_no_long_time(piece: str) -> None:
    source = piece * (LONGEST_SOURCE // len(piece))
    try:
        assert Variants(source, NOWHERE).count == 1
    except DynamicProblem as found:
        assert found.column is not None
