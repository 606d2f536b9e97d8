"""Files of rows: what each format gives, and that what is wrong is said with its line."""

import csv
import hashlib
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overnight.manifest.expressions import Expression
from overnight.manifest.rows import (
    LONGEST_CELL,
    CellProblem,
    Row,
    RowFile,
    RowProblem,
    cast,
    meant,
    unreadable,
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, **options: Any) -> list[Row]:
    return list(RowFile(path, **options).rows())


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row.values for row in read(path, **options)]


def problem(path: Path, **options: Any) -> RowProblem:
    with pytest.raises(RowProblem) as caught:
        read(path, **options)
    return caught.value


# --- CSV and TSV ----------------------------------------------------------------------------------


def test_csv_rows_are_texts_with_their_lines(tmp_path: Path) -> None:
    text = 'prompt,seed\n"a ""red"" fox,\nat dusk",007\n\n 日本 🦊 ,\n'
    path = write(tmp_path, "shots.csv", text)
    assert RowFile(path).columns == ("prompt", "seed")
    assert read(path) == [
        Row(1, 2, {"prompt": 'a "red" fox,\nat dusk', "seed": "007"}),
        Row(2, 5, {"prompt": " 日本 🦊 ", "seed": None}),
    ]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t"), ("A.CSV", ",")])
def test_marks_and_line_ends(
    tmp_path: Path, ends: str, mark: str, name: str, separator: str
) -> None:
    lines = ["prompt, steps".replace(",", separator), f"a{separator}8", f"b{separator}9"]
    path = write(tmp_path, name, mark + ends.join(lines))
    assert read(path) == [
        Row(1, 2, {"prompt": "a", "steps": "8"}),
        Row(2, 3, {"prompt": "b", "steps": "9"}),
    ]


@pytest.mark.parametrize(
    ("content", "message", "line", "row"),
    [
        ("", "the file is empty", 0, 0),
        ("\n\n", "the file is empty", 0, 0),
        ("a,b,a\n1,2,3\n", 'columns 1 and 3 are both called "a"', 1, 0),
        ("a, a\n1,2\n", 'columns 1 and 2 are both called "a"', 1, 0),
        ("a,,c\n1,2,3\n", "column 2 has no name", 1, 0),
        ("a;b\n1;2\n", "separated by semicolons", 1, 0),
        ("a\tb\n1\t2\n", "separated by tabs", 1, 0),
        ("a,b\n1,2\n1\n", "the row has 1 cell, and the header has 2", 3, 2),
        ("a,b\n1,2,3\n", "the row has 3 cells, and the header has 2", 2, 1),
        ('a,b\n"1\n\n",2\n1,2,3\n', "the row has 3 cells", 5, 2),
        ('a,b\n1,2\n"1,2\n3,4\n', "a quote that is never closed", 3, 2),
        ('a,b\n"1"x,2\n', "a quote in the middle of a cell", 2, 1),
        ('a,"b\n', "a quote that is never closed", 1, 0),
        (b"a,b\n1,2\n1,\xe9\n", "the line is not UTF-8 (at character 3)", 3, 2),
        (b"a,b\n1,\xed\xa0\x80\n", "the line is not UTF-8", 2, 1),
        (b"\xe9,b\n", "the line is not UTF-8", 1, 0),
        ("a,b\n1,\x00\n", "a NUL character", 2, 1),
        ("a,b\n1,2\n".encode("utf-16"), "the file is UTF-16", 0, 0),
        ("a,b\n1,2\n".encode("utf-16-be"), "a NUL character", 1, 0),
        (",".join(f"c{at}" for at in range(1001)), "1,001 columns", 1, 0),
        (f"a,b\n1,{'x' * (LONGEST_CELL + 1)}\n", "a cell has more than 1,000,000 characters", 2, 1),
    ],
)
def test_what_is_wrong_in_a_csv(
    tmp_path: Path, content: str | bytes, message: str, line: int, row: int
) -> None:
    found = problem(write(tmp_path, "shots.csv", content))
    assert message in str(found)
    assert (found.line, found.row) == (line, row)


def test_a_file_that_is_one_line_is_not_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "endless.csv", "a\n" + '"' + "x," * 6_000_000)
    tracemalloc.start()
    found = problem(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than" in str(found)
    assert peak < 60_000_000


def test_a_tsv_that_is_a_csv(tmp_path: Path) -> None:
    assert problem(write(tmp_path, "a.tsv", "a,b\n1,2\n")).hint == "call the file .csv"


def test_the_longest_cell_is_read(tmp_path: Path) -> None:
    text = "x" * LONGEST_CELL
    assert values(write(tmp_path, "a.csv", f"a,b\n{text},1\n"))[0]["a"] == text


def test_every_bad_row_is_told_and_the_others_come(tmp_path: Path) -> None:
    path = write(tmp_path, "shots.csv", "a,b\n1,2\n3\n4,5\n6,7,8\n")
    told: list[RowProblem] = []
    rows = list(RowFile(path).rows(told.append))
    assert [row.number for row in rows] == [1, 3]
    assert [(found.line, found.row) for found in told] == [(3, 2), (5, 4)]


_CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(_CELL, _CELL), max_size=6), st.sampled_from([",", "\t"]))
def test_what_the_csv_module_writes_comes_back(
    tmp_path: Path, cells: list[tuple[str, str]], separator: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *cells])
    path = write(tmp_path, "a.csv" if separator == "," else "a.tsv", text.getvalue())
    assert values(path) == [{"a": a or None, "b": b or None} for a, b in cells]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(st.binary(max_size=80), st.text('a,;\t"\r\n\0é{}[]:1', max_size=80).map(str.encode)),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
)
def test_any_bytes_are_rows_or_a_problem(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = write(tmp_path, f"any{suffix}", content)
    told: list[RowProblem] = []
    try:
        rows = list(RowFile(path).rows(told.append))
    except RowProblem as found:
        told.append(found)
        rows = []
    lines = len(content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    assert all(0 <= found.line <= lines and str(found) for found in told)
    assert [row.line for row in rows] == sorted({row.line for row in rows})


# --- JSON Lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    text = '\ufeff{"prompt": "日本", "n": 8}\r\n\r\n  {"n": 1.5, "x": [1, {"y": null}], "z": null}'
    path = write(tmp_path, name, text)
    assert RowFile(path).columns == ("prompt", "n", "x", "z")
    assert read(path) == [
        Row(1, 1, {"prompt": "日本", "n": 8}),
        Row(2, 3, {"n": 1.5, "x": [1, {"y": None}], "z": None}),
    ]
    assert read(write(tmp_path, "empty.jsonl", "")) == []


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('{"a": 1, "a": 2}', '"a" is in the line twice'),
        ('{"a": {"b": 1, "b": 2}}', '"b" is in the line twice'),
        ('{"a": NaN}', "NaN in it, which is no number"),
        ('{"a": -Infinity}', "-Infinity in it"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": 1', "no JSON: "),
        ("{'a': 1}", "no JSON: "),
        ("[1]", "no JSON object"),
        ("3", "no JSON object"),
        ('{"": 1}', "a name in the line is empty"),
        ('{"a": "\\ud800"}', "lone surrogate"),
        ('{"\\uD800": 1}', "lone surrogate"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        (b'{"a": "\xe9"}', "not UTF-8"),
        ('{"a": 1} {"a": 2}', "no JSON: extra data at character 10"),
    ],
)
def test_what_is_wrong_in_a_line(tmp_path: Path, second: str | bytes, message: str) -> None:
    line = second.encode() if isinstance(second, str) else second
    path = write(tmp_path, "a.jsonl", b'\n{"a": 1}\n' + line + b'\n{"a": 2}\n')
    told: list[RowProblem] = []
    rows = list(RowFile(path).rows(told.append))
    assert [row.number for row in rows] == [1, 3]
    assert [(found.line, found.row) for found in told] == [(3, 2)]
    assert message in str(told[0])


@pytest.mark.parametrize("text", ['[{"a": 1},\n{"a": 2}]\n', '{\n"a": 1\n}\n', "[\n]\n"])
def test_a_file_that_is_one_json_value(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "a.jsonl", text)
    told: list[RowProblem] = []
    assert list(RowFile(path).rows(told.append)) == []
    assert len(told) == 1
    assert "object" in (told[0].hint or "")


def test_json_lines_that_are_no_lines(tmp_path: Path) -> None:
    assert "UTF-16" in str(problem(write(tmp_path, "a.jsonl", '{"a": 1}'.encode("utf-16"))))
    endless = write(tmp_path, "b.jsonl", '{"a": 1}\n"' + "x" * 9_000_000)
    assert (problem(endless).line, str(problem(endless))[:20]) == (2, "the line has more th")
    many = json.dumps({f"c{at}": at for at in range(1001)})
    assert "1,001 columns" in str(problem(write(tmp_path, "c.jsonl", many)))


# --- Parquet --------------------------------------------------------------------------------------


def parquet(folder: Path, table: dict[str, Any]) -> Path:
    arrow = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")
    writer.write_table(arrow.table(table), folder / "a.parquet")
    return folder / "a.parquet"


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        {
            "text": ["日本", None],
            "whole": [8, 2**62],
            "real": [0.5, float("nan")],
            "yes": [True, False],
            "list": [["a", "b"], []],
            "struct": [{"angle": "low", "at": [1]}, None],
            "money": [Decimal("1.50"), Decimal("2.00")],
            "when": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
            "day": [date(2026, 1, 2), None],
            "long": [timedelta(seconds=90), timedelta(milliseconds=1500)],
        },
    )
    assert read(path) == [
        Row(
            1,
            0,
            {
                "text": "日本",
                "whole": 8,
                "real": 0.5,
                "yes": True,
                "list": ["a", "b"],
                "struct": {"angle": "low", "at": [1]},
                "money": 1.5,
                "day": "2026-01-02",
                "when": "2026-01-02T03:04:05+00:00",
                "long": 90,
            },
        ),
        Row(
            2,
            0,
            {
                "text": None,
                "whole": 2**62,
                "real": None,
                "yes": False,
                "list": [],
                "struct": None,
                "money": 2,
                "day": None,
                "when": None,
                "long": 1.5,
            },
        ),
    ]
    second = read(path)[1].values
    assert isinstance(second["money"], int)


def test_parquet_in_several_batches(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"n": list(range(4500))})
    found = RowFile(path, where=Expression("n % 2 == 1"), limit=2100)
    assert found.columns == ("n",)
    assert [row.number for row in found.rows()] == list(range(2, 4202, 2))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([b"abc", None], "a cell holds bytes"),
        ([float("inf"), None], "a cell is infinite"),
        ([["x", "y" * (LONGEST_CELL + 1)], None], "a cell has more than"),
        ([[b"x"], None], "a cell holds bytes"),
        ([[{"a": float("-inf")}], None], "a cell is infinite"),
    ],
)
def test_cells_that_no_input_takes(tmp_path: Path, column: list[Any], message: str) -> None:
    told: list[RowProblem] = []
    rows = list(RowFile(parquet(tmp_path, {"c": column})).rows(told.append))
    assert [row.values for row in rows] == [{"c": None}]
    assert message in str(told[0])
    assert (told[0].line, told[0].row) == (0, 1)


def test_times_that_python_does_not_have(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    year_10000 = arrow.array([253402300800], arrow.timestamp("s"))
    found = problem(parquet(tmp_path, {"c": year_10000}))
    assert 'column "c" has values that can\'t be read' in str(found)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"n": list(range(5000)), "t": ["x" * 50] * 5000})
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert "can't be read as Parquet" in str(problem(path))
    path.write_bytes(content[:4] + bytes(200) + content[204:])
    assert "read" in str(problem(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_parquet_file_with_some_other_bytes(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.parquet"
    content = bytearray(small_parquet())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    told: list[RowProblem] = []
    try:
        rows = list(RowFile(path).rows(told.append))
    except RowProblem as found:
        assert "read" in str(found) or "column" in str(found)
    else:
        assert all(row.line == 0 for row in rows)


@cache
def small_parquet() -> bytes:
    """A file of nine rows and four types."""
    arrow = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")
    columns = {
        "text": ["a", None, "c"] * 3,
        "whole": list(range(9)),
        "when": [datetime(2026, 1, 2, tzinfo=UTC)] * 9,
        "list": [["x", "y"], [], None] * 3,
    }
    memory = io.BytesIO()
    writer.write_table(arrow.table(columns), memory)
    return memory.getvalue()


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    found = problem(write(tmp_path, "a.parquet", b"PAR1"))
    assert "pip install 'overnight[parquet]'" in (found.hint or "")


# --- what all formats share -----------------------------------------------------------------------


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    text = "shot,steps,keep,note\nwide,8,true,\nnear,10,FALSE,x\nwide,9,true,10\n"
    return write(tmp_path, "shots.csv", text)


def numbers(path: Path, **options: Any) -> list[int]:
    return [row.number for row in read(path, **options)]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("steps > 8", [2, 3]),
        ("steps == '8'", [1]),
        ("keep", [1, 3]),
        ("keep == 'true'", [1, 3]),
        ("not keep", [2]),
        ("note == null", [1]),
        ("note != null and keep and note > 3", [3]),
        ("shot in ['wide'] and steps < 9", [1]),
        ("false", []),
    ],
)
def test_where(shots: Path, where: str, rows: list[int]) -> None:
    assert numbers(shots, where=Expression(where)) == rows


def test_where_sees_new_names_and_the_row_stays_text(shots: Path) -> None:
    found = read(shots, rename={"steps": "num steps"}, where=Expression("`num steps` == 10"))
    assert found == [Row(2, 3, {"shot": "near", "num steps": "10", "keep": "FALSE", "note": "x"})]


def test_where_that_can_not_be_worked_out(shots: Path) -> None:
    found = problem(shots, where=Expression("note + 1 > 2"))
    assert "for this row: + works on numbers" in str(found)
    assert (found.line, found.row) == (2, 1)
    assert "must be true or false" in str(problem(shots, where=Expression("shot")))


def test_where_and_rename_know_the_columns(shots: Path) -> None:
    found = problem(shots, where=Expression("stepz > 1"))
    assert (str(found), found.hint) == (
        'where uses "stepz", and there is no such column',
        'did you mean "steps"?',
    )
    found = problem(shots, rename={"steps": "n"}, where=Expression("steps > 1"))
    assert found.hint == 'rename calls it "n"'
    found = problem(shots, rename={"Stepps": "n"})
    assert (str(found), found.hint) == ('there is no column "Stepps"', 'did you mean "steps"?')
    assert problem(shots, rename={"x": "n"}).hint == "the file has shot, steps, keep, note"
    found = problem(shots, rename={"steps": "shot"})
    assert 'two columns are called "shot" after rename' in str(found)


def test_columns_can_change_names(shots: Path) -> None:
    rows = RowFile(shots, rename={"steps": "shot", "shot": "steps"})
    assert rows.columns == ("steps", "shot", "keep", "note")
    assert next(rows.rows()).values == {"steps": "wide", "shot": "8", "keep": "true", "note": None}


def test_limit_counts_what_where_lets_through(shots: Path) -> None:
    assert numbers(shots, limit=2) == [1, 2]
    assert numbers(shots, limit=9) == [1, 2, 3]
    assert numbers(shots, where=Expression("shot == 'wide'"), limit=2) == [1, 3]


def test_a_limit_leaves_the_rest_unread(tmp_path: Path) -> None:
    assert numbers(write(tmp_path, "a.csv", 'a,b\n1,2\n"'), limit=1) == [1]


def test_the_digest_is_the_files(shots: Path) -> None:
    assert RowFile(shots).digest() == hashlib.sha256(shots.read_bytes()).hexdigest()


def test_files_that_can_not_be_opened(tmp_path: Path) -> None:
    assert "there is no such file" in str(problem(tmp_path / "gone.csv"))
    (tmp_path / "folder.jsonl").mkdir()
    assert "this is a folder" in str(problem(tmp_path / "folder.jsonl"))
    (tmp_path / "folder.parquet").mkdir()
    assert "this is a folder" in str(problem(tmp_path / "folder.parquet"))
    assert "did you mean .csv?" in (problem(tmp_path / "a.cvs").hint or "")
    assert "a file without a suffix" in str(problem(tmp_path / "shots"))


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"a,b\n1,2\n"), ("a.jsonl", b'{"a": 1}\n')]
)
def test_a_file_that_goes_away(tmp_path: Path, name: str, content: bytes) -> None:
    found = RowFile(write(tmp_path, name, content))
    found.path.unlink()
    with pytest.raises(RowProblem, match="there is no such file"):
        list(found.rows())
    with pytest.raises(RowProblem, match="there is no such file"):
        found.digest()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "you may not read this file"),
        (OSError(5, "Input/output error"), "the file can't be read (Input/output error)"),
    ],
)
def test_files_that_the_system_refuses(error: OSError, message: str) -> None:
    assert message in str(unreadable(error))


def test_a_million_rows_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("prompt,seed\n")
        file.writelines(f"a fox number {at},{at}\n" for at in range(20_000))
    found = RowFile(path, where=Expression("seed % 2 == 0"))
    tracemalloc.start()
    count = sum(1 for _ in found.rows())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 500_000


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" 007 ", "string", " 007 "),
        ("007", "integer", 7),
        (" -8 ", "integer", -8),
        ("+8.00", "integer", 8),
        ("8", "number", 8),
        ("8.50", "number", 8.5),
        ("1e-3", "number", 0.001),
        (".5", "number", 0.5),
        ("-007", "number", -7),
        ("TRUE", "boolean", True),
        (" false", "boolean", False),
        ('["a", 1]', "array", ["a", 1]),
        ("[]", "array", []),
        ('{"a": 1}', "object", {"a": 1}),
        ("x", "something new", "x"),
    ],
)
def test_casting(text: str, kind: str, value: Any) -> None:
    found = cast(text, kind)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("8.5", "integer", None),
        ("eight", "integer", None),
        ("1,000", "integer", "write it without marks between the digits: 1000"),
        ("1 000", "number", "write it without marks between the digits: 1000"),
        ("0,5", "number", "write a point: 0.5"),
        ("", "number", None),
        ("nan", "number", None),
        ("inf", "number", None),
        ("1e999", "number", None),
        ("٣", "number", None),
        ("9" * 101, "integer", None),
        ("9" * 5000, "number", None),
        ("1_000", "integer", "write it without marks between the digits: 1000"),
        ("yes", "boolean", "write true or false"),
        ("1", "boolean", "write true or false"),
        ("a, b", "array", 'write it as JSON: ["a", "b"]'),
        ("[a]", "array", 'write it as JSON: ["a", "b"]'),
        ('{"a": 1}', "array", 'write it as JSON: ["a", "b"]'),
        ("[NaN]", "array", 'write it as JSON: ["a", "b"]'),
        ("[" * 100_000, "array", 'write it as JSON: ["a", "b"]'),
        ("{", "object", 'write it as JSON: {"a": 1}'),
    ],
)
def test_cells_that_are_something_else(text: str, kind: str, hint: str | None) -> None:
    with pytest.raises(CellProblem) as caught:
        cast(text, kind)
    assert caught.value.hint == hint
    assert len(str(caught.value)) < 100


@given(st.text(max_size=30), st.sampled_from(["integer", "number", "boolean", "array", "object"]))
def test_any_cell_is_cast_or_a_problem(text: str, kind: str) -> None:
    try:
        value = cast(text, kind)
    except CellProblem:
        return
    types: dict[str, Any] = {
        "integer": int,
        "number": int | float,
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    assert isinstance(value, types[kind])


@pytest.mark.parametrize(
    ("cell", "value"),
    [("8", 8), ("8.5", 8.5), ("007", "007"), ("True", True), ("no", "no"), (None, None), (3, 3)],
)
def test_what_a_cell_means_to_a_condition(cell: Any, value: Any) -> None:
    assert (meant(cell), type(meant(cell))) == (value, type(value))


@pytest.fixture(autouse=True)
def _field_limit() -> Iterator[None]:
    """The csv module's limit is the whole process's; leave it as it was."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)
