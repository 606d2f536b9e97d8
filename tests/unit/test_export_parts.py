"""The parts of an export that need no database: splits, columns, names, evenness, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overnight.export import evenness
from overnight.export.columns import Columns, Kind, Type, conformed
from overnight.export.entry import Entry, Spool
from overnight.export.errors import ExportError
from overnight.export.names import LONGEST, FileNames
from overnight.export.parquet import cut
from overnight.export.request import Shards, Suspects, shard_size
from overnight.export.rows import COLUMNS, InputNames, harmless
from overnight.export.splits import Splits

# --- splits ---------------------------------------------------------------------------------------


def test_splits_are_read_and_written() -> None:
    splits = Splits.parse("train=0.8, val=.1,test=0.10")
    assert splits.names == ("train", "val", "test")
    assert str(splits) == "train=0.8,val=0.1,test=0.1"
    assert str(Splits.parse(str(splits))) == str(splits)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("train=0.9", "sum to 0.9"),
        ("train=0.9,test=0.2", "sum to 1.1"),
        ("train=1,test=0", "more than 0"),
        ("train=0.5,train=0.5", "twice"),
        ("train", "can't read 'train'"),
        ("Train=1", "lower-case"),
        ("../x=1", "can't read"),
        ("train=1e0", "can't read"),
        ("train=-1,test=2", "can't read"),
        ("", "can't read ''"),
    ],
)
def test_splits_that_make_no_sense_are_refused(text: str, wrong: str) -> None:
    with pytest.raises(ExportError, match=wrong):
        Splits.parse(text)


def test_a_split_s_share_is_its_share_of_samples() -> None:
    splits = Splits.parse("train=0.9,test=0.1")
    found = [splits.of(f"{n:064x}") for n in range(5_000)]
    assert 400 < found.count("test") < 600


@given(st.text(), st.integers(1, 99))
def test_a_sample_s_split_depends_on_its_fingerprint_alone(fingerprint: str, share: int) -> None:
    splits = Splits.parse(f"a={share / 100:.2f},b={(100 - share) / 100:.2f}")
    assert splits.of(fingerprint) == splits.of(fingerprint)
    # A larger first share only ever moves samples into it.
    if share < 99 and splits.of(fingerprint) == "a":
        larger = Splits.parse(f"a={(share + 1) / 100:.2f},b={(99 - share) / 100:.2f}")
        assert larger.of(fingerprint) == "a"


# --- columns --------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def types_of(rows: list[dict[str, Any]]) -> dict[str, Type]:
    columns = Columns({"inputs": Type(Kind.STRUCT)})
    for row in rows:
        columns.see(row)
    return columns.types()


def shape(value: Any, kind: Type) -> bool:
    """Whether a value is exactly what a column of that type may hold."""
    if value is None:
        return True
    match kind.kind:
        case Kind.STRUCT:
            return list(value) == [name for name, _ in kind.fields] and all(
                shape(value[name], inner) for name, inner in kind.fields
            )
        case Kind.LIST:
            assert kind.item is not None
            return isinstance(value, list) and all(shape(one, kind.item) for one in value)
        case Kind.NOTHING:
            return False
        case _:
            wanted: dict[Kind, type] = {
                Kind.BOOL: bool,
                Kind.INT: int,
                Kind.FLOAT: float,
                Kind.TEXT: str,
                Kind.JSON: str,
            }
            return type(value) is wanted[kind.kind]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=6))
def test_every_row_has_the_types_of_its_columns(inputs: list[dict[str, Any]]) -> None:
    rows = [{"inputs": one} for one in inputs]
    types = types_of(rows)
    for row in rows:
        assert shape(conformed(row, types), Type(Kind.STRUCT, fields=tuple(types.items())))


@given(st.lists(VALUES, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_column_s_type_does_not_depend_on_the_order_of_rows(
    values: list[Any], random: Any
) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    kinds = [types_of([{"inputs": {"a": v}} for v in some]) for some in (values, shuffled)]
    assert normal(kinds[0]) == normal(kinds[1])


def normal(types: dict[str, Type]) -> Any:
    """Types without the order of their fields."""

    def plain(kind: Type) -> Any:
        inner = sorted((name, plain(one)) for name, one in kind.fields)
        return kind.kind, inner, None if kind.item is None else plain(kind.item)

    return {name: plain(kind) for name, kind in types.items()}


def kind_of(*values: Any) -> Kind:
    [(_, kind)] = types_of([{"inputs": {"a": value}} for value in values])["inputs"].fields
    return kind.kind


def test_kinds_that_agree_and_kinds_that_do_not() -> None:
    assert kind_of(1, None, 2) is Kind.INT
    assert kind_of(1, 1.5) is Kind.FLOAT
    assert kind_of(True, 1) is Kind.JSON
    assert kind_of(1, "1") is Kind.JSON
    assert kind_of(2**53 + 1, 1.5) is Kind.JSON  # a float would change it
    assert kind_of(2**53 + 1) is Kind.INT
    assert kind_of(2**63) is Kind.JSON
    assert kind_of([1], [2.5]) is Kind.LIST
    assert kind_of([1], ["a"]) is Kind.JSON
    assert kind_of({"a": 1}, {"b": 2}) is Kind.STRUCT
    assert kind_of({}) is Kind.JSON
    assert kind_of(None) is Kind.NOTHING


def test_columns_of_mixed_kinds_are_told() -> None:
    columns = Columns({"inputs": Type(Kind.STRUCT), "variables": Type(Kind.STRUCT)})
    columns.see({"inputs": {"a": 1}, "variables": {"x": 1}})
    columns.see({"inputs": {"a": "1"}, "variables": {"x": 2}})
    columns.see({"inputs": {"a": 1}, "variables": {"x": 2}})
    assert columns.as_json() == ["inputs.a"]


def test_a_group_without_fields_is_no_column() -> None:
    assert types_of([{"inputs": {}}]) == {}


# --- names ----------------------------------------------------------------------------------------


def entry(path: str, fingerprint: str = "f" * 64, batch: str = "night") -> Entry:
    row = {"fingerprint": fingerprint, "position": 0, "batch": batch}
    return Entry(1, row, {"path": path, "bytes": 1}, "succeeded", None, "/out", [])


def test_files_keep_the_names_that_they_have_in_the_batch_s_folder() -> None:
    names = FileNames(dots=True)
    assert names.give(entry("/out/seed7.mp4")) == "seed7.mp4"
    assert names.give(entry("/out/Film/cfg1.5.MP4")) == "Film-cfg1.5.mp4"
    assert names.give(entry("/elsewhere/日本.png")) == "日本.png"
    assert names.give(entry("/out/nothing")) == "nothing.bin"


def test_two_files_never_share_a_name() -> None:
    names = FileNames(dots=True)
    first = names.give(entry("/out/a.mp4", "a" * 64))
    assert first == "a.mp4"
    assert names.give(entry("/else/A.mp4", "b" * 64)) == "A-bbbbbbbb.mp4"
    assert names.give(entry("/other/a.mp4", "b" * 64)) == f"a-{'b' * 64}-0.mp4"
    last = names.give(entry("/more/a.mp4", "b" * 64))
    assert last not in {first, "A-bbbbbbbb.mp4", f"a-{'b' * 64}-0.mp4"}


def test_names_in_a_tar_have_one_dot() -> None:
    names = FileNames(dots=False)
    assert names.give(entry("/out/cfg1.5.mp4")) == "cfg1_5.mp4"
    assert names.give(entry("/out/cfg1_5.mp4", "a" * 64)) == "cfg1_5-aaaaaaaa.mp4"


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\x00"), min_size=1, max_size=300),
        max_size=6,
        unique=True,
    ),
    st.booleans(),
)
def test_any_name_becomes_one_that_is_safe(parts: list[str], dots: bool) -> None:
    names = FileNames(dots=dots)
    seen = set()
    for part in parts:
        name = names.give(entry(f"/out/{part}"))
        assert len(name.encode()) <= LONGEST + 80  # a full fingerprint may follow
        assert not set(name) & set('<>:"/\\|?*[]{}\n\r\x00')
        assert not name.startswith(".")
        assert dots or name.count(".") == 1
        assert name.casefold() not in seen
        seen.add(name.casefold())


class NoWords:
    """A catalogue that knows one input."""

    def short(self, model: str, raw: str) -> str | None:
        return "image" if raw == "608_image" else None

    def is_image(self, model: str, raw: str) -> bool:
        return raw == "608_image"


def test_inputs_get_short_names_and_none_twice() -> None:
    names = InputNames(NoWords())
    names.see("m", {"608_image": "x", "1_seed": 1})
    names.see("m", {"2_seed": 2, "plain": 3, "4_plain": 4})
    assert names.columns("m", {"608_image": "x", "1_seed": 1, "2_seed": 2}) == {
        "image": "x",
        "1_seed": 1,
        "2_seed": 2,
    }
    assert names.columns("m", {"plain": 3, "4_plain": 4}) == {"plain": 3, "4_plain": 4}
    assert names.manifest("m", {"608_image": "x", "1_seed": 1}) == {"image": "x", "1_seed": 1}
    assert names.image("m", {"608_image": "x", "plain": "y"}) == "x"
    assert names.image("m", {"plain": "y"}) is None


def test_no_field_looks_like_a_media_file() -> None:
    assert harmless("shot_file_name") == "shot_filename"
    assert harmless("file_names") == "filenames"
    assert harmless("file_name_of") == "file_name_of"
    assert [name for name in COLUMNS if harmless(name) != name] == ["file_name"]


# --- shards, sizes, spools ------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50)), st.integers(1, 100), st.integers(1, 10))
def test_shards_hold_everything_within_their_bounds(
    sizes: list[int], largest: int, most: int
) -> None:
    lengths = list(cut(sizes, Shards(largest, most)))
    assert sum(lengths) == len(sizes)
    start = 0
    for length in lengths:
        held = sizes[start : start + length]
        assert length == 1 or (sum(held) <= largest and length <= most)
        start += length


@pytest.mark.parametrize(
    ("text", "size"), [("1GB", 10**9), ("500 mb", 5 * 10**8), ("1.5kB", 1500), ("2000", 2000)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert shard_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "1", "0GB", "-1GB", "1 PB", "1GiB", "1e9"])
def test_sizes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ExportError, match="--shard-size"):
        shard_size(text)


def test_suspects_are_taken_or_left() -> None:
    assert [Suspects.NO.takes(one) for one in (None, "black")] == [True, False]
    assert [Suspects.YES.takes(one) for one in (None, "black")] == [False, True]
    assert [Suspects.ANY.takes(one) for one in (None, "black")] == [True, True]


def test_a_spool_gives_back_what_it_was_given_and_leaves_nothing(tmp_path: Path) -> None:
    given_ = entry("/out/ü\u2028\n.mp4")
    with Spool(tmp_path / "spool") as spool:
        spool.add(given_)
        spool.add(given_)
        assert list(spool) == [given_, given_]
        assert list(spool) == [given_, given_]
    assert list(tmp_path.iterdir()) == []


def test_a_spool_takes_texts_that_are_no_unicode(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        spool.add(entry("/out/\udcff.mp4"))
        assert [one.file for one in spool] == [{"path": "/out/\udcff.mp4", "bytes": 1}]


def test_a_date_is_told_from_a_text() -> None:
    dates = ["2024-01-01", "2024-01-01 10:00", "2024-01-01T10:00:00Z"]
    assert all(evenness._DATE.fullmatch(one) for one in dates)
    assert not evenness._DATE.fullmatch("2024-01-01 a walk")
