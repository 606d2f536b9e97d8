"""The benchmark of loading compares what it says that it compares."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bench import load as bench
from bench.harness import Figures
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


def figures(seconds: float, memory: float = 100.0) -> list[Figures]:
    one = {"seconds": seconds, "CPU s": seconds, "jobs": 10.0, "jobs/s": 1.0, "peak MB": memory}
    return [{**one, "peak MB": 90.0}, one, {**one, "seconds": seconds + 1}]


@pytest.mark.parametrize(
    ("load", "again", "memory", "missed"),
    [
        (1.9, 1.0, 299.0, []),
        (2.1, 1.0, 299.0, [0]),
        (1.9, 2.0, 299.0, [1]),
        (1.9, 1.0, 301.0, [2]),
    ],
)
def test_an_aim_that_is_missed_is_told(
    load: float, again: float, memory: float, missed: list[int]
) -> None:
    found = bench.report(
        {
            "load": figures(load, memory),
            "again": figures(again),
            bench.PLAIN: figures(1.0),
            bench.ROOMY: figures(0.5),
        },
        rounds=3,
    )
    assert [number for number, aim in enumerate(found.aims) if not aim.held] == missed
    assert found.aims[0].value == load
    assert f"with more cache: {2 * load:.2f}" in found.notes[1]


def test_plain_inserts_the_rows_of_the_first_load_in_every_round() -> None:
    taken = bench.measure(1_500, rounds=2)
    assert {name: [each["jobs"] for each in rounds] for name, rounds in taken.items()} == {
        name: [2_000, 2_000] for name in ("load", "again", bench.PLAIN, bench.ROOMY)
    }


def test_a_figure_comes_with_what_it_depends_on() -> None:
    on = surroundings()
    assert on["sqlite"] == sqlite3.sqlite_version
    assert on["cores"] >= 1
    assert peak_memory() > 10
