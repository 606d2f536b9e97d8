"""The benchmark of loading compares what it says that it compares."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench import load as bench
from bench.surroundings import peak_memory, surroundings


def rows(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM jobs ORDER BY id").fetchall()


def test_plain_inserts_the_very_rows_of_a_load(tmp_path: Path) -> None:
    ours = tmp_path / "ours.db"
    first = bench.load(ours, bench.manifest(tmp_path, 1_500))
    assert first["jobs"] == 2_000
    assert bench.load(ours, bench.manifest(tmp_path, 1_500))["jobs"] == 2_000
    for work in (bench.plain, bench.roomy):
        theirs = tmp_path / f"{work.__name__}.db"
        assert work(theirs, ours)["jobs"] == 2_000
        assert rows(theirs) == rows(ours)


def figures(seconds: float, memory: float = 100.0) -> list[bench.Figures]:
    one = {"seconds": seconds, "cpu_seconds": seconds, "jobs": 10.0, "memory_mb": memory}
    return [{**one, "seconds": seconds + 1}, one]


@pytest.mark.parametrize(
    ("load", "again", "memory", "missed"),
    [
        (1.9, 1.0, 299.0, []),
        (2.1, 1.0, 299.0, ["ratio"]),
        (1.9, 1.9, 299.0, ["again"]),
        (1.9, 1.0, 300.0, ["memory"]),
    ],
)
def test_an_aim_that_is_missed_is_told(
    load: float, again: float, memory: float, missed: list[str]
) -> None:
    found = bench.summary(
        {
            "load": figures(load, memory),
            "again": figures(again),
            "plain": figures(1.0),
            "plain, more cache": figures(0.5),
        }
    )
    assert [aim for aim, held in found["held"].items() if not held] == missed
    assert found["ratio"] == load
    assert f"{load:.2f} times plain" in bench.table(found)


def test_a_figure_comes_with_what_it_depends_on() -> None:
    on = surroundings()
    assert on["sqlite"] == sqlite3.sqlite_version
    assert on["cores"] >= 1
    assert peak_memory() > 10
